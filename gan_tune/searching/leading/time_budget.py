"""The division of a search's time between its trials and the confirmation.

Pure functions of numbers: nothing here reads a clock, a study or a file. All times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapreplace

__all__ = ["Planned", "TimeBudget", "full_length", "makespan"]

CLOSING_SECONDS = 2.0
"""Workers keep the weights of every report from this long before the search time can end.

It must be longer than a report needs from the worker to the driver.
"""

BASELINE_SHARE = 0.3
"""Largest share of the slots' time for the first setting and the confirmation together."""

SAFETY = 1.25
"""Factor on every estimate of the time that steps or replicates need."""


@dataclass(frozen=True)
class Planned:
    """A setting to be confirmed.

    Attributes:
        seconds: expected time of one replicate; 0 if it is not known.
        missing: number of replicates that have not ended.
        to_begin: number of replicates that have not begun.
    """

    seconds: float
    missing: int
    to_begin: int


@dataclass(frozen=True)
class TimeBudget:
    """The time that a search may take.

    Attributes:
        total: time for search and confirmation together, > 0; infinite without a limit.
        lasting: how long the GPU hours last while all slots are used; infinite without a limit.
        share: the largest share of it for the confirmation, in [0, 1]; 0: no confirmation.
        slots: how many trials run at a time, at least 1.
    """

    total: float = math.inf
    share: float = 0.0
    slots: int = 1
    lasting: float = math.inf

    @classmethod
    def of(cls, minutes: float | None, share: float, slots: int) -> TimeBudget:
        """The budget of ``minutes``; None means no limit."""
        return cls(math.inf if minutes is None else 60 * minutes, share, slots)

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return math.isfinite(self.whole)

    @property
    def whole(self) -> float:
        """The time of which shares are taken: what ends first."""
        return min(self.total, self.lasting)

    def left(self, used: float) -> float:
        """The time left after ``used`` seconds; infinite without a limit."""
        return self.total - used

    def needed_to_confirm(self, planned: Sequence[Planned], interval: float = 0.0) -> float:
        """The time that the confirmation needs, about its share at most; 0 without a limit.

        It is the whole share while no length is known. It is 0 once all replicates have begun,
        since those have their slots.

        Where it needs all of its share, a trial that still runs may take an ``interval`` to its
        next report first. And one replicate as long as the share would miss the end by a little: it
        gets the safety of every estimate. What confirming trials may take of the slots' time
        (:meth:`allowed_to_confirm`) does not grow with it.
        """
        if not self.is_limited or not self.share:
            return 0.0
        kept = self.share * self.whole
        if not any(each.seconds for each in planned):
            return kept
        if not any(each.to_begin for each in planned):
            return 0.0
        replicates = [each.seconds for each in planned for _ in range(each.missing)]
        longest = max(each.seconds for each in planned if each.to_begin)
        if longest <= SAFETY * kept:
            kept = max(kept, SAFETY * min(longest, kept))
        return min(kept + interval, SAFETY * makespan(replicates, self.slots))

    def allowed_to_confirm(self, first: float) -> float:
        """The slots' time that confirming trials may take together; infinite without a limit.

        It is their share. With the ``first`` setting's own trials, which took so long, it is at
        most :data:`BASELINE_SHARE`, unless the share alone is larger or they left less than half of
        it.
        """
        if not self.is_limited:
            return math.inf
        whole = self.slots * self.whole
        if self.share >= BASELINE_SHARE:
            return self.share * whole
        return min(self.share * whole, max(self.share / 2 * whole, BASELINE_SHARE * whole - first))

    def search_is_over(self, left: float, needed: float) -> bool:
        """Whether the confirmation needs all the time that is left."""
        return left <= needed

    def must_run_to_its_end(self, left: float, needed: float, seconds: float) -> bool:
        """Whether a trial that needs ``seconds`` more must continue now to end in time.

        Never in the first half of the search time. A trial that needs more than the second half
        cannot end anyway. If such trials continued at once, the first ones would take all the time.
        """
        return left - needed <= min(SAFETY * seconds, (self.whole - needed) / 2)

    def is_last_call(self, left: float, needed: float, seconds: float) -> bool:
        """Whether steps that take ``seconds`` must begin now to end in the search time."""
        return left - needed <= SAFETY * seconds

    def allows_another(self, left: float, longest: float, seeds: int) -> bool:
        """Whether another setting can be tried and then confirmed with ``seeds`` seeds.

        ``longest`` is the time of the longest trial so far.
        """
        confirming = makespan([longest] * seeds, self.slots)
        return left > SAFETY * (longest + confirming)

    def always_store_after(self, now: float, left: float, interval: float = 0.0) -> float:
        """The time after which the search may end at any report, on the clock of ``now``.

        Then the confirmation may need all that is left (:meth:`needed_to_confirm`).
        """
        if not self.is_limited:
            return math.inf
        kept = SAFETY * self.share * self.whole + interval if self.share else 0.0
        return now + left - kept - CLOSING_SECONDS


def makespan(seconds: Iterable[float], slots: int) -> float:
    """How long tasks take if each goes to the slot that is free first (Graham 1969)."""
    ends = [0.0] * slots
    for each in sorted(seconds, reverse=True):
        heapreplace(ends, ends[0] + each)
    return max(ends)


def full_length(seconds: float, *, steps: int, done: int) -> float:
    """The time of all ``steps`` if ``done`` of them took ``seconds``; 0 if none is done."""
    return seconds * steps / done if done > 0 else 0.0
