"""Publishes a generator: exports it, registers it, and promotes it if it is the best."""

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
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion

from gan_tune.config import Objective
from gan_tune.errors import GanTuneError
from gan_tune.record.artifact_roots import check_origin
from gan_tune.record.mlflow_client import answering, client
from gan_tune.record.mlflow_internals import MODEL_VERSIONS
from gan_tune.record.mlflow_store import artifact_location, can_be_quoted, connect
from gan_tune.record.tags import Tag
from gan_tune.registry.candidate import Candidate, CardDetails
from gan_tune.registry.champions import note_champion
from gan_tune.registry.describing import describe
from gan_tune.registry.logged_models import logged_before, logged_name
from gan_tune.registry.mlflow_model import name_run, save_model
from gan_tune.registry.promotion import ALIAS
from gan_tune.registry.succession import succeed
from gan_tune.registry.versions import all_versions, create_model, version_at

__all__ = ["FileContent", "Registration", "export_champion", "register", "register_champion"]

FileContent = Path | bytes
"""A file of a model, such as a picture: its path or its content."""

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
    files: Mapping[str, FileContent] | None = None,
    uri: str | None = None,
) -> Registration:
    """Export a generator, register it, and make it the champion if it beats the present one.

    As :func:`export_champion` and then :func:`register`, without a search's folder.

    Args:
        run_id: MLflow run that trained it; None creates one, for a module that no search trained.
        uri: of MLflow; None: as for :func:`gan_tune.record.mlflow_store.connect`.

    Raises:
        GanTuneError: the module cannot be exported for any batch size, or ``value`` is not finite.
        TrackingError: MLflow does not answer, or refuses the name.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        candidate = export_champion(
            module,
            folder,
            latent=latent,
            model=model,
            trial=None,
            value=value,
            mode=mode,
            comparable=comparable,
            confirmed_seeds=confirmed_seeds,
            tags=tags,
            files=files,
        )
        uri = connect(uri)
        with answering(uri):
            registered = register(uri, candidate, folder, run_id=run_id)
    if registered is None:
        raise GanTuneError(f"somebody has removed this generator from the model {model!r}")
    return registered


def export_champion(
    module: torch.nn.Module,
    folder: Path,
    *,
    latent: int,
    model: str,
    trial: str | None,
    value: float,
    mode: Literal["min", "max"],
    comparable: str,
    confirmed_seeds: int = 0,
    tags: Mapping[str, str] | None = None,
    files: Mapping[str, FileContent] | None = None,
    details: CardDetails | None = None,
) -> Candidate:
    """Export a generator into a new folder, in MLflow's form. MLflow is not asked.

    Args:
        module: z[B, latent] → samples in data space; it is exported in `eval()` mode, on the CPU.
        folder: must not exist yet, but its parent must.
        latent: size of z.
        model: name of the registered model.
        trial: that trained it; None: no search's trial.
        value: the objective's value on the selection split.
        mode: whether less or more of it is better.
        comparable: objective, mode, data digest and metric version as a text; values are compared
            only if their texts are equal.
        confirmed_seeds: number of fresh seeds over which ``value`` is the mean; 0: unconfirmed.
        tags: further tags of the version, see :class:`gan_tune.record.tags.Tag`.
        files: additional files of the model, such as pictures, by name.
        details: what its card tells beside the tags.

    Raises:
        GanTuneError: the module cannot be exported for any batch size, or ``value`` is not finite.
    """
    _check(model, value)
    module = copy.deepcopy(module).cpu().eval()
    save_model(folder, module, latent=latent, run_id="", files=_contents(files or {}))
    all_tags = {
        **(tags or {}),
        Tag.VALUE: repr(float(value)),
        Tag.MODE: mode,
        Tag.COMPARABLE: comparable,
        Tag.CONFIRMED_SEEDS: str(confirmed_seeds),
        Tag.LATENT: str(latent),
        Tag.WEIGHTS: _weights_digest(module),
    }
    return Candidate(model, mode, trial, all_tags, details=details or CardDetails())


def register(
    uri: str, candidate: Candidate, folder: Path, *, run_id: str | None
) -> Registration | None:
    """Register an exported generator, and make it the champion if it beats the present one.

    None if a person has removed its version from the registry.

    :func:`gan_tune.registry.promotion.decide_promotion` compares the two. What an earlier call has
    done, also one that broke off, is not done again.

    Args:
        uri: of a store that answers.
        candidate: what is registered.
        folder: of :func:`export_champion`; the run is written into it.
        run_id: MLflow run that trained it; None creates one.

    Raises:
        MlflowException, OSError: as MLflow does; call it again then.
    """
    mlflow_client = client(uri)
    model, tags = candidate.model, candidate.tags
    version = _registered_before(mlflow_client, model, tags)
    if version is None:
        run_id = run_id or _lone_run(mlflow_client, uri, model)
        if _was_removed(mlflow_client, model, run_id, tags):
            return None
        version = _register(mlflow_client, folder, model, run_id, tags)
    number, present = int(version.version), version_at(mlflow_client, model, ALIAS)
    before = None if present is None else int(present.version)
    decision = succeed(mlflow_client, version, Objective(mode=candidate.mode))
    if decision.promoted and before != number:
        note_champion(mlflow_client, model, number, before=before)
    describe(mlflow_client, version, candidate)  # last: nothing else needs it
    note = "; ".join(filter(None, (decision.reason, decision.advice)))
    return Registration(model, number, decision.promoted, note, f"models:/{model}/{number}")


def _check(model: str, value: float) -> None:
    if not math.isfinite(value):
        raise GanTuneError(f"the value of a registered generator must be finite: {value}")
    if not model or re.search(r"[/:@]", model):
        raise GanTuneError(f"a model's name must not be empty nor contain / : @: {model!r}")
    if not can_be_quoted(model):
        raise GanTuneError(f"a model's name must not contain both kinds of quotes: {model!r}")


def _contents(files: Mapping[str, FileContent]) -> dict[str, bytes]:
    return {
        name: content if isinstance(content, bytes) else content.read_bytes()
        for name, content in files.items()
    }


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
    name_run(folder, run_id)
    logged = _logged_model(mlflow_client, model, run_id, tags)
    if logged.status != LoggedModelStatus.READY:
        mlflow_client.log_model_artifacts(logged.model_id, str(folder))
        logged = mlflow_client.finalize_logged_model(logged.model_id, "READY")
    if logged.model_id not in _outputs(mlflow_client, run_id):  # MLflow's SQL store takes it once
        mlflow_client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    create_model(mlflow_client, model)
    mlflow_client.create_model_version(
        model,
        # Not `models:/ID`, which MLflow's SQL store looks up in the process's own store.
        source=logged.artifact_location,
        run_id=run_id,
        tags=dict(tags),
        model_id=logged.model_id,
    )
    version = _registered_before(mlflow_client, model, tags)
    assert version is not None, "it was just created"
    # By this tag MLflow's UI leads from the logged model to the registered one.
    link = [{"name": model, "version": version.version}]
    mlflow_client.set_logged_model_tags(logged.model_id, {MODEL_VERSIONS: json.dumps(link)})
    return version


def _outputs(mlflow_client: MlflowClient, run_id: str) -> set[str]:
    """The logged models that a run is known to have made."""
    outputs = mlflow_client.get_run(run_id).outputs
    return {output.model_id for output in outputs.model_outputs} if outputs else set()


def _was_removed(
    mlflow_client: MlflowClient, model: str, run_id: str, tags: Mapping[str, str]
) -> bool:
    """Whether the run's logged model with these tags was a version that somebody has removed."""
    found = logged_before(mlflow_client, model, run_id, tags)
    return found is not None and found.tags.get(Tag.REMOVED) == model


