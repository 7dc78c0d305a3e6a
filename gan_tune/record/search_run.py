"""Creates, finds and ends the MLflow run of a search, the parent of its trials' runs."""

from __future__ import annotations

import csv
import json
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Run, ViewType
from mlflow.exceptions import MlflowException

from gan_tune.errors import RecordError
from gan_tune.record.artifact_roots import check_origin
from gan_tune.record.descriptions import search_description
from gan_tune.record.mlflow_internals import (
    DATA_CONTEXT,
    EXPERIMENT_KIND,
    NOTE,
    SHARED_VIEW,
    SOURCE_NAME,
    SOURCE_TYPE,
)
from gan_tune.record.mlflow_store import artifact_location, search_runs, tagged
from gan_tune.record.note import note_tags
from gan_tune.record.requests import as_metrics, as_tags, log, new_params
from gan_tune.record.shared_view import shared_view
from gan_tune.record.spool import DatasetInfo, SearchEnding, SearchEntry
from gan_tune.record.tags import Tag
from gan_tune.record.trial_state import now_ms
from gan_tune.storage.nodes_aside import nodes_aside
from gan_tune.storage.places import LEADERBOARD
from gan_tune.storage.storage import Storage
from gan_tune.words.outcomes import OUTCOMES, Outcome
from gan_tune.words.wording import masked

__all__ = [
    "EXPERIMENT_TAGS",
    "find_search_run",
    "has_ended",
    "log_ending",
    "open_experiment",
    "open_search_run",
]

logger = logging.getLogger("gan_tune")

EXPERIMENT_TAGS = {EXPERIMENT_KIND: "custom_model_development"}
"""They open MLflow's UI on training runs; without them, the UI asks for the kind."""


def open_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Id of the experiment: found, restored from MLflow's bin, or created.

    Raises:
        TrackingError: its files would go to a foreign server.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = artifact_location(uri, name)
        try:
            return str(client.create_experiment(name, location, EXPERIMENT_TAGS))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # just created by another process
            if experiment is None:
                raise
    check_origin(uri, experiment.artifact_location)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        logger.warning("the deleted MLflow experiment %r is restored", name)
    return str(experiment.experiment_id)


def find_search_run(
    client: MlflowClient,
    uri: str,
    experiment_id: str,
    entry: SearchEntry,
    *,
    beside_others: bool,
) -> Run | None:
    """The search's own run, restored from MLflow's bin if it is there; None if it has none yet.

    A second run of its own, which a server may have created after its answer was given up, is
    deleted.

    Raises:
        RecordError: the experiment holds another search of that name, but not this one, and
            ``beside_others`` is False.
    """
    rule = f"{tagged(Tag.SEARCH, entry.search)} and {tagged(Tag.KIND, 'parent')}"
    found = search_runs(client, [experiment_id], rule)
    own = [run for run in found if run.data.tags.get(Tag.OWNER) == entry.owner]
    if not own and entry.began_before:
        own = [run for run in found if Tag.OWNER not in run.data.tags][:1]
    if not own:
        own = _restored(client, experiment_id, rule, entry.owner)
    if not own and found and not beside_others:
        raise RecordError(
            f"{masked(uri)} must not hold another search named {entry.search!r} in the experiment "
            f"{entry.experiment!r}, but it does, from another folder: give --experiment OTHERNAME"
        )
    for double in own[1:]:
        client.delete_run(double.info.run_id)
    return own[0] if own else None


def _restored(client: MlflowClient, experiment_id: str, rule: str, owner: str) -> list[Run]:
    """The search's run if somebody has deleted it, taken back: its trials' runs are below it."""
    mine = f"{rule} and {tagged(Tag.OWNER, owner)}"
    deleted = client.search_runs([experiment_id], mine, run_view_type=ViewType.DELETED_ONLY)
    for run in deleted[:1]:
        client.restore_run(run.info.run_id)
        logger.warning("the deleted MLflow run %r is restored", run.info.run_name)
    return list(deleted[:1])


def has_ended(parent: Run, ending: SearchEnding | None) -> bool:
    """Whether a search's run holds all of an ending; None: its last command was killed."""
    outcome: Outcome = "interrupted" if ending is None else ending.outcome
    status = OUTCOMES[outcome].mlflow_status
    # An older version wrote no description.
    at_its_end = not ending or parent.info.end_time == ending.time_ms
    return bool(parent.info.status == status and at_its_end and NOTE in parent.data.tags)


def open_search_run(
    client: MlflowClient, experiment_id: str, entry: SearchEntry, parent: Run | None
) -> Run:
    """The search's run, RUNNING, with its space file, params and data; created if there is none."""
    if parent is None:
        source = {SOURCE_NAME: "gan-tune", SOURCE_TYPE: "LOCAL"}
        tags = {**source, **_tags(entry)}
        parent = client.create_run(experiment_id, tags=tags, run_name=entry.search)
    else:
        _reopen(client, parent, _tags(entry))
    client.log_text(parent.info.run_id, entry.space_text, "space.yaml")
    log(client, parent.info.run_id, new_params(entry.params, parent.data.params))
    if entry.dataset is not None:
        _log_dataset(client, parent, entry.dataset)
    _show(client, parent, entry, None)
    return parent


