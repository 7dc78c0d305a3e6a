"""The metrics by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import numpy as np
import torch

from gan_tune.data.dataset import Dataset, Kind, Mixture
from gan_tune.data.scaling import in_data_space
from gan_tune.metrics.energy import energy_distance_to, energy_reference
from gan_tune.metrics.frechet import gaussian_distance, gaussian_statistics
from gan_tune.metrics.inception import fid_to, inception_reference
from gan_tune.metrics.inputs import MAX_PROBED, Generated, Real, labelled_samples, probe_accuracy
from gan_tune.metrics.kernel import kernel_distance_to, kernel_reference
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.models import Cost, ModelName, Models
from gan_tune.metrics.modes import (
    high_quality_share,
    modes_covered,
    reverse_kl,
    sigma_ratio_max,
    sigma_ratio_min,
)
from gan_tune.metrics.neighbours import neighbour_figures, neighbour_reference
from gan_tune.metrics.sliced import sliced_wasserstein
from gan_tune.metrics.sparsity import code_figures
from gan_tune.metrics.variety import total_variance, variety_beside

__all__ = [
    "COMPARISONS",
    "METRICS",
    "NO_OBJECTIVES",
    "OF_SEVERAL_MODES",
    "Comparison",
    "Metric",
    "metric_names",
]

MAX_PAIRED = 2_000
"""Real and generated samples each, at most, where the work grows with the square of the number."""
MAX_REAL = 2_000
"""Real samples, at most, that the judge keeps for a trial's networks to see."""


@dataclass(frozen=True)
class Comparison:
    """Work that the metrics read off it share.

    ``prepare(real)`` boils the real samples down, once, to a reference that is small and pickles;
    ``compare(reference, generated)`` is done at each evaluation, where the trial has the ``model``
    it needs, if any. Both see at most ``limit`` samples. ``features(reference)`` names the features
    compared, for the metrics' versions, where they are not those of the judge's extractor.
    """

    prepare: Callable[[Real], Any]
    compare: Callable[[Any, Generated], Any]
    limit: int | None = None
    model: ModelName | None = None
    features: Callable[[Any], str] | None = None

    def used(self, count: int) -> int:
        """How many of ``count`` samples it sees."""
        return count if self.limit is None else min(count, self.limit)


def _model_comparison(
    model: ModelName,
    prepare: Callable[[Real], Any],
    compare: Callable[[Any, Generated], Any],
    *,
    limit: int = MAX_REAL,
) -> Comparison:
    return Comparison(prepare, compare, limit, model, features=lambda reference: model)


def _mixture(real: Real) -> Mixture:
    assert real.dataset.mixture is not None
    return real.dataset.mixture


def _reconstruction_error(real: np.ndarray[Any, Any], generated: Generated) -> float:
    """Mean over samples and coordinates (pixels) of (x - reconstruction)^2, in data space."""
    reconstructed = generated.outputs("reconstruct", real)
    truth = in_data_space(torch.tensor(real, device=reconstructed.device))
    return float((truth.double() - reconstructed.double()).square().mean())


def _cost(models: Models) -> Cost:
    assert models.generator_cost is not None
    return models.generator_cost()


COMPARISONS: dict[str, Comparison] = {
    "gaussians": Comparison(
        prepare=lambda real: gaussian_statistics(real.features),
        compare=lambda real, fake: gaussian_distance(real, gaussian_statistics(fake.features)),
    ),
    "kernels": Comparison(
        prepare=lambda real: kernel_reference(real.features),
        compare=lambda real, fake: kernel_distance_to(real, fake.features),
        limit=MAX_PAIRED,
    ),
    "neighbours": Comparison(
        prepare=lambda real: neighbour_reference(real.features),
        compare=lambda real, fake: neighbour_figures(real, fake.features),
        limit=MAX_PAIRED,
    ),
    "lines": Comparison(
        prepare=lambda real: real.features,
        compare=lambda real, fake: sliced_wasserstein(real, fake.features),
        limit=MAX_PAIRED,
    ),
    "distances": Comparison(
        prepare=lambda real: energy_reference(real.features),
        compare=lambda real, fake: energy_distance_to(real, fake.features),
    ),
    "modes": Comparison(prepare=_mixture, compare=lambda mixture, fake: (mixture, fake.features)),
    "variances": Comparison(
        prepare=lambda real: total_variance(real.features),
        compare=lambda real, fake: variety_beside(real, fake.features),
    ),
    "inception": Comparison(
        prepare=lambda real: inception_reference(in_data_space(torch.tensor(real.samples))),
        compare=lambda real, fake: fid_to(real, fake.samples),
        features=attrgetter("identity"),
    ),
    "discriminator_probe": _model_comparison(
        "discriminator_features",
        prepare=labelled_samples,
        compare=lambda given, fake: probe_accuracy(given, fake, "discriminator_features"),
        limit=MAX_PROBED,
    ),
    "code_probe": _model_comparison(
        "encode",
        prepare=labelled_samples,
        compare=lambda given, fake: probe_accuracy(given, fake, "encode"),
        limit=MAX_PROBED,
    ),
    "codes": _model_comparison(
        "encode",
        prepare=attrgetter("samples"),
        compare=lambda real, fake: code_figures(fake.outputs("encode", real)),
    ),
    "reconstructions": _model_comparison(
        "reconstruct", prepare=attrgetter("samples"), compare=_reconstruction_error
    ),
    "costs": _model_comparison(
        "generator_cost", prepare=lambda real: None, compare=lambda _, fake: _cost(fake.models)
    ),
}


