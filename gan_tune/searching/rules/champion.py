"""From the confirmation to the champion: who won, by how much, and what the test split says."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Literal

import optuna

from gan_tune.data.dataset import Dataset
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.metrics import Judge
from gan_tune.model.export import ExportedGenerator, best_generator, draw
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.jobs import Job
from gan_tune.searching.rules.confirmation import Standing, candidates, spread
from gan_tune.searching.study.study import (
    FIRST_SETTING,
    Setting,
    further_values,
    lower_is_better,
    pareto_front,
    settings_of,
)
from gan_tune.storage.trial_folder import CHECKPOINT

__all__ = ["Champion", "Row", "choose_champion", "leaderboard", "measure_on_test"]

logger = logging.getLogger("gan_tune")

TEST_SEED = 20_000
"""Seed of the noise for the test split: no trial's own noise."""


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard: a setting, how it ended and how good it is.

    ``value`` is the best of the search's own trial, or the mean of its replicates' bests, with
    their ``value_spread`` and number ``value_seeds``; ``mean``, ``spread`` and ``seeds`` are of the
    confirmation (None and 0 without one); ``changes`` are the values that the search decided.
    ``further`` are the values of objectives beside the first, of settings that ran to their end;
    those ``on_front`` are beaten by no other in all objectives at once.
    """

    setting: int
    outcome: str | None
    value: float | None
    value_spread: float | None
    value_seeds: int
    mean: float | None
    spread: float | None
    seeds: int
    steps: int
    further: Mapping[str, float]
    on_front: bool
    changes: Mapping[str, object]


@dataclass(frozen=True)
class Champion:
    """The best replicate of the setting that won, and its generator.

    ``mean`` is the confirmed mean on the selection split (the search's own value without a
    confirmation); ``confirmed`` says which. ``first_mean`` is the first setting's, None where that
    was not confirmed.
    """

    job: Job
    generator: ExportedGenerator
    mean: float
    spread: float
    seeds: int
    confirmed: bool
    first_mean: float | None


def leaderboard(study: optuna.Study, standings: Sequence[Standing]) -> list[Row]:
    """All settings: the winner, the other confirmed ones by mean, those that could have been
    confirmed, the rest by value.
    """
    sign = 1.0 if lower_is_better(study) else -1.0
    front = {trial.number for trial in pareto_front(study)}
    ranked = list(standings)
    ranked[1:] = sorted(ranked[1:], key=lambda row: sign * row.mean)
    confirmed = {row.setting: row for row in ranked}
    trials = study.get_trials(deepcopy=False)
    settings = settings_of(study)
    rows = []
    for setting in settings:
        standing = confirmed.get(setting.number)
        rows.append(
            Row(
                setting=setting.number,
                outcome=setting.outcome,
                value=setting.value,
                value_spread=_finite(spread(setting.values)),
                value_seeds=max(1, len(setting.values)),
                mean=_finite(standing.mean) if standing else None,
                spread=_finite(standing.spread) if standing else None,
                seeds=standing.seeds if standing else 0,
                steps=setting.steps,
                further=further_values(trials[setting.number], study),
                on_front=setting.number in front,
                changes=dict(trials[setting.number].params),
            )
        )
    replicated = any(setting.values for setting in settings)
    mode: Literal["min", "max"] = "min" if sign > 0 else "max"
    others = candidates(settings, top=len(settings), mode=mode, replicated=replicated)
    order = {setting: place for place, setting in enumerate(dict.fromkeys([*confirmed, *others]))}

    def place(row: Row) -> tuple[float, float]:
        cost = math.inf if row.value is None else sign * row.value
        return order.get(row.setting, math.inf), cost

    return sorted(rows, key=place)


def choose_champion(conductor: Conductor, dataset: Dataset) -> Champion | None:
    """The setting with the best confirmed mean, and its best replicate; None if none is sound.

    One with fewer seeds than others comes behind these, unless they are clearly worse.
    Where the time sufficed for no other than the first setting, it has beaten nobody: then it is
    the best setting of the search, unconfirmed. A replicate whose weights are gone is passed over
    for its setting's next best, and a setting that has none left for the next one. What the end of
    the time cut off counts as far as its weights have been stored.

    Raises:
        CheckpointError: there are settings that ran to their end, but none has weights left.
    """
    standings = conductor.standings()
    first = next((row for row in standings if row.setting == FIRST_SETTING), None)
    first_mean = _finite(first.mean) if first else None
    settings = {
        s.number: s for s in map(partial(_as_stored, conductor), conductor.study.settings())
    }
    objective, replicated = conductor.space.objective, conductor.space.search.seeds > 1
    ranked = candidates(
        list(settings.values()), top=len(settings), mode=objective.mode, replicated=replicated
    )
    alone = [row.setting for row in standings] == [FIRST_SETTING] != ranked[:1]
    sound = [row for row in standings if math.isfinite(row.mean) and not alone]
    for row in sorted(sound, key=lambda row: (row.behind, objective.cost(row.mean))):
        best = _best_with_weights(conductor, row.setting, row.values, dataset)
        if best is not None:
            return Champion(*best, row.mean, row.spread, row.seeds, True, first_mean)
    for number in ranked:
        value, replicates = settings[number].value, settings[number].values
        values = dict(enumerate(replicates or [value]))
        best = _best_with_weights(conductor, number, values, dataset)
        if value is not None and best is not None:
            return Champion(*best, value, math.nan, 0, False, None)
    if sound or ranked:
        raise CheckpointError(
            f"champion: must have a {CHECKPOINT}, but all are gone from the trials in "
            f"{conductor.trials.path}; put them back, or try more --trials"
        )
    return None


def measure_on_test(
    conductor: Conductor, champion: Champion, dataset: Dataset, judge: Judge
) -> dict[str, float]:
    """Measure the test split once, for the champion's setting and for the first one.

    Returns `test.METRIC` of the registered replicate, `test.mean.METRIC` over the champion's
    replicates, `test.first.METRIC` over the first setting's, and `test.floor.METRIC`.
    """
    metric = conductor.space.objective.metric
    figures = {
        f"test.{name}": v for name, v in _measure(champion.job, champion.generator, judge).items()
    }
    figures |= {f"test.floor.{name}": value for name, value in judge.floor.items()}
    for name, setting in (("mean", champion.job.setting), ("first", FIRST_SETTING)):
        values = []
        for row in conductor.standings():
            if row.setting != setting:
                continue
            for replicate in row.values:
                job = conductor.study.job(setting, replicate)
                generator = _generator(conductor, job, dataset)
                if generator is not None:
                    found = _measure(job, generator, judge)
                    values += [found[metric]] if metric in found else []
        if values:
            figures[f"test.{name}.{metric}"] = fmean(values)
    return figures


def _as_stored(conductor: Conductor, setting: Setting) -> Setting:
    """A setting that was cut off within its only trial, with the best of its stored weights.

    A crash may have come between its last checkpoint and its last report. Damaged weights are none.
    """
    if setting.outcome is not None or setting.values:
        return setting
    saved = conductor.trials[conductor.study.job(setting.number, 0).name].checkpoint()
    try:
        best = None if saved is None else checkpoint.read(saved).scalars["best"]
    except CheckpointError:
        best = None
    return replace(setting, value=best)


def _measure(job: Job, generator: ExportedGenerator, judge: Judge) -> dict[str, float]:
    latent = job.config.generator.args["latent"]
    return judge(draw(generator, judge.count, latent=latent, seed=TEST_SEED))


def _generator(conductor: Conductor, job: Job, dataset: Dataset) -> ExportedGenerator | None:
    saved = conductor.trials[job.name].checkpoint()
    return None if saved is None else best_generator(job.config, dataset, saved)


def _best_with_weights(
    conductor: Conductor, setting: int, values: Mapping[int, float | None], dataset: Dataset
) -> tuple[Job, ExportedGenerator] | None:
    """The best of a setting's replicates that has its weights; None if all are gone."""
    cost = conductor.space.objective.cost
    known = {replicate: cost(value) for replicate, value in values.items() if value is not None}
    for replicate in sorted(known, key=lambda replicate: known[replicate]):
        job = conductor.study.job(setting, replicate)
        generator = _generator(conductor, job, dataset)
        if generator is not None:
            return job, generator
        logger.warning("champion: the weights of trial %s are gone; the next best counts", job.name)
    return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
