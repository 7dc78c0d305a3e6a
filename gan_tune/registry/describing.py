"""What MLflow's pages tell of a version: its model card, and the link to it from its run."""

from __future__ import annotations

import logging

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from gan_tune.record.mlflow_client import reason_of
from gan_tune.record.mlflow_internals import NOTE
from gan_tune.record.note import note_tags
from gan_tune.record.pages import model_page
from gan_tune.record.requests import is_refusal
from gan_tune.registry.candidate import Candidate
from gan_tune.registry.card import model_card

__all__ = ["describe", "unlink"]

logger = logging.getLogger("gan_tune")


def describe(mlflow_client: MlflowClient, version: ModelVersion, candidate: Candidate) -> None:
    """Give a version its model card, unless it has a description; and lead to it from its run.

    What MLflow refuses is left out with a warning: a version is of use without its description.

    Raises:
        MlflowException, OSError: as MLflow does, where it does not answer.
    """
    try:
        run = mlflow_client.get_run(version.run_id) if version.run_id else None
        if not version.description:
            _give_card(mlflow_client, version, candidate, run)
        if run is not None:
            _lead_to(mlflow_client, run, version)
    except MlflowException as error:
        if not is_refusal(error):
            raise
        place = f"{version.name}/{version.version}"
        logger.warning("MLflow refuses the description of model %s: %s", place, reason_of(error))


def unlink(mlflow_client: MlflowClient, version: ModelVersion) -> None:
    """Say at the run of a version that is removed that it was, where the run leads to it.

    Raises:
        MlflowException, OSError: as MLflow does, where it does not answer.
    """
    try:
        run = mlflow_client.get_run(version.run_id) if version.run_id else None
        if run is not None:
            gone = f"Registered as {version.name}/{version.version}, which was removed."
            note = run.data.tags.get(NOTE, "").replace(_link(version), gone)
            _note(mlflow_client, run, note)
    except MlflowException as error:
        if not is_refusal(error):
            raise


def _give_card(
    mlflow_client: MlflowClient, version: ModelVersion, candidate: Candidate, run: Run | None
) -> None:
    origin = (run.info.experiment_id, run.info.run_id) if run is not None else None
    name, number = version.name, int(version.version)
    card = model_card(name, number, version.tags, candidate.details, origin=origin)
    mlflow_client.update_model_version(name, str(number), card)


def _lead_to(mlflow_client: MlflowClient, run: Run, version: ModelVersion) -> None:
    note, link = run.data.tags.get(NOTE), _link(version)
    if note and link not in note:
        _note(mlflow_client, run, f"{note}\n\n{link}")


def _note(mlflow_client: MlflowClient, run: Run, note: str) -> None:
    if note != run.data.tags.get(NOTE):
        for tag, text in note_tags(run.data.tags, note).items():
            mlflow_client.set_tag(run.info.run_id, tag, text)


def _link(version: ModelVersion) -> str:
    name, number = version.name, version.version
    return f"Registered as [{name}/{number}]({model_page(name, number)})."
