"""The inputs of metrics: real and generated samples, with their features."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import in_data_space
from gan_tune.errors import DataError
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.models import Model, ModelName, Models
from gan_tune.metrics.probe import linear_probe_accuracy

__all__ = [
    "Generated",
    "LabelledSamples",
    "Real",
    "choose",
    "labelled_samples",
    "outputs",
    "probe_accuracy",
]

CHUNK = 500
MAX_PROBED = 2_000
"""Largest number of labelled samples for fitting a probe, and for testing it."""


@dataclass(frozen=True, eq=False)
class Real:
    """Real samples in their data set's form, with their labels [N] and features [N, D].

    ``fastest`` is the device for a costly extractor of other features; None: the CPU.
    """

    dataset: Dataset
    samples: NDArray[Any]
    labels: NDArray[np.int64] | None
    features: FloatMatrix
    fastest: torch.device | None = None

    def at_most(self, count: int) -> Real:
        """``count`` of them, the same ones each time, or all where they are not more."""
        if count >= len(self.samples):
            return self
        chosen = choose(len(self.samples), count)
        labels = None if self.labels is None else self.labels[chosen]
        samples, features = self.samples[chosen], self.features[chosen]
        return replace(self, samples=samples, labels=labels, features=features)


@dataclass(frozen=True, eq=False)
class Generated:
    """Generated samples in data space with their features [N, D], and the trial's networks."""

    samples: Tensor
    features: FloatMatrix
    models: Models = field(default_factory=Models)

    def at_most(self, count: int) -> Generated:
        """``count`` of them, the same ones each time, or all where they are not more."""
        if count >= len(self.samples):
            return self
        chosen = choose(len(self.samples), count)
        return replace(self, samples=self.samples[chosen], features=self.features[chosen])

    def outputs(self, name: ModelName, real: NDArray[Any]) -> Tensor:
        """The output of one of the trial's networks for real samples (see :func:`outputs`)."""
        model: Model | None = getattr(self.models, name)
        if model is None:
            raise ValueError(f"the trial has no model {name}")
        return outputs(model, real, device=self.samples.device)


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Samples to fit a probe and samples to test it, in the data set's form."""

    train: NDArray[Any]
    train_labels: NDArray[np.int64]
    held_out: NDArray[Any]
    held_out_labels: NDArray[np.int64]


def labelled_samples(real: Real) -> LabelledSamples:
    """Real samples to test a probe, and at most :data:`MAX_PROBED` of the train split to fit it.

    Raises:
        DataError: all training samples have the same label.
    """
    dataset = real.dataset
    assert dataset.train_labels is not None
    assert real.labels is not None
    chosen = choose(len(dataset.train), min(len(dataset.train), MAX_PROBED))
    labels = dataset.train_labels[chosen]
    if len(np.unique(labels)) < 2:
        raise DataError(f"data set {dataset.name}: a linear probe needs at least two labels")
    return LabelledSamples(dataset.train[chosen], labels, real.samples, real.labels)


def probe_accuracy(given: LabelledSamples, generated: Generated, name: ModelName) -> float:
    """Accuracy of a linear probe on the output of one of the trial's networks for real samples."""
    train, held_out = (
        generated.outputs(name, samples).flatten(1).double().cpu().numpy()
        for samples in (given.train, given.held_out)
    )
    return linear_probe_accuracy(train, given.train_labels, held_out, given.held_out_labels)


@torch.no_grad()
def outputs(model: Model, real: NDArray[Any], *, device: torch.device) -> Tensor:
    """A model's output [N, ...] for samples [N, *shape] in the data set's form, on the device.

    Computed in chunks, so that the memory does not grow with the number of samples.
    """
    chunks = torch.tensor(real).split(CHUNK)
    return torch.cat([model(in_data_space(chunk.to(device))) for chunk in chunks])


def choose(total: int, count: int) -> NDArray[np.int64]:
    """``count`` indices below ``total``, always the same; some repeat if ``total`` is smaller."""
    if count == total:
        return np.arange(total)
    chosen: NDArray[np.int64] = np.random.RandomState(0).choice(total, count, replace=count > total)
    return chosen