def _logged_model(
    mlflow_client: MlflowClient, model: str, run_id: str, tags: Mapping[str, str]
) -> LoggedModel:
    """The run's logged model with these tags, from a call that broke off, or a new one."""
    found = logged_before(mlflow_client, model, run_id, tags)
    if found is not None:
        return found
    experiment_id = mlflow_client.get_run(run_id).info.experiment_id
    return mlflow_client.create_logged_model(
        experiment_id, name=logged_name(model), source_run_id=run_id, tags=dict(tags)
    )


def _registered_before(
    mlflow_client: MlflowClient, name: str, tags: Mapping[str, str]
) -> ModelVersion | None:
    """The version with the same weights and tags, from an earlier call.

    A second one, which a server may have created after its answer was given up, is deleted.
    """
    same = [
        version
        for version in all_versions(mlflow_client, name)
        if all(version.tags.get(key) == value for key, value in tags.items())
    ]
    same.sort(key=lambda version: int(version.version))
    for double in same[1:]:
        mlflow_client.delete_model_version(name, double.version)
    return same[0] if same else None


def _lone_run(mlflow_client: MlflowClient, uri: str, model: str) -> str:
    """A run for a generator that no search trained: in MLflow every model belongs to one."""
    experiment = mlflow_client.get_experiment_by_name(LONE_EXPERIMENT)
    if experiment is not None:
        check_origin(uri, experiment.artifact_location)
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
