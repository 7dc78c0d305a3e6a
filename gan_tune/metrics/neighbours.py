"""Precision, recall, density and coverage, computed from nearest neighbours.

Each set is represented by the union of balls around its samples. Each ball reaches to the sample's
k-th nearest neighbour within the set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = [
    "DENSITY_NEIGHBOURS",
    "PRECISION_NEIGHBOURS",
    "NeighbourFigures",
    "NeighbourReference",
    "neighbour_figures",
    "neighbour_reference",
]

PRECISION_NEIGHBOURS = 3
"""k of precision and recall, as in their paper."""
DENSITY_NEIGHBOURS = 5
"""k of density and coverage, as in their paper."""


@dataclass(frozen=True, eq=False)
class NeighbourReference:
    """Real features [N, D] with the squared radii [N] of the balls around them for both k."""

    points: FloatMatrix
    precision_radii: FloatMatrix
    density_radii: FloatMatrix


@dataclass(frozen=True)
class NeighbourFigures:
    """The four figures of fake features beside real ones.

    Attributes:
        precision: share of fake samples inside some real ball, in 0..1: how faithful they are.
        recall: share of real samples inside some fake ball, in 0..1: how much they cover.
        density: mean number of real balls that hold a fake sample, over k; 0 or more, about 1 for
            equal distributions. Outliers among the real samples affect it less than precision.
        coverage: share of real balls that hold a fake sample, in 0..1.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def neighbour_reference(real: Samples) -> NeighbourReference:
    """The part of the work that depends on the real features [N, D] only."""
    points = as_matrix(real)
    precision_radii, density_radii = _radii(points, PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS)
    return NeighbourReference(points, precision_radii, density_radii)


def neighbour_figures(reference: NeighbourReference, fake: Samples) -> NeighbourFigures:
    """Precision and recall (k = 3), density and coverage (k = 5) of fake features [M, D].

    For a set of k samples or fewer, the largest possible k is used. Time and memory grow with N M.

    Source: Kynkäänniemi et al., Improved Precision and Recall Metric for Assessing Generative
    Models, 2019; Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020.

    Raises:
        ValueError: not [N, D], fewer than 2 samples, or unlike D.
    """
    points = as_matrix(fake)
    across = _squared_distances(reference.points, points)
    (fake_radii,) = _radii(points, PRECISION_NEIGHBOURS)
    near = across <= reference.precision_radii[:, None]
    held = across <= reference.density_radii[:, None]
    k = _neighbours(DENSITY_NEIGHBOURS, len(reference.points))
    return NeighbourFigures(
        precision=float(near.any(axis=0).mean()),
        recall=float((across <= fake_radii).any(axis=1).mean()),
        density=float(held.sum() / (k * len(points))),
        coverage=float(held.any(axis=1).mean()),
    )


def _radii(points: FloatMatrix, *neighbours: int) -> list[FloatMatrix]:
    """For each k the squared distance [N] of each sample to the k-th nearest other one."""
    if len(points) < 2:
        raise ValueError(f"a nearest neighbour needs at least 2 samples: {len(points)}")
    ks = [_neighbours(k, len(points)) for k in neighbours]
    # Each sample is its own nearest, at place 0.
    nearest = np.partition(_squared_distances(points, points), ks, axis=1)
    return [nearest[:, k].copy() for k in ks]


def _neighbours(k: int, count: int) -> int:
    return min(k, count - 1)


def _squared_distances(x: FloatMatrix, y: FloatMatrix) -> FloatMatrix:
    """|x - y|^2 between x [N, D] and y [M, D]: [N, M], by one product of matrices."""
    centre = x.mean(axis=0)  # the nearer to 0, the less is lost in the differences below
    x, y = x - centre, y - centre
    squares: NDArray[np.float64] = x @ y.T
    squares *= -2
    squares += np.square(x).sum(axis=1)[:, None]
    squares += np.square(y).sum(axis=1)
    return np.maximum(squares, 0, out=squares)
