"""Sliced Wasserstein distance: optimal transport of projections on many fixed lines."""

from __future__ import annotations

import math

import numpy as np

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = ["DIRECTIONS", "directions", "sliced_wasserstein"]

DIRECTIONS = 128


def directions(width: int) -> FloatMatrix:
    """:data:`DIRECTIONS` unit vectors, float64 [128, D], uniform on the sphere; always the same."""
    drawn = np.random.RandomState(0).standard_normal((DIRECTIONS, width))
    unit: FloatMatrix = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def sliced_wasserstein(real: Samples, fake: Samples) -> float:
    """sqrt(mean over directions u of W_2(real.u, fake.u)^2) for samples [N, D], 0 or more.

    On a line the best transport keeps the order, so that W_2^2 is the mean squared difference of
    the sorted projections. It grows with the samples' scale.

    Source: Bonneel et al., Sliced and Radon Wasserstein Barycenters of Measures, 2015.

    Raises:
        ValueError: not [N, D], or not of one shape.
    """
    x, y = as_matrix(real), as_matrix(fake)
    if x.shape != y.shape:
        raise ValueError(f"real and fake must have one shape: {list(x.shape)}, {list(y.shape)}")
    lines = directions(x.shape[1])
    differences = np.sort(lines @ x.T, axis=1) - np.sort(lines @ y.T, axis=1)
    return math.sqrt(np.square(differences).mean())
