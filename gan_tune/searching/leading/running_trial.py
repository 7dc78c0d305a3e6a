"""The reports of a trial that runs or waits for its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gan_tune.searching.jobs import Job
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import Outcome

__all__ = ["RunningTrial"]


@dataclass
class RunningTrial:
    """A trial that has begun, and what it has reported to this command.

    Attributes:
        job: the job that was handed out.
        steps: the steps reported.
        best: the best value so far.
        further: the values of the other objectives at the report with the best value.
        symptoms: symptoms of the last report.
        watched: the last value given to the stopping rule; None if there was none.
        behind: whether the stopping rule stops it at its last report.
        undecided: whether it has just reached a rung that too few trials have reached to judge it.
        seconds: time spent on its reports.
    """

    job: Job
    steps: set[int] = field(default_factory=set)
    best: float | None = None
    further: Mapping[str, float] = field(default_factory=dict)
    symptoms: Sequence[str] = ()
    watched: float | None = None
    behind: bool = False
    undecided: bool = False
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """The last step reported, or the step at which it began."""
        return max(self.steps, default=self.job.first_step)

    @property
    def seconds_to_its_end(self) -> float:
        """The expected time of its remaining steps, from the time of those it has done."""
        done = self.step - self.job.first_step
        return self.seconds * (self.job.config.steps - self.step) / max(1, done)

    def observe(self, result: Result, further: Mapping[str, float]) -> bool:
        """Note a report; False if its step is known.

        ``further`` are the report's values of the other objectives.
        """
        if result.value is not None and result.value == result.best != self.best:
            self.further = further
        self.best, self.symptoms = result.best, result.symptoms
        if result.step in self.steps:
            return False
        self.steps.add(result.step)
        self.seconds += result.seconds
        return True

    def ending_at(self, result: Result, outcome: Outcome, *, paused: bool = False) -> Ending:
        """Its ending at a report that has been noted."""
        return Ending(
            outcome,
            result.best,
            result.step,
            result.error,
            result.symptoms,
            self.further,
            paused=paused,
        )

    def ending_now(self, outcome: Outcome) -> Ending:
        """Its ending between two reports."""
        return Ending(outcome, self.best, self.step, symptoms=self.symptoms, further=self.further)

    def ending_as_failed(self, error: str) -> Ending:
        """Its ending if its worker was lost, and the setting is to blame."""
        return Ending("failed", self.best, self.step, error, further=self.further)

    def ending_as_lost(self, reason: str, *, goes_on: bool) -> Ending:
        """Its ending if its worker was lost; ``goes_on``: whether this command continues it."""
        return replace(self.ending_now("interrupted"), error=reason, paused=goes_on)
