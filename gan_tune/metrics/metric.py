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
from gan_tune.metrics.tables import (
    correlation_difference,
    detection_accuracy,
    ks_max,
    ks_median,
)

__all__ = ["BEST_NEAR_ONE", "METRICS", "NEED_SEVERAL_MODES", "Metric", "metric_names"]


@dataclass(frozen=True)
class Metric:
    """How one metric is computed, and what its value means.

    Attributes:
        mode: whether less ("min") or more ("max") is better.
        kinds: the kinds of data sets that it applies to.
        comparison: key in :data:`COMPARISONS` of the work that it shares with other metrics.
        figure: takes the metric's value from the result of that comparison.
        needs_mixture: whether it applies only to data sets whose true mixture is known.
        needs_no_mixture: whether it applies only to data sets whose true mixture is not known.
        needs_labels: whether it applies only to labelled data sets.
        needs_columns: whether it applies only to tables, whose columns have names.
        distance: whether it is 0 for equal samples, up to noise. The floor of a distance (its
            value between real samples) is recorded too.
        noise: bound on how much the value varies between draws of samples, if it is no distance.
        costly: whether it is computed only on request.
        meaning: what its value says, for the reference.
    """

    mode: Literal["min", "max"]
    kinds: frozenset[Kind]
    comparison: str
    figure: Callable[[Any], float] = float
    needs_mixture: bool = False
    needs_no_mixture: bool = False
    needs_labels: bool = False
    needs_columns: bool = False
    distance: bool = False
    noise: float = 0.0
    costly: bool = False
    meaning: str = field(kw_only=True)

    @property
    def model(self) -> ModelName | None:
        """The network of the trial that it needs; None if it needs only samples."""
        return COMPARISONS[self.comparison].model

    def applies(self, dataset: Dataset) -> bool:
        """Whether it can be computed for a data set, given the networks it needs."""
        return (
            dataset.kind in self.kinds
            and (dataset.mixture is not None or not self.needs_mixture)
            and (dataset.mixture is None or not self.needs_no_mixture)
            and (not self.needs_labels or _has_classes(dataset))
            and (bool(dataset.columns) or not self.needs_columns)
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


def _of_tables(
    function: Callable[[FloatMatrix, FloatMatrix], float],
    *,
    meaning: str,
    distance: bool = True,
    noise: float = 0.0,
    comparison: str = "rows",
) -> Metric:
    """A metric ``function(real, fake)`` of the rows of tables, both [N, D]; less is better."""
    return Metric(
        "min",
        _POINTS,
        comparison,
        lambda compared: function(*compared),
        needs_columns=True,
        distance=distance,
        noise=noise,
        costly=not distance,
        meaning=meaning,
    )


BEST_NEAR_ONE = frozenset({"distinct_share", "sigma_ratio_max", "sigma_ratio_min", "variety"})
"""Metrics that are best near 1, so that a search can neither minimise nor maximise them."""

NEED_SEVERAL_MODES = frozenset({"modes_covered", "reverse_kl"})
"""Metrics that say little about a generator if the true distribution has only one mode."""

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
        meaning="Energy distance: from the distances of all pairs of points (Székely and Rizzo "
        "2013).",
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
        meaning="Like precision, but robust to outliers; about 1 for equal distributions (Naeem et "
        "al. 2020).",
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
        meaning="Smallest σ of a covered mode, divided by the true σ; below 1 the mode is too "
        "narrow. Cannot be an objective.",
    ),
    "sigma_ratio_max": _of_modes(
        "min",
        sigma_ratio_max,
        meaning="Largest σ of a covered mode, divided by the true σ; above 1 the mode is too wide. "
        "Cannot be an objective.",
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
        meaning="Square root of the samples' total variance, divided by that of the data; near 0 "
        "is collapse, 1 is best. Cannot be an objective.",
    ),
    "distinct_share": Metric(
        "max",
        _ALL,
        "distinct",
        needs_no_mixture=True,
        noise=_SHARE_NOISE,
        meaning="Distinct ones among at most 1,000 samples, over those among as many real ones: "
        "samples closer than 0.15 of the data's spread are one. Of k samples over and over it is "
        "little more than k over their number. Cannot be an objective.",
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
        meaning="0 if all units of a code are equally strong, 1 if only one is not 0 (Hoyer 2004).",
    ),
    "zero_share": Metric(
        "max",
        _ALL,
        "codes",
        attrgetter("zero_share"),
        noise=_SHARE_NOISE,
        meaning="Share of code values below 1 % of their unit's root mean square.",
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
    "ks_median": _of_tables(
        ks_median,
        meaning="Kolmogorov-Smirnov distance of a column, in the median of the columns.",
    ),
    "ks_max": _of_tables(
        ks_max, meaning="Kolmogorov-Smirnov distance of the column that is farthest off."
    ),
    "correlation_difference": _of_tables(
        correlation_difference,
        meaning="How far Spearman's rank correlation is off, for the worst pair of columns.",
    ),
    "detection_accuracy": _of_tables(
        detection_accuracy,
        distance=False,
        noise=_SHARE_NOISE,
        comparison="features",
        meaning="Held-out accuracy of boosted trees that tell generated rows from real ones, of at "
        "most 2,000 each (Lopez-Paz and Oquab 2017); 0.5 is a guess.",
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
