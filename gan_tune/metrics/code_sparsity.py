"""How sparse codes are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = ["IDLE", "CodeFigures", "code_figures", "hoyer_sparsity"]

IDLE = 0.01
"""A value counts as zero if it is below this share of its unit's root mean square."""


@dataclass(frozen=True)
class CodeFigures:
    """The sparsity of a set of codes; all three are in 0..1.

    Attributes:
        hoyer_sparsity: mean over the samples of :func:`hoyer_sparsity`.
        zero_share: share of zeros. A unit's value counts as zero if |h_j| < 1 % of that unit's root
            mean square over the samples, so scaling a code changes nothing.
        dead_unit_share: share of units that are 0 for every sample. All their values count as
            zeros.
    """

    hoyer_sparsity: float
    zero_share: float
    dead_unit_share: float


def code_figures(codes: Samples) -> CodeFigures:
    """The figures of codes [N, K]; NaN where a code is not finite.

    Raises:
        ValueError: not [N, K].
    """
    h = as_matrix(codes)
    if not np.isfinite(h).all():
        return CodeFigures(math.nan, math.nan, math.nan)
    rms = np.sqrt(np.square(h).mean(axis=0))
    dead = rms == 0
    zeros = (np.abs(h) < IDLE * rms) | dead
    return CodeFigures(float(hoyer_sparsity(h).mean()), float(zeros.mean()), float(dead.mean()))


def hoyer_sparsity(codes: FloatMatrix) -> FloatMatrix:
    """(sqrt(K) - |h|_1 / |h|_2) / (sqrt(K) - 1) of each code [N, K]: [N], in 0..1.

    0 if all units have equal magnitude, 1 if only one is not 0. Where it is undefined (a code of
    zeros, or of one unit) it is 0, so that a dead encoder does not count as sparse.

    Source: Hoyer, Non-negative Matrix Factorization with Sparseness Constraints, 2004.
    """
    root = math.sqrt(codes.shape[1])
    l1, l2 = np.abs(codes).sum(axis=1), np.linalg.norm(codes, axis=1)
    sparsity = np.zeros(len(codes))
    defined = (l2 > 0) & (root > 1)
    sparsity[defined] = (root - l1[defined] / l2[defined]) / (root - 1)
    return sparsity
