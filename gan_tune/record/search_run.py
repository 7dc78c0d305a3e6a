"""Creates, finds and ends the MLflow run of a search, the parent of its trials' runs."""

from __future__ import annotations

import csv
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Run
from mlflow.exceptions import MlflowException

from gan_tune.record.events import DatasetInfo, Picture, SearchFinished
from gan_tune.record.mlflow_internals import (
    DATA_CONTEXT,
    EXPERIMENT_KIND,
    SOURCE_NAME,
    SOURCE_TYPE,
)
from gan_tune.record.mlflow_store import artifact_location, reason_of, search_runs, tagged
from gan_tune.record.requests import as_metrics, as_tags, log, new_params
from gan_tune.record.tags import Tag
from gan_tune.storage.places import LEADERBOARD
from gan_tune.words.outcomes import OUTCOMES

__all__ = [
    "log_dataset",
    "log_end",
    "log_result",
    "log_space",
    "open_experiment",
    "open_search_run",
]

logger = logging.getLogger("gan_tune")


def open_experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Id of the experiment: found, restored from MLflow's bin, or created."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # The tag opens MLflow's UI on training runs; without it, the UI asks for the kind.
        tags = {EXPERIMENT_KIND: "custom_model_development"}
        location = artifact_location(uri, name)
        try:
            return str(client.create_experiment(name, location, tags))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # just created by another process
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        logger.warning("the deleted MLflow experiment %r is restored", name)
    return str(experiment.experiment_id)


def open_search_run(
    client: MlflowClient, experiment_id: str, search: str, tags: Mapping[str, str]
) -> Run:
    """The search's run, RUNNING: the oldest one there is, or a new one."""
    rule = f"{tagged(Tag.SEARCH, search)} and {tagged(Tag.KIND, 'parent')}"
    found = search_runs(client, [experiment_id], rule)
    if not found:
        source = {SOURCE_NAME: "gan-tune", SOURCE_TYPE: "LOCAL"}
        return client.create_run(experiment_id, tags={**source, **tags}, run_name=search)
    parent = found[0]
    if parent.info.status != "RUNNING":
        client.update_run(parent.info.run_id, status="RUNNING")
    if Tag.OUTCOME in parent.data.tags:
        client.delete_tag(parent.info.run_id, Tag.OUTCOME)
    for key, value in tags.items():
        if parent.data.tags.get(key) != value:
            client.set_tag(parent.info.run_id, key, value)
    return parent


def log_space(client: MlflowClient, parent: Run, text: str, params: Mapping[str, object]) -> None:
    """Log the space file, and the params that the run lacks."""
    client.log_text(parent.info.run_id, text, "space.yaml")
    log(client, parent.info.run_id, new_params(params, parent.data.params))


def log_dataset(client: MlflowClient, parent: Run, info: DatasetInfo) -> None:
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


def log_result(client: MlflowClient, run_id: str, event: SearchFinished) -> None:
    """Log the metrics and tags of a search that ends."""
    tags = {**event.tags, Tag.OUTCOME: event.outcome}
    log(client, run_id, [*as_metrics(event.metrics, time_ms=event.time_ms), *as_tags(tags)])


def log_end(client: MlflowClient, run_id: str, event: SearchFinished) -> None:
    """Log the files of a search that ends, and end its run."""
    with tempfile.TemporaryDirectory() as folder:
        _write_table(Path(folder), event.leaderboard)
        for name, figure in event.figures.items():
            _write_figure(Path(folder), name, figure)
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id, OUTCOMES[event.outcome].mlflow_status, event.time_ms)


def _write_figure(folder: Path, name: str, content: Picture) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    except OSError as error:
        logger.warning("%s is missing from the record: %s", name, reason_of(error))


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
