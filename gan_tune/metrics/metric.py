"""The metrics by name: how each is computed, and the meaning of its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from gan_tune.data.dataset import Dataset, Kind, Mixture
from gan_tune.metrics.comparisons import COMPARISONS
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.models import ModelName
from gan_tune.metrics.modes import (
    high_quality_share,
    modes_covered,
    reverse_kl,
    sigma_ratio_max,
    sigma_ratio_min,
)
from gan_tune.metrics.sliced import sliced_wasserstein

__all__ = ["METRICS", "NO_OBJECTIVES", "OF_SEVERAL_MODES", "Metric", "metric_names"]


@dataclass(frozen=True)
class Metric:
    """How one metric is computed, and what its value means.

    ``figure`` takes it from the result of its ``comparison`` in :data:`COMPARISONS`. ``kinds`` are
    the kinds of data it applies to; with ``needs_mixture`` only those whose true mixture is known,
    with ``needs_labels`` only labelled ones. A ``distance`` is 0 for equal samples, up to its
    noise; its floor between real samples is recorded too. For metrics that are no distance,
    ``noise`` bounds how much the value varies between draws of samples. A ``costly`` metric is
    computed only on request. ``meaning`` describes its value, for the reference.
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
    meaning: str = field(kw_only=True)

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
"""Largest standard deviation of a share among a few hundred samples."""


def _of_features(
    mode: Literal["min", "max"],
    function: Callable[[FloatMatrix, FloatMatrix], float],
    *,
    meaning: str,
    distance: bool = False,
    noise: float = 0.0,
) -> Metric:
    """A metric ``function(real, fake)`` of features, both [N, D] with N at most 2,000."""
    return Metric(
        mode,
        _ALL,
        "features",
        lambda compared: function(*compared),
        distance=distance,
        noise=noise,
        meaning=meaning,
    )


def _of_modes(
    mode: Literal["min", "max"],
    function: Callable[[Mixture, FloatMatrix], float],
    *,
    meaning: str,
    noise: float = _SHARE_NOISE,
) -> Metric:
    """A metric ``function(mixture, samples)`` of points of a known mixture, samples [N, 2]."""
    return Metric(
        mode,
        _POINTS,
        "modes",
        lambda compared: function(*compared),
        needs_mixture=True,
        noise=noise,
        meaning=meaning,
    )


NO_OBJECTIVES = frozenset({"sigma_ratio_max", "sigma_ratio_min", "variety"})
"""Metrics that are best near 1: a search for less or more would be misled."""

OF_SEVERAL_MODES = frozenset({"modes_covered", "reverse_kl"})
"""Metrics that hardly depend on the generator if the true distribution has one mode."""

