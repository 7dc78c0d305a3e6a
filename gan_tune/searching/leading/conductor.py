"""The conductor of one search: which trial runs next, which one stops, who hears of it.

It knows nothing of Ray: a driver asks :meth:`Conductor.next_job`, hands results to
:meth:`Conductor.reported` and stops trials as it says. Everything that must outlive the process is
in the Optuna study and the trials' folders before anyone else hears of it.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import heapreplace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import optuna

from gan_tune.searching.leading.jobs import Job, lineage_tree
from gan_tune.searching.rules.confirmation import Confirmation, Standing, candidates
from gan_tune.searching.rules.replicates import Replicates
from gan_tune.searching.rules.stopping import StoppingRule
from gan_tune.searching.study.study import FIRST_SETTING, Study, lower_is_better
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import TrialName, is_confirmation
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import ENDINGS, Outcome

if TYPE_CHECKING:
    from gan_tune.searching.populations.breeding import Breeder

__all__ = ["Conductor", "Next", "Observer", "stored_standings"]


CLOSING_SECONDS = 2.0
"""So long before the time of the search can end, workers begin to keep the weights of all reports.

A report is on its way for less.
"""

LAST_CALL = 1.25
"""So many times what the last steps, or the confirmation, should take is left of a time budget."""


class Next(Enum):
    """What a driver does that got no job."""

    WAIT = "wait"
    DONE = "done"


class Observer(Protocol):
    """Hears what happens to trials, in order. Must not block."""

    def trial_started(self, job: Job, *, resumed: bool) -> None: ...
    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None: ...
    def trial_ended(self, job: Job, ending: Ending) -> None: ...


@dataclass
class _Running:
    job: Job
    steps: set[int] = field(default_factory=set)
    best: float | None = None
    further: Mapping[str, float] = field(default_factory=dict)
    symptoms: Sequence[str] = ()
    looked_at: float | None = None  # what the stopping rule has heard last
    behind: bool = False
    undecided: bool = False
    seconds: float = 0.0

    @property
    def step(self) -> int:
        return max(self.steps, default=self.job.first_step)


class Conductor:
    """Leads a search from its first proposal to the last confirmation.

    Args:
        study: what was proposed and told.
        storage: the search's folder.
        rule: the stopping rule; it is brought up to date from the study's reports.
        breeder: keeps a population, where trials go on from each other's weights; default none.
        observers: who hears of trials.
        slots: how many trials run at a time, to guess how long the confirmation takes.
        limit: no more trials than this are ever handed out at a time; default no limit.
        clock: seconds, only differences count.
    """

    def __init__(
        self,
        study: Study,
        storage: Storage,
        rule: StoppingRule,
        *,
        breeder: Breeder | None = None,
        observers: Sequence[Observer] = (),
        slots: int = 1,
        limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.storage, self.rule, self._breeder = study, storage, rule, breeder
        self.space = study.space
        self.trials = TrialFolders(storage)
        self.slots, self._limit = slots, limit
        self._observers = observers
        self._clock = clock
        self._started = clock()
        self._seconds_before = study.seconds_used
        self._seconds_told = self._started
        self._running: dict[str, _Running] = {}
        self._bests: dict[int, float] = {}  # setting → best so far of what the rule looks at
        self._paused: dict[str, _Running] = {}  # of those that wait, what this command has heard
        self._full_length: dict[int, float] = {}  # setting → seconds that a full trial takes
        self._pace = 0.0  # seconds that the last report took for each step
        self._chosen: list[int] | None = None
        self._confirms = False  # whether the search has given way to the confirmation
        self.stop_requested = False
        seeds, mode = self.space.search.seeds, self.space.objective.mode
        self.confirmation = Confirmation(seeds=self.space.confirm.seeds, mode=mode, first=seeds)
        self._replicates = Replicates(seeds=seeds, steps=self.space.budget.steps, mode=mode)
        unfinished = study.unfinished()
        if seeds > 1:
            self._recall_replicates(but={job.setting for job in unfinished})
        self._waiting = [job for job in map(self._taken_up, unfinished) if job is not None]
        self._bring_rule_up_to_date()
        self._recall_confirmations()

    # ---------------------------------------------------------------- what runs next

    def next_job(self) -> Job | Next:
        """The job to start now, or whether to wait for running ones or to end."""
        self._remember_time()
        if self._limit is not None and len(self._running) >= self._limit:
            return Next.WAIT
        while not self.stop_requested and (job := self._choose()) is not None:
            if self._start(job):
                return replace(job, pause_steps=self._pause_steps(job), closing=self._closing(job))
        return Next.WAIT if self._running else Next.DONE

    def _choose(self) -> Job | None:
        self._confirms = self._confirms or self.search_time_is_up
        if self._confirms and (job := self._next_confirmation()) is not None:
            return job
        if self._confirms and not self._is_time_left_over:
            return None
        job = self._next_trial()
        return job if job is not None else self._next_confirmation()

    @property
    def _is_time_left_over(self) -> bool:
        """Whether the confirmation has left enough to try a setting more, and to confirm it."""
        longest = max(self._full_length.values(), default=0.0)
        confirming = _makespan([longest] * self.space.confirm.seeds, self.slots)
        enough = self.seconds_left > LAST_CALL * (longest + confirming)
        return enough and not self.search_time_is_up

    def _next_trial(self) -> Job | None:
        if self._breeder is not None:
            return self._breeder.next_job(self._waiting, last_call=self._is_last_call)
        self._end_who_waited_in_vain()
        job = self._next_waiting()
        if job is None and self._is_any_new:
            return self.study.ask()
        # A driver may ask in advance, but whom it holds ready can no longer be stopped in vain.
        if job is None and self._waiting and len(self._running) < self.slots:
            job = min(self._waiting, key=self._place)
        if job is not None:
            self._waiting.remove(job)
        return job

    @property
    def _is_any_new(self) -> bool:
        return self.study.proposed() < self.space.budget.trials

    # A trial that the stopping rule cannot judge yet waits at its rung, and others run meanwhile.

    def _next_waiting(self) -> Job | None:
        """Who need not wait any longer, or can only just run to its end in time."""
        free = next((job for job in self._waiting if not self._is_held(job)), None)
        if free is None and self._waiting:
            best = min(self._waiting, key=self._place)
            return best if self._must_go_on(self._paused[best.name]) else None
        return free

    def _is_held(self, job: Job) -> bool:
        paused = self._paused.get(job.name)
        return paused is not None and paused.undecided and self.rule.undecided(job.setting)

    def _place(self, job: Job) -> tuple[int, float]:
        """The most advanced of those who wait come first, and of those the best."""
        return self._standing(self._paused[job.name])

    def _standing(self, running: _Running) -> tuple[int, float]:
        sign = 1.0 if self.space.pruned_by.mode == "min" else -1.0
        value = running.looked_at
        return -running.step, math.inf if value is None else sign * value

    def _end_who_waited_in_vain(self) -> None:
        for job in [job for job in self._waiting if job.name in self._paused]:
            running = self._paused[job.name]
            if running.undecided and not self._is_held(job) and self.rule.behind(job.setting):
                self._waiting.remove(job)
                self._end(running, self._left_as("pruned", running))

    def _has_to_wait(self, running: _Running) -> bool:
        if not running.undecided or self._must_go_on(running):
            return False
        mine = self._standing(running)
        return self._is_any_new or any(
            not self._is_held(job) or self._place(job) < mine for job in self._waiting
        )

    def _must_go_on(self, running: _Running) -> bool:
        """Whether a trial must go on from here to reach its end within the time of the search.

        Never in the first half of that time: a trial that takes longer cannot reach its end, and
        were it let through at once, whatever comes first would be trained and few others tried.
        """
        minutes = self.space.budget.minutes
        if minutes is None:
            return False
        steps, done = running.job.config.steps, running.step - running.job.first_step
        seconds = running.seconds * (steps - running.step) / max(1, done)
        kept = self._confirmation_seconds(60 * minutes)
        return self.seconds_left - kept <= min(LAST_CALL * seconds, (60 * minutes - kept) / 2)

    def _pause_steps(self, job: Job) -> tuple[int, ...]:
        """The reports at which a trial may have to wait."""
        spared = self.study.is_compared_with(job.setting)
        if job.kind == "confirmation" or job.replicate or spared:
            return ()
        reports = job.config.report_steps
        return tuple(reports[bisect_left(reports, rung)] for rung in self.rule.rungs(job.setting))

    def _next_confirmation(self) -> Job | None:
        """The next replicate to confirm; while search trials still run, the first setting's only.

        Those are needed whatever comes, so no slot idles until the last search trial has ended.
        """
        searching = any(running.job.kind == "search" for running in self._running.values())
        self._consider()
        too_long = []
        while chosen := self.confirmation.next(only=FIRST_SETTING if searching else None):
            if self._in_time(chosen[0]):
                break
            too_long.append(chosen)
        for setting, replicate in too_long:
            self.confirmation.hand_back(setting, replicate)
        return None if chosen is None else self.study.job(*chosen)

    def _consider(self) -> None:
        self.confirmation.consider(self._candidates())

    def _candidates(self) -> list[int]:
        """Whom to confirm: the top, then whoever else has confirmed values, of earlier commands.

        So a search that is extended forgets no champion.
        """
        top = self._top()
        return [*top, *(setting for setting in self.confirmation.known() if setting not in top)]

    def _top(self) -> list[int]:
        """The search's best, looked up anew once a setting has ended: each report asks for it."""
        top = self.space.confirm.top
        if top and self._chosen is None:
            busy = {r.job.setting for r in self._running.values() if r.job.kind == "search"}
            still = [s for s in self.study.settings() if s.number not in busy]
            self._chosen = candidates(
                still,
                top=top,
                mode=self.space.objective.mode,
                replicated=self.space.search.seeds > 1,
            )
        return self._chosen or []

    def _in_time(self, setting: int) -> bool:
        """Whether a replicate can be expected to end in time.

        The first setting, which is only there to compare with, leaves the others theirs.
        """
        kept = 0.0
        if setting == FIRST_SETTING:
            others = [other for other in self._candidates() if other != FIRST_SETTING]
            missing = {other: self.confirmation.to_begin(other) for other in others}
            kept = sum(n * self._expected_seconds(other) for other, n in missing.items())
        return self._expected_seconds(setting) + kept / self.slots <= self.seconds_left

    def _expected_seconds(self, setting: int) -> float:
        """How long a replicate takes, by the setting's own trial; 0 where nothing is known."""
        if setting not in self._full_length:
            self._full_length[setting] = self._stored_length(setting)
        return self._full_length[setting] or max(self._full_length.values())

    def _stored_length(self, setting: int) -> float:
        """By the reports of earlier commands, 0 where there are none."""
        job = self.study.job(setting, 0)
        stored = self.trials[job.name].reports()
        ended = any(result.outcome == "completed" for result in stored)
        last = job.config.steps if ended else max((result.step for result in stored), default=0)
        seconds = sum(result.seconds for result in stored)
        return _full_length(job, seconds, last)

    def _bring_rule_up_to_date(self) -> None:
        """Have the stopping rule hear of the reports of earlier commands.

        But of the last one of a trial that goes on: the rule decides on that, knowing all others,
        when the trial is taken up, as a kill may have come before its decision was stored.
        """
        told = list(self._reports())
        going_on = {job.setting for job in self._waiting if not job.replicate}
        last = {setting: step for setting, step, _ in told if setting in going_on}
        for setting, step, value in told:
            if step != last.get(setting):
                self.rule.decide(setting, step, value)

    def _reports(self) -> Iterator[tuple[int, int, float | None]]:
        """(setting, step, value that the stopping rule looks at), each setting's in their order."""
        if self.space.pruned_by == self.space.objective:
            yield from self.study.reports()
            return
        for setting in range(self.study.proposed()):
            for result in self.trials[self.study.job(setting, 0).name].reports():
                yield setting, result.step, self._pruned_by(setting, result)

    def _recall_replicates(self, *, but: Set[int]) -> None:
        """The curves of earlier commands' replicates, from the trials' folders.

        Settings that are taken up are told of as they are, one replicate after the other.
        """
        for name in self.trials.names():
            described = self.trials[name].description()
            if described is None or is_confirmation(name) or described["setting"] in but:
                continue
            setting, replicate = described["setting"], described["replicate"]
            for result in self.trials[name].reports():
                self._replicates.reported(setting, replicate, result.step, result.best)
            ending = self.trials[name].ending()
            if ending is not None and ending.outcome == "completed":
                self._replicates.ended(setting, replicate, ending.value)

    def _recall_confirmations(self) -> None:
        """What earlier commands confirmed, from the trials' folders."""
        for setting, replicate, value in stored_confirmations(self.trials):
            self.confirmation.record(setting, replicate, value)

    def _start(self, job: Job) -> bool:
        """Begin a trial or take it up; False if by its stored reports it has fallen behind."""
        paused = self._paused.pop(job.name, None)
        stored = [] if paused else self.trials[job.name].reports()
        self.trials[job.name].describe(_described(job))
        running = self._running[job.name] = paused or _Running(job)
        for observer in self._observers:
            observer.trial_started(job, resumed=bool(paused or stored))
        for result in stored:  # a killed driver may have told nobody of them
            self._take_in(running, result)
        running.undecided = running.undecided and not paused
        if not stored or stored[-1].outcome:
            return True
        if self._is_pruned(running):
            self._end(running, self._ending(running, "pruned", stored[-1]))
        elif self._has_to_wait(running):
            self._end(running, self._ending(running, "interrupted", stored[-1], paused=True))
        else:
            return True
        return False

    # ---------------------------------------------------------------- what is heard

    def reported(self, name: str, result: Result) -> bool:
        """Hear a report; whether the trial stops now. A step heard before changes nothing."""
        running = self._running.get(name)
        if running is None:
            return True  # it has ended already
        news = self._take_in(running, result)
        self._end_who_waited_in_vain()
        outcome = result.outcome or self._verdict(running)
        if news and outcome is None:
            outcome = self._breeders_verdict(running)
        if outcome is None:
            return False
        # Who makes room or waits goes on by itself; so does who the end of the time cuts off,
        # should the confirmation turn out to need less of it.
        out_of_time = outcome == "interrupted" and running.job.kind == "search"
        paused = out_of_time and not self.stop_requested
        ending = self._ending(running, outcome, result, paused=paused)
        self._end(running, ending)
        return True

    def _ending(
        self, running: _Running, outcome: Outcome, result: Result, *, paused: bool = False
    ) -> Ending:
        return Ending(
            outcome,
            result.best,
            result.step,
            result.error,
            result.symptoms,
            running.further,
            paused=paused,
        )

    def _left_as(self, outcome: Outcome, running: _Running) -> Ending:
        """The end of a trial that is not running at the moment."""
        return Ending(
            outcome,
            running.best,
            running.step,
            symptoms=running.symptoms,
            further=running.further,
        )

    def failed(self, name: str, error: str) -> None:
        """Hear that a trial's worker is lost for good."""
        if (running := self._running.get(name)) is not None:
            further = running.further
            ending = Ending("failed", running.best, running.step, error, further=further)
            self._end(running, ending)

    def sweep(self) -> None:
        """End what still runs as interrupted: the next command takes it up first."""
        self._remember_time(now=True)
        for running in [*self._running.values(), *self._paused.values()]:
            self._end(running, self._left_as("interrupted", running))

    def _take_in(self, running: _Running, result: Result) -> bool:
        """Whether the step was not heard before."""
        job = running.job
        if result.value is not None and result.value == result.best != running.best:
            running.further = self._further(result)
        running.best, running.symptoms = result.best, result.symptoms
        if result.step in running.steps:
            return False
        before = running.step
        self._pace = result.seconds / max(1, result.step - before)
        running.steps.add(result.step)
        running.seconds += result.seconds
        if result.outcome != "failed":
            if job.kind == "search":
                running.behind = self._judge(running, result)
                running.undecided = self._is_undecided(job, before, result.step)
            grid = self.trials[job.name].grid(result.step)
            for observer in self._observers:
                observer.trial_reported(job, result, grid)
        return True

    def _judge(self, running: _Running, result: Result) -> bool:
        """Whether a trial of the search has fallen behind with this report."""
        job = running.job
        self._tell(job, result)
        if job.replicate:
            several = len(self.space.objectives) > 1
            if several and self.space.search.prune_on != self.space.objective.metric:
                return False
            return self._replicates.behind(job.setting, job.replicate, result.step)
        if self._breeder is not None:
            self._breeder.hear(job.setting, result.step, result.value)
        # Of every report, as a rule that is made anew is told them all.
        running.looked_at = self._pruned_by(job.setting, result)
        return self.rule.decide(job.setting, result.step, running.looked_at)

    def _is_undecided(self, job: Job, before: int, step: int) -> bool:
        """Whether a trial has just come to a rung where it cannot be judged yet."""
        if job.replicate or self.study.is_compared_with(job.setting):
            return False
        reached = any(before < rung <= step for rung in self.rule.rungs(job.setting))
        return reached and self.rule.undecided(job.setting)

    def _tell(self, job: Job, result: Result) -> None:
        """Tell what a trial of the search reported; of later replicates the study hears the end."""
        self._replicates.reported(job.setting, job.replicate, result.step, result.best)
        if not job.replicate:
            self.study.report(job.setting, result.step, result.best)

    def _pruned_by(self, setting: int, result: Result) -> float | None:
        """The best so far of the objective that the stopping rule looks at."""
        objective = self.space.pruned_by
        if objective == self.space.objective:
            return result.best
        value = result.scalars.get(objective.metric, math.nan)
        best = self._bests.get(setting)
        if math.isfinite(value) and (best is None or objective.better(value, best)):
            self._bests[setting] = value
        return self._bests.get(setting)

    def _further(self, result: Result) -> dict[str, float]:
        """The objectives beside the first, as a report has them."""
        metrics = [objective.metric for objective in self.space.objectives[1:]]
        return {metric: result.scalars[metric] for metric in metrics if metric in result.scalars}

    def _further_means(self, setting: int, replicates: int) -> list[float | None]:
        """The objectives beside the first, each as the mean of a setting's replicates."""
        if len(self.space.objectives) == 1:
            return []
        names = [self.study.job(setting, replicate).name for replicate in range(replicates)]
        endings = [self.trials[name].ending() for name in names]
        found = [ending.further if ending else {} for ending in endings]
        metrics = [objective.metric for objective in self.space.objectives[1:]]
        means = [fmean(each.get(metric, math.nan) for each in found) for metric in metrics]
        return [mean if math.isfinite(mean) else None for mean in means]

    def _verdict(self, running: _Running) -> Outcome | None:
        if self.stop_requested:
            return "interrupted"
        if running.job.kind == "confirmation":
            return "interrupted" if self.seconds_left <= 0 else None
        if self._is_pruned(running):
            return "pruned"
        pauses = self.search_time_is_up or self._has_to_wait(running)
        return "interrupted" if pauses else None

    def _is_pruned(self, running: _Running) -> bool:
        return running.behind and not self.study.is_compared_with(running.job.setting)

    def _breeders_verdict(self, running: _Running) -> Outcome | None:
        if self._breeder is None or running.job.kind == "confirmation":
            return None
        crowded = len(self._running) >= self.slots
        setting = running.job.setting
        if self._is_last_call:
            return None
        return self._breeder.verdict(setting, running.step, self._waiting, crowded=crowded)

    def _end(self, running: _Running, ending: Ending) -> None:
        job = running.job
        self._running.pop(job.name, None)
        self._paused.pop(job.name, None)
        if ending.paused:
            self._waiting.append(job)
            self._paused[job.name] = running
        if ending.outcome in ENDINGS:
            self._leave_population(job, ending)
            self.trials[job.name].write_ending(ending)
            if ending.outcome != "completed":
                self.trials[job.name].delete_checkpoint()
            if job.lineage:
                self.trials[job.name].delete_inherited()
        if ending.outcome in ("completed", "interrupted") and running.steps:
            last = job.config.steps if ending.outcome == "completed" else running.step
            self._full_length[job.setting] = _full_length(job, running.seconds, last)
        self._settle(job, ending)
        for observer in self._observers:
            observer.trial_ended(job, ending)

    def _leave_population(self, job: Job, ending: Ending) -> None:
        if self._breeder is not None and job.kind == "search":
            self._breeder.ends(job.setting, ending.step, ending.outcome)

    def _settle(self, job: Job, ending: Ending) -> None:
        over = ending.outcome in ENDINGS
        self._chosen = None
        if job.kind == "search":
            if over and (following := self._settled(job, ending)) is not None:
                self._waiting.insert(0, following)
        elif over:
            # What did not run to its end has no weights to register, whatever it once came to.
            value = ending.value if ending.outcome == "completed" else None
            self.confirmation.record(job.setting, job.replicate, value)
        else:
            self.confirmation.hand_back(job.setting, job.replicate)

    def _settled(self, job: Job, ending: Ending) -> Job | None:
        """Tell of a trial of the search that is over; its setting's next replicate, if any."""
        following = None
        setting, replicate = job.setting, job.replicate
        if ending.outcome == "completed":
            self._replicates.ended(setting, replicate, ending.value)
            following = self._replicates.next(setting)
        value = self._replicates.mean(setting)
        if ending.outcome == "completed" and replicate:
            steps = self._replicates.total_steps(replicate, ending.step)
            self.study.report(setting, steps, value)
        if self.space.search.seeds > 1:
            self.study.note_replicates(setting, self._replicates.values(setting))
        if following is not None:
            return self.study.job(setting, following)
        further = self._further_means(setting, replicate + 1)
        self.study.tell(setting, ending.outcome, value, further)
        return None

    # ---------------------------------------------------------------- taking up

    def _taken_up(self, job: Job) -> Job | None:
        """What of a setting is to go on; None if it is over.

        Tells what a killed driver stored but did not tell.
        """
        following: Job | None = job
        while following is not None:
            job = following
            for result in self.trials[job.name].reports():
                if result.outcome is None or result.outcome in ENDINGS:
                    self._tell(job, result)
            ending = self.trials[job.name].ending()
            if ending is None:
                return job
            self._leave_population(job, ending)
            following = self._settled(job, ending)
        return None

    # ---------------------------------------------------------------- time

    @property
    def seconds_used(self) -> float:
        """Wall time spent on this search by all commands so far."""
        return self._seconds_before + self._clock() - self._started

    @property
    def seconds_left(self) -> float:
        """What is left of the time budget, infinite without one."""
        minutes = self.space.budget.minutes
        return float("inf") if minutes is None else 60 * minutes - self.seconds_used

    @property
    def search_time_is_up(self) -> bool:
        """Whether what is left of the time budget is needed for the confirmation."""
        minutes = self.space.budget.minutes
        return minutes is not None and self.seconds_left <= self._confirmation_seconds(60 * minutes)

    def _closing(self, job: Job) -> float:
        """Seconds since 1970 from which on the time of the search may end with any report.

        A confirmation that is cut off counts for nothing, so its last weights are not kept.
        """
        minutes, confirm = self.space.budget.minutes, self.space.confirm
        if minutes is None or job.kind == "confirmation":
            return math.inf
        kept = 60 * minutes * confirm.share if confirm.top else 0.0
        return time.time() + self.seconds_left - kept - CLOSING_SECONDS

    @property
    def _is_last_call(self) -> bool:
        """Whether members of a population must go on to their end from here to reach it in time."""
        minutes = self.space.budget.minutes
        if minutes is None or self._breeder is None:
            return False
        left = self.seconds_left - self._confirmation_seconds(60 * minutes)
        return left <= LAST_CALL * self._pace * self._breeder.steps_left

    def _confirmation_seconds(self, budget: float) -> float:
        """What the confirmation needs of the time, at most its share."""
        if not self.space.confirm.top:
            return 0.0
        share = self.space.confirm.share * budget
        self._consider()
        lengths = {setting: self._expected_seconds(setting) for setting in self._candidates()}
        if not any(lengths.values()):
            return share
        if not any(map(self.confirmation.to_begin, lengths)):
            return 0.0  # those that run have their slots
        missing = [
            length
            for setting, length in lengths.items()
            for _ in range(self.confirmation.missing(setting))
        ]
        return min(share, LAST_CALL * _makespan(missing, self.slots))

    def _remember_time(self, now: bool = False) -> None:
        if now or self._clock() - self._seconds_told > 5:
            self._seconds_told = self._clock()
            self.study.seconds_used = self.seconds_used

    # ---------------------------------------------------------------- the end

    @property
    def running(self) -> list[Job]:
        """The jobs that run now."""
        return [running.job for running in self._running.values()]

    def standings(self) -> list[Standing]:
        """How the confirmed settings stand, best first."""
        self._consider()
        return self.confirmation.standings()


