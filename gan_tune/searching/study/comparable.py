"""A study in which all settings of a search can be compared, and drawn by Optuna.

Every setting is drawn at its best value. A pruned setting is drawn at its best value so far. A
diverged or collapsed setting is marked and drawn at the worst value of the sound ones, since its
own value would flatten every axis. Of more than :data:`MOST_DRAWN` settings a part is drawn. Only
importances are computed from all of them, by their values at one common step (see
:mod:`gan_tune.searching.study.insight`).
"""

from __future__ import annotations

import math
from itertools import accumulate

import optuna
from optuna.trial import FrozenTrial, TrialState

from gan_tune.searching.study.insight import is_sound
from gan_tune.searching.study.optuna_internals import uncopied
from gan_tune.searching.study.reading import curve, objective_of

__all__ = ["MOST_DRAWN", "comparable_study", "what_is_drawn"]

MOST_DRAWN = 1_000
"""Largest number of settings in a plot; a browser takes seconds for more."""

BEST_DRAWN = 500
"""So many of the best ones are always among them."""

TOLD = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of trials that have ended and were judged."""


def comparable_study(study: optuna.Study) -> optuna.Study:
    """A copy in memory in which every setting that has ended with a value is complete.

    Optuna's plots show complete trials only. Pruned trials become complete with their best value,
    unsound ones with the worst value of the sound ones. Failed, running and waiting trials get no
    value, and neither do those that are not drawn. All keep their numbers.
    """
    trials = study.get_trials(deepcopy=False)
    values = [v for t in trials if (v := _value(t)) is not None and is_sound(t)]
    worst = max(values, key=objective_of(study).cost, default=None)
    shown = _drawn_numbers(study)
    compared = optuna.create_study(direction=study.directions[0])
    left_out = uncopied(optuna.trial.create_trial(state=TrialState.FAIL))
    compared.add_trials(
        uncopied(_comparable(trial, worst)) if trial.number in shown else left_out
        for trial in trials
    )
    return compared


def _drawn_numbers(study: optuna.Study) -> set[int]:
    """The numbers of the trials that are drawn: all, if they are not too many.

    Otherwise the best ones, each that was the best so far, and others at equal distances.
    """
    trials = study.get_trials(deepcopy=False)
    if len(trials) <= MOST_DRAWN:
        return {trial.number for trial in trials}
    cost = objective_of(study).cost
    costs = {t.number: cost(v) for t in trials if (v := _value(t)) is not None and is_sound(t)}
    shown = set(sorted(costs, key=lambda number: costs[number])[:BEST_DRAWN])
    leading = [
        number
        for number, lowest in zip(costs, accumulate(costs.values(), min), strict=True)
        if costs[number] == lowest
    ]
    shown |= set(_thinned(leading, BEST_DRAWN))
    ended = [t.number for t in trials if t.state in TOLD and t.number not in shown]
    return shown | set(_thinned(ended, MOST_DRAWN - len(shown)))


def _thinned(numbers: list[int], most: int) -> list[int]:
    """At most so many of the numbers, at equal distances."""
    return numbers[:: max(1, math.ceil(len(numbers) / most))]


def what_is_drawn(study: optuna.Study) -> str:
    """Which settings are drawn, as a sentence; empty for all."""
    count = len(study.get_trials(deepcopy=False))
    if count <= MOST_DRAWN:
        return ""
    return (
        f"Drawn are {len(_drawn_numbers(study)):,} of {count:,} settings: the best {BEST_DRAWN}, "
        "those that were the best when they ended, and some of the others, at equal distances."
    )


def _comparable(trial: FrozenTrial, worst: float | None) -> FrozenTrial:
    value = _value(trial) if is_sound(trial) or trial.state not in TOLD else worst
    return optuna.trial.create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value,
        params=trial.params,
        distributions=trial.distributions,
        constraints=trial.constraints,
        user_attrs={"pruned": True} if trial.state == TrialState.PRUNED else {},
    )


def _value(trial: FrozenTrial) -> float | None:
    """An ended trial's value by the first objective; for a pruned one, its best so far."""
    if trial.state not in TOLD:
        return None
    return trial.values[0] if trial.values else curve(trial).get(max(curve(trial), default=0))
