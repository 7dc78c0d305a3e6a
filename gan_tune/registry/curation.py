"""What a person decides about a model's versions: who is the champion, and what is removed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from gan_tune.config import Objective
from gan_tune.errors import GanTuneError
from gan_tune.record.mlflow_store import answering, client, connect
from gan_tune.record.tags import Tag
from gan_tune.registry.champions import earlier_champions, note_champion
from gan_tune.registry.describing import unlink
from gan_tune.registry.logged_models import logged_before
from gan_tune.registry.promotion import ALIAS, Measured, Promotion, decide_promotion
from gan_tune.registry.versions import (
    all_versions,
    look_up,
    named_version,
    own_version,
    version_at,
)

__all__ = ["Moved", "between", "promote", "remove", "rollback"]


@dataclass(frozen=True)
class Moved:
    """The alias has been moved.

    Attributes:
        model: its name.
        version: the champion now.
        before: the champion before; None: there was none.
        verdict: how a search would have decided between the two; None: there was none before.
    """

    model: str
    version: int
    before: int | None
    verdict: Promotion | None


def promote(model: str, *, uri: str | None = None) -> Moved:
    """Make a version the champion, whatever its value; ``model`` is `NAME/3` or `NAME@alias`.

    Raises:
        ModelNotFoundError: no such model or version.
        GanTuneError: the name has no version.
        TrackingError: MLflow does not answer.
    """
    uri = connect(uri, create=False)
    found = named_version(uri, model)
    mlflow_client = client(uri)
    with answering(uri):
        return _move(mlflow_client, found.name, found.version)


def rollback(model: str, *, uri: str | None = None) -> Moved:
    """Make the champion before the present one the champion again.

    Raises:
        ModelNotFoundError: no such model.
        GanTuneError: a version is named, or no earlier champion is known.
        TrackingError: MLflow does not answer.
    """
    if re.search("[/@]", model.removeprefix("models:/").strip("/")):
        raise GanTuneError(f"rollback: must get the name of a model, without a version: {model!r}")
    uri = connect(uri, create=False)
    present = own_version(look_up(uri, model, ALIAS, None))
    mlflow_client = client(uri)
    with answering(uri):
        there = {int(version.version) for version in all_versions(mlflow_client, present.name)}
        known = earlier_champions(mlflow_client, present.name, present.version)
        standing = [version for version in known if version in there]
        if not standing:
            versions = ", ".join(map(str, sorted(there)))
            raise GanTuneError(
                f"model {present.name!r}: no champion before version {present.version} is known; "
                f"name one with gan-tune promote {present.name}/VERSION (its versions: {versions})"
            )
        return _move(mlflow_client, present.name, standing[-1], back=True)


def remove(model: str, *, force: bool = False, uri: str | None = None) -> str:
    """Remove a version from the registry; a model without versions goes, too. Returns `NAME/3`.

    The run that trained it, and its files there, stay.

    Raises:
        ModelNotFoundError: no such model or version.
        GanTuneError: it is the champion and ``force`` is False, or the name has no version.
        TrackingError: MLflow does not answer.
    """
    uri = connect(uri, create=False)
    found = named_version(uri, model)
    mlflow_client = client(uri)
    name, number = found.name, str(found.version)
    with answering(uri):
        champion = version_at(mlflow_client, name, ALIAS)
        if champion is not None and int(champion.version) == found.version and not force:
            raise GanTuneError(
                f"{name}/{number} must not be the champion, but is: promote another version "
                "first, or give --force"
            )
        version = mlflow_client.get_model_version(name, number)
        _note_removal(mlflow_client, version)
        mlflow_client.delete_model_version(name, number)
        if not all_versions(mlflow_client, name):
            mlflow_client.delete_registered_model(name)
        unlink(mlflow_client, version)
    return f"{name}/{number}"


def between(champion: Measured, candidate: Measured, *, model: str) -> Promotion:
    """How a search would decide between two versions."""
    objective = Objective(mode=candidate.mode)
    return decide_promotion(champion, candidate, model=model, objective=objective)


def _note_removal(mlflow_client: MlflowClient, version: ModelVersion) -> None:
    """Without the note, the next `gan-tune sync` of its search would register it again."""
    if version.run_id and Tag.WEIGHTS in version.tags:
        logged = logged_before(mlflow_client, version.name, version.run_id, version.tags)
        if logged is not None:
            mlflow_client.set_logged_model_tags(logged.model_id, {Tag.REMOVED: version.name})


def _move(mlflow_client: MlflowClient, name: str, number: int, *, back: bool = False) -> Moved:
    present = version_at(mlflow_client, name, ALIAS)
    version = mlflow_client.get_model_version(name, str(number))
    mlflow_client.set_registered_model_alias(name, ALIAS, str(number))
    before = None if present is None else int(present.version)
    note_champion(mlflow_client, name, number, before=before, back=back)
    if present is None or before == number:
        return Moved(name, number, before, None)
    verdict = between(_measured(present), _measured(version), model=name)
    return Moved(name, number, before, verdict)


def _measured(version: ModelVersion) -> Measured:
    return Measured.from_tags(version.name, int(version.version), version.tags)
