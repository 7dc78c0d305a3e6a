"""The time used and left in a search."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.confirming import ConfirmationPlanner
from gan_tune.searching.leading.gpu_meter import GpuMeter
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.leading.time_budget import TimeBudget
from gan_tune.searching.study.study import Study

__all__ = ["Timekeeper"]

NOTE_SECONDS = 5.0
"""The time used is noted in the study at most this often."""


class Timekeeper:
    """Measures the time of a search, and says what there is still time for.

    Args:
        study: holds the time used by earlier commands and by this one.
        budget: the division of the time.
        planner: knows which settings are to be confirmed.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        study: Study,
        budget: TimeBudget,
        planner: ConfirmationPlanner,
        clock: Callable[[], float],
    ) -> None:
        self._study, self._budget, self._planner, self._clock = study, budget, planner, clock
        self._started = self._noted = clock()
        self._seconds_before = study.seconds_used
        self._gpus = GpuMeter(study.space, study.gpu_seconds_used, clock)
        self._pace = self._interval = 0.0
        self._waits = False
        self._trials, self._placed = 0, math.inf
        self.follow(budget.slots)

    def wait(self) -> None:
        """Count no time until a trial has been placed."""
        self._waits = True

    def begin(self) -> None:
        """A trial has been placed: count the time from now on."""
        if self._waits:
            self._waits, self._started = False, self._clock()
            self.hold(self._trials)

    def hold(self, trials: int) -> None:
        """So many trials run, or are about to."""
        self._trials = trials
        self._gpus.hold(0 if self._waits else int(min(trials, self._budget.slots, self._placed)))

    def place(self, trials: int) -> None:
        """So many trials have a worker now: the others that run wait for one, and hold no GPU."""
        if trials != self._placed:
            self._placed = trials
            self.hold(self._trials)

    def follow(self, slots: int) -> None:
        """So many trials run at a time from now on."""
        self._budget = replace(self._budget, slots=slots, lasting=self._gpus.lasts(slots))
        self.hold(self._trials)

    def note(self, *, now: bool = False) -> None:
        """Note the time used in the study, at intervals or ``now``."""
        if now or self._clock() - self._noted > NOTE_SECONDS:
            self._noted = self._clock()
            self._study.seconds_used = self.used
            if self._gpus.used:
                self._study.gpu_seconds_used = self._gpus.used

    def observe_pace(self, seconds: float, steps: int) -> None:
        """Note that the last report's ``steps`` took ``seconds``."""
        self._pace, self._interval = seconds / max(1, steps), seconds

    # ---------------------------------------------------------------- queries

    @property
    def is_limited(self) -> bool:
        """Whether the time has a limit."""
        return self._budget.is_limited

    @property
    def used(self) -> float:
        """Seconds spent on the search by all commands so far."""
        return self._seconds_before + (0.0 if self._waits else self._clock() - self._started)

    @property
    def left(self) -> float:
        """Seconds left of the budget, of time or of GPUs; infinite without one."""
        return min(self._budget.left(self.used), self._gpus.left(self._budget.slots))

    @property
    def gpu_hours_used(self) -> float:
        """GPU hours used by all commands so far; not counted without `budget.gpu_hours`."""
        return self._gpus.used / 3600

    @property
    def has_spent_its_gpus(self) -> bool:
        """Whether nothing is left of `budget.gpu_hours`."""
        return self._gpus.is_spent

    @property
    def search_is_over(self) -> bool:
        """Whether the confirmation needs all the time that is left."""
        return self._budget.search_is_over(self.left, self._needed)

    def is_left_for(self, job: Job) -> bool:
        """Whether any time is left for trials of its kind."""
        return not self.search_is_over if job.kind == "search" else self.left > 0

    @property
    def allows_another(self) -> bool:
        """Whether the confirmation leaves enough time to try and confirm another setting."""
        seeds = self._study.space.confirm.seeds
        enough = self._budget.allows_another(self.left, self._planner.longest, seeds)
        return enough and not self.search_is_over

    @property
    def allowed_to_confirm(self) -> float:
        """The slots' time that confirming trials may take together; infinite without a limit."""
        return self._budget.allowed_to_confirm(self._planner.first_seconds)

    def must_run_to_its_end(self, trial: RunningTrial) -> bool:
        """Whether a trial must continue now to end within the time of the search."""
        seconds = trial.seconds_to_its_end
        return self._budget.must_run_to_its_end(self.left, self._needed, seconds)

    def is_last_call(self, steps: int) -> bool:
        """Whether ``steps`` steps at the last report's pace must begin now to end in time."""
        return self._budget.is_last_call(self.left, self._needed, self._pace * steps)

    def always_store_after(self, job: Job) -> float:
        """The time (seconds since 1970) after which a trial stores a checkpoint at every report.

        From then on the search time may end at any report. It is infinite for a confirming trial:
        one that is cut off has no value, so its weights are not needed.
        """
        if job.kind == "confirmation":
            return math.inf
        return self._budget.always_store_after(time.time(), self.left, self._interval)

    @property
    def _needed(self) -> float:
        planned = self._planner.planned(self.allowed_to_confirm)
        return self._budget.needed_to_confirm(planned, self._interval)
