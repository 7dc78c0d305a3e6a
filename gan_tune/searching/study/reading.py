"""Reads settings from a study: how each ended, its values, the Pareto front.

Nothing here changes a study.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import NamedTuple, TypeAlias

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter

from gan_tune.config import Objective
from gan_tune.searching.jobs import Setting
from gan_tune.searching.study.optuna_internals import uncopied

__all__ = [
    "CURVE",
    "DIRECTIONS",
    "OUTCOME",
    "REPEATS",
    "REPLICATES",
    "RETRIES",
    "WARM_START",
    "OptunaStudy",
    "ReportedValue",
    "check_numbers",
    "curve",
    "further_values",
    "is_own",
    "objective_of",
    "own_study",
    "own_trials",
    "pareto_front",
    "reports_of",
    "setting_of",
    "settings_of",
]

OptunaStudy: TypeAlias = optuna.Study
"""Optuna's study, for modules that pass it on but must not import Optuna."""

OUTCOME = "outcome"
"""User attribute of a trial: how it ended."""

CURVE = "curve"
"""User attribute of a trial: its reports, if Optuna refuses them because of several objectives.
"""

REPLICATES = "replicates"
"""User attribute of a trial: the best values of a setting's replicates, if there are several."""

REPEATS = "repeats"
"""User attribute of a proposal that was not trained, since its setting had been tried before."""

RETRIES = "retries"
"""User attribute of a trial that takes the place of one that has failed: that one's number in
Optuna, which can reopen no trial."""

WARM_START = "warm_start"
"""User attribute of an earlier search's trial: `SEARCH/TRIAL`."""

DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}
"""Mode of an objective → Optuna's direction."""


class ReportedValue(NamedTuple):
    """One value reported to Optuna: a setting's best so far at a step."""

    setting: int
    step: int
    best: float


def is_own(trial: FrozenTrial) -> bool:
    """Whether a trial is a setting of its study's search.

    Trials of an earlier search and repeated proposals are none.
    """
    return trial.user_attrs.keys().isdisjoint((WARM_START, REPEATS))


def own_trials(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """The trials of a search itself; a setting's number is its place in this list.

    A trial that retries another one has its place. With ``states``, only those in one of them.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if is_own(trial)]
    again = {t.user_attrs[RETRIES]: t for t in trials if RETRIES in t.user_attrs}
    if again:  # of several tries the last one
        first = (trial for trial in trials if RETRIES not in trial.user_attrs)
        trials = [again.get(trial.number, trial) for trial in first]
    return [trial for trial in trials if not states or trial.state in states]


def own_study(study: optuna.Study, *, copied: bool = False) -> optuna.Study:
    """The study with this search's settings only, numbered without gaps.

    It is the study itself if nothing is left out and ``copied`` is False. With ``copied``, nothing
    may change either of them afterwards, since they share what their trials hold.
    """
    own = own_trials(study)
    if len(own) == len(study.get_trials(deepcopy=False)) and not copied:
        return study
    alone = optuna.create_study(directions=study.directions)
    if study.metric_names is not None:
        alone.set_metric_names(study.metric_names)
    for key, value in study.user_attrs.items():
        alone.set_user_attr(key, value)
    in_place = map(_in_its_own_place, own)
    alone.add_trials(map(uncopied, in_place) if copied else in_place)
    return alone


def _in_its_own_place(trial: FrozenTrial) -> FrozenTrial:
    """The trial, for a study that holds no others of its setting."""
    if RETRIES not in trial.user_attrs:
        return trial
    own = copy(trial)
    own.user_attrs = {key: value for key, value in trial.user_attrs.items() if key != RETRIES}
    return own


def objective_of(study: optuna.Study) -> Objective:
    """The first objective of a study. Its metric has a name only if there are several."""
    names = study.metric_names or ["value"]
    is_min = study.directions[0] == DIRECTIONS["min"]
    return Objective(metric=names[0], mode="min" if is_min else "max")


def curve(trial: FrozenTrial) -> dict[int, float]:
    """A trial's values so far by the first objective: step → value."""
    stored = trial.user_attrs.get(CURVE)
    if stored is None:
        return trial.intermediate_values
    return {int(step): value for step, value in stored.items()}


_CURVE = TypeAdapter(dict[int, float | None])
_NUMBERS = TypeAdapter(list[float | None] | None)


def check_numbers(study: optuna.Study) -> None:
    """See to it that what the trials report are numbers: Optuna takes from a journal what is there.

    Raises:
        ValidationError: they are not.
    """
    for trial in study.get_trials(deepcopy=False):
        _CURVE.validate_python(curve(trial), strict=True)
        for numbers in (trial.values, trial.user_attrs.get(REPLICATES)):
            _NUMBERS.validate_python(numbers, strict=True)


def setting_of(number: int, trial: FrozenTrial) -> Setting:
    """A setting by its number and its trial, which was handed out."""
    values = curve(trial)
    steps = max(values, default=0)
    return Setting(
        number=number,
        outcome=trial.user_attrs.get(OUTCOME),
        value=values.get(steps),  # values are the best so far, so the last one is the setting's
        steps=steps,
        values=tuple(trial.user_attrs.get(REPLICATES, ())),
    )


def settings_of(study: optuna.Study) -> list[Setting]:
    """Every setting of a search that was handed out, in order."""
    return [
        setting_of(number, trial)
        for number, trial in enumerate(own_trials(study))
        if trial.state != TrialState.WAITING
    ]


def reports_of(study: optuna.Study) -> Iterator[ReportedValue]:
    """All reports of a search, step by step, to rebuild a stopping rule."""
    reports = (
        ReportedValue(setting, step, value)
        for setting, trial in enumerate(own_trials(study))
        for step, value in curve(trial).items()
    )
    yield from sorted(reports, key=lambda report: (report.step, report.setting))


def further_values(trial: FrozenTrial, study: optuna.Study) -> dict[str, float]:
    """A completed trial's values of the objectives after the first, by metric."""
    names = study.metric_names or []
    return dict(zip(names[1:], (trial.values or [])[1:], strict=False))


def pareto_front(study: optuna.Study) -> list[FrozenTrial]:
    """The sound settings that no other beats in one objective without losing in another.

    Empty for a study of one objective.
    """
    if len(study.directions) == 1 or not study.get_trials(
        deepcopy=False, states=(TrialState.COMPLETE,)
    ):
        return []
    return study.best_trials
