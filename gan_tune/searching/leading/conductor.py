"""The conductor of one search decides which trial runs next and which one stops.

It does not depend on Ray. A driver asks :meth:`Conductor.next_job`, passes reports to
:meth:`Conductor.reported` and stops trials if that says so. All state that must survive the process
is stored in the Optuna study and the trials' folders before observers are notified.

Other modules: ``waiting_room`` has the waiting trials, ``confirming`` the settings to confirm,
``timekeeping`` and ``time_budget`` the division of time. ``bookkeeping`` reports to Optuna and the
stopping rule. ``resuming`` resumes a search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum

from gan_tune.searching.jobs import FIRST_SETTING, Job, description
from gan_tune.searching.leading.protocols import Observer, TrialBreeder
from gan_tune.searching.leading.resuming import ResumedSearch
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.leading.time_budget import TimeBudget
from gan_tune.searching.leading.timekeeping import Timekeeper
from gan_tune.searching.leading.waiting_room import WaitingRoom
from gan_tune.searching.rules.confirmation import Standing
from gan_tune.searching.rules.stopping import StoppingRule
from gan_tune.searching.study.study import Study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import Outcome

__all__ = ["Conductor", "Next"]


class Next(Enum):
    """What a driver does if it gets no job."""

    WAIT = "wait"
    DONE = "done"


class Conductor:
    """Leads a search from its first proposal to the last confirmation.

    Only ``next_job``, ``reported``, ``failed`` and ``sweep`` change or write anything.

    Args:
        study: the proposals and their results.
        storage: the search's folder.
        rule: the stopping rule.
        resumed: the state of the search; ``rule`` and ``breeder`` must be up to date.
        breeder: keeps a population, whose trials continue from each other's weights; default none.
        observers: are notified of trials.
        slots: how many trials run at a time, to estimate the time of the confirmation.
        limit: the largest number of jobs handed out at a time; default no limit.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        study: Study,
        storage: Storage,
        rule: StoppingRule,
        resumed: ResumedSearch,
        *,
        breeder: TrialBreeder | None = None,
        observers: Sequence[Observer] = (),
        slots: int = 1,
        limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.storage, self.rule, self._breeder = study, storage, rule, breeder
        self.space, self.trials = study.space, TrialFolders(storage)
        self.slots, self._limit, self._observers = slots, limit, observers
        self.stop_requested = False
        self._books = resumed.books
        self.confirmation, self._desk = resumed.confirmation, resumed.desk
        budget = time_budget(self.space, slots)
        self._time = Timekeeper(study, budget, self._desk, clock)
        self._room = WaitingRoom(
            rule, self.space.pruned_by, resumed.waiting, spared=study.is_compared_with
        )
        self._running: dict[str, RunningTrial] = {}
        self._confirms = False  # whether the confirmation has begun

    # ---------------------------------------------------------------- the next job

    def next_job(self) -> Job | Next:
        """The job to start now, or whether to wait for running ones or to end."""
        self._time.note()
        if self._limit is not None and len(self._running) >= self._limit:
            return Next.WAIT
        while not self.stop_requested and (job := self._choose()) is not None:
            if self._start(job):
                pause_steps = self._room.pause_steps(job)
                return replace(job, pause_steps=pause_steps, closing=self._time.closing(job))
        return Next.WAIT if self._running else Next.DONE

    def _choose(self) -> Job | None:
        """Jobs of the search, then of the confirmation; more of the search if time is left."""
        self._confirms = self._confirms or self._time.search_is_over
        if self._confirms and (job := self._next_confirmation()) is not None:
            return job
        if self._confirms and not self._time.allows_another:
            return None
        job = self._next_trial()
        return job if job is not None else self._next_confirmation()

    def _next_trial(self) -> Job | None:
        if self._breeder is not None:
            last_call = self._time.is_last_call(self._breeder.steps_left)
            return self._breeder.next_job(self._room.jobs, last_call=last_call)
        self._end_the_stopped()
        job = self._room.next(self._time.must_run_to_its_end)
        if job is None and self._may_begin_another:
            return self.study.ask()
        # A driver may ask in advance. It could have to stop a trial that it only holds ready.
        if job is None and len(self._running) < self.slots:
            return self._room.best()
        return job

    def _next_confirmation(self) -> Job | None:
        """The next replicate to confirm; while search trials run, only one of the first setting.

        The first setting is always confirmed, so no slot idles until the last search trial ends.
        """
        searched = self._searched
        self._desk.review(searched)
        return self._desk.next(
            self._time.left, self.slots, only=FIRST_SETTING if searched else None
        )

    def _start(self, job: Job) -> bool:
        """Begin a trial or resume it; False if its stored reports end or pause it at once."""
        paused = self._room.leave(job.name)
        stored = [] if paused else self.trials[job.name].reports()
        self.trials[job.name].describe(description(job))
        trial = self._running[job.name] = paused or RunningTrial(job)
        for observer in self._observers:
            observer.trial_started(job, resumed=bool(paused or stored))
        for result in stored:  # a killed driver may not have passed them on
            self._take_in(trial, result)
        trial.undecided = trial.undecided and not paused
        if not stored or stored[-1].outcome:
            return True
        if trial.behind:
            self._end(trial, trial.ends_with(stored[-1], "pruned"))
        elif self._has_to_wait(trial):
            self._end(trial, trial.ends_with(stored[-1], "interrupted", paused=True))
        return job.name in self._running

    # ---------------------------------------------------------------- a report

    def reported(self, name: str, result: Result) -> bool:
        """Note a report; returns whether the trial stops now. A known step changes nothing."""
        trial = self._running.get(name)
        if trial is None:
            return True  # it has ended already
        news = self._take_in(trial, result)
        self._end_the_stopped()
        outcome = result.outcome or self._verdict(trial)
        if news and outcome is None:
            outcome = self._breeders_verdict(trial)
        if outcome is None:
            return False
        # Paused trials resume on their own, also one paused at the end of the search time if the
        # confirmation needs less.
        paused = (outcome, trial.job.kind) == ("interrupted", "search") and not self.stop_requested
        self._end(trial, trial.ends_with(result, outcome, paused=paused))
        return True

    def _take_in(self, trial: RunningTrial, result: Result) -> bool:
        """Note a report and pass it on; False if the step is known."""
        job, before = trial.job, trial.step
        if not trial.hear(result, self._books.further(result)):
            return False
        self._time.hear_pace(result.seconds, result.step - before)
        if result.outcome != "failed":
            if job.kind == "search":
                self._judge(trial, result)
                trial.undecided = self._room.is_undecided(job, before, result.step)
            grid = self.trials[job.name].grid(result.step)
            for observer in self._observers:
                observer.trial_reported(job, result, grid)
        return True

    def _judge(self, trial: RunningTrial, result: Result) -> None:
        """Pass on a search trial's report, and note whether the trial has to stop."""
        job = trial.job
        self._books.report(job, result)
        if self._breeder is not None and not job.replicate:
            self._breeder.hear(job.setting, result.step, result.value)
        behind = self._books.is_behind(trial, result, self.rule)
        trial.behind = behind and not self.study.is_compared_with(job.setting)

    def _verdict(self, trial: RunningTrial) -> Outcome | None:
        """The outcome that the search gives a trial at its report, None if it continues."""
        if self.stop_requested:
            return "interrupted"
        if trial.job.kind == "confirmation":
            return "interrupted" if self._time.left <= 0 else None
        if trial.behind:
            return "pruned"
        gives_way = self._time.search_is_over or self._has_to_wait(trial)
        return "interrupted" if gives_way else None

    def _breeders_verdict(self, trial: RunningTrial) -> Outcome | None:
        if self._breeder is None or trial.job.kind == "confirmation":
            return None
        if self._time.is_last_call(self._breeder.steps_left):
            return None
        crowded = len(self._running) >= self.slots
        setting = trial.job.setting
        return self._breeder.verdict(setting, trial.step, self._room.jobs, crowded=crowded)

    def _has_to_wait(self, trial: RunningTrial) -> bool:
        if not trial.undecided or self._time.must_run_to_its_end(trial):
            return False
        return self._room.has_to_wait(trial, may_begin_another=self._may_begin_another)

    # ---------------------------------------------------------------- an ending

    def failed(self, name: str, error: str) -> None:
        """Note that a trial's worker is permanently lost."""
        if (trial := self._running.get(name)) is not None:
            self._end(trial, trial.fails(error))

    def sweep(self) -> None:
        """End running trials as interrupted: the next command resumes them first."""
        self._time.note(now=True)
        for trial in [*self._running.values(), *self._room.paused]:
            self._end(trial, trial.ends_as_it_is("interrupted"))

    def _end_the_stopped(self) -> None:
        """End the waiting trials that the stopping rule stops, now that it can judge them."""
        for trial in self._room.stopped():
            self._end(trial, trial.ends_as_it_is("pruned"))

    def _end(self, trial: RunningTrial, ending: Ending) -> None:
        """Store an ending, then notify the study, the confirmation and the observers."""
        job = trial.job
        self._running.pop(job.name, None)
        self._room.leave(job.name)
        if ending.paused:
            self._room.pause(trial)
        if ending.is_final:
            if self._breeder is not None and job.kind == "search":
                self._breeder.ends(job.setting, ending.step, ending.outcome)
            self.trials[job.name].close(ending)
            if job.lineage:
                self.trials[job.name].delete_inherited()
        if ending.outcome in ("completed", "interrupted") and trial.steps:
            last = job.config.steps if ending.outcome == "completed" else trial.step
            self._desk.hear_length(job, trial.seconds, last)
        if (following := self._books.end(job, ending)) is not None:
            self._room.put_first(following)
        self._desk.hear_end(job, ending)
        if self._time.is_limited:
            self._desk.review(self._searched)
        for observer in self._observers:
            observer.trial_ended(job, ending)

    # ---------------------------------------------------------------- queries, without any effect

    @property
    def running(self) -> list[Job]:
        """The jobs that run now."""
        return [trial.job for trial in self._running.values()]

    @property
    def seconds_used(self) -> float:
        """Wall time spent on this search by all commands so far."""
        return self._time.used

    @property
    def seconds_left(self) -> float:
        """Seconds left of the time budget; infinite without one."""
        return self._time.left

    def standings(self) -> list[Standing]:
        """The standings of the confirmed settings, best first."""
        return self._desk.standings(self._searched)

    @property
    def _searched(self) -> set[int]:
        """The settings that the search trains now."""
        return {job.setting for job in self.running if job.kind == "search"}

    @property
    def _may_begin_another(self) -> bool:
        return self.study.proposed() < self.space.budget.trials


def time_budget(space: SearchSpace, slots: int) -> TimeBudget:
    """How the time of a search over a space is divided, where so many trials run at a time."""
    share = space.confirm.share if space.confirm.top else 0.0
    return TimeBudget.of(space.budget.minutes, share, slots)
