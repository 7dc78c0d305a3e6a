"""The map between data space and the space in which the networks work.

Users see data space: pictures in [0, 1], points in their own units. The exported generator inverts
the map, so its samples are always in data space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from gan_tune.data.column_scaling import ColumnScaling, by_column
from gan_tune.data.dataset import Dataset
from gan_tune.data.mapped import chunks

__all__ = [
    "SCALES",
    "UNDO",
    "Affine",
    "Scaling",
    "Undo",
    "in_data_space",
    "pixels",
    "scaling_of",
    "standard",
]

Scale = Literal["none", "symmetric", "standard", "by_column"]


class Undo(Protocol):
    """The way back from a network's samples to data space, as an exported generator has it."""

    @property
    def kind(self) -> str:
        """A key of :data:`UNDO`."""

    @property
    def pictures(self) -> bool:
        """Whether the samples are pictures, which are clamped to [0, 1]."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """What the function in :data:`UNDO` needs beside the samples, by name."""


class Scaling(Undo, Protocol):
    """A map between both spaces. ``pictures`` are clamped to [0, 1] when they come back."""

    def apply(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Data space → scaled. ``x`` [batch, ...] is uint8 for pictures, float for points.

        ``rows`` int64 [batch] numbers the samples, where a map spreads equal values.
        """

    def undo(self, x: Tensor) -> Tensor:
        """Scaled → data space; pictures are clamped to [0, 1]."""


def in_data_space(stored: Tensor) -> Tensor:
    """A data set's stored samples → float in data space: uint8 pictures become [0, 1]."""
    return stored.float().div_(255) if stored.dtype == torch.uint8 else stored


def pixels(pictures: Tensor) -> Tensor:
    """Pictures in data space → uint8, rounded; values outside [0, 1] are clamped."""
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass(frozen=True)
class Affine:
    """scaled = (x − shift) / factor, with x in data space; one number per coordinate or for all."""

    shift: tuple[float, ...]
    factor: tuple[float, ...]
    pictures: bool

    kind: ClassVar[str] = "affine"

    def apply(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Data space → scaled. ``x`` [batch, ...] is uint8 for pictures, float for points."""
        x = in_data_space(x)
        if self.identity:
            return x
        return (x - self._operand(self.shift, x)) / self._operand(self.factor, x)

    def undo(self, x: Tensor) -> Tensor:
        """Scaled → data space; pictures are clamped to [0, 1]."""
        if not self.identity:
            x = x * self._operand(self.factor, x) + self._operand(self.shift, x)
        return x.clamp(0, 1) if self.pictures else x

    @staticmethod
    def back(x: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """:meth:`undo` without clamping, with :attr:`tensors`, in operators that are exportable."""
        return x * tensors["factor"] + tensors["shift"]

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """What :meth:`back` needs, by name."""
        return {"shift": torch.tensor(self.shift), "factor": torch.tensor(self.factor)}

    @property
    def identity(self) -> bool:
        """Whether both spaces are the same."""
        return all(s == 0 for s in self.shift) and all(f == 1 for f in self.factor)

    def _operand(self, values: tuple[float, ...], like: Tensor) -> Tensor | float:
        if len(values) == 1:
            return values[0]  # a plain number needs no copy to the device
        return torch.tensor(values, dtype=like.dtype, device=like.device)


def _affine(dataset: Dataset, shift: np.ndarray, factor: np.ndarray) -> Affine:
    return Affine(
        tuple(float(v) for v in shift),
        tuple(float(v) for v in factor),
        pictures=dataset.kind == "pictures",
    )


def _none(dataset: Dataset) -> Affine:
    return _affine(dataset, np.zeros(1), np.ones(1))


def _symmetric(dataset: Dataset) -> Affine:
    """Pictures to [−1, 1] exactly; points so that the farthest coordinate lies at ±0.9."""
    if dataset.kind == "pictures":
        return _affine(dataset, np.full(1, 0.5), np.full(1, 0.5))
    farthest = max(float(dataset.train.max()), -float(dataset.train.min()))
    return _affine(dataset, np.zeros(1), np.full(1, (farthest or 1.0) / 0.9))


def standard(dataset: Dataset) -> Affine:
    """Zero mean and unit deviation: per coordinate for points, over all pixels for pictures."""
    if dataset.kind == "pictures":
        levels = np.arange(256) / 255
        counts = sum(np.bincount(c.reshape(-1), minlength=256) for c in chunks(dataset.train))
        mean = np.average(levels, weights=counts)
        deviation = np.sqrt(np.average(np.square(levels - mean), weights=counts))
        return _affine(dataset, mean.reshape(1), deviation.reshape(1).clip(1e-6))
    count = len(dataset.train)
    mean = sum(c.sum(0, dtype=np.float64) for c in chunks(dataset.train)) / count
    variance = sum(np.square(c - mean).sum(0) for c in chunks(dataset.train)) / count
    # A constant column is scaled to 0, and back to its constant for any output of the generator.
    low, high = dataset.train.min(0), dataset.train.max(0)
    deviation = np.where(low == high, 0, np.sqrt(variance)).clip(np.finfo(np.float32).tiny)
    return _affine(dataset, np.where(low == high, low, mean), deviation)


SCALES: dict[str, Callable[[Dataset], Scaling]] = {
    "none": _none,
    "symmetric": _symmetric,
    "standard": standard,
    "by_column": by_column,
}


UNDO: Mapping[str, Callable[[Tensor, Mapping[str, Tensor]], Tensor]] = {
    Affine.kind: Affine.back,
    ColumnScaling.kind: ColumnScaling.back,
}
"""Kind of scaling → the function that undoes it in operators that are exportable."""


def scaling_of(dataset: Dataset, scale: str) -> Scaling:
    """The scaling of that name for a data set, its figures taken from the training split."""
    return SCALES[scale](dataset)
