"""What metrics compute from: the real samples, the generated ones, and the trial's networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_tune.data.dataset import Dataset
from gan_tune.errors import DataError
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.probe import linear_probe_accuracy

__all__ = [
    "Cost",
    "Generated",
    "LabelledSamples",
    "Model",
    "ModelName",
    "Models",
    "Real",
    "as_samples",
    "choose",
    "labelled_samples",
    "outputs",
    "probe_accuracy",
]

CHUNK = 500
MAX_PROBED = 2_000
"""Labelled samples that a probe is fitted to, and as many that it is tried on, at most."""

Model = Callable[[Tensor], Tensor]
"""Real samples [N, *shape] in data space, pictures in [0, 1], → what a network makes of them."""
ModelName = Literal["discriminator_features", "encode", "reconstruct", "generator_cost"]


@dataclass(frozen=True)
class Cost:
    """What the generator takes: its parameters, and multiply-adds for one sample."""

    parameters: float
    multiply_adds: float


@dataclass(frozen=True)
class Models:
    """A trial's networks in eval mode, as far as it has them, on the device of its samples.

    Attributes:
        discriminator_features: the discriminator's penultimate layer, [N, F].
        encode: the encoder's codes, [N, K].
        reconstruct: the samples as decoded from their codes, [N, *shape] in data space.
        generator_cost: measures what the generator takes.
    """

    discriminator_features: Model | None = None
    encode: Model | None = None
    reconstruct: Model | None = None
    generator_cost: Callable[[], Cost] | None = None

    def has(self, name: ModelName) -> bool:
        """Whether the trial has the network of that name."""
        return getattr(self, name) is not None


@dataclass(frozen=True, eq=False)
class Real:
    """Real samples as their data set holds them, with their labels [N] and features [N, D]."""

    dataset: Dataset
    samples: NDArray[Any]
    labels: NDArray[np.int64] | None
    features: FloatMatrix

    def at_most(self, count: int) -> Real:
        """``count`` of them, the same ones each time, or all where they are not more."""
        if count >= len(self.samples):
            return self
        chosen = choose(len(self.samples), count)
        labels = None if self.labels is None else self.labels[chosen]
        return Real(self.dataset, self.samples[chosen], labels, self.features[chosen])


@dataclass(frozen=True, eq=False)
class Generated:
    """Generated samples in data space with their features [N, D], and the trial's networks."""

    samples: Tensor
    features: FloatMatrix
    models: Models = Models()

    def at_most(self, count: int) -> Generated:
        """``count`` of them, the same ones each time, or all where they are not more."""
        if count >= len(self.samples):
            return self
        chosen = choose(len(self.samples), count)
        return replace(self, samples=self.samples[chosen], features=self.features[chosen])

    def outputs(self, name: ModelName, real: NDArray[Any]) -> Tensor:
        """What one of the trial's networks makes of real samples (see :func:`outputs`)."""
        model: Model | None = getattr(self.models, name)
        if model is None:
            raise ValueError(f"the trial has no model {name}")
        return outputs(model, real, device=self.samples.device)


@dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Samples to fit a probe to and samples to try it on, as the data set holds them."""

    train: NDArray[Any]
    train_labels: NDArray[np.int64]
    held_out: NDArray[Any]
    held_out_labels: NDArray[np.int64]


def labelled_samples(real: Real) -> LabelledSamples:
    """Real samples to try a probe on, and at most :data:`MAX_PROBED` of the train split for it.

    Raises:
        DataError: all samples to train on have one label.
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
    """Accuracy of a linear probe on what one of the trial's networks makes of real samples."""
    train, held_out = (
        generated.outputs(name, samples).flatten(1).double().cpu().numpy()
        for samples in (given.train, given.held_out)
    )
    return linear_probe_accuracy(train, given.train_labels, held_out, given.held_out_labels)


@torch.no_grad()
def outputs(model: Model, real: NDArray[Any], *, device: torch.device) -> Tensor:
    """What a model makes of samples [N, *shape] as a data set holds them: [N, ...], on the device.

    In chunks, so that the memory it takes does not grow with their number.
    """
    chunks = torch.tensor(real).split(CHUNK)
    return torch.cat([model(as_samples(chunk.to(device))) for chunk in chunks])


def as_samples(real: Tensor) -> Tensor:
    """Samples as a data set holds them → in data space, float: pictures in [0, 1]."""
    return real.float() / 255 if real.dtype == torch.uint8 else real


def choose(total: int, count: int) -> NDArray[np.int64]:
    """``count`` indices below ``total``, the same ones each time; some twice if too few."""
    if count == total:
        return np.arange(total)
    chosen: NDArray[np.int64] = np.random.RandomState(0).choice(total, count, replace=count > total)
    return chosen
