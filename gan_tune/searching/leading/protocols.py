"""The interfaces a conductor uses: observers of trials, and the breeder of a population."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gan_tune.searching.jobs import Job
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import Outcome

__all__ = ["Observer", "TrialBreeder"]


class Observer(Protocol):
    """Is notified of what happens to trials, in order. Must not block."""

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Hear that a trial starts; ``resumed``: it has run or reported before."""
        ...

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """Hear a report of a trial that runs, with its sample grid as PNG."""
        ...

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Hear how a trial ended; one that is paused or interrupted may start again."""
        ...


class TrialBreeder(Protocol):
    """Keeps a population of trials, in which new ones begin with the weights of the best."""

    def resume(self) -> None:
        """Load what earlier commands stored, and complete what a kill interrupted."""
        ...

    def next_job(self, paused: Sequence[Job], *, last_call: bool = False) -> Job | None:
        """The job to run next: a new one or one of the ``paused``; None if there is none."""
        ...

    def hear(self, setting: int, step: int, value: float | None) -> None:
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