@dataclass(frozen=True)
class Metric:
    """How one metric is computed, and what its value means.

    ``figure`` reads it off what its ``comparison`` in :data:`COMPARISONS` yields. ``kinds`` are the
    kinds of data it applies to; with ``needs_mixture`` only those whose true mixture is known, with
    ``needs_labels`` only labelled ones. A ``distance`` is 0 for equal samples, up to its noise, and
    its real-against-real floor is recorded beside it. ``noise`` is what the draw of the samples
    alone changes of another one, in its units, at most. A ``costly`` one is computed only where it
    is asked for.
    """

    mode: Literal["min", "max"]
    kinds: frozenset[Kind]
    comparison: str
    figure: Callable[[Any], float] = float
    needs_mixture: bool = False
    needs_labels: bool = False
    distance: bool = False
    noise: float = 0.0
    costly: bool = False

    @property
    def model(self) -> ModelName | None:
        """The network of a trial without which it cannot be computed."""
        return COMPARISONS[self.comparison].model

    def applies(self, dataset: Dataset) -> bool:
        """Whether it can be computed for a data set, given the networks it needs."""
        return (
            dataset.kind in self.kinds
            and (dataset.mixture is not None or not self.needs_mixture)
            and (not self.needs_labels or _has_classes(dataset))
        )


def _has_classes(dataset: Dataset) -> bool:
    labels = dataset.train_labels
    return labels is not None and len(labels) > 0 and bool((labels != labels[0]).any())


def metric_names(dataset: Dataset) -> tuple[str, ...]:
    """The metrics that apply to a data set, costly ones too, in the order of :data:`METRICS`."""
    return tuple(name for name, metric in METRICS.items() if metric.applies(dataset))


_ALL: frozenset[Kind] = frozenset({"pictures", "points"})
_PICTURES: frozenset[Kind] = frozenset({"pictures"})
_POINTS: frozenset[Kind] = frozenset({"points"})


_SHARE_NOISE = 0.03
"""Standard deviation of a share of some hundred samples, at most."""


def _of_modes(
    mode: Literal["min", "max"],
    function: Callable[[Mixture, FloatMatrix], float],
    *,
    noise: float = _SHARE_NOISE,
) -> Metric:
    return Metric(
        mode,
        _POINTS,
        "modes",
        lambda compared: function(*compared),
        needs_mixture=True,
        noise=noise,
    )


NO_OBJECTIVES = frozenset({"sigma_ratio_max", "sigma_ratio_min", "variety"})
"""Metrics that are best near 1: a search for less or more would be misled."""

OF_SEVERAL_MODES = frozenset({"modes_covered", "reverse_kl"})
"""Metrics that hardly change, whatever is generated, where the truth has one mode."""

METRICS: dict[str, Metric] = {
    "frechet_distance": Metric("min", _ALL, "gaussians", distance=True),
    "kernel_distance": Metric("min", _ALL, "kernels", distance=True),
    "sliced_wasserstein": Metric("min", _ALL, "lines", distance=True),
    "energy_distance": Metric("min", _POINTS, "distances", distance=True),
    "precision": Metric("max", _ALL, "neighbours", attrgetter("precision"), noise=_SHARE_NOISE),
    "recall": Metric("max", _ALL, "neighbours", attrgetter("recall"), noise=_SHARE_NOISE),
    "density": Metric("max", _ALL, "neighbours", attrgetter("density"), noise=_SHARE_NOISE),
    "coverage": Metric("max", _ALL, "neighbours", attrgetter("coverage"), noise=_SHARE_NOISE),
    "modes_covered": _of_modes("max", modes_covered, noise=1),
    "high_quality_share": _of_modes("max", high_quality_share),
    "sigma_ratio_min": _of_modes("max", sigma_ratio_min),
    "sigma_ratio_max": _of_modes("min", sigma_ratio_max),
    "reverse_kl": _of_modes("min", reverse_kl, noise=0.005),
    "variety": Metric("max", _ALL, "variances"),
    "reconstruction_error": Metric("min", _ALL, "reconstructions"),
    "hoyer_sparsity": Metric(
        "max", _ALL, "codes", attrgetter("hoyer_sparsity"), noise=_SHARE_NOISE
    ),
    "zero_share": Metric("max", _ALL, "codes", attrgetter("zero_share"), noise=_SHARE_NOISE),
    "dead_unit_share": Metric(
        "min", _ALL, "codes", attrgetter("dead_unit_share"), noise=_SHARE_NOISE
    ),
    "linear_probe_accuracy": Metric(
        "max",
        _ALL,
        "discriminator_probe",
        needs_labels=True,
        noise=_SHARE_NOISE,
        costly=True,
    ),
    "code_probe_accuracy": Metric(
        "max", _ALL, "code_probe", needs_labels=True, noise=_SHARE_NOISE, costly=True
    ),
    "fid": Metric("min", _PICTURES, "inception", distance=True, costly=True),
    "generator_parameters": Metric("min", _ALL, "costs", attrgetter("parameters"), costly=True),
    "generator_multiply_adds": Metric(
        "min", _ALL, "costs", attrgetter("multiply_adds"), costly=True
    ),
}
