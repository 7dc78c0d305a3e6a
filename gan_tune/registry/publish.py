"""Publishing a generator: exported, registered with its tags, and promoted if it is the best."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from gan_tune.config import Objective
from gan_tune.errors import GanTuneError
from gan_tune.record.events import Picture
from gan_tune.record.mlflow_internals import MODEL_VERSIONS
from gan_tune.record.mlflow_store import answering, artifact_location, client, connect
from gan_tune.record.tags import Tag
from gan_tune.registry.mlflow_model import save_model
from gan_tune.registry.promotion import ALIAS, Measured, Promotion, decide_promotion
from gan_tune.registry.versions import GENERATOR, all_versions, version_at

__all__ = ["Registration", "register_champion"]

LONE_EXPERIMENT = "gan-tune"
"""MLflow experiment of generators that no search trained."""


@dataclass(frozen=True)
class Registration:
    """A generator that was registered, and whether it became the champion (``reason`` says why)."""

    name: str
    version: int
    promoted: bool
    reason: str
    model_uri: str


def register_champion(
    module: torch.nn.Module,
    *,
    latent: int,
    model: str,
    run_id: str | None,
    value: float,
    mode: Literal["min", "max"],
    comparable: str,
    confirmed_seeds: int = 0,
    tags: Mapping[str, str] | None = None,
    files: Mapping[str, Picture] | None = None,
    uri: str | None = None,
) -> Registration:
    """Export a generator, register it, and make it the champion if it beats the present one.

    :func:`gan_tune.registry.promotion.decide_promotion` compares the two. The same weights of the
    same search are registered once, so that an interrupted command can be repeated.

    Args:
        module: z[B, latent] → samples in data space; it is exported in `eval()` mode, on the CPU.
        model: name of the registered model.
        run_id: MLflow run that trained it; None creates one, for a module that no search trained.
        value: the objective's value on the selection split.
        comparable: objective, mode, data digest and metric version as a text; values are compared
            only if their texts are equal.
        confirmed_seeds: number of fresh seeds over which ``value`` is the mean; 0: unconfirmed.
        tags: further tags of the version, see :class:`gan_tune.record.tags.Tag`.
        files: additional files of the model, such as pictures, by name.

    Raises:
        GanTuneError: the module cannot be exported for any batch size, or ``value`` is not finite.
        TrackingError: MLflow does not answer, or refuses the name.
    """
    _check(model, value)
    uri = connect(uri)
    mlflow_client = client(uri)
    module = copy.deepcopy(module).cpu().eval()
    all_tags = {
        **(tags or {}),
        Tag.VALUE: repr(float(value)),
        Tag.MODE: mode,
        Tag.COMPARABLE: comparable,
        Tag.CONFIRMED_SEEDS: str(confirmed_seeds),
        Tag.LATENT: str(latent),
        Tag.WEIGHTS: _weights_digest(module),
    }
    with answering(uri):
        standing = version_at(mlflow_client, model, ALIAS)
        version = _registered_before(mlflow_client, model, all_tags)
        if version is None:
            run_id = run_id or _lone_run(mlflow_client, uri, model)
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "model"
                save_model(
                    folder, module, latent=latent, run_id=run_id, files=_contents(files or {})
                )
                version = _register(mlflow_client, folder, model, run_id, all_tags)
        decision = _promote(mlflow_client, standing, version, all_tags, Objective(mode=mode))
    number = int(version.version)
    return Registration(
        model, number, decision.promoted, decision.reason, f"models:/{model}/{number}"
    )


def _check(model: str, value: float) -> None:
    if not math.isfinite(value):
        raise GanTuneError(f"the value of a registered generator must be finite: {value}")
    if not model or re.search(r"[/:@]", model):
        raise GanTuneError(f"a model's name must not be empty nor contain / : @: {model!r}")


def _contents(files: Mapping[str, Picture]) -> dict[str, bytes]:
    return {
        name: content if isinstance(content, bytes) else content.read_bytes()
        for name, content in files.items()
    }


def _promote(
    mlflow_client: MlflowClient,
    standing: ModelVersion | None,
    version: ModelVersion,
    tags: Mapping[str, str],
    objective: Objective,
) -> Promotion:
    """Move the alias to a version, if that beats the present champion."""
    champion = Measured.from_tags(int(standing.version), standing.tags) if standing else None
    candidate = Measured.from_tags(int(version.version), tags)
    decision = decide_promotion(champion, candidate, model=version.name, objective=objective)
    if decision.promoted:
        mlflow_client.set_registered_model_alias(version.name, ALIAS, str(version.version))
    return decision


def _register(
    mlflow_client: MlflowClient,
    folder: Path,
    model: str,
    run_id: str,
    tags: Mapping[str, str],
) -> ModelVersion:
    """Do what `mlflow.pytorch.log_model` does after saving, but in the given store and run.

    `log_model` writes to the process's own store and active run, starts a run if there is none, and
    prints messages to the terminal.
    """
    logged = mlflow_client.create_logged_model(
        mlflow_client.get_run(run_id).info.experiment_id,
        name=re.sub(r"[.%\"']", "_", model),  # a logged model's name may not contain these
        source_run_id=run_id,
        tags=dict(tags),
    )
    mlflow_client.log_model_artifacts(logged.model_id, str(folder))
    mlflow_client.finalize_logged_model(logged.model_id, "READY")
    mlflow_client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    _create_model(mlflow_client, model)
    version = mlflow_client.create_model_version(
        model,
        # Not `models:/ID`, which MLflow's SQL store looks up in the process's own store.
        source=logged.artifact_location,
        run_id=run_id,
        tags=dict(tags),
        model_id=logged.model_id,
    )
    # By this tag MLflow's UI leads from the logged model to the registered one.
    link = [{"name": model, "version": version.version}]
    mlflow_client.set_logged_model_tags(logged.model_id, {MODEL_VERSIONS: json.dumps(link)})
    return version


def _create_model(mlflow_client: MlflowClient, name: str) -> None:
    try:
        mlflow_client.create_registered_model(name, tags={Tag.KIND: GENERATOR})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        mlflow_client.set_registered_model_tag(name, Tag.KIND, GENERATOR)


def _registered_before(
    mlflow_client: MlflowClient, name: str, tags: Mapping[str, str]
) -> ModelVersion | None:
    """The version with the same weights and tags, from an interrupted command."""
    for version in all_versions(mlflow_client, name):
        if all(version.tags.get(key) == value for key, value in tags.items()):
            return version
    return None


def _lone_run(mlflow_client: MlflowClient, uri: str, model: str) -> str:
    """A run for a generator that no search trained: in MLflow every model belongs to one."""
    experiment = mlflow_client.get_experiment_by_name(LONE_EXPERIMENT)
    if experiment is not None:
        experiment_id = experiment.experiment_id
    else:
        location = artifact_location(uri, LONE_EXPERIMENT)
        experiment_id = mlflow_client.create_experiment(LONE_EXPERIMENT, location)
    run = mlflow_client.create_run(experiment_id, run_name=model)
    mlflow_client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _weights_digest(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
