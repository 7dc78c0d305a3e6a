"""Reads the ended trials of a search from the record, for another search."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities import Run

from gan_tune.config import Objective
from gan_tune.record.history import children, find_parent, outcome_of, recorded_objective
from gan_tune.record.mlflow_store import answering, client
from gan_tune.record.tags import Tag

__all__ = ["EndedTrial", "RecordedSearch", "ended_trials"]

Told = Literal["completed", "pruned", "diverged", "collapsed"]

TOLD: Mapping[str, Told] = MappingProxyType(
    {
        "completed": "completed",
        "pruned": "pruned",
        "diverged": "diverged",
        "collapsed": "collapsed",
        "interrupted": "pruned",
    }
)
"""Outcomes from which a sampler can learn, and in what form. A failed trial is not among them.

A trial cut off by the time limit may have been the best of all; it counts up to its last report.
"""


@dataclass(frozen=True)
class EndedTrial:
    """A recorded trial of a search.

    ``curve`` is its best value so far by step, from the first finite one on. ``reached`` is the
    step of its last report.
    """

    name: str
    outcome: Told
    params: Mapping[str, str]
    curve: Mapping[int, float]
    reached: int


@dataclass(frozen=True)
class RecordedSearch:
    """A search with its ended trials, and the version of their values.

    ``data`` are the digests of the data sets recorded with it; a correct record has one. ``kind``
    is that of the data, `points` or `pictures`; empty if an older version did not record it.
    """

    name: str
    objective: Objective
    metric_version: str
    data: frozenset[str]
    trials: Sequence[EndedTrial]
    kind: str = ""


def ended_trials(uri: str, search: str) -> RecordedSearch:
    """The results of a search's settings, in the order in which they were tried.

    Replicates with other seeds are left out, since each setting counts once. Forks of a population
    are left out too: they continued from another trial's weights, so their settings did not apply
    to all steps.

    Raises:
        SearchNotFoundError: no such search; the message names the existing ones.
        TrackingError: the store does not answer.
    """
    mlflow_client = client(uri)
    with answering(uri):
        parent = find_parent(mlflow_client, uri, search)
        objective = recorded_objective(parent)
        inputs = parent.inputs.dataset_inputs if parent.inputs else []
        return RecordedSearch(
            name=search,
            objective=objective,
            metric_version=parent.data.tags.get(Tag.METRIC_VERSION, ""),
            data=frozenset(given.dataset.digest for given in inputs),
            trials=[
                _ended_trial(mlflow_client, run, objective)
                for run in children(mlflow_client, parent)
                if _tells_of_a_setting(run.data.tags) and outcome_of(run) in TOLD
            ],
            kind=next((_kind_of(given.dataset.profile) for given in inputs), ""),
        )


def _kind_of(profile: str | None) -> str:
    try:
        kind = json.loads(profile or "{}").get("kind")
    except (ValueError, AttributeError):  # others may write to the record
        return ""
    return kind if kind in ("points", "pictures") else ""


def _tells_of_a_setting(tags: Mapping[str, str]) -> bool:
    first_seed = tags.get(Tag.KIND) == "search" and tags.get(Tag.REPLICATE) == "0"
    return first_seed and Tag.PARENT not in tags


def _ended_trial(mlflow_client: MlflowClient, run: Run, objective: Objective) -> EndedTrial:
    history = mlflow_client.get_metric_history(run.info.run_id, objective.metric)
    values = {metric.step: metric.value for metric in sorted(history, key=lambda m: m.step)}
    finite = {step: value for step, value in values.items() if math.isfinite(value)}
    best = accumulate(finite.values(), lambda *values: min(values, key=objective.cost))
    return EndedTrial(
        name=run.data.tags[Tag.TRIAL],
        outcome=TOLD[outcome_of(run)],
        params=run.data.params,
        curve=dict(zip(finite, best, strict=True)),
        reached=max(values, default=0),
    )
