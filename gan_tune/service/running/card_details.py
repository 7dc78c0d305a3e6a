"""What a champion's model card tells beside its tags, and the picture of its curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from gan_tune.data.dataset import Split
from gan_tune.registry.candidate import CardDetails, DataTold, SeedTold
from gan_tune.samples import pictures
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.crowning import Champion
from gan_tune.service.running.context import SearchContext
from gan_tune.storage.trial_records import Result

__all__ = ["card_details", "curve_picture"]


def card_details(
    context: SearchContext, conductor: Conductor, champion: Champion, faults: Sequence[str]
) -> CardDetails:
    """What a champion's card tells.

    Args:
        context: of the search.
        conductor: of its trials.
        champion: of the search.
        faults: what speaks against it.
    """
    data, study = context.dataset, conductor.study.optuna_study
    splits = {name: len(data.split(name)) for name in get_args(Split)}
    return CardDetails(
        data=DataTold(data.name, data.digest, splits),
        settings=dict(study.get_trials(deepcopy=False)[champion.job.setting].params),
        spread=champion.spread if champion.seeds > 1 else None,
        by_seed=[
            SeedTold(job.name, job.config.seed, value, _length(conductor, job))
            for job, value in _replicates(conductor, champion)
        ],
        floors=dict(context.judge.floor),
        faults=list(faults),
        has_picture=True,
        has_curve=True,
    )


def curve_picture(context: SearchContext, conductor: Conductor, champion: Champion) -> bytes:
    """The objective by step of all seeds of the champion's setting, as PNG."""
    metric = context.objective.metric
    found = {
        job.name: {
            report.step: report.value
            for report in _reports(conductor, job)
            if report.value is not None
        }
        for job, _ in _replicates(conductor, champion)
    }
    return pictures.by_step(
        found,
        marked=champion.job.name,
        axis=metric,
        floor=context.judge.floor.get(metric),
        title=f"{metric} on the selection split, each seed of the champion's setting",
    )


def _replicates(conductor: Conductor, champion: Champion) -> list[tuple[Job, float | None]]:
    """The trials over which the champion's value is the mean, each with its best value."""
    if not champion.confirmed:
        return [(champion.job, champion.mean)]
    setting = champion.job.setting
    return [
        (conductor.study.job(setting, replicate), value)
        for row in conductor.standings()
        if row.setting == setting
        for replicate, value in sorted(row.values.items())
    ]


def _reports(conductor: Conductor, job: Job) -> list[Result]:
    return conductor.trials[job.name].reports()


def _length(conductor: Conductor, job: Job) -> int:
    return max(conductor.trials[job.name].report_steps(), default=0)
