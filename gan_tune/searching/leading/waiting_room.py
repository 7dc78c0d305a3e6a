"""The trials that wait for their turn.

Some have not run in this command yet. Others were paused at a rung. While the stopping rule cannot
judge a paused trial, the trial is *held*, and other trials run instead.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from gan_tune.config import Objective
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.rules.stopping import StoppingRule

__all__ = ["WaitingRoom"]


class WaitingRoom:
    """Knows which trials wait, which are held, and which is next. Only three methods change it.

    Args:
        rule: the stopping rule; it is only queried here.
        objective: the objective that the rule uses.
        jobs: the jobs that wait at the start, in the order of their turn.
    """

    def __init__(
        self,
        rule: StoppingRule,
        objective: Objective,
        jobs: Iterable[Job] = (),
    ) -> None:
        self._rule, self._objective = rule, objective
        self._jobs = list(jobs)
        self._paused: dict[str, RunningTrial] = {}

    # ---------------------------------------------------------------- coming and going

    def pause(self, trial: RunningTrial) -> None:
        """Let a trial that ran wait behind all others."""
        self._jobs.append(trial.job)
        self._paused[trial.job.name] = trial

    def put_first(self, job: Job) -> None:
        """Let a job that has not run yet wait before all others."""
        self._jobs.insert(0, job)

    def leave(self, name: str) -> RunningTrial | None:
        """Remove a trial that waits. Returns its reports so far if it was paused."""
        self._jobs = [job for job in self._jobs if job.name != name]
        return self._paused.pop(name, None)

    # ---------------------------------------------------------------- where trials wait

    def pause_steps(self, job: Job) -> tuple[int, ...]:
        """The reports at which a trial may have to wait: the first one at or after each rung."""
        if job.kind == "confirmation" or job.replicate:
            return ()
        reports = job.config.report_steps
        return tuple(reports[bisect_left(reports, rung)] for rung in self._rule.rungs(job.setting))

    def is_undecided(self, job: Job, before: int, step: int) -> bool:
        """Whether a trial reached a rung between two reports at which it cannot be judged yet.

        The rule must have got the second report.
        """
        if job.replicate:
            return False
        reached = any(before < rung <= step for rung in self._rule.rungs(job.setting))
        return reached and self._rule.undecided(job.setting)

    # ---------------------------------------------------------------- who waits

    @property
    def jobs(self) -> Sequence[Job]:
        """All waiting jobs, in the order of their turn."""
        return tuple(self._jobs)

    @property
    def paused(self) -> Sequence[RunningTrial]:
        """The waiting trials that were paused."""
        return tuple(self._paused.values())

    def next(self, must_run: Callable[[RunningTrial], bool]) -> Job | None:
        """The first job that is not held; else the best, if it ``must_run`` to end in time."""
        free = next((job for job in self._jobs if not self._is_held(job)), None)
        best = self.best() if free is None else None
        return best if best is not None and must_run(self._paused[best.name]) else free

    def best(self) -> Job | None:
        """The most advanced held trial if all are held; the best of equally advanced ones."""
        return min(self._jobs, key=self._place, default=None)

    def has_to_wait(self, trial: RunningTrial, *, may_begin_another: bool) -> bool:
        """Whether a running trial that cannot be judged yet has to let others run first."""
        mine = self._standing(trial)
        return may_begin_another or any(
            not self._is_held(job) or self._place(job) < mine for job in self._jobs
        )

    def stopped(self) -> list[RunningTrial]:
        """The paused trials that the stopping rule can judge now and that it stops."""
        waiting = [self._paused[job.name] for job in self._jobs if job.name in self._paused]
        return [
            trial
            for trial in waiting
            if trial.undecided
            and not self._is_held(trial.job)
            and self._rule.behind(trial.job.setting)
        ]

    def _is_held(self, job: Job) -> bool:
        trial = self._paused.get(job.name)
        return trial is not None and trial.undecided and self._rule.undecided(job.setting)

    def _place(self, job: Job) -> tuple[int, float]:
        return self._standing(self._paused[job.name])

    def _standing(self, trial: RunningTrial) -> tuple[int, float]:
        value = trial.watched
        return -trial.step, math.inf if value is None else self._objective.cost(value)
