"""How long a trial is and how wide its networks are, for the time given.

Pure functions of numbers; the time of a step is measured by :mod:`gan_tune.starting.machine`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["ENOUGH_STEPS", "LEAST_STEPS", "Plan", "plan"]

LEAST_STEPS = 2_000
"""Fewer steps hardly show what a setting comes to."""
ENOUGH_STEPS = 4_000
"""Wider networks are taken only while a trial of a search of ten minutes still has so many steps.

For other times it is the square root of the time as many: half of more time goes into longer
trials, half into wider networks, but never fewer.
"""
ENOUGH_IN_MINUTES = 10
MOST_STEPS = 30_000
FULL_TRIALS = 10
"""The whole time holds so many trials at full length. Most settings train a fourth of one, and two
or three full ones confirm the best."""
LONGEST_SHARE = 0.2
"""Largest share of the search's wall time for one trial, however many run at a time: the best
setting must be confirmed in a fourth of it."""
OVERHEAD = 1.7
"""A trial's wall time in units of its steps' alone: reports take up to a quarter of it, other
trials share caches and memory, and a trial that the search's end cuts off cannot be confirmed."""


@dataclass(frozen=True)
class Plan:
    """The lengths and sizes that fit into the time.

    Attributes:
        width: of the networks; one of those that were offered.
        step_seconds: time of one step at this width, measured.
        steps: generator steps of a full trial.
        slots: trials at a time.
        minutes: the time it was made for.
    """

    width: int
    step_seconds: float
    steps: int
    slots: int
    minutes: float

    @property
    def trial_seconds(self) -> float:
        """Expected wall time of a full trial."""
        return OVERHEAD * self.steps * self.step_seconds

    @property
    def is_short(self) -> bool:
        """Whether a full trial has fewer steps than it takes to tell good settings from bad."""
        return self.steps < LEAST_STEPS


def plan(
    step_seconds: Callable[[int], float],
    widths: Sequence[int],
    *,
    minutes: float,
    slots: int,
    most_steps: int = MOST_STEPS,
) -> Plan:
    """The widest networks whose full trial has enough steps; if none has, the narrowest ones.

    Args:
        step_seconds: width → measured time of one step; asked from narrow to wide, while it fits.
        widths: what may be taken, narrow to wide, at least one.
        minutes: time of the whole search, > 0.
        slots: how many trials run at a time, at least 1.
        most_steps: longest useful trial.
    """
    usual = 60 * minutes * min(slots / FULL_TRIALS, LONGEST_SHARE)
    enough = ENOUGH_STEPS * math.sqrt(max(1.0, minutes / ENOUGH_IN_MINUTES))
    width, step = widths[0], step_seconds(widths[0])
    for wider in widths[1:]:
        if usual / (OVERHEAD * step) < enough:
            break
        slower = step_seconds(wider)
        if usual / (OVERHEAD * slower) < enough:
            break
        width, step = wider, slower
    length = _rounded(min(usual / (OVERHEAD * step), most_steps))
    return Plan(width, step, length, slots, minutes)


def _rounded(steps: float) -> int:
    """Two significant digits, at least 10 steps."""
    whole = max(10, int(steps))
    unit: int = 10 ** max(0, len(str(whole)) - 2)
    return whole // unit * unit
