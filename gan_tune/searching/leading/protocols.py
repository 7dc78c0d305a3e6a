"""The interfaces a conductor uses: observers of trials, and the breeder of a population."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gan_tune.searching.jobs import Job
from gan_tune.storage.trial_folder import TrialFolder
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import Outcome

__all__ = ["Observer", "Observers", "TrialBreeder"]


class Observer(Protocol):
    """Is notified of what happens to trials, in order. Must not block."""

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Called when a trial starts; ``resumed`` if it has run or reported before."""
        ...

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """Called at each report of a running trial, with its sample grid as PNG.

        An observer whose ``shows_grids`` is False gets None, so that no grid is read for it.
        """
        ...

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Called when a trial has ended; a paused or interrupted trial may start again."""
        ...


class Observers:
    """Observers that are notified one after another."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Notify all of a trial that starts."""
        for observer in self._observers:
            observer.trial_started(job, resumed=resumed)

    def trial_reported(self, job: Job, result: Result, folder: TrialFolder) -> None:
        """Notify all of a report; its grid is read from the trial's folder if any shows it."""
        wanting = [getattr(observer, "shows_grids", True) for observer in self._observers]
        grid = folder.grid(result.step) if any(wanting) else None
        for observer, wants in zip(self._observers, wanting, strict=True):
            observer.trial_reported(job, result, grid if wants else None)

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Notify all of an ending."""
        for observer in self._observers:
            observer.trial_ended(job, ending)


class TrialBreeder(Protocol):
    """Keeps a population of trials, in which new ones begin with the weights of the best."""

    def resume(self) -> None:
        """Load what earlier commands stored, and complete what a kill interrupted."""
        ...

    def next_job(self, paused: Sequence[Job], *, last_call: bool = False) -> Job | None:
        """The job to run next: a new one or one of the ``paused``; None if there is none."""
        ...

    def observe(self, setting: int, step: int, value: float | None) -> None:
        """Note the current value of a setting."""
        ...

    def verdict(
        self, setting: int, step: int, paused: Sequence[Job], *, crowded: bool
    ) -> Outcome | None:
        """The outcome with which a trial ends at a report, None if it continues."""
        ...

    def ends(self, setting: int, step: int, outcome: Outcome) -> None:
        """Note how a trial ends."""
        ...

    @property
    def steps_left(self) -> int:
        """The steps that the least advanced member still has to train."""
        ...