METRICS: dict[str, Metric] = {
    "frechet_distance": Metric(
        "min",
        _ALL,
        "gaussians",
        distance=True,
        meaning="Fréchet distance of two Gaussians fitted to the features: quality and variety in "
        "one number. It is not called FID, which is on Inception's features.",
    ),
    "kernel_distance": Metric(
        "min",
        _ALL,
        "kernels",
        distance=True,
        meaning="Unbiased squared MMD with the cubic kernel (Bińkowski et al. 2018), of at most "
        "2,000 samples; may be negative near 0.",
    ),
    "sliced_wasserstein": _of_features(
        "min",
        sliced_wasserstein,
        distance=True,
        meaning="W₂ along 128 fixed lines (Bonneel et al. 2015), of at most 2,000 samples.",
    ),
    "energy_distance": Metric(
        "min",
        _POINTS,
        "distances",
        distance=True,
        meaning="Distance through all pairs (Székely and Rizzo 2013).",
    ),
    "precision": Metric(
        "max",
        _ALL,
        "neighbours",
        attrgetter("precision"),
        noise=_SHARE_NOISE,
        meaning="Share of samples that lie among real ones: how faithful (Kynkäänniemi et al. "
        "2019), of at most 2,000 samples.",
    ),
    "recall": Metric(
        "max",
        _ALL,
        "neighbours",
        attrgetter("recall"),
        noise=_SHARE_NOISE,
        meaning="Share of real samples that lie among generated ones: how much is covered.",
    ),
    "density": Metric(
        "max",
        _ALL,
        "neighbours",
        attrgetter("density"),
        noise=_SHARE_NOISE,
        meaning="As precision, unmoved by outliers; about 1 for equal sets (Naeem et al. 2020).",
    ),
    "coverage": Metric(
        "max",
        _ALL,
        "neighbours",
        attrgetter("coverage"),
        noise=_SHARE_NOISE,
        meaning="Share of real neighbourhoods that hold a sample.",
    ),
    "modes_covered": _of_modes(
        "max",
        modes_covered,
        noise=1,
        meaning="Modes with at least a quarter of their share of samples within 3σ (stricter than "
        "PacGAN's one sample).",
    ),
    "high_quality_share": _of_modes(
        "max",
        high_quality_share,
        meaning="Share of samples within 3σ of a mode; the truth scores 0.989, more means shrunken "
        "modes.",
    ),
    "sigma_ratio_min": _of_modes(
        "max",
        sigma_ratio_min,
        meaning="Least width of a covered mode over the truth's: under 1 it shrinks. No objective.",
    ),
    "sigma_ratio_max": _of_modes(
        "min",
        sigma_ratio_max,
        meaning="Largest width of a covered mode over the truth's: over 1 it spreads. "
        "No objective.",
    ),
    "reverse_kl": _of_modes(
        "min",
        reverse_kl,
        noise=0.005,
        meaning="KL of the modes' shares against equal ones, in nats (Srivastava et al. 2017).",
    ),
    "variety": Metric(
        "max",
        _ALL,
        "variances",
        meaning="Root of the samples' total variance over the data's; near 0 is collapse. 1 is "
        "right, more is not better: no objective.",
    ),
    "reconstruction_error": Metric(
        "min", _ALL, "reconstructions", meaning="Mean (x − G(T(E(x))))² in data space."
    ),
    "hoyer_sparsity": Metric(
        "max",
        _ALL,
        "codes",
        attrgetter("hoyer_sparsity"),
        noise=_SHARE_NOISE,
        meaning="0 where all units are equally strong, 1 where one alone is not 0 (Hoyer 2004).",
    ),
    "zero_share": Metric(
        "max",
        _ALL,
        "codes",
        attrgetter("zero_share"),
        noise=_SHARE_NOISE,
        meaning="Share of units under 1 % of their root mean square.",
    ),
    "dead_unit_share": Metric(
        "min",
        _ALL,
        "codes",
        attrgetter("dead_unit_share"),
        noise=_SHARE_NOISE,
        meaning="Share of units that are 0 for every sample.",
    ),
    "linear_probe_accuracy": Metric(
        "max",
        _ALL,
        "discriminator_probe",
        needs_labels=True,
        noise=_SHARE_NOISE,
        costly=True,
        meaning="Accuracy of a linear classifier on D's `features` of real data: what D has "
        "learned of the labels.",
    ),
    "code_probe_accuracy": Metric(
        "max",
        _ALL,
        "code_probe",
        needs_labels=True,
        noise=_SHARE_NOISE,
        costly=True,
        meaning="Accuracy of a linear classifier on the codes of real data.",
    ),
    "fid": Metric(
        "min",
        _PICTURES,
        "inception",
        distance=True,
        costly=True,
        meaning="FID on torch-fidelity's Inception features (Heusel et al. 2017).",
    ),
    "generator_parameters": Metric(
        "min",
        _ALL,
        "costs",
        attrgetter("parameters"),
        costly=True,
        meaning="Trained numbers of the generator, as a second objective.",
    ),
    "generator_multiply_adds": Metric(
        "min",
        _ALL,
        "costs",
        attrgetter("multiply_adds"),
        costly=True,
        meaning="Multiply-adds for one sample, as PyTorch counts them: its latency grows with "
        "them, yet they are the same on every machine.",
    ),
}
