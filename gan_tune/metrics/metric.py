"""The metrics by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from gan_tune.gan.data import Dataset, Kind, Mixture
from gan_tune.metrics.energy import energy_distance_to, energy_reference
from gan_tune.metrics.frechet import gaussian_distance, gaussian_statistics
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.modes import (
    high_quality_share,
    modes_covered,
    sigma_ratio_max,
    sigma_ratio_min,
)
from gan_tune.metrics.variety import total_variance, variety_beside

__all__ = ["METRICS", "Metric", "metric_names"]


@dataclass(frozen=True)
class Metric:
    """How one metric is computed, and what its value means.

    ``prepare(real, mixture)`` boils the real features [N, D] down, once, to the reference that
    ``measure(reference, fake)`` compares fake features [N, D] with. ``kinds`` are the kinds of data
    it applies to; with ``needs_mixture`` only those whose true mixture is known. A ``distance`` is
    0 for equal samples, and its real-against-real floor is recorded beside it.
    """

    mode: Literal["min", "max"]
    kinds: frozenset[Kind]
    prepare: Callable[[FloatMatrix, Mixture | None], Any]
    measure: Callable[[Any, FloatMatrix], float]
    needs_mixture: bool = False
    distance: bool = False

    def applies(self, kind: Kind, *, mixture: bool) -> bool:
        """Whether it can be computed for data of a kind, with or without a known mixture."""
        return kind in self.kinds and (mixture or not self.needs_mixture)


def metric_names(dataset: Dataset) -> tuple[str, ...]:
    """The metrics that apply to a data set, in the order of :data:`METRICS`."""
    known = dataset.mixture is not None
    return tuple(
        name for name, metric in METRICS.items() if metric.applies(dataset.kind, mixture=known)
    )


def _the_mixture(real: FloatMatrix, mixture: Mixture | None) -> Mixture | None:
    return mixture


_ALL: frozenset[Kind] = frozenset({"pictures", "points"})
_POINTS: frozenset[Kind] = frozenset({"points"})

METRICS: dict[str, Metric] = {
    "frechet_distance": Metric(
        "min",
        _ALL,
        prepare=lambda real, mixture: gaussian_statistics(real),
        measure=lambda real, fake: gaussian_distance(real, gaussian_statistics(fake)),
        distance=True,
    ),
    "energy_distance": Metric(
        "min",
        _POINTS,
        prepare=lambda real, mixture: energy_reference(real),
        measure=energy_distance_to,
        distance=True,
    ),
    "modes_covered": Metric("max", _POINTS, _the_mixture, modes_covered, needs_mixture=True),
    "high_quality_share": Metric(
        "max", _POINTS, _the_mixture, high_quality_share, needs_mixture=True
    ),
    "sigma_ratio_min": Metric("max", _POINTS, _the_mixture, sigma_ratio_min, needs_mixture=True),
    "sigma_ratio_max": Metric("min", _POINTS, _the_mixture, sigma_ratio_max, needs_mixture=True),
    "variety": Metric(
        "max",
        _ALL,
        prepare=lambda real, mixture: total_variance(real),
        measure=variety_beside,
    ),
}
