"""How far a generator still is from the data, on a scale that means the same for every data set."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import in_data_space
from gan_tune.metrics.judge import Judge
from gan_tune.metrics.metric import METRICS

__all__ = ["FAR", "collapsed_samples", "farness", "told_by"]

FAR = 0.5
"""Beyond it a generator has not learnt the data: good settings fall below it early in training,
slow and collapsed ones never do (`python benchmarks/judges.py far`)."""
NOISE = 0.02
"""Deviation of the noise around the mean, in units of the data's own."""
MAX_SAMPLES = 10_000
"""Of the train split, for its mean and deviation."""


def collapsed_samples(dataset: Dataset, count: int) -> Tensor:
    """``count`` samples of a generator that has learnt nothing but the mean of the train split.

    It is the mean with a little Gaussian noise: 0.02 of the standard deviation, of all pixels or of
    each coordinate. The same ones each time, in data space, pictures clamped to [0, 1].
    """
    train = in_data_space(torch.tensor(np.asarray(dataset.train[:MAX_SAMPLES])))
    mean = train.mean(0, keepdim=True)
    pictures = dataset.kind == "pictures"
    deviation = train.std() if pictures else train.std(0, keepdim=True)
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(count, *dataset.shape, generator=random)
    samples = mean + NOISE * deviation * noise
    return samples.clamp(0, 1) if pictures else samples


def told_by(judge: Judge, objective: str) -> str:
    """The distance by which it is told how far samples are: the objective where it is one."""
    measured = METRICS[objective].distance and METRICS[objective].model is None
    return objective if measured else "frechet_distance"


def farness(judge: Judge, dataset: Dataset, metric: str, value: float) -> float | None:
    """(value − floor) / (that of :func:`collapsed_samples` − floor) of a distance.

    0 is as near as real samples are, 1 as far as the mean of the data, at equal counts. None where
    the mean of the data is no farther than real samples.
    """
    floor = judge.floor[metric]
    collapsed = judge(collapsed_samples(dataset, judge.count))[metric]
    return (value - floor) / (collapsed - floor) if collapsed > floor else None
