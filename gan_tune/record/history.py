"""Reads searches and the results of their trials from the record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from gan_tune.config import Objective
from gan_tune.errors import SearchNotFoundError
from gan_tune.record.mlflow_internals import PARENT_RUN
from gan_tune.record.mlflow_store import answering, client, pages, search_runs, tagged
from gan_tune.record.sound_tags import SearchTags, TrialTags, each_sound, read_tags
from gan_tune.record.tags import Tag
from gan_tune.storage.trial_name import Kind
from gan_tune.words.outcomes import is_healthy
from gan_tune.words.wording import masked, there_are

__all__ = [
    "SearchInfo",
    "TrialInfo",
    "children",
    "find_parent",
    "leaderboard",
    "newest_parent",
    "outcome_of",
    "recorded_objective",
    "searches",
]

RUNNING = "running"
"""Shown as the outcome of a run that has none yet."""


@dataclass(frozen=True)
class SearchInfo:
    """One search: its status, and its best value so far (None: no trial has one)."""

    name: str
    experiment: str
    run_id: str
    outcome: str
    objective: Objective
    counts: Mapping[str, int]
    best: float | None
    started: datetime
    ended: datetime | None


@dataclass(frozen=True)
class TrialInfo:
    """One trial: its value (the objective's best report), settings and latest metrics."""

    trial: str
    setting: int
    replicate: int
    kind: Kind
    outcome: str
    value: float | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    run_id: str
    started: datetime
    ended: datetime | None


def searches(uri: str) -> list[SearchInfo]:
    """All searches in the store, newest first.

    Raises:
        TrackingError: the store does not answer.
    """
    mlflow_client = client(uri)
    with answering(uri):
        names = _experiments(mlflow_client)
        parents = _sound_parents(mlflow_client, names)
        read = partial(_search_info, mlflow_client, names=names)
        return [info for _, info in each_sound(reversed(parents), read, _labelled)]


def leaderboard(uri: str, search: str, *, experiment: str | None = None) -> list[TrialInfo]:
    """All trials of a search, best first; those that diverged, collapsed or failed come last.

    If several experiments hold a search of that name and none is named, the newest is used.

    Raises:
        SearchNotFoundError: no such search; the message names the existing ones.
        TrackingError: the store does not answer.
    """
    mlflow_client = client(uri)
    with answering(uri):
        parent = find_parent(mlflow_client, uri, search, experiment=experiment)
        objective = recorded_objective(parent)
        trials = _trial_infos(mlflow_client, parent, objective)
        return sorted(trials, key=lambda trial: _rank(trial, objective))


def find_parent(
    mlflow_client: MlflowClient, uri: str, search: str, *, experiment: str | None = None
) -> Run:
    """The parent run of a search; the newest if there are several of that name.

    Raises:
        SearchNotFoundError: no such search.
    """
    names = _experiments(mlflow_client)
    parents = _sound_parents(mlflow_client, names)
    fitting = [
        run
        for run in parents
        if run.data.tags.get(Tag.SEARCH) == search
        and experiment in (None, names[run.info.experiment_id])
    ]
    if not fitting:
        known = [run.data.tags.get(Tag.SEARCH, "") for run in parents]
        raise SearchNotFoundError(
            f"no search named {search!r} in {masked(uri)}; {there_are(search, known)}"
        )
    return fitting[-1]


def newest_parent(mlflow_client: MlflowClient) -> Run | None:
    """The parent run of the newest search; None if there is no search."""
    names = _experiments(mlflow_client)
    parents = _sound_parents(mlflow_client, names)
    return parents[-1] if parents else None


def _experiments(mlflow_client: MlflowClient) -> dict[str, str]:
    """Id → name of every experiment that is not deleted."""
    found = pages(
        lambda token: mlflow_client.search_experiments(ViewType.ACTIVE_ONLY, page_token=token)
    )
    return {experiment.experiment_id: experiment.name for experiment in found}


def children(mlflow_client: MlflowClient, parent: Run) -> list[Run]:
    """The runs of a search's trials, oldest first."""
    rule = tagged(PARENT_RUN, parent.info.run_id)
    found = search_runs(mlflow_client, [parent.info.experiment_id], rule)
    return [run for run in found if Tag.TRIAL in run.data.tags]  # not a user's own runs


def _sound_parents(mlflow_client: MlflowClient, names: Mapping[str, str]) -> list[Run]:
    """The searches' runs whose tags say what they are, oldest first."""
    parents = search_runs(mlflow_client, list(names), tagged(Tag.KIND, "parent"))
    return [run for run, _ in each_sound(parents, _search_tags, _labelled)]


def _search_tags(parent: Run) -> SearchTags:
    return read_tags(SearchTags, parent.data.tags, _labelled(parent))


def _labelled(run: Run) -> str:
    return f"run {run.info.run_id}"


def _trial_infos(mlflow_client: MlflowClient, parent: Run, objective: Objective) -> list[TrialInfo]:
    """A search's trials; one whose tags are damaged is left out with a warning."""
    runs = children(mlflow_client, parent)
    read = partial(_trial_info, objective=objective)
    return [info for _, info in each_sound(runs, read, _labelled)]


def _search_info(mlflow_client: MlflowClient, parent: Run, names: Mapping[str, str]) -> SearchInfo:
    objective = recorded_objective(parent)
    trials = _trial_infos(mlflow_client, parent, objective)
    ranked = sorted(trials, key=lambda trial: _rank(trial, objective))
    return SearchInfo(
        name=_search_tags(parent).search,
        experiment=names[parent.info.experiment_id],
        run_id=parent.info.run_id,
        outcome=outcome_of(parent),
        objective=objective,
        counts=dict(Counter(trial.outcome for trial in trials)),
        best=ranked[0].value if ranked and is_healthy(ranked[0].outcome) else None,
        started=_time(parent.info.start_time),
        ended=None if outcome_of(parent) == RUNNING else _time(parent.info.end_time),
    )


def _trial_info(run: Run, objective: Objective) -> TrialInfo:
    tags = read_tags(TrialTags, run.data.tags, _labelled(run))
    value = run.data.metrics.get(f"best.{objective.metric}")
    return TrialInfo(
        trial=tags.trial,
        setting=tags.setting,
        replicate=tags.replicate,
        kind=tags.kind,
        outcome=outcome_of(run),
        value=value if value is not None and math.isfinite(value) else None,
        params=run.data.params,
        metrics=run.data.metrics,
        run_id=run.info.run_id,
        started=_time(run.info.start_time),
        ended=None if outcome_of(run) == RUNNING else _time(run.info.end_time),
    )


def recorded_objective(parent: Run) -> Objective:
    """The objective of a search.

    Raises:
        TrackingError: its run does not say it.
    """
    tags = _search_tags(parent)
    return Objective(metric=tags.metric, mode=tags.mode)


def outcome_of(run: Run) -> str:
    """A run's outcome, or :data:`RUNNING`."""
    if run.info.status == "RUNNING":
        return RUNNING
    return str(run.data.tags.get(Tag.OUTCOME, "interrupted"))


def _rank(trial: TrialInfo, objective: Objective) -> tuple[bool, bool, float]:
    cost = objective.cost(0.0 if trial.value is None else trial.value)
    return not is_healthy(trial.outcome), trial.value is None, cost


def _time(time_ms: int | None) -> datetime:
    return datetime.fromtimestamp((time_ms or 0) / 1000).astimezone()
