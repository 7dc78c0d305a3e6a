"""`gan-tune learn`: from recorded searches to a file of experience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import ExperienceError, OutputError
from gan_tune.words.readable import plural

if TYPE_CHECKING:
    from gan_tune.config import Objective
    from gan_tune.experience.experience import Entry, Experience
    from gan_tune.experience.settings import Setting
    from gan_tune.record.ended_trials import EndedTrial, RecordedSearch

POINT_SETS = ("ring", "grid", "gaussian", "table")
"""Shipped data of points, for records of older versions, which do not tell the kind of data."""


@dataclass(frozen=True)
class Learnt:
    """A new file of experience.

    Attributes:
        path: of the file.
        experience: its content.
        trials: how many trials it was learnt from.
        left_out: how many were not sound, or have parts that gan-tune does not ship.
    """

    path: Path
    experience: Experience
    trials: int
    left_out: int


def learn(
    searches: Sequence[str],
    out: str | Path = "experience.json",
    *,
    tracking_uri: str | None = None,
    force: bool = False,
) -> Learnt:
    """Learn from searches in MLflow, also of different data, and write a file of experience.

    The file holds settings and ranks. It names no data, path or person.

    Args:
        searches: their names, at least one.
        out: the file to write; `search.experience` of a space file takes it.
        tracking_uri: of MLflow; default MLFLOW_TRACKING_URI, else `mlflow.db` in this folder.
        force: whether an existing file is overwritten.

    Raises:
        SearchNotFoundError: no search has that name.
        ExperienceError: no trial can be learnt from.
        OutputError: the file exists, or cannot be written.
        TrackingError: MLflow does not answer.
    """
    from gan_tune.record.ended_trials import ended_trials
    from gan_tune.record.mlflow_store import connect
    from gan_tune.samples.output import check_place

    path = Path(out)
    check_place(path, force=force)
    uri = connect(tracking_uri, create=False)
    found = [ended_trials(uri, name) for name in dict.fromkeys(searches)]
    trials = sum(len(search.trials) for search in found)
    experience, kept = _experience_of(found)
    if not kept:
        rule = "must hold a trial that ran well, of gan-tune's own parts"
        raise ExperienceError(f"learn: {', '.join(searches)}: {rule}: none does")
    try:
        experience.write(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    return Learnt(path, experience, kept, trials - kept)


@dataclass
class _Tried:
    """The settings of one family that were tried on the same data, each with its best value.

    ``costs`` are by the setting's leaves: less is better.
    """

    family: str
    objective: Objective
    steps: int = 0
    costs: dict[str, float] = field(default_factory=dict)


def _experience_of(found: Sequence[RecordedSearch]) -> tuple[Experience, int]:
    """The experience of some searches, and how many trials are in it."""
    from gan_tune.experience.experience import Experience, Task

    tried, settings, kept = _read(found)
    families = dict.fromkeys(each.family for each in tried.values())
    portfolios = {
        family: _portfolio({k: t for k, t in tried.items() if t.family == family}, settings)
        for family in families
    }
    tasks = {
        digest: Task(
            objective=each.objective.metric,
            mode=each.objective.mode,
            settings=len(each.costs),
            steps=each.steps,
        )
        for digest, each in tried.items()
    }
    source = f"gan-tune learn: {plural(kept, 'trial')} on {plural(len(tasks), 'task')}"
    return Experience(source=source, tasks=tasks, portfolios=portfolios), kept


def _read(
    found: Sequence[RecordedSearch],
) -> tuple[dict[str, _Tried], dict[str, Setting], int]:
    """Digest of a task → what was tried on it, key of a setting → the setting, and the number of
    trials that were read."""
    import json

    from gan_tune.experience.experience import task_digest
    from gan_tune.experience.recorded import recorded_setting
    from gan_tune.experience.settings import family_of
    from gan_tune.parts.all_parts import catalogue

    shipped_parts = replace(catalogue(), load=None)  # a record's import paths are not trusted
    tried: dict[str, _Tried] = {}
    settings: dict[str, Setting] = {}
    kept = 0
    for search in found:
        for trial in _sound(search):
            kind = search.kind or _kind(trial.params)
            read = recorded_setting(trial.params, kind, shipped_parts)
            if read is None:
                continue
            setting, config = read
            family = family_of(kind, [config.generator.name], [config.generator_gradient.name])
            digest = task_digest(*sorted(search.data), search.metric_version, family)
            task = tried.setdefault(digest, _Tried(family, search.objective))
            key = json.dumps(setting, sort_keys=True)
            settings[key] = setting
            cost = search.objective.cost(trial.curve[max(trial.curve)])
            task.costs[key] = min(cost, task.costs.get(key, inf))
            task.steps = max(task.steps, trial.reached)
            kept += 1
    return tried, settings, kept


def _sound(search: RecordedSearch) -> list[EndedTrial]:
    return [t for t in search.trials if t.curve and t.outcome in ("completed", "pruned")]


def _kind(params: Mapping[str, str]) -> str:
    return "points" if params.get("data.name") in POINT_SETS else "pictures"


def _portfolio(tried: Mapping[str, _Tried], settings: Mapping[str, Setting]) -> tuple[Entry, ...]:
    """The settings that serve all tasks of a family best, by their ranks."""
    import numpy as np

    from gan_tune.experience.experience import Entry, Standing
    from gan_tune.experience.portfolio import by_rank, portfolio

    keys = list(dict.fromkeys(key for task in tried.values() for key in task.costs))
    costs = {digest: [task.costs.get(key, nan) for key in keys] for digest, task in tried.items()}
    losses = np.array([by_rank(row) for row in costs.values()])
    entries = []
    for place in portfolio(losses):
        standings = {
            digest: Standing(rank=1 + sum(other < row[place] for other in row))
            for digest, row in costs.items()
            if row[place] < inf
        }
        entries.append(Entry(setting=dict(settings[keys[place]]), tasks=standings))
    return tuple(entries)
