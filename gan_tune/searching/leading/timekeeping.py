"""The time used and left in a search."""

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
    """Answers all questions about the time of a search. Queries change nothing.

    Args:
        study: holds the time used by earlier commands and by this one.
        budget: the division of the time.
        desk: knows which settings are to be confirmed.
        clock: seconds; only differences count.
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
        """Note the time used in the study, at intervals or ``now``."""
        if now or self._clock() - self._noted > NOTE_SECONDS:
            self._noted = self._clock()
            self._study.seconds_used = self.used

    def hear_pace(self, seconds: float, steps: int) -> None:
        """Note that the last report's ``steps`` took ``seconds``."""
        self._pace = seconds / max(1, steps)

    # ---------------------------------------------------------------- queries

    @property
    def is_limited(self) -> bool:
        """Whether the time has a limit."""
        return self._budget.is_limited

    @property
    def used(self) -> float:
        """Seconds spent on the search by all commands so far."""
        return self._seconds_before + self._clock() - self._started

    @property
    def left(self) -> float:
        """Seconds left of the budget; infinite without one."""
        return self._budget.left(self.used)

    @property
    def search_is_over(self) -> bool:
        """Whether the confirmation needs all the time that is left."""
        return self._budget.search_is_over(self.left, self._needed)

    @property
    def allows_another(self) -> bool:
        """Whether the confirmation leaves enough time to try and confirm another setting."""
        seeds = self._study.space.confirm.seeds
        enough = self._budget.allows_another(self.left, self._desk.longest, seeds)
        return enough and not self.search_is_over

    def must_run_to_its_end(self, trial: RunningTrial) -> bool:
        """Whether a trial must continue now to end within the time of the search."""
        seconds = trial.seconds_to_its_end
        return self._budget.must_run_to_its_end(self.left, self._needed, seconds)

    def is_last_call(self, steps: int) -> bool:
        """Whether ``steps`` steps must begin now to end in the search time, at the last report's
        pace.
        """
        return self._budget.is_last_call(self.left, self._needed, self._pace * steps)

    def closing(self, job: Job) -> float:
        """Time in seconds since 1970 after which the search time may end at any report.

        A confirming trial that is cut off does not count, so its last weights are not kept.
        """
        confirms = job.kind == "confirmation"
        return math.inf if confirms else self._budget.closing(time.time(), self.left)

    @property
    def _needed(self) -> float:
        return self._budget.needed_to_confirm(self._desk.planned())
