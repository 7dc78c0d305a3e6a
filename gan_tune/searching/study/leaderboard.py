"""The leaderboard: all settings of a search, best first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

from gan_tune.searching.jobs import Setting
from gan_tune.searching.rules.confirmation import Standing, ranked, spread
from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.searching.study.origins import origin_of
from gan_tune.searching.study.reading import (
    further_values,
    objective_of,
    pareto_front,
    settings_of,
)

__all__ = ["Row", "leaderboard"]


def leaderboard(study: optuna.Study, standings: Sequence[Standing]) -> list[Row]:
    """All settings of a search, best first.

    The winner of the confirmation comes first. Then come the other confirmed settings by mean, the
    settings that could have been confirmed, and the rest by value.

    Args:
        study: of the search.
        standings: of its confirmation, the winner first; empty without a confirmation.
    """
    objective = objective_of(study)
    settings, trials = settings_of(study), study.get_trials(deepcopy=False)
    front = {trial.number for trial in pareto_front(study)}
    by_mean = [*standings[:1], *sorted(standings[1:], key=lambda row: objective.cost(row.mean))]
    confirmed = {standing.setting: standing for standing in by_mean}
    rows = [
        _row(
            setting,
            confirmed.get(setting.number),
            trials[setting.number],
            study,
            on_front=setting.number in front,
        )
        for setting in settings
    ]
    replicated = any(setting.values for setting in settings)
    others = ranked(settings, mode=objective.mode, replicated=replicated)
    order = {setting: place for place, setting in enumerate(dict.fromkeys([*confirmed, *others]))}

    def place(row: Row) -> tuple[float, float]:
        cost = math.inf if row.value is None else objective.cost(row.value)
        return order.get(row.setting, math.inf), cost

    return sorted(rows, key=place)


def _row(
    setting: Setting,
    standing: Standing | None,
    trial: FrozenTrial,
    study: optuna.Study,
    *,
    on_front: bool,
) -> Row:
    return Row(
        setting=setting.number,
        origin=origin_of(trial),
        outcome=setting.outcome,
        value=setting.value,
        value_spread=_finite(spread(setting.values)),
        value_seeds=max(1, len(setting.values)),
        mean=_finite(standing.mean) if standing else None,
        spread=_finite(standing.spread) if standing else None,
        seeds=standing.seeds if standing else 0,
        steps=setting.steps,
        further=further_values(trial, study),
        on_front=on_front,
        changes=dict(trial.params),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
