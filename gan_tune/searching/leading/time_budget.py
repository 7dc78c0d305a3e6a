"""How the time of a search is divided between its trials and the confirmation.

Numbers in, numbers out: nothing here looks at a clock, a study or a file. All times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapreplace

__all__ = ["Planned", "TimeBudget", "full_length", "makespan"]

CLOSING_SECONDS = 2.0
"""Workers begin this long before the search time can end to keep the weights of every report.

It must be longer than a report takes from the worker to the driver.
"""

SAFETY = 1.25
"""Factor on every estimate of the time that steps or replicates will take."""


@dataclass(frozen=True)
class Planned:
    """A setting to be confirmed.

    Attributes:
        seconds: expected time of one replicate, 0 where nothing is known.
        missing: replicates that have not ended yet.
        to_begin: those of them that do not run yet.
    """

    seconds: float
    missing: int
    to_begin: int


@dataclass(frozen=True)
class TimeBudget:
    """The time that a search may take.

    Attributes:
        total: for search and confirmation together, > 0, infinite without a limit.
        share: the largest share of it for the confirmation, in [0, 1]; 0: nothing is confirmed.
        slots: how many trials run at a time, at least 1.
    """

    total: float = math.inf
    share: float = 0.0
    slots: int = 1

    @classmethod
    def of(cls, minutes: float | None, share: float, slots: int) -> TimeBudget:
        """The budget of so many minutes; None is no limit."""
        return cls(math.inf if minutes is None else 60 * minutes, share, slots)

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return math.isfinite(self.total)

    def left(self, used: float) -> float:
        """What is left after ``used`` seconds; infinite without a limit."""
        return self.total - used

    def needed_to_confirm(self, planned: Sequence[Planned]) -> float:
        """What the confirmation needs, at most its share; 0 without a limit.

        It is the whole share while no length is known, and 0 once all replicates run: those have
        their slots.
        """
        if not self.is_limited or not self.share:
            return 0.0
        kept = self.share * self.total
        if not any(each.seconds for each in planned):
            return kept
        if not any(each.to_begin for each in planned):
            return 0.0
        replicates = [each.seconds for each in planned for _ in range(each.missing)]
        return min(kept, SAFETY * makespan(replicates, self.slots))

    def search_is_over(self, left: float, needed: float) -> bool:
        """Whether the confirmation needs all that is left."""
        return left <= needed

    def must_run_to_its_end(self, left: float, needed: float, seconds: float) -> bool:
        """Whether a trial that takes ``seconds`` more must continue now to end in time.

        Never in the first half of the search time. A trial longer than that cannot end anyway, and
        if it continued at once, the first ones would take all the time and few others be tried.
        """
        return left - needed <= min(SAFETY * seconds, (self.total - needed) / 2)

    def is_last_call(self, left: float, needed: float, seconds: float) -> bool:
        """Whether steps that take ``seconds`` must begin now to end in the search time."""
        return left - needed <= SAFETY * seconds

    def allows_another(self, left: float, longest: float, seeds: int) -> bool:
        """Whether another setting can be tried and confirmed with ``seeds``, after all others.

        ``longest`` is the time of the longest trial so far.
        """
        confirming = makespan([longest] * seeds, self.slots)
        return left > SAFETY * (longest + confirming)

    def closing(self, now: float, left: float) -> float:
        """The time from which on the search may end with any report, on the clock of ``now``."""
        if not self.is_limited:
            return math.inf
        return now + left - self.share * self.total - CLOSING_SECONDS


def makespan(seconds: Iterable[float], slots: int) -> float:
    """How long tasks take if each goes to the slot that is free first (Graham 1969)."""
    ends = [0.0] * slots
    for each in sorted(seconds, reverse=True):
        heapreplace(ends, ends[0] + each)
    return max(ends)


def full_length(seconds: float, *, steps: int, done: int) -> float:
    """The time of all ``steps`` where ``done`` of them took ``seconds``; 0 where none is done."""
    return seconds * steps / done if done > 0 else 0.0