def _full_length(job: Job, seconds: float, last: int) -> float:
    """Seconds for all steps of a setting, of which its trial took so many until the step ``last``.

    One that patience has ended counts as of full length: its replicates will end early, too.
    """
    done = last - job.first_step
    return seconds * job.config.steps / done if done > 0 else 0.0


def _makespan(seconds: Sequence[float], slots: int) -> float:
    """How long tasks take where each goes to the slot that is free first (Graham 1969)."""
    ends = [0.0] * slots
    for each in sorted(seconds, reverse=True):
        heapreplace(ends, ends[0] + each)
    return max(ends)


def stored_confirmations(trials: TrialFolders) -> Iterator[tuple[int, int, float | None]]:
    """(setting, replicate, best value) of each confirming trial that has ended.

    None for one that did not run to its end.
    """
    for name in filter(is_confirmation, trials.names()):
        ending = trials[name].ending()
        if ending is not None:
            trial = TrialName.parse(name)
            completed = ending.outcome == "completed"
            yield trial.setting, trial.replicate, ending.value if completed else None


def stored_standings(storage: Storage, study: optuna.Study) -> list[Standing]:
    """How the settings stand that any command has confirmed so far, for onlookers."""
    stored = list(stored_confirmations(TrialFolders(storage)))
    confirmation = Confirmation(seeds=0, mode="min" if lower_is_better(study) else "max")
    for setting, replicate, value in stored:
        confirmation.record(setting, replicate, value)
    confirmation.consider([setting for setting, _, _ in stored])
    return confirmation.standings()


def _described(job: Job) -> dict[str, Any]:
    return {
        "trial": job.name,
        "setting": job.setting,
        "replicate": job.replicate,
        "config": job.config.tree(),
        "params": dict(job.params),
        "lineage": lineage_tree(job),
    }
