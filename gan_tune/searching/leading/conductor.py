"""The conductor of one search decides which trial runs next and which one stops.

It does not depend on Ray. A driver takes jobs from :meth:`Conductor.next_job`, runs them, and
passes each report to :meth:`Conductor.reported`, which returns whether to stop the trial. All state
that must survive the process is stored in the Optuna study and the trials' folders before observers
are notified.

The conductor uses these modules:

    resuming        loads the state that earlier commands stored
    waiting_room    the trials that wait for their turn
    lost_trials     those whose worker was lost, until they go on
    confirming      which settings to confirm, and their replicates
    timekeeping     how much time is left; ``time_budget`` has the arithmetic, ``gpu_meter`` the
                    time of GPUs
    bookkeeping     passes reports and endings to Optuna and the stopping rule
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum

from gan_tune.searching.jobs import FIRST_SETTING, Job, description
from gan_tune.searching.leading.lost_trials import LostTrials
from gan_tune.searching.leading.protocols import Observer, Observers, TrialBreeder
from gan_tune.searching.leading.resuming import ResumedSearch
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.leading.time_budget import TimeBudget
from gan_tune.searching.leading.timekeeping import Timekeeper
from gan_tune.searching.leading.waiting_room import WaitingRoom
from gan_tune.searching.rules.confirmation import Standing
from gan_tune.searching.rules.faults import Fault
from gan_tune.searching.rules.stopping import StoppingRule
from gan_tune.searching.study.study import Study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import Outcome

__all__ = ["Conductor", "Next", "follow_cluster"]


class Next(Enum):
    """What a driver does if it gets no job."""

    WAIT = "wait"
    DONE = "done"


class Conductor:
    """Leads a search from its first proposal to the last confirmation.

    Only ``next_job``, ``reported``, ``lost`` and ``interrupt_all`` change or write anything.

    Args:
        study: the proposals and their results.
        storage: the search's folder.
        rule: the stopping rule.
        resumed: what `resuming.resume_search` returned for this ``rule`` and ``breeder``.
        breeder: keeps a population, whose trials continue from each other's weights; default none.
        observers: called when a trial starts, reports or ends.
        slots: how many trials can run at a time (:func:`follow_cluster`).
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
        self.slots, self.limit, self._observers = slots, limit, Observers(observers)
        self.stop_requested = False
        self._books = resumed.books
        self.confirmation, self._planner = resumed.confirmation, resumed.planner
        self.time = Timekeeper(study, time_budget(self.space, slots), self._planner, clock)
        self._room = WaitingRoom(rule, self.space.pruned_by, resumed.waiting)
        self.lost_trials = LostTrials(self.trials)
        self._running: dict[str, RunningTrial] = {}
        self._confirmation_begun = False

    # ---------------------------------------------------------------- the next job

    def next_job(self) -> Job | Next:
        """The job to start now, or whether to wait for running ones or to end."""
        self.time.note()
        if self.limit is not None and len(self._running) >= self.limit:
            return Next.WAIT
        next_job, has_time = self.lost_trials.next, self.time.is_left_for
        among = self._running.keys(), self.slots
        while not self.stop_requested and (job := next_job(self._choose, has_time, *among)):
            if self._start(job):
                after = self.time.always_store_after(job)
                return replace(
                    job, pause_steps=self._room.pause_steps(job), always_store_after=after
                )
        return Next.WAIT if self._running else Next.DONE

    def _choose(self) -> Job | None:
        """Search trials first, then confirming ones; then further search trials if time is left."""
        self._confirmation_begun = self._confirmation_begun or self.time.search_is_over
        if self._confirmation_begun and (job := self._next_confirmation()) is not None:
            return job
        if self._confirmation_begun and not self.time.allows_another:
            return None
        job = self._next_trial()
        return job if job is not None else self._next_confirmation()

    def _next_trial(self) -> Job | None:
        if self._breeder is not None:
            last_call = self.time.is_last_call(self._breeder.steps_left)
            return self._breeder.next_job(self._room.jobs, last_call=last_call)
        self._end_stopped_trials()
        job = self._room.next(self.time.must_run_to_its_end)
        if job is None and self._may_begin_another:
            return self.study.ask()
        # A driver may fetch jobs in advance. An unjudged trial is resumed for a free slot only.
        if job is None and len(self._running) < self.slots:
            return self._room.best()
        return job

    def _next_confirmation(self) -> Job | None:
        """The next replicate to confirm; while search trials run, only one of the first setting.

        It is confirmed in any case, so no slot idles until the last search trial ends.
        """
        searched = self._searched
        self._planner.review(searched)
        only = FIRST_SETTING if searched else None
        # What the search cannot use any more, the confirmation may.
        allowed = self.time.allowed_to_confirm if self._may_begin_another else math.inf
        return self._planner.next(self.time.left, self.slots, allowed=allowed, only=only)

    def _start(self, job: Job) -> bool:
        """Begin or resume a trial; False if its stored reports show that it must end or pause."""
        lost, paused = self.lost_trials.leave(job.name), self._room.leave(job.name)
        # A driver that was killed, or lost the worker, may not have passed on the last of them.
        stored = [] if paused else self.trials[job.name].reports()
        self.trials[job.name].describe(description(job))
        trial = self._running[job.name] = lost or paused or RunningTrial(job)
        self.time.hold(len(self._running))
        self._observers.trial_started(job, resumed=bool(lost or paused or stored))
        for result in stored:
            self._take_in(trial, result)
        trial.undecided = trial.undecided and not paused
        if not stored or stored[-1].outcome:
            return True
        if trial.behind:
            self._end(trial, trial.ending_at(stored[-1], "pruned"))
        elif self._has_to_wait(trial):
            self._end(trial, trial.ending_at(stored[-1], "interrupted", paused=True))
        return job.name in self._running

    # ---------------------------------------------------------------- a report

    def reported(self, name: str, result: Result) -> bool:
        """Note a report; returns whether the trial stops now. A known step changes nothing."""
        trial = self._running.get(name)
        if trial is None:
            return True  # the trial has ended already
        news = self._take_in(trial, result)
        self._end_stopped_trials()
        outcome = result.outcome or self._verdict(trial)
        if news and outcome is None:
            outcome = self._breeders_verdict(trial)
        if outcome is None:
            return False
        # A trial paused at the end of the search time goes on if the confirmation needs less of it.
        paused = (outcome, trial.job.kind) == ("interrupted", "search") and not self.stop_requested
        self._end(trial, trial.ending_at(result, outcome, paused=paused))
        return True

    def _take_in(self, trial: RunningTrial, result: Result) -> bool:
        """Note a report and pass it on; False if the step is known."""
        job, before = trial.job, trial.step
        if not trial.observe(result, self._books.further(result)):
            return False
        self.time.observe_pace(result.seconds, result.step - before)
        if result.outcome != "failed":
            if job.kind == "search":
                self._judge(trial, result)
                trial.undecided = self._room.is_undecided(job, before, result.step)
            self._observers.trial_reported(job, result, self.trials[job.name])
        return True

    def _judge(self, trial: RunningTrial, result: Result) -> None:
        """Pass on a search trial's report, and note whether the trial has to stop."""
        job = trial.job
        self._books.report(job, result)
        if self._breeder is not None and not job.replicate:
            self._breeder.observe(job.setting, result.step, result.value)
        trial.behind = self._books.is_behind(trial, result, self.rule)

    def _verdict(self, trial: RunningTrial) -> Outcome | None:
        """The outcome that the search gives a trial at its report, None if it continues."""
        if self.stop_requested:
            return "interrupted"
        if trial.job.kind == "confirmation":
            return "interrupted" if self.time.left <= 0 else None
        if trial.behind:
            return "pruned"
        must_pause = self.time.search_is_over or self._has_to_wait(trial)
        return "interrupted" if must_pause else None

    def _breeders_verdict(self, trial: RunningTrial) -> Outcome | None:
        breeder, job, crowded = self._breeder, trial.job, len(self._running) >= self.slots
        if breeder is None or job.kind == "confirmation":
            return None
        if self.time.is_last_call(breeder.steps_left):
            return None
        return breeder.verdict(job.setting, trial.step, self._room.jobs, crowded=crowded)

    def _has_to_wait(self, trial: RunningTrial) -> bool:
        if not trial.undecided or self.time.must_run_to_its_end(trial):
            return False
        return self._room.has_to_wait(trial, may_begin_another=self._may_begin_another)

    # ---------------------------------------------------------------- an ending

    def lost(self, name: str, fault: Fault) -> None:
        """Note what cut a trial off: it goes on later, is put aside, or has failed."""
        if (trial := self._running.get(name)) is not None:
            self._end(trial, self.lost_trials.take(trial, fault))

    def interrupt_all(self) -> None:
        """End running trials as interrupted: the next command resumes them first."""
        self.time.note(now=True)
        for trial in [*self._running.values(), *self._room.paused, *self.lost_trials.waiting]:
            self._end(trial, trial.ending_now("interrupted"))

    def _end_stopped_trials(self) -> None:
        """End the waiting trials that the stopping rule stops, now that it can judge them."""
        for trial in self._room.stopped():
            self._end(trial, trial.ending_now("pruned"))

    def _end(self, trial: RunningTrial, ending: Ending) -> None:
        """Store an ending, then notify the study, the confirmation and the observers."""
        job = trial.job
        self._running.pop(job.name, None)
        self.time.hold(len(self._running))
        self._room.leave(job.name)
        if not ending.is_lost:
            self.lost_trials.leave(job.name)
            if ending.paused:
                self._room.pause(trial)
        if ending.is_final:
            if self._breeder is not None and job.kind == "search":
                self._breeder.ends(job.setting, ending.step, ending.outcome)
            self.trials[job.name].close(ending)
            if job.lineage:
                self.trials[job.name].delete_inherited()
        self._planner.observe_time(job, ending, trial.seconds)
        if (following := self._books.end(job, ending)) is not None:
            self._room.put_first(following)
        self._planner.observe_end(job, ending)
        if self.time.is_limited:
            self._planner.review(self._searched)
        self._observers.trial_ended(job, ending)

    # ---------------------------------------------------------------- queries, without any effect

    @property
    def running(self) -> list[Job]:
        """The jobs that run now."""
        return [trial.job for trial in self._running.values()]

    @property
    def seconds_used(self) -> float:
        """Wall time spent on this search by all commands so far."""
        return self.time.used

    @property
    def seconds_left(self) -> float:
        """Seconds left of the time budget; infinite without one."""
        return self.time.left

    def standings(self) -> list[Standing]:
        """The standings of the confirmed settings, best first."""
        return self._planner.standings(self._searched)

    @property
    def _searched(self) -> set[int]:
        """The settings that the search trains now."""
        return {job.setting for job in self.running if job.kind == "search"}

    @property
    def _may_begin_another(self) -> bool:
        in_budget = self.study.proposed() < self.space.budget.most_trials
        return in_budget and not self.study.is_exhausted()


def follow_cluster(conductor: Conductor, slots: int) -> None:
    """Tell a conductor that so many trials can run at a time now, at least 1.

    What waits beyond them is what an autoscaler sees; a population decides at the last moment.
    """
    if conductor._breeder is not None:
        conductor.limit = slots
    conductor.slots = slots
    conductor.time.follow(slots)


def time_budget(space: SearchSpace, slots: int) -> TimeBudget:
    """The division of a search's time if ``slots`` trials run at a time."""
    share = space.confirm.share if space.confirm.top else 0.0
    return TimeBudget.of(space.budget.minutes, share, slots)
