"""Stores a population in a study and the trials' folders, so that it can be rebuilt from both.

A fork is stored in this order: the weights in its folder, the setting in the study, the end of the
setting that it replaces. If the process is killed between two of these, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gan_tune.searching.jobs import Fork, Job
from gan_tune.searching.populations.population import Population
from gan_tune.searching.study.seeds import derived_seed
from gan_tune.searching.study.study import Study
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import setting_name
from gan_tune.storage.trial_records import Ending
from gan_tune.words.outcomes import Outcome

__all__ = ["Breeder"]


class Breeder:
    """Decides for a conductor which trial of a population runs next, and which one is replaced.

    It is a :class:`~gan_tune.searching.leading.protocols.TrialBreeder`.

    Args:
        study: of the search.
        trials: the folders of its trials.
        population: a new one, which has no members yet.
    """

    def __init__(self, study: Study, trials: TrialFolders, population: Population) -> None:
        self._study, self._trials, self._population = study, trials, population
        self._replaced: set[int] = set()
        self._unborn: set[int] = set()

    def resume(self) -> None:
        """Rebuild the population from the study and the trials' folders.

        An earlier command may have been killed after it stored a fork, but before it stored the end
        of the setting that the fork replaces. That end is stored now.
        """
        self._study.finish_proposals()
        forks = self._study.forks()
        settings = {setting.number: setting.outcome for setting in self._study.settings()}
        for number in sorted(settings.keys() | forks.keys()):
            fork, replaced = forks.get(number, (None, None))
            self._join(number, fork)
            for result in self._trials[setting_name(number)].reports():
                self._population.observe(number, result.step, result.value)
            self._note_end(number, settings.get(number))
            self._replaced |= set() if replaced is None else {replaced}
        self._unborn = forks.keys() - settings.keys()
        for setting in self._replaced:
            if settings[setting] is None:
                self._store_end(setting)
        self._clear()

    def next_job(self, paused: Sequence[Job], *, last_call: bool = False) -> Job | None:
        """The least advanced job that could run: a new setting or one of the ``paused``.

        At the ``last_call``, when little time is left, it is the best of the paused.
        """
        if last_call and paused:
            job = min(paused, key=lambda job: self._population.cost(job.setting))
        elif self._begins_next(paused):
            job = self._study.ask_founder() if self._founder_is_next() else self._study.ask()
            self._unborn.discard(job.setting)
            if job.setting not in self._population:
                self._join(job.setting)
        elif paused:
            job = min(paused, key=lambda job: (self._population.reached(job.setting), job.setting))
        else:
            return None
        return replace(job, ready_steps=self._population.ready_steps)

    def _begins_next(self, paused: Sequence[Job]) -> bool:
        """Whether a new setting begins, because none of the ``paused`` has fewer steps."""
        founder = self._founder_is_next()
        if not (founder or self._unborn):
            return False
        starts = 0 if founder else min(map(self._population.reached, self._unborn))
        reached = [self._population.reached(job.setting) for job in paused]
        return starts <= min(reached, default=starts)

    def _founder_is_next(self) -> bool:
        """Whether a setting that begins from scratch comes before the forks that wait."""
        return self._study.waiting() > len(self._unborn) or self._wants_founder()

    def observe(self, setting: int, step: int, value: float | None) -> None:
        """Note the current value of a setting."""
        self._population.observe(setting, step, value)

    def verdict(
        self, setting: int, step: int, paused: Sequence[Job], *, crowded: bool
    ) -> Outcome | None:
        """The outcome of a trial at a report, None if it continues.

        It is `pruned` if a fork replaces it, and `interrupted` if others run first. Others run
        first only if ``crowded``: no slot is free for them.
        """
        if step not in self._population.ready_steps:
            return None
        if self._population.is_behind(setting, step) and self._replace(setting, step):
            return "pruned"
        self._clear()
        others = self._unborn | {job.setting for job in paused}
        least = min(map(self._population.reached, others), default=step)
        gives_way = crowded and (least < step or self._wants_founder())
        return "interrupted" if gives_way else None

    def ends(self, setting: int, step: int, outcome: Outcome) -> None:
        """Note how a trial ends. Unless it completed, a fork replaces it if none has done so yet.

        A pruned one was replaced by its verdict, except if `gan-tune stop` pruned it.
        """
        self._note_end(setting, outcome)
        if outcome != "completed" and not self.is_replaced(setting):
            self._replace(setting, step)
        self._clear()

    @property
    def steps_left(self) -> int:
        """The steps that the least advanced member still has to train."""
        return self._population.steps_left

    def is_replaced(self, setting: int) -> bool:
        """Whether another setting has already replaced it."""
        return setting in self._replaced

    def _store_end(self, setting: int) -> None:
        """Store the end of a trial whose fork was stored before a kill."""
        trial = self._trials[setting_name(setting)]
        last = trial.last_report()
        ending = Ending("failed", None, 0)
        if last is not None:
            outcome = last.outcome or "pruned"
            ending = Ending(outcome, last.best, last.step, last.error, last.symptoms)
        if trial.ending() is None:
            trial.write_ending(ending)

    def _join(self, setting: int, fork: Fork | None = None) -> None:
        decided = fork.assignment if fork else self._study.assignment(setting)
        self._population.join(setting, decided, fork, spared=self._study.is_compared_with(setting))

    def _note_end(self, setting: int, outcome: Outcome | None) -> None:
        if outcome == "completed":
            self._population.complete(setting)
        elif outcome is not None:
            self._population.leave(setting)

    def _wants_founder(self) -> bool:
        return (
            self._population.missing > 0
            and self._study.count() < self._study.space.budget.most_trials
        )

    def _replace(self, setting: int, step: int) -> bool:
        """Add a waiting fork that replaces a setting; False if none can be made."""
        number, space = self._study.count(), self._study.space
        if number >= space.budget.most_trials:
            return False
        seed = derived_seed(space.search.seed, number, "fork")
        fork = self._population.fork(step, np.random.default_rng(seed))
        if fork is None:
            return False
        weights = self._trials[setting_name(fork.parent)].ready(fork.step)
        if weights is None:  # deleted by an earlier command, which had others
            return False
        self._trials[setting_name(number)].write_inherited(weights)
        self._study.add_fork(fork, replaces=setting)
        self._join(number, fork)
        self._replaced.add(setting)
        self._unborn.add(number)
        return True

    def _clear(self) -> None:
        for setting, step in self._population.discard():
            self._trials[setting_name(setting)].delete_ready(step)
