"""The place of the training data: on the device if they fit, else in memory or in their file.

On the CPU large data stay where all trials of a node share them: in Ray's object store, which hands
out read-only views, or in a mapped file.

Batches are bit-identical in all cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_tune.data.mapped import is_mapped
from gan_tune.data.scaling import Scaling

__all__ = ["OnDevice", "OnHost", "Source", "resident"]

SHARED_FROM = 1 << 24
"""On the CPU, no trial has a copy of its own of data of at least so many bytes."""
SHARE_OF_FREE_MEMORY = 1 / 8
"""Share of the free memory that one trial may fill with data, since other trials need some."""


class Source(Protocol):
    """Training samples, drawn a batch at a time."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def batch(self, indices: Tensor) -> Tensor:
        """Samples for int64 indices [batch] as networks read them: scaled float32 [batch, ...]."""
        ...


@dataclass(frozen=True, eq=False)
class OnDevice:
    """All samples [N, ...] as one tensor.

    ``prepare(batch, indices)`` converts a batch to the networks' input.
    """

    samples: Tensor
    prepare: Callable[[Tensor, Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Tensor) -> Tensor:
        return self.prepare(self.samples[indices], indices)


@dataclass(frozen=True, eq=False)
class OnHost:
    """Samples [N, ...] in memory or a mapped file; each batch is gathered there, then moved.

    Each batch costs a synchronisation with the device.
    """

    samples: NDArray[Any]
    prepare: Callable[[Tensor, Tensor], Tensor]
    device: torch.device

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Tensor) -> Tensor:
        rows = self.samples[indices.cpu().numpy()]
        return self.prepare(torch.from_numpy(rows).to(self.device), indices.to(self.device))


def resident(
    samples: NDArray[Any], device: torch.device | str, *, scaling: Scaling, free: int
) -> Source:
    """Training samples uint8 [N, C, H, W] or float32 [N, D], on ``device`` if they fit.

    On the CPU a mapped file, and what has at least :data:`SHARED_FROM` bytes, stays where it is, so
    that all trials of a node share it. ``free`` is the free memory of the device in bytes.
    """
    device = torch.device(device)
    is_large = is_mapped(samples) or samples.nbytes >= SHARED_FROM
    shared = device.type == "cpu" and is_large
    if shared or samples.nbytes > SHARE_OF_FREE_MEMORY * free:
        return OnHost(samples, scaling.apply, device)
    tensor = torch.tensor(np.asarray(samples), device=device)
    if tensor.dtype == torch.uint8:  # a quarter of the size of what the networks see
        return OnDevice(tensor, scaling.apply)
    rows = torch.arange(len(tensor), device=device)
    return OnDevice(scaling.apply(tensor, rows), lambda batch, indices: batch)
