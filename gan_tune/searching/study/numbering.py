"""Finds the trials of a search's settings in Optuna's study, without needless passes over all."""

from __future__ import annotations

from collections.abc import Iterable, Set

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from gan_tune.searching.jobs import FIRST_SETTING, Setting
from gan_tune.searching.study.optuna_internals import id_of, trial_of_id
from gan_tune.searching.study.reading import is_own, own_trials, setting_of

__all__ = ["Numbering"]


class Numbering:
    """The numbers of a search's settings: a setting's number is its place among its own trials.

    A study only grows at its end, so what is new is added, and what has ended is read once. Passes
    over 10,000 trials would take longer than all else that the driver does for a trial.

    Args:
        study: Optuna's study; only this process may write to it.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._changed = self._repeated = False
        self._seen = 0
        self._look_through()

    def has_changed(self, *, repeated: bool = False) -> None:
        """Note that a trial was added; or (``repeated``) that one is no setting after all."""
        self._changed, self._repeated = True, self._repeated or repeated

    def handed_out(self, trial: Trial) -> None:
        """Note that a trial was handed out: a new one, or one that waited."""
        if id_of(trial) in self._waiting:
            self._waiting.discard(id_of(trial))
        elif trial.number == self._seen:
            self._add([trial_of_id(self._study, id_of(trial))])
            self._seen += 1
        else:
            self._changed = True

    def trial(self, setting: int) -> FrozenTrial:
        """The trial of a setting, as it is now.

        Raises:
            IndexError: no such setting.
        """
        return trial_of_id(self._study, self._known()[setting])

    @property
    def count(self) -> int:
        """How many settings there are, with those that wait to be handed out."""
        return len(self._known())

    @property
    def waiting(self) -> int:
        """How many decided settings wait to be handed out."""
        self._known()
        return len(self._waiting)

    @property
    def proposed(self) -> int:
        """How many settings have been handed out."""
        return self.count - self.waiting

    def number(self, trial: Trial) -> int:
        """The number of the setting that a trial is."""
        return self._known().index(id_of(trial))

    def settings(self) -> list[Setting]:
        """Every setting handed out, in order."""
        trials = self._study.get_trials(deepcopy=False)
        return [
            self._ended.get(number) or self._setting(number, trials[self._places[number]])
            for number, key in enumerate(self._known())
            if key not in self._waiting
        ]

    def counting(self, without: Set[int]) -> list[Setting]:
        """The settings that have completed or not ended, in order, and the first one in any case.

        ``without`` are the numbers of those that are left out.
        """
        known = self._known()
        wanted = [
            number
            for number in self._may_count
            if number not in without and known[number] not in self._waiting
        ]
        found = (self._ended.get(number) or self._setting(number) for number in wanted)
        return [setting for setting in found if setting.number in self._may_count]

    def _setting(self, number: int, trial: FrozenTrial | None = None) -> Setting:
        """A setting; one that has ended is read once, since it no longer changes."""
        trial = trial or trial_of_id(self._study, self._ids[number])
        known = setting_of(number, trial)
        if trial.state.is_finished():
            self._ended[number] = known
            if known.outcome != "completed" and number != FIRST_SETTING:
                self._may_count.pop(number, None)
        return known

    def _known(self) -> list[int]:
        if self._repeated:
            self._look_through()
        elif self._changed:
            self._changed = False
            trials = self._study.get_trials(deepcopy=False)
            self._add(trial for trial in trials[self._seen :] if is_own(trial))
            self._seen = len(trials)
            self._waiting -= {
                key
                for key in self._waiting
                if trial_of_id(self._study, key).state != TrialState.WAITING
            }
        return self._ids

    def _look_through(self) -> None:
        self._ids: list[int] = []
        self._places: list[int] = []
        self._waiting: set[int] = set()
        self._ended: dict[int, Setting] = {}
        self._may_count: dict[int, None] = {}  # in the order of their numbers
        self._add(own_trials(self._study))
        self._seen = len(self._study.get_trials(deepcopy=False))
        self._changed = self._repeated = False

    def _add(self, trials: Iterable[FrozenTrial]) -> None:
        for trial in trials:
            self._may_count[len(self._ids)] = None
            self._ids.append(id_of(trial))
            self._places.append(trial.number)
            if trial.state == TrialState.WAITING:
                self._waiting.add(id_of(trial))
