"""Kernel distance between two sets of features, with a polynomial kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = [
    "KernelReference",
    "kernel_distance",
    "kernel_distance_to",
    "kernel_reference",
    "polynomial_kernel",
]


@dataclass(frozen=True, eq=False)
class KernelReference:
    """Real features [N, D] with the mean kernel between two of them that are not the same."""

    points: FloatMatrix
    own_kernel: float


def polynomial_kernel(x: FloatMatrix, y: FloatMatrix) -> FloatMatrix:
    """k(x, y) = (x.y / D + 1)^3 between x [N, D] and y [M, D]: [N, M]."""
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    kernel: FloatMatrix = base * base * base  # ten times as fast as base**3
    return kernel


def kernel_reference(real: Samples) -> KernelReference:
    """The part of the work that depends on the real features only."""
    points = as_matrix(real)
    return KernelReference(points, _own_kernel(points))


def kernel_distance_to(reference: KernelReference, fake: Samples) -> float:
    """:func:`kernel_distance` from real features prepared once by :func:`kernel_reference`."""
    points = as_matrix(fake)
    across = polynomial_kernel(reference.points, points).mean()
    return float(reference.own_kernel + _own_kernel(points) - 2 * across)


def kernel_distance(real: Samples, fake: Samples) -> float:
    """Unbiased squared maximum mean discrepancy between features [N, D] and [M, D].

    mean over i ≠ j of k(x_i, x_j) + mean over i ≠ j of k(y_i, y_j) - 2 mean k(x_i, y_j), with
    the cubic kernel of :func:`polynomial_kernel`. Its expectation does not depend on the number of
    samples, in contrast to the Fréchet distance. For equal distributions it varies around 0, so it
    may be negative. All pairs are used; there is no averaging over subsets.

    Source: Bińkowski et al., Demystifying MMD GANs, 2018 (there on Inception features: KID).

    Raises:
        ValueError: not [N, D], fewer than 2 samples, or unlike D.
    """
    return kernel_distance_to(kernel_reference(real), fake)


def _own_kernel(points: FloatMatrix) -> float:
    count = len(points)
    if count < 2:
        raise ValueError(f"an unbiased kernel mean needs at least 2 samples: {count}")
    kernel = polynomial_kernel(points, points)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))
