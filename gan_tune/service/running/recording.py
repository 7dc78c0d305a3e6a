"""Opens the record of a search in MLflow, brings it up to date, and records each trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gan_tune.config import Part
from gan_tune.record.events import DatasetInfo
from gan_tune.record.recorder import Recorder
from gan_tune.record.tags import Tag
from gan_tune.searching.jobs import Job
from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.searching.study.study import Study
from gan_tune.service.running.context import SearchContext
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result


class RecordKeeper:
    """An observer of the conductor that passes each trial's events to the recorder."""

    def __init__(self, recorder: Recorder, metric: str) -> None:
        self._recorder, self._metric = recorder, metric

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Open the trial's run, with its parameters and tags."""
        self._recorder.trial_started(
            job.name,
            setting=job.setting,
            replicate=job.replicate,
            kind=job.kind,
            params=job.params,
            tags=_lineage_tags(job),
        )

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """Record a report's figures with the seconds it took, and its sample grid."""
        seconds = {
            "seconds.training": result.training_seconds,
            "seconds.evaluation": result.evaluation_seconds,
        }
        self._recorder.reported(
            job.name,
            result.step,
            {**result.scalars, **seconds},
            timestamp_ms=result.timestamp_ms,
            grid=grid,
        )

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Close the trial's run, unless the trial is only paused."""
        if ending.paused:
            return  # its run continues when the trial does
        best = {} if ending.value is None else {self._metric: ending.value, **ending.further}
        self._recorder.trial_ended(
            job.name, ending.outcome, best=best, error=ending.error, symptoms=ending.symptoms
        )


def open_recorder(context: SearchContext, warm: Sequence[str]) -> Recorder:
    """The recorder of a search, its parent run opened; ``warm`` are the searches it starts from.

    Raises:
        TrackingError: MLflow does not answer.
    """
    space, data, names = context.space, context.dataset, context.names
    recorder = Recorder(context.uri, experiment=names.experiment, search=names.search)
    counts = {split: len(data.split(split)) for split in ("train", "selection", "test")}
    objectives = ", ".join(f"{one.metric} ({one.mode})" for one in space.objectives)
    started_from = {Tag.WARM_START: ", ".join(warm)} if warm else {}
    recorder.open(
        space_text=space.source,
        space_params=space_params(space),
        objective=space.objective,
        tags={
            Tag.METRIC_VERSION: context.judge.versions[space.objective.metric],
            Tag.OBJECTIVES: objectives,
            **started_from,
        },
        dataset=DatasetInfo(data.name, data.digest, data.name, counts),
    )
    return recorder


def bring_up_to_date(recorder: Recorder, home: Storage, study: Study, metric: str) -> None:
    """Record what an earlier command stored but could not record.

    Args:
        recorder: of the search, opened.
        home: the search's folder.
        study: of the search.
        metric: its first objective.
    """
    keeper = RecordKeeper(recorder, metric)
    trials = TrialFolders(home)
    for name in trials.names():
        ending, described = trials[name].ending(), trials[name].description()
        if ending is None or described is None:
            continue
        if recorder.recorded_outcome(name) == ending.outcome:
            continue
        job = study.job(described.setting, described.replicate)
        keeper.trial_started(job, resumed=True)
        for result in trials[name].reports():
            keeper.trial_reported(job, result, trials[name].grid(result.step))
        keeper.trial_ended(job, ending)


def space_params(space: SearchSpace) -> dict[str, Any]:
    """The blocks other than `trial` as the parent's params; a part as its name and arguments."""
    params: dict[str, Any] = {}
    for block in ("budget", "search", "confirm", "resources"):
        for key, value in getattr(space, block):
            place = f"{block}.{key}"
            if isinstance(value, Part):
                params |= {place: value.name}
                params |= {f"{place}.{name}": given for name, given in value.args.items()}
            else:
                params[place] = value
    return params


def flat_row(row: Row) -> dict[str, Any]:
    """A leaderboard row as a table row, with a column for each objective and dimension."""
    plain = row.to_json()
    del plain["changes"], plain["further"]
    return plain | dict(row.further) | dict(row.changes)


def _lineage_tags(job: Job) -> dict[str, str]:
    """Tags for the trial from whose weights a trial continues, and for all settings before it."""
    if not job.lineage:
        return {}
    phases = ", ".join(f"{ancestor.trial} until {ancestor.until}" for ancestor in job.lineage)
    tags = {Tag.LINEAGE: phases}
    if job.kind == "search":
        parent = job.lineage[-1]
        tags |= {Tag.PARENT: parent.trial, Tag.PARENT_STEP: str(parent.until)}
    return tags
