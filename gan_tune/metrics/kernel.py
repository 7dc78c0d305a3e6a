"""Kernel distance between two sets of features, with a polynomial kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = [
    "KernelReference",
    "kernel_distance",
    "kernel_distance_to",
    "kernel_reference",
    "polynomial_kernel",
    "third_moments",
]

BLOCK = 512
"""Rows of the matrix of kernels that are in memory at a time."""


@dataclass(frozen=True, eq=False)
class KernelReference:
    """Real features, with the mean kernel between two of them that are not the same.

    Attributes:
        points: the features [N, D].
        moments: their :func:`third_moments`; None if the kernel of all pairs takes less time.
        own_kernel: the mean.
    """

    points: FloatMatrix
    moments: FloatMatrix | None
    own_kernel: float


def polynomial_kernel(x: FloatMatrix, y: FloatMatrix) -> FloatMatrix:
    """k(x, y) = (x.y / D + 1)^3 between x [N, D] and y [M, D]: [N, M]."""
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    kernel: FloatMatrix = base * base  # ten times as fast as base**3
    kernel *= base
    return kernel


def third_moments(points: FloatMatrix) -> FloatMatrix:
    """The mean of p p p (outer products) for p = (x / sqrt(D), 1), x in points [N, D].

    With p and q made of x and y, k(x, y) = (p.q)^3 is the dot product of ppp and qqq. So the mean
    kernel between two sets is that of their moments, [(D + 1)^2, D + 1].
    """
    p = _with_one(points)
    pairs = (p[:, :, None] * p[:, None, :]).reshape(len(p), -1)
    moments: FloatMatrix = pairs.T @ p / len(p)
    return moments


def kernel_reference(real: Samples) -> KernelReference:
    """The part of the work that depends on the real features only."""
    points = as_matrix(real)
    count, width = points.shape
    moments = third_moments(points) if (width + 1) ** 2 < count else None
    return KernelReference(points, moments, _own_kernel(points, moments))


def kernel_distance_to(reference: KernelReference, fake: Samples) -> float:
    """:func:`kernel_distance` from real features prepared once by :func:`kernel_reference`."""
    points = as_matrix(fake)
    if reference.moments is None:
        total = _sum_of_kernels(reference.points, points)
        across = total / (len(reference.points) * len(points))
        return reference.own_kernel + _own_kernel(points, None) - 2 * across
    moments = third_moments(points)
    if moments.shape != reference.moments.shape:
        widths = [reference.points.shape[1], points.shape[1]]
        raise ValueError(f"real and fake must have one number of features: {widths}")
    across = float(np.vdot(reference.moments, moments))
    return reference.own_kernel + _own_kernel(points, moments) - 2 * across


def kernel_distance(real: Samples, fake: Samples) -> float:
    """Unbiased squared maximum mean discrepancy between features [N, D] and [M, D].

    mean over i ≠ j of k(x_i, x_j) + mean over i ≠ j of k(y_i, y_j) - 2 mean k(x_i, y_j), with
    the cubic kernel of :func:`polynomial_kernel`. Its expectation does not depend on the number of
    samples, in contrast to the Fréchet distance. For equal distributions it varies around 0, so it
    may be negative. All pairs are used; there is no averaging over subsets. For few features the
    mean kernels are computed from :func:`third_moments`.

    Source: Bińkowski et al., Demystifying MMD GANs, 2018 (there on Inception features: KID).

    Raises:
        ValueError: not [N, D], fewer than 2 samples, or unlike D.
    """
    return kernel_distance_to(kernel_reference(real), fake)


def _own_kernel(points: FloatMatrix, moments: FloatMatrix | None) -> float:
    """The mean over i ≠ j of k(x_i, x_j)."""
    count = len(points)
    if count < 2:
        raise ValueError(f"an unbiased kernel mean needs at least 2 samples: {count}")
    if moments is None:
        total = same = 0.0
        for start in range(0, count, BLOCK):  # each pair of blocks once
            block, rest = points[start : start + BLOCK], points[start + BLOCK :]
            kernel = polynomial_kernel(block, block)
            same += float(np.trace(kernel))
            total += float(kernel.sum()) + 2 * _sum_of_kernels(rest, block)
        return (total - same) / (count * (count - 1))
    same = float((np.square(_with_one(points)).sum(axis=1) ** 3).sum())
    return (count * count * float(np.vdot(moments, moments)) - same) / (count * (count - 1))


def _sum_of_kernels(x: FloatMatrix, y: FloatMatrix) -> float:
    """The sum of k(x_i, y_j) over all pairs, block by block."""
    blocks = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))
    return math.fsum(float(polynomial_kernel(block, y).sum()) for block in blocks)


def _with_one(points: FloatMatrix) -> FloatMatrix:
    """(x / sqrt(D), 1) for x in points [N, D]: [N, D + 1]."""
    scaled = points / math.sqrt(points.shape[1])
    return np.hstack([scaled, np.ones((len(points), 1))])
