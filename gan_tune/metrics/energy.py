"""Energy distance between two sets of points, computed from all pair distances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix
from gan_tune.metrics.pair_distances import squared_distances

__all__ = ["EnergyReference", "energy_distance", "energy_distance_to", "energy_reference"]


@dataclass(frozen=True, eq=False)
class EnergyReference:
    """Real points [N, D] with the mean distance between two of them (a point and itself too)."""

    points: FloatMatrix
    own_distance: float


def energy_reference(real: Samples) -> EnergyReference:
    """The part of the work that depends on the real points only."""
    points = as_matrix(real)
    return EnergyReference(points, _own_distance(points))


def energy_distance_to(reference: EnergyReference, fake: Samples) -> float:
    """:func:`energy_distance` from real points prepared once by :func:`energy_reference`."""
    points = as_matrix(fake)
    across = _mean_distance(reference.points, points)
    squared = 2 * across - reference.own_distance - _own_distance(points)
    return math.sqrt(max(0.0, squared))


def energy_distance(real: Samples, fake: Samples) -> float:
    """sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|) for points [N, D] and [M, D], 0 or more.

    The means are over all pairs, including a point with itself. In one dimension this equals
    ``scipy.stats.energy_distance``. It grows with the square root of the points' scale.

    Source: Székely and Rizzo, Energy statistics: statistics based on distances, 2013.

    Raises:
        ValueError: not [N, D], or different D.
    """
    return energy_distance_to(energy_reference(real), fake)


def _mean_distance(first: FloatMatrix, second: FloatMatrix) -> float:
    blocks = squared_distances(first, second)
    total = math.fsum(float(np.sqrt(block, out=block).sum()) for block in blocks)
    return total / (len(first) * len(second))


def _own_distance(points: FloatMatrix) -> float:
    total = 0.0
    for block in squared_distances(points, points, from_diagonal=True):
        np.sqrt(block, out=block)
        # Each pair once: those within the block's rows, and those after them for both orders.
        rows = len(block)
        total += float(block[:, :rows].sum()) + 2 * float(block[:, rows:].sum())
    return total / len(points) ** 2
