"""The judge: computes all metrics of a data set for a generator's samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from gan_tune.data.dataset import Dataset, Kind, Split
from gan_tune.data.scaling import in_data_space
from gan_tune.metrics.comparisons import COMPARISONS
from gan_tune.metrics.features import FeatureExtractor, build_extractor
from gan_tune.metrics.inputs import Generated, Real, choose
from gan_tune.metrics.metric import METRICS, metric_names
from gan_tune.metrics.models import Models

__all__ = ["Judge", "build_judge"]

MAX_COUNT = 10_000
MAX_VALUES = 2**27
"""Largest number of values in the judged samples: 512 MiB in float32, or 2,730 pictures of
3x128x128. Up to three such copies are in memory."""
NO_MODELS = Models()


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges samples against one split of a data set. Made by :func:`build_judge`.

    It holds only small plain arrays, so it can be pickled and sent to workers.

    Attributes:
        count: how many generated samples it needs. It compares them with as many real ones.
        names: the metrics that it computes. Some need a trial's networks (see :meth:`__call__`).
        references: the prepared real samples of each comparison, by key in :data:`COMPARISONS`.
        features: the identity of the features that each comparison uses, by the same key.
        floor: each distance between real samples and other real samples. No generator is expected
            to do better.
    """

    split: Split
    kind: Kind
    shape: tuple[int, ...]
    count: int
    names: tuple[str, ...]
    extractor: FeatureExtractor
    references: dict[str, Any] = field(repr=False)
    features: dict[str, str]
    floor: dict[str, float]

    @property
    def versions(self) -> dict[str, str]:
        """The version of each metric: `metric/features/split/count`.

        Its count is the number of samples the metric uses, which may be less than ``count``.
        """
        return {
            name: "/".join((name, self._features(name), self.split, str(self._used(name))))
            for name in self.names
        }

    @property
    def noise(self) -> dict[str, float]:
        """How much each metric varies between draws of samples.

        For a distance this is about its floor, which differs from 0 by sampling noise only.
        """
        return {name: abs(self.floor.get(name, METRICS[name].noise)) for name in self.names}

    def comparable(self, metric: str) -> str:
        """A metric's version without the split. Values of equal ones compare across searches."""
        return f"{metric}/{self._features(metric)}/{self._used(metric)}"

    def __call__(self, samples: Tensor, models: Models = NO_MODELS) -> dict[str, float]:
        """All metrics of ``count`` samples, computed in float64.

        Pictures are [N, C, H, W] in [0, 1] (values outside are clamped, as in a saved picture),
        points [N, D], on any device. Metrics of networks that ``models`` lacks are left out. If a
        sample is not finite, every metric is NaN.

        Raises:
            ValueError: wrong number or shape of samples.
            DataError: the package or weights for FID are missing on this machine.
        """
        wanted = (self.count, *self.shape)
        if tuple(samples.shape) != wanted:
            raise ValueError(f"samples must be {list(wanted)}: {list(samples.shape)}")
        names = [name for name in self.names if _computable(name, models)]
        # Standard strides, since other strides select other kernels, which round differently.
        samples = samples.detach().flatten().view(wanted)
        if not bool(torch.isfinite(samples).all()):
            return dict.fromkeys(names, math.nan)
        if self.kind == "pictures":
            samples = samples.clamp(0, 1)
        generated = Generated(samples, self.extractor(samples), models)
        return _measure(names, self.references, generated)

    def _features(self, metric: str) -> str:
        return self.features[METRICS[metric].comparison]

    def _used(self, metric: str) -> int:
        return COMPARISONS[METRICS[metric].comparison].used(self.count)


def build_judge(
    dataset: Dataset,
    split: Literal["selection", "test"],
    *,
    extra: Sequence[str] = (),
    extractor: FeatureExtractor | None = None,
    fastest: torch.device | None = None,
) -> Judge:
    """Build the judge that compares with one split; all work on the real samples is done here.

    It computes every metric of the data set that is not costly, and the costly ones in ``extra``
    (which may also name others). Selection and test judges need the same number of samples: the
    size of the smaller of the two splits, at most 10,000, and fewer for large pictures.
    ``extractor`` has the features, by default those of :func:`build_extractor`. ``fastest`` is the
    device for a costly extractor of features, by default the CPU.

    Raises:
        ValueError: a metric in ``extra`` does not apply to the data set.
        DataError: the features need a classifier that cannot be stored, or this machine or the data
            set lacks something that a metric in ``extra`` needs.
    """
    applicable = metric_names(dataset)
    if unknown := [name for name in extra if name not in applicable]:
        raise ValueError(f"metrics for {dataset.name} must be of {applicable}: {unknown}")
    names = tuple(name for name in applicable if name in extra or not METRICS[name].costly)
    fitting = max(1, MAX_VALUES // math.prod(dataset.shape))
    count = min(len(dataset.selection), len(dataset.test), MAX_COUNT, fitting)
    extractor = extractor or build_extractor(dataset)
    real = replace(_draw(dataset, split, count, extractor), fastest=fastest)
    # Comparisons with the same limit share one array, so that it is sent and stored once.
    limited = {used: real.at_most(used) for used in {c.used(count) for c in COMPARISONS.values()}}
    references, features = {}, {}
    for key in dict.fromkeys(METRICS[name].comparison for name in names):
        comparison = COMPARISONS[key]
        references[key] = comparison.prepare(limited[comparison.used(count)])
        own_features = comparison.features
        features[key] = own_features(references[key]) if own_features else extractor.identity
    # The floor: other real samples, judged as if they were generated.
    others = _draw(dataset, "train", count, extractor)
    distances = [name for name in names if METRICS[name].distance]
    as_generated = Generated(
        in_data_space(torch.tensor(others.samples)), others.features, Models(fastest=fastest)
    )
    return Judge(
        split=split,
        kind=dataset.kind,
        shape=dataset.shape,
        count=count,
        names=names,
        extractor=extractor,
        references=references,
        features=features,
        floor=_measure(distances, references, as_generated),
    )


def _computable(name: str, models: Models) -> bool:
    model = METRICS[name].model
    return model is None or models.has(model)


def _measure(
    names: Sequence[str], references: dict[str, Any], generated: Generated
) -> dict[str, float]:
    compared = {}
    for key in dict.fromkeys(METRICS[name].comparison for name in names):
        comparison = COMPARISONS[key]
        seen = generated.at_most(comparison.used(len(generated.samples)))
        compared[key] = comparison.compare(references[key], seen)
    return {name: METRICS[name].figure(compared[METRICS[name].comparison]) for name in names}


def _draw(dataset: Dataset, split: Split, count: int, extractor: FeatureExtractor) -> Real:
    """``count`` of a split's samples, the same ones each time; some twice if there are too few."""
    samples, labels = dataset.split(split), dataset.labels(split)
    if len(samples) != count:
        chosen = choose(len(samples), count)
        samples, labels = samples[chosen], None if labels is None else labels[chosen]
    return Real(dataset, samples, labels, extractor(in_data_space(torch.tensor(samples))))
