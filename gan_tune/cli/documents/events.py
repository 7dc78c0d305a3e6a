"""A running search as JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_tune.cli.documents import shapes
from gan_tune.cli.documents.filling import most_trials
from gan_tune.cli.documents.output import print_document
from gan_tune.watching import BoardWatcher

if TYPE_CHECKING:
    from gan_tune.searching.jobs import Job
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.storage.trial_records import Ending, Result

__all__ = ["JsonEvents"]


class JsonEvents(BoardWatcher):
    """A watcher for programs: an event a line, as :data:`~.shapes.EVENTS` describes them."""

    def stage(self, text: str) -> None:
        """Say what is being done before and after the trials."""
        _say(shapes.Stage(text=text))

    def note(self, text: str) -> None:
        """Say what a person would want to read."""
        _say(shapes.Note(text=text))

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, or go on after ``resumed`` settings."""
        super().begin(conductor, slots, resumed)
        assert self.board is not None
        space = conductor.space
        _say(
            shapes.Begin(
                search=self.board.name,
                metric=space.objective.metric,
                mode=space.objective.mode,
                trials=most_trials(space),
                minutes=space.budget.minutes,
                steps=space.steps,
                slots=slots,
                resumed=resumed,
            )
        )

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Say that a trial begins."""
        super().trial_started(job, resumed=resumed)
        _say(
            shapes.TrialStarted(trial=job.name, setting=job.setting, kind=job.kind, resumed=resumed)
        )

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """Say how far a trial is."""
        super().trial_reported(job, result, grid)
        _say(
            shapes.TrialReported(
                trial=job.name, step=result.step, value=result.value, best=result.best
            )
        )

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Say how a trial ended."""
        super().trial_ended(job, ending)
        _say(
            shapes.TrialEnded(
                trial=job.name,
                outcome=ending.outcome,
                value=ending.value,
                step=ending.step,
                error=ending.error,
                paused=ending.paused,
            )
        )


def _say(event: shapes.Event) -> None:
    print_document(event, in_one_line=True)