def _show(
    client: MlflowClient,
    parent: Run,
    entry: SearchEntry,
    ending: SearchEnding | None,
    aside: Iterable[object] = (),
) -> None:
    """Write the description of the search's run, and the view of its trials."""
    experiment_id, run_id = parent.info.experiment_id, parent.info.run_id
    text = search_description(
        entry, ending, experiment_id=experiment_id, run_id=run_id, aside=aside
    )
    log(client, run_id, as_tags(note_tags(parent.data.tags, text)))
    trained = [row.get("steps") for row in ending.leaderboard] if ending else []
    steps = [found for found in trained if isinstance(found, int)]
    view = shared_view(
        f"{entry.search}: the best first",
        run_id,
        created_ms=parent.info.start_time,
        metric=entry.metric,
        ascending=entry.mode == "min",
        searched=list(dict.fromkeys(entry.searched.values())),
        compared=_of_every_trial(entry, ending.leaderboard if ending else ()),
        last_step=max(steps, default=0),
    )
    client.set_experiment_tag(experiment_id, f"{SHARED_VIEW}{run_id}", view)


def _of_every_trial(entry: SearchEntry, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The searched params that every trial has: MLflow compares only trials that have them all.

    Before there are rows, those that depend on no other choice.
    """
    if not rows:
        names = entry.searched
        free = [n for n in names if not any(n.startswith(f"{other}.") for other in names)]
        return [names[name] for name in free]
    decided = [
        {key for name, key in entry.searched.items() if row.get(name) is not None} for row in rows
    ]
    common = set.intersection(*decided)
    return [key for key in dict.fromkeys(entry.searched.values()) if key in common]


def _reopen(client: MlflowClient, parent: Run, tags: Mapping[str, str]) -> None:
    if parent.info.status != "RUNNING":
        client.update_run(parent.info.run_id, status="RUNNING")
    if Tag.OUTCOME in parent.data.tags:
        client.delete_tag(parent.info.run_id, Tag.OUTCOME)
    changed = {key: text for key, text in tags.items() if parent.data.tags.get(key) != text}
    log(client, parent.info.run_id, as_tags(changed))


def _tags(entry: SearchEntry) -> dict[str, str]:
    return {
        **entry.tags,
        Tag.SEARCH: entry.search,
        Tag.KIND: "parent",
        Tag.OWNER: entry.owner,
        Tag.CODE_VERSION: entry.code_version,
        Tag.OBJECTIVE: entry.metric,
        Tag.MODE: entry.mode,
    }


def _log_dataset(client: MlflowClient, parent: Run, info: DatasetInfo) -> None:
    """Log the data of the search as MLflow's dataset input."""
    dataset = Dataset(
        name=info.name[:500],
        digest=info.digest[:36],
        source_type="local",
        source=json.dumps({"uri": info.source}),
        profile=json.dumps(dict(info.profile), default=str),
    )
    tags = [InputTag(DATA_CONTEXT, info.context)]
    client.log_inputs(parent.info.run_id, [DatasetInput(dataset, tags)])


def log_ending(
    client: MlflowClient,
    run_id: str,
    home: Storage,
    entry: SearchEntry,
    ending: SearchEnding | None,
) -> None:
    """Log the metrics, tags, files and description of a search that has ended, and end its run.

    ``home`` is its folder. Without an ending, its last command was killed: it is interrupted.
    """
    ending = ending or SearchEnding("interrupted", now_ms())
    tags = {**ending.tags, Tag.OUTCOME: ending.outcome}
    log(client, run_id, [*as_metrics(ending.metrics, time_ms=ending.time_ms), *as_tags(tags)])
    with tempfile.TemporaryDirectory() as folder:
        _write_table(Path(folder), ending.leaderboard)
        for name, place in ending.files.items():
            _write_file(Path(folder), name, home, place)
        if any(Path(folder).iterdir()):
            client.log_artifacts(run_id, folder)
    _show(client, client.get_run(run_id), entry, ending, nodes_aside(home).values())
    client.set_terminated(run_id, OUTCOMES[ending.outcome].mlflow_status, ending.time_ms)


def _write_file(folder: Path, name: str, home: Storage, place: str) -> None:
    content = home.read(place)
    if content is None:
        logger.warning("%s is missing from the record: it is not in the search's folder", name)
        return
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _write_table(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write `leaderboard.csv`, which MLflow's UI shows as a table, and `leaderboard.json`."""
    if not rows:
        return
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (folder / "leaderboard.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    text = json.dumps([dict(row) for row in rows], indent=1, default=str)
    (folder / LEADERBOARD).write_text(text, encoding="utf-8")
