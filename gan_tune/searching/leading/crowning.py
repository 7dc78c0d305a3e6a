"""Loads the champion's best weights, and measures it on the test split once.

The rule in :mod:`gan_tune.searching.rules.champion` says which settings may win, in which order.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean

from gan_tune.data.dataset import Dataset
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.gan.device import accelerator, exact_convolutions
from gan_tune.metrics import Judge
from gan_tune.metrics.models import Models
from gan_tune.model.export import ExportedGenerator, best_generator, draw
from gan_tune.searching.jobs import FIRST_SETTING, Job, Setting
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.rules.champion import Contender, contenders
from gan_tune.storage.trial_folder import CHECKPOINT

__all__ = ["Champion", "crown_champion", "measure_on_test", "measured"]

logger = logging.getLogger("gan_tune")

TEST_SEED = 20_000
"""Seed of the noise for the test split; it differs from every trial's noise."""


@dataclass(frozen=True)
class Champion:
    """The best replicate of the winning setting, and its generator.

    ``mean`` is the confirmed mean on the selection split, or the search's own value without a
    confirmation. ``confirmed`` says which. ``first_mean`` is the mean of the first setting; None if
    that was not confirmed.
    """

    job: Job
    generator: ExportedGenerator
    mean: float
    spread: float
    seeds: int
    confirmed: bool
    first_mean: float | None


def crown_champion(conductor: Conductor, dataset: Dataset) -> Champion | None:
    """The first of the :func:`contenders` that still has weights; None if there is no contender.

    The champion is that setting's best replicate. If a replicate's weights are lost, the setting's
    next best replicate is used; if a setting has no weights, the next setting is used. A trial cut
    off by the time limit counts up to its last stored weights.

    Raises:
        CheckpointError: there are contenders, but none has weights.
    """
    standings = conductor.standings()
    first = next((row for row in standings if row.setting == FIRST_SETTING), None)
    settings = [_as_stored(conductor, setting) for setting in conductor.study.settings()]
    replicated = conductor.space.search.seeds > 1
    found = contenders(standings, settings, conductor.space.objective, replicated=replicated)
    for contender in found:
        best = _best_with_weights(conductor, contender, dataset)
        if best is None:
            continue
        first_mean = first.mean if first and contender.confirmed else math.nan
        return Champion(
            *best,
            mean=contender.mean,
            spread=contender.spread,
            seeds=contender.seeds,
            confirmed=contender.confirmed,
            first_mean=first_mean if math.isfinite(first_mean) else None,
        )
    if found:
        raise CheckpointError(
            f"champion: must have a {CHECKPOINT}, but all are gone from the trials in "
            f"{conductor.trials.path}; put them back, or try more --trials"
        )
    return None


def measure_on_test(
    conductor: Conductor, champion: Champion, dataset: Dataset, judge: Judge
) -> dict[str, float]:
    """Measure the champion's setting and the first one on the test split, once.

    Returns `test.METRIC` of the registered replicate, `test.mean.METRIC` over the champion's
    replicates, `test.first.METRIC` over the first setting's, and `test.floor.METRIC`. If the first
    setting has fewer replicates, `test.beside_first.METRIC` is over as many of the champion's.
    """
    metric = conductor.space.objective.metric
    own = measured(champion.job, champion.generator, judge)
    figures = {f"test.{name}": value for name, value in own.items()}
    figures |= {f"test.floor.{name}": value for name, value in judge.floor.items()}
    named: dict[str, list[float]] = {}
    for name, setting in (("mean", champion.job.setting), ("first", FIRST_SETTING)):
        named[name] = [
            found[metric]
            for found in _measured_replicates(conductor, setting, dataset, judge)
            if metric in found
        ]
    if 0 < len(named["first"]) < len(named["mean"]):
        named["beside_first"] = named["mean"][: len(named["first"])]
    return figures | {f"test.{n}.{metric}": fmean(values) for n, values in named.items() if values}


def _measured_replicates(
    conductor: Conductor, setting: int, dataset: Dataset, judge: Judge
) -> Iterator[dict[str, float]]:
    """The figures of each of a setting's confirmed replicates that still has its weights."""
    for row in conductor.standings():
        for replicate in row.values if row.setting == setting else ():
            job = conductor.study.job(setting, replicate)
            generator = _generator(conductor, job, dataset)
            if generator is not None:
                yield measured(job, generator, judge)


def _as_stored(conductor: Conductor, setting: Setting) -> Setting:
    """A setting that was cut off in its only trial, with the best value of its stored weights.

    A crash may have happened between its last checkpoint and its last report. Damaged weights count
    as missing.
    """
    if setting.outcome is not None or setting.values:
        return setting
    saved = conductor.trials[conductor.study.job(setting.number, 0).name].checkpoint()
    try:
        best = None if saved is None else checkpoint.read(saved).scalars["best"]
    except CheckpointError:
        best = None
    return replace(setting, value=best)


def measured(job: Job, generator: ExportedGenerator, judge: Judge) -> dict[str, float]:
    """The figures of a trial's generator, for noise that no training has seen."""
    latent = job.config.generator.args["latent"]
    samples = draw(generator, judge.count, latent=latent, seed=TEST_SEED)
    with exact_convolutions():
        return judge(samples, Models(fastest=accelerator()))


def _generator(conductor: Conductor, job: Job, dataset: Dataset) -> ExportedGenerator | None:
    saved = conductor.trials[job.name].checkpoint()
    return None if saved is None else best_generator(job.config, dataset, saved)


def _best_with_weights(
    conductor: Conductor, contender: Contender, dataset: Dataset
) -> tuple[Job, ExportedGenerator] | None:
    """The best of a setting's replicates that still have weights; None if none has."""
    cost = conductor.space.objective.cost
    known = {number: cost(value) for number, value in contender.values.items() if value is not None}
    for replicate in sorted(known, key=lambda replicate: known[replicate]):
        job = conductor.study.job(contender.setting, replicate)
        generator = _generator(conductor, job, dataset)
        if generator is not None:
            return job, generator
        logger.warning("champion: the weights of trial %s are gone; the next best counts", job.name)
    return None
