"""The trials that a worker lost, while they wait for another one.

They go on before all others, from their last checkpoint. One that may find another node lets some
others go first. One that was killed for memory waits until it can run alone. As many as there are
slots may wait so; then nothing else begins before them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from gan_tune.gan.checkpoint import step_of
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.rules.faults import Fault, Ruling, ruling_on, same_everywhere
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending

__all__ = ["LostTrials"]

OTHERS_FIRST = 3
"""How many other jobs begin before a trial that may find another node."""


class LostTrials:
    """Counts the faults of each trial since its last progress, and keeps those that wait.

    Args:
        trials: the folders, in which the last checkpoint shows how far a trial has come.
    """

    def __init__(self, trials: TrialFolders) -> None:
        self._trials = trials
        self._faults: dict[str, list[Fault]] = {}
        self._reached: dict[str, int] = {}
        self._kills: dict[str, int] = {}  # trial → times it was killed for memory
        self._again: dict[str, RunningTrial] = {}
        self._others_first: dict[str, int] = {}  # trial of `_again` → jobs that begin before it
        self._later: dict[str, RunningTrial] = {}
        self._alone: dict[str, RunningTrial] = {}
        self.aside: dict[str, str] = {}
        """The trials that this command tries no more → the reason. The next one continues them."""
        self._works = False
        self._first: dict[int, Fault] = {}  # setting → its last fault, before anything has worked

    def take(self, trial: RunningTrial, fault: Fault) -> Ending:
        """Note what cut a trial off, and let it wait if it is to be tried again."""
        ruling = self._ruling(trial, fault)
        if ruling.action == "failed":
            return trial.ending_as_failed(ruling.text)
        if ruling.action == "aside":
            self.aside[trial.job.name] = ruling.text
        else:
            waiting = {"later": self._later, "alone": self._alone}
            waiting.get(ruling.action, self._again)[trial.job.name] = trial
            if ruling.action == "elsewhere":
                self._others_first[trial.job.name] = OTHERS_FIRST
        return trial.ending_as_lost(ruling.text, goes_on=ruling.action != "aside")

    def _ruling(self, trial: RunningTrial, fault: Fault) -> Ruling:
        name = trial.job.name
        reached = max(trial.step, step_of(self._trials[name].checkpoint()))
        if reached > self._reached.get(name, -1):
            self._faults[name], self._reached[name] = [], reached
        self._faults[name].append(fault)
        self._kills[name] = self._kills.get(name, 0) + (fault.kind == "memory")
        here = sum(each.kind == "memory" for each in self._faults[name])
        self._works = (
            self._works
            or reached > 0
            or any(self._trials[each].report_steps() for each in self._trials.names())
        )
        self._first.pop(trial.job.setting, None)
        self._first = {} if self._works else {**self._first, trial.job.setting: fault}
        return ruling_on(self._faults[name], kills=self._kills[name] - here, works=self._works)

    @property
    def same_everywhere(self) -> str | None:
        """The fault for which the search should end, since nothing else has ever come of it."""
        return same_everywhere(self._first)

    def leave(self, name: str) -> RunningTrial | None:
        """Remove a trial that waits; returns its reports so far."""
        self._others_first.pop(name, None)
        places = (self._again, self._later, self._alone)
        return next((found for place in places if (found := place.pop(name, None))), None)

    @property
    def waiting(self) -> Sequence[RunningTrial]:
        """The trials that wait, in the order of their turn."""
        return (*self._again.values(), *self._later.values(), *self._alone.values())

    def next(
        self,
        otherwise: Callable[[], Job | None],
        has_time: Callable[[Job], bool],
        running: Collection[str],
        slots: int,
    ) -> Job | None:
        """The next job: a lost trial that ``has_time``, ``otherwise`` another, else one alone.

        ``running`` are the trials that run now, and ``slots`` as many as can.
        """
        if len(self._alone) < slots and not any(self._kills.get(name) for name in running):
            again = [*filter(has_time, (trial.job for trial in self._again.values()))]
            later = filter(has_time, (trial.job for trial in self._later.values()))
            first = (job for job in again if not self._others_first.get(job.name))
            job = next(first, None) or otherwise() or next(iter(again), None) or next(later, None)
            if job is not None:
                self._others_first = {
                    name: left - 1 for name, left in self._others_first.items() if left > 1
                }
                return job
        alone = (trial.job for trial in self._alone.values())
        return None if running else next(filter(has_time, alone), None)
