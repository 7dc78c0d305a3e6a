"""Finds the trials of a search's settings in Optuna's study, without needless passes over all."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from gan_tune.searching.jobs import Setting
from gan_tune.searching.study.optuna_internals import id_of, trial_of_id
from gan_tune.searching.study.reading import own_trials, setting_of

__all__ = ["Numbering"]


class Numbering:
    """The numbers of a search's settings: a setting's number is its place among its own trials.

    A study is passed over once after each proposal. A search makes many more reports than
    proposals, and a pass over 10,000 trials takes a millisecond.

    Args:
        study: Optuna's study; only this process may write to it.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._ids: list[int] | None = None
        self._proposed = 0
        self._ended: dict[int, Setting] = {}

    def has_changed(self) -> None:
        """Note that a trial was added or handed out. Reports and endings change no number."""
        self._ids = None

    def trial(self, setting: int) -> FrozenTrial:
        """The trial of a setting, as it is now.

        Raises:
            IndexError: no such setting.
        """
        return trial_of_id(self._study, self._known()[setting])

    @property
    def proposed(self) -> int:
        """How many settings have been handed out."""
        self._known()
        return self._proposed

    def number(self, trial: Trial) -> int:
        """The number of the setting that a trial is."""
        return self._known().index(id_of(trial))

    def settings(self) -> list[Setting]:
        """Every setting handed out, in order."""
        numbered = enumerate(own_trials(self._study))
        return [self._setting(*each) for each in numbered if each[1].state != TrialState.WAITING]

    def _setting(self, number: int, trial: FrozenTrial) -> Setting:
        """A setting; one that has ended is read once, since it no longer changes."""
        known = self._ended.get(number)
        if known is None:
            known = setting_of(number, trial)
            if trial.state.is_finished():
                self._ended[number] = known
        return known

    def _known(self) -> list[int]:
        if self._ids is None:
            own = own_trials(self._study)
            self._ids = [id_of(trial) for trial in own]
            self._proposed = sum(trial.state != TrialState.WAITING for trial in own)
        return self._ids
