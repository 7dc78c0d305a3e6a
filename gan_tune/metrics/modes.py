"""How samples lie on the modes of a known 2-D mixture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import rel_entr

from gan_tune.data.dataset import Mixture
from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = [
    "ModeAssignment",
    "assign_modes",
    "covered_modes",
    "high_quality_share",
    "modes_covered",
    "reverse_kl",
    "sigma_ratio",
    "sigma_ratio_max",
    "sigma_ratio_min",
]

HIGH_QUALITY_SIGMAS = 3.0
COVERED_SHARE = 0.25
RAYLEIGH_MEDIAN = math.sqrt(2 * math.log(2))
"""Median distance of a round 2-D Gaussian's samples from its centre, in units of sigma."""


@dataclass(frozen=True, eq=False)
class ModeAssignment:
    """Each sample's nearest mode, and whether it lies close enough to count.

    ``nearest`` is int64 [N] in 0..M-1, ``high_quality`` bool [N]: within 3 sigma of that mode.
    """

    nearest: NDArray[np.int64]
    high_quality: NDArray[np.bool_]


def assign_modes(mixture: Mixture, fake: Samples) -> ModeAssignment:
    """Assign samples [N, 2] to the nearest modes of the mixture."""
    distances = cdist(as_matrix(fake), mixture.modes)
    nearest = distances.argmin(axis=1)
    distance = np.take_along_axis(distances, nearest[:, None], axis=1)[:, 0]
    return ModeAssignment(nearest, distance <= HIGH_QUALITY_SIGMAS * mixture.sigma)


def high_quality_share(mixture: Mixture, fake: Samples) -> float:
    """Share of samples [N, 2] within 3 sigma of their nearest mode, in 0..1.

    The mixture itself scores 0.989 (1 - exp(-9/2)): more means that the modes have shrunk.

    Source: Lin et al., PacGAN, 2018, section 4.1.
    """
    return float(assign_modes(mixture, fake).high_quality.mean())


def covered_modes(mixture: Mixture, fake: Samples) -> NDArray[np.bool_]:
    """Which modes are covered, bool [M]: by at least N / (4 M) high-quality samples.

    That is a quarter of the expected number for each of M modes among N samples. (PacGAN counts a
    mode with a single high-quality sample as covered.)
    """
    assignment = assign_modes(mixture, fake)
    modes, count = len(mixture.modes), len(assignment.nearest)
    hits = np.bincount(assignment.nearest[assignment.high_quality], minlength=modes)
    covered: NDArray[np.bool_] = (hits > 0) & (hits >= COVERED_SHARE * count / modes)
    return covered


def modes_covered(mixture: Mixture, fake: Samples) -> float:
    """Number of modes that samples [N, 2] cover (see :func:`covered_modes`), in 0..M."""
    return float(covered_modes(mixture, fake).sum())


def sigma_ratio(mixture: Mixture, fake: Samples) -> FloatMatrix:
    """Each mode's deviation over the truth's, float64 [M]; NaN for a mode that is not covered.

    It is robust against outliers. All samples nearest to the mode count, and their centre is the
    median of each coordinate. The deviation is computed from their median distance to the centre,
    which is sigma sqrt(2 ln 2) for a round Gaussian.
    """
    points = as_matrix(fake)
    nearest = assign_modes(mixture, points).nearest
    ratios = np.full(len(mixture.modes), np.nan)
    for mode in np.flatnonzero(covered_modes(mixture, points)):
        own = points[nearest == mode]
        distances = np.linalg.norm(own - np.median(own, axis=0), axis=1)
        ratios[mode] = np.median(distances) / (RAYLEIGH_MEDIAN * mixture.sigma)
    return ratios


def sigma_ratio_min(mixture: Mixture, fake: Samples) -> float:
    """Least :func:`sigma_ratio` over the covered modes; 0 where no mode is covered."""
    ratios = sigma_ratio(mixture, fake)
    return float(np.nanmin(ratios)) if np.isfinite(ratios).any() else 0.0


def sigma_ratio_max(mixture: Mixture, fake: Samples) -> float:
    """Largest :func:`sigma_ratio` over the covered modes; 0 where no mode is covered."""
    ratios = sigma_ratio(mixture, fake)
    return float(np.nanmax(ratios)) if np.isfinite(ratios).any() else 0.0


def reverse_kl(mixture: Mixture, fake: Samples) -> float:
    """KL(q || p) in nats, shares q of samples [N, 2] over the M modes against the true p = 1 / M.

    Every sample counts for its nearest mode at any distance (:func:`high_quality_share` measures
    the distance; the code published with PacGAN counts only samples within 3 sigma). The value is
    sum_m q_m log(M q_m). A mode without samples adds 0, so the value is finite: from 0 for equal
    shares to log M for a single mode.

    Source: Srivastava et al., VEEGAN, 2017; Lin et al., PacGAN, 2018, section 4.1.
    """
    modes = len(mixture.modes)
    nearest = assign_modes(mixture, fake).nearest
    shares = np.bincount(nearest, minlength=modes) / len(nearest)
    return max(0.0, float(rel_entr(shares, 1 / modes).sum()))
