"""The judge: samples of a generator in, all metrics of its data set out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_tune.gan.data import Dataset, Kind, Split
from gan_tune.metrics.features import FeatureExtractor, build_extractor
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.metric import METRICS, metric_names

__all__ = ["Judge", "build_judge"]

MAX_COUNT = 10_000


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges samples against one split of a data set. Made by :func:`build_judge`.

    Plain arrays throughout, so it pickles, and small: workers get a copy of their own or share
    one. ``count`` is how many samples it asks for: as many as it compares them with. ``floor`` is
    what each distance comes to between real samples and real ones: what no generator can be
    expected to beat. ``references`` are what each metric compares with.
    """

    split: Split
    kind: Kind
    shape: tuple[int, ...]
    count: int
    extractor: FeatureExtractor
    references: dict[str, Any] = field(repr=False)
    floor: dict[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics it computes."""
        return tuple(self.references)

    @property
    def versions(self) -> dict[str, str]:
        """What each metric's numbers stand for: `metric/extractor/split/count`."""
        tail = f"{self.extractor.identity}/{self.split}/{self.count}"
        return {name: f"{name}/{tail}" for name in self.names}

    def comparable(self, metric: str) -> str:
        """The version without the split: numbers of equal ones may be compared across searches."""
        return f"{metric}/{self.extractor.identity}/{self.count}"

    def __call__(self, samples: Tensor) -> dict[str, float]:
        """All metrics of ``count`` samples, computed in float64.

        Pictures are [N, C, H, W] in [0, 1] (what lies outside is cut off, as in a saved picture),
        points [N, D]; on any device. Where a value is not finite, every metric is NaN.

        Raises:
            ValueError: another number or shape of samples.
        """
        wanted = (self.count, *self.shape)
        if tuple(samples.shape) != wanted:
            raise ValueError(f"samples must be {list(wanted)}: {list(samples.shape)}")
        # Plain strides, since unlike ones take unlike kernels, which round otherwise.
        samples = samples.detach().flatten().view(wanted)
        if not bool(torch.isfinite(samples).all()):
            return dict.fromkeys(self.names, math.nan)
        if self.kind == "pictures":
            samples = samples.clamp(0, 1)
        features = self.extractor(samples)
        return {
            name: METRICS[name].measure(reference, features)
            for name, reference in self.references.items()
        }


def build_judge(dataset: Dataset, split: Literal["selection", "test"]) -> Judge:
    """The judge that compares with one split, everything about the real samples computed.

    Selection and test judges ask for equally many samples: the size of the smaller of the two
    splits, 10,000 at most.

    Raises:
        DataError: the features need a classifier that cannot be stored.
    """
    count = min(len(dataset.selection), len(dataset.test), MAX_COUNT)
    extractor = build_extractor(dataset)
    real = extractor(_as_samples(_draw(dataset.split(split), count)))
    others = extractor(_as_samples(_draw(dataset.train, count)))
    names = metric_names(dataset)
    references = {name: METRICS[name].prepare(real, dataset.mixture) for name in names}
    return Judge(
        split=split,
        kind=dataset.kind,
        shape=dataset.shape,
        count=count,
        extractor=extractor,
        references=references,
        floor=_floor(references, others),
    )


def _floor(references: dict[str, Any], others: FloatMatrix) -> dict[str, float]:
    return {
        name: METRICS[name].measure(reference, others)
        for name, reference in references.items()
        if METRICS[name].distance
    }


def _draw(samples: NDArray[Any], count: int) -> NDArray[Any]:
    """``count`` of the samples, the same ones each time; some twice where there are too few."""
    if len(samples) == count:
        return samples
    random = np.random.RandomState(0)
    return samples[random.choice(len(samples), count, replace=len(samples) < count)]


def _as_samples(real: NDArray[Any]) -> Tensor:
    tensor = torch.tensor(real)
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor
