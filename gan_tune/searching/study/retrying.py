"""Lets a setting that has failed be trained again.

Optuna can reopen no trial. So a new one is added, with the same parameters, that takes the place of
the old one: it has its setting's number (:func:`~.reading.own_trials`), name and seed. The old one
stays in the study as failed. A sampler sees both; those that learn from trials skip failed ones.
"""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial

from gan_tune.searching.study.optuna_internals import running_copy
from gan_tune.searching.study.origins import ORIGIN
from gan_tune.searching.study.reading import RETRIES

__all__ = ["retry"]


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Add a running trial in the place of one that has ended; does nothing if it has not."""
    if not trial.state.is_finished():
        return
    origin = {key: value for key, value in trial.user_attrs.items() if key == ORIGIN}
    retries = trial.user_attrs.get(RETRIES, trial.number)
    study.add_trial(running_copy(trial, {**origin, RETRIES: retries}))
