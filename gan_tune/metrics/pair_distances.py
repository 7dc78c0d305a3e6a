"""Distances between all pairs of two sets of points, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

from gan_tune.metrics.matrix import FloatMatrix

__all__ = ["BLOCK", "FEW", "squared_distances"]

BLOCK = 128
"""Rows of a block. Blocks stay in a core's caches; whole matrices of pairs would not."""
FEW = 4
"""Up to so many coordinates, differences are taken one by one, which is exact for near points."""


def squared_distances(
    x: FloatMatrix, y: FloatMatrix, *, from_diagonal: bool = False
) -> Iterator[FloatMatrix]:
    """|x_i - y_j|^2 between x [N, D] and y [M, D]: blocks [n, M] of rows i in order, n at most 128.

    A block may be overwritten; the next one replaces it. For more than a :data:`FEW` coordinates it
    takes one product of matrices, whose error is relative to the largest square. With
    ``from_diagonal`` the columns of a block begin with the number of its first row.

    Raises:
        ValueError: unlike D.
    """
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"real and fake must have one number of features: {[*x.shape, *y.shape]}")
    centre = x.mean(axis=0)  # the nearer to 0, the less is lost in the differences below
    x, y = x - centre, y - centre
    few = x.shape[1] <= FEW
    if not few:  # (-2 x, |x|^2, 1).(y, 1, |y|^2)
        x, y = np.c_[-2 * x, _squares(x), np.ones(len(x))], np.c_[y, np.ones(len(y)), _squares(y)]
    buffer = np.empty(min(BLOCK, len(x)) * len(y))  # one for all: fresh memory is slow to touch
    for start in range(0, len(x), BLOCK):
        rows, columns = x[start : start + BLOCK], y[start:] if from_diagonal else y
        block = buffer[: len(rows) * len(columns)].reshape(len(rows), len(columns))
        if few:
            yield cdist(rows, columns, "sqeuclidean", out=block)
        else:
            np.matmul(rows, columns.T, out=block)
            yield np.maximum(block, 0, out=block)


def _squares(points: FloatMatrix) -> FloatMatrix:
    squares: FloatMatrix = np.square(points).sum(axis=1)
    return squares
