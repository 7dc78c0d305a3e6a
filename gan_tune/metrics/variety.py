"""The variety of samples, compared with that of the data."""

from __future__ import annotations

import math

from gan_tune.metrics.matrix import Samples, as_matrix

__all__ = ["total_variance", "variety", "variety_beside"]


def total_variance(samples: Samples) -> float:
    """Sum over the D coordinates of the variance of samples [N, D], 0 or more."""
    x = as_matrix(samples)
    return float((x - x[0]).var(axis=0).sum())  # exactly 0 for equal samples, however large


def variety(real: Samples, fake: Samples) -> float:
    """sqrt(total variance of fake / total variance of real) for samples [N, D] and [M, D].

    1 means as varied as the data; 0 means that all samples are equal: a collapsed generator.
    """
    return variety_beside(total_variance(real), fake)


def variety_beside(real_variance: float, fake: Samples) -> float:
    """:func:`variety` for data of a known total variance; NaN if that is 0."""
    return math.sqrt(total_variance(fake) / real_variance) if real_variance > 0 else math.nan
