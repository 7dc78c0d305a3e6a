"""Chooses the few settings of many that serve several tasks best, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST", "by_rank", "by_ratio", "portfolio"]

MOST = 16
"""Largest number of settings in a portfolio."""

Losses = NDArray[np.float64]


def by_ratio(above_floor: Sequence[float]) -> Losses:
    """The losses of one task's settings: ln(value / the best one's).

    ``above_floor`` are how far their values lie above what real samples have, all positive; less is
    better. Infinite: diverged. NaN: not tried.
    """
    values = np.array(above_floor, dtype=np.float64)
    losses: Losses = np.log(values / np.nanmin(values))
    return losses


def by_rank(costs: Sequence[float]) -> Losses:
    """The losses of one task's settings: ln(rank), where the best one's is 0.

    They serve where values have no common scale. Equal costs share the best of their ranks.
    Infinite: diverged. NaN: not tried.
    """
    given = np.array(costs, dtype=np.float64)
    ranks = np.searchsorted(np.sort(given[np.isfinite(given)]), given) + 1.0
    losses: Losses = np.where(np.isfinite(given), np.log(ranks), given)
    return losses


def portfolio(losses: Losses, *, most: int = MOST) -> list[int]:
    """The settings, in the order in which a new search should try them.

    Each next setting is the one with which the mean over all tasks of the least loss so far becomes
    smallest, so that every beginning of the list is good for all tasks: the greedy rule of Wistuba
    et al. (2015, "Sequential model-free hyperparameter tuning") and of the portfolios of
    auto-sklearn 2.0 (Feurer et al. 2022). Where nothing improves on any task, the rule starts again
    with the settings that are left.

    Args:
        losses: [tasks, settings], 0 for the best setting of a task; infinite where it diverged,
            which counts as the task's worst, and NaN where it was not tried, which counts as the
            median of those tried.
        most: largest number of settings.

    Returns:
        At most ``most`` columns. A setting without a finite loss is never chosen.
    """
    known = np.isfinite(losses).any(axis=0)
    filled = np.array([_filled(row) for row in losses])
    left = [int(i) for i in np.flatnonzero(known)]
    chosen: list[int] = []
    so_far = filled.max(axis=1, initial=0.0)
    fresh = True
    while left and len(chosen) < most:
        means = np.minimum(so_far[:, None], filled[:, left]).mean(axis=0)
        best = int(np.argmin(means))
        if means[best] >= so_far.mean() and not fresh:
            so_far, fresh = filled.max(axis=1, initial=0.0), True
            continue
        fresh = False
        so_far = np.minimum(so_far, filled[:, left[best]])
        chosen.append(left.pop(best))
    return chosen


def _filled(row: Losses) -> Losses:
    """A task's losses: what diverged is as its worst, what was not tried as its median."""
    finite = row[np.isfinite(row)]
    if not len(finite):
        return np.zeros_like(row)
    without_gaps = np.where(np.isnan(row), np.median(finite), row)
    return np.where(np.isinf(without_gaps), finite.max(), without_gaps)
