"""How late it is in a search: the clock, the budget and what the confirmation needs, together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.confirming import ConfirmationDesk
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.leading.time_budget import TimeBudget
from gan_tune.searching.study.study import Study

__all__ = ["Timekeeper"]

NOTE_SECONDS = 5.0
"""The time used is noted in the study at most this often."""


class Timekeeper:
    """Answers every question about the time of a search. Queries change nothing.

    Args:
        study: knows what earlier commands have used, and is told what this one uses.
        budget: how the time is divided.
        desk: knows what is to be confirmed.
        clock: seconds, only differences count.
    """

    def __init__(
        self,
        study: Study,
        budget: TimeBudget,
        desk: ConfirmationDesk,
        clock: Callable[[], float],
    ) -> None:
        self._study, self._budget, self._desk, self._clock = study, budget, desk, clock
        self._started = self._noted = clock()
        self._seconds_before = study.seconds_used
        self._pace = 0.0

    def note(self, *, now: bool = False) -> None:
        """Note the time used in the study, once in a while or ``now``."""
        if now or self._clock() - self._noted > NOTE_SECONDS:
            self._noted = self._clock()
            self._study.seconds_used = self.used

    def hear_pace(self, seconds: float, steps: int) -> None:
        """Hear how long the last report took for so many steps."""
        self._pace = seconds / max(1, steps)

    # ---------------------------------------------------------------- queries

    @property
    def is_limited(self) -> bool:
        """Whether the time has a limit at all."""
        return self._budget.is_limited

    @property
    def used(self) -> float:
        """Seconds spent on the search by all commands so far."""
        return self._seconds_before + self._clock() - self._started

    @property
    def left(self) -> float:
        """Seconds left of the budget, infinite without one."""
        return self._budget.left(self.used)

    @property
    def search_is_over(self) -> bool:
        """Whether the confirmation needs all the time that is left."""
        return self._budget.search_is_over(self.left, self._needed)

    @property
    def allows_another(self) -> bool:
        """Whether the confirmation has left enough to try another setting, and to confirm it."""
        seeds = self._study.space.confirm.seeds
        enough = self._budget.allows_another(self.left, self._desk.longest, seeds)
        return enough and not self.search_is_over

    def must_run_to_its_end(self, trial: RunningTrial) -> bool:
        """Whether a trial must continue now to end within the time of the search."""
        seconds = trial.seconds_to_its_end
        return self._budget.must_run_to_its_end(self.left, self._needed, seconds)

    def is_last_call(self, steps: int) -> bool:
        """Whether so many steps, at the pace of the last report, must begin now to end in the time
        of the search.
        """
        return self._budget.is_last_call(self.left, self._needed, self._pace * steps)

    def closing(self, job: Job) -> float:
        """Seconds since 1970 from which on the time of the search may end with any report.

        A confirmation that is cut off counts for nothing, so its last weights are not kept.
        """
        confirms = job.kind == "confirmation"
        return math.inf if confirms else self._budget.closing(time.time(), self.left)

    @property
    def _needed(self) -> float:
        return self._budget.needed_to_confirm(self._desk.planned())
