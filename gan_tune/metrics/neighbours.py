"""Precision, recall, density and coverage, computed from nearest neighbours.

Each set is represented by the union of balls around its samples. Each ball reaches to the sample's
k-th nearest neighbour within the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix
from gan_tune.metrics.pair_distances import squared_distances

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
LOW = 3
"""Up to so many coordinates, trees find neighbours faster than all pairs do."""
CROWD = 64
"""So many samples in a ball, on average, and all pairs are faster than a tree."""


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
    real, points = reference.points, as_matrix(fake)
    (fake_radii,) = _radii(points, PRECISION_NEIGHBOURS)
    counts = None
    if points.shape[1] == real.shape[1] <= LOW:
        counts = _counts_by_tree(reference, points, fake_radii)
    if counts is None:
        counts = _counts_by_pairs(reference, points, fake_radii)
    return NeighbourFigures(
        precision=counts.precise / len(points),
        recall=counts.recalled / len(real),
        density=counts.held / (_neighbours(DENSITY_NEIGHBOURS, len(real)) * len(points)),
        coverage=counts.covered / len(real),
    )


@dataclass(frozen=True)
class _Counts:
    """Fake samples in real balls, real ones in fake balls, pairs, real balls that hold a fake."""

    precise: int
    recalled: int
    held: int
    covered: int


def _counts_by_pairs(
    reference: NeighbourReference, points: FloatMatrix, fake_radii: FloatMatrix
) -> _Counts:
    precise = np.zeros(len(points), dtype=bool)
    recalled, held, covered, start = 0, 0, 0, 0
    for block in squared_distances(reference.points, points):
        rows = slice(start, start := start + len(block))
        precise |= (block <= reference.precision_radii[rows, None]).any(axis=0)
        recalled += _number_of((block <= fake_radii).any(axis=1))
        inside = block <= reference.density_radii[rows, None]
        held += _number_of(inside)
        covered += _number_of(inside.any(axis=1))
    return _Counts(_number_of(precise), recalled, held, covered)


def _counts_by_tree(
    reference: NeighbourReference, points: FloatMatrix, fake_radii: FloatMatrix
) -> _Counts | None:
    """The same for few coordinates; None if the balls hold so many that pairs are quicker."""
    real = reference.points
    fakes, reals = KDTree(points), KDTree(real)
    precision_radii, fake_radii = np.sqrt(reference.precision_radii), np.sqrt(fake_radii)
    numbers = fakes.query_ball_point(real, np.sqrt(reference.density_radii), return_length=True)
    back = reals.query_ball_point(points, fake_radii, return_length=True)
    if numbers.sum() + back.sum() > CROWD * len(real):
        return None
    precise = _union(fakes.query_ball_point(real, precision_radii))
    recalled = _union(reals.query_ball_point(points, fake_radii))
    return _Counts(precise, recalled, int(numbers.sum()), _number_of(numbers))


def _number_of(marks: Any) -> int:
    """How many are not 0."""
    return int(np.count_nonzero(marks))


def _union(lists: Sequence[Sequence[int]]) -> int:
    """How many numbers are in any of the lists."""
    return len(set(chain.from_iterable(lists)))


def _radii(points: FloatMatrix, *neighbours: int) -> list[FloatMatrix]:
    """For each k the squared distance [N] of each sample to the k-th nearest other one."""
    if len(points) < 2:
        raise ValueError(f"a nearest neighbour needs at least 2 samples: {len(points)}")
    ks = [_neighbours(k, len(points)) for k in neighbours]
    # Each sample is its own nearest, at place 0.
    if points.shape[1] <= LOW:
        found = KDTree(points).query(points, k=[k + 1 for k in ks])[0]
        return list(np.square(found.T))
    nearest = []
    for block in squared_distances(points, points):
        block.partition(ks, axis=1)
        nearest.append(block[:, ks])
    return list(np.concatenate(nearest).T)


def _neighbours(k: int, count: int) -> int:
    return min(k, count - 1)
