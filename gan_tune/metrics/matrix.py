"""Samples as the float64 matrices that every metric computes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["FloatMatrix", "Samples", "as_matrix"]

FloatMatrix = NDArray[np.float64]
Samples = NDArray[Any] | torch.Tensor
"""Points or features [N, D] as an array, or as a tensor on any device."""


def as_matrix(samples: Samples) -> FloatMatrix:
    """``samples`` as a float64 array [N, D] in main memory.

    Raises:
        ValueError: not [N, D] with N and D of at least 1.
    """
    if isinstance(samples, torch.Tensor):
        samples = samples.detach().cpu().numpy()
    matrix = np.asarray(samples, dtype=np.float64)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"samples must be [N, D] and not empty: {list(matrix.shape)}")
    return matrix
