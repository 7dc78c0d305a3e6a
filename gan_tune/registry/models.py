"""Registered generators: the champion, exported without pickle, and how anyone pulls it."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import mlflow.artifacts
import mlflow.pytorch
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from gan_tune.config import Objective
from gan_tune.errors import GanTuneError, ModelNotFoundError
from gan_tune.model.archive import read_archive
from gan_tune.record.events import Picture
from gan_tune.record.mlflow_store import (
    answering,
    artifact_location,
    client,
    connect,
    first_line,
    pages,
    quoted,
)
from gan_tune.words.wording import masked, there_are

__all__ = [
    "ALIAS",
    "Generator",
    "ModelInfo",
    "Registration",
    "VersionInfo",
    "find_version",
    "list_models",
    "load_generator",
    "register_champion",
]

ALIAS = "champion"

SEEDS_TAG = "gan_tune.confirmed_seeds"

LONE_EXPERIMENT = "gan-tune"

CHUNK = 64  # samples that are made in one forward pass

ARCHIVE = Path("data", "model.pt2")
"""The one file of MLflow's folder that is read."""


@dataclass(frozen=True)
class Registration:
    """A generator that was registered, and whether it became the champion (``reason`` says why)."""

    name: str
    version: int
    promoted: bool
    reason: str
    model_uri: str


@dataclass(frozen=True)
class ModelInfo:
    """A registered model; what follows the name is its champion's (None: it has no champion)."""

    name: str
    version: int | None
    value: float | None
    objective: str | None
    search: str | None
    created: datetime


@dataclass(frozen=True)
class VersionInfo:
    """A version of a registered model, without its weights."""

    name: str
    version: int
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Generator:
    """A registered generator: noise z[B, latent] → samples in data space, on the CPU."""

    name: str
    version: int
    latent: int
    tags: Mapping[str, str]
    module: torch.nn.Module

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """Samples [B, ...] of noise z[B, latent], float32."""
        with torch.inference_mode():
            samples: torch.Tensor = self.module(z)
        return samples

    def sample(self, n: int, seed: int) -> torch.Tensor:
        """``n`` samples [n, ...] of standard normal noise.

        The same seed gives the same samples, bit for bit, however many are asked for: they are made
        64 at a time, always.

        Raises:
            ValueError: ``n`` < 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1: {n}")
        random = torch.Generator().manual_seed(seed)
        chunks = [
            self(torch.randn(CHUNK, self.latent, generator=random)) for _ in range(-(-n // CHUNK))
        ]
        return torch.cat(chunks)[:n]


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
    """Export a generator, register it, and make it the champion if it beats the standing one.

    Only values of equal ``comparable`` (a text of objective, mode, data digest and metric version)
    are compared: where the standing champion's differs, it stays. A value that no fresh seeds
    confirmed may be luck: it never beats a confirmed one, and gives way to any. The same weights of
    the same search are registered once, so that an interrupted command can be repeated.

    Args:
        module: z[B, latent] → samples in data space; it is exported in `eval()` mode, on the CPU.
        model: name of the registered model.
        run_id: MLflow run that trained it; None makes one, for a module that no search trained.
        value: the objective's value on the selection split.
        confirmed_seeds: over how many fresh seeds ``value`` is the mean; 0: unconfirmed.
        tags: further tags of the version (`gan_tune.search`, `gan_tune.trial`, ...).
        files: pictures and the like that travel with the model, by name.

    Raises:
        GanTuneError: the module cannot be exported for any batch size, or ``value`` is not finite.
        TrackingError: MLflow does not answer, or refuses the name.
    """
    if not math.isfinite(value):
        raise GanTuneError(f"the value of a registered generator must be finite: {value}")
    if not model or re.search(r"[/:@]", model):
        raise GanTuneError(f"a model's name must not be empty nor contain / : @: {model!r}")
    uri = connect(uri)
    mlflow_client = client(uri)
    module = copy.deepcopy(module).cpu().eval()
    contents = {
        name: content if isinstance(content, bytes) else content.read_bytes()
        for name, content in (files or {}).items()
    }
    all_tags = {
        **(tags or {}),
        "gan_tune.value": repr(float(value)),
        "gan_tune.mode": mode,
        "gan_tune.comparable": comparable,
        SEEDS_TAG: str(confirmed_seeds),
        "gan_tune.latent": str(latent),
        "gan_tune.weights": _weights_digest(module),
    }
    with answering(uri):
        standing = _aliased(mlflow_client, model, ALIAS)
        version = _registered_before(mlflow_client, model, all_tags)
        if version is None:
            run_id = run_id or _lone_run(mlflow_client, uri, model)
            with tempfile.TemporaryDirectory() as temporary:
                folder = _export(module, latent, Path(temporary), run_id, contents)
                version = _register(mlflow_client, folder, model, run_id, all_tags)
        promoted, reason = _judge(standing, version, Objective(mode=mode), all_tags)
        if promoted:
            mlflow_client.set_registered_model_alias(model, ALIAS, str(version.version))
    number = int(version.version)
    return Registration(model, number, promoted, reason, f"models:/{model}/{number}")


def load_generator(
    model: str, *, alias: str = ALIAS, version: int | None = None, uri: str | None = None
) -> Generator:
    """Pull a registered generator; its file is looked through first, and runs no code of its own.

    ``model`` is `NAME`, `NAME@alias` or `NAME/3`, each with or without `models:/` before it; what
    it says goes before ``alias`` and ``version``.

    Raises:
        ModelNotFoundError: no such model, alias or version; the message names those there are.
        GanTuneError: the model was not saved in torch's `pt2` format, or not by gan-tune, or its
            file holds anything but tensors and operators on them.
        TrackingError: MLflow does not answer.
    """
    uri = connect(uri, create=False)
    found = _version_info(uri, model, alias, version)
    name, number = found.name, found.version
    with answering(uri):
        # Not `models:/NAME/3`, which MLflow looks up in the process's own store.
        source = client(uri).get_model_version_download_uri(name, str(number))
        with tempfile.TemporaryDirectory() as temporary:
            folder = mlflow.artifacts.download_artifacts(
                source, dst_path=temporary, tracking_uri=uri
            )
            module = _load(Path(folder), f"{name}/{number}")
    latent = found.tags.get("gan_tune.latent")
    if latent is None:
        raise GanTuneError(f"model {name}/{number} has no tag gan_tune.latent: not gan-tune's own")
    return Generator(name, number, int(latent), found.tags, module)


def find_version(
    model: str, *, alias: str = ALIAS, version: int | None = None, uri: str | None = None
) -> VersionInfo:
    """What is registered of a model, named as for :func:`load_generator`; nothing is downloaded.

    Raises:
        ModelNotFoundError: no such model, alias or version; the message names those there are.
        TrackingError: MLflow does not answer.
    """
    return _version_info(connect(uri, create=False), model, alias, version)


def _version_info(uri: str, model: str, alias: str, version: int | None) -> VersionInfo:
    name, alias, version = _parse(model, alias, version)
    with answering(uri):
        found = _find_version(client(uri), uri, name, alias, version)
    return VersionInfo(name, int(found.version), dict(found.tags))


def list_models(uri: str | None = None) -> list[ModelInfo]:
    """The models that gan-tune registered, by name.

    Raises:
        TrackingError: MLflow does not answer.
    """
    uri = connect(uri, create=False)
    mlflow_client = client(uri)
    with answering(uri):
        return [_model_info(mlflow_client, name) for name in _names(mlflow_client)]


def _judge(
    standing: ModelVersion | None,
    version: ModelVersion,
    objective: Objective,
    tags: Mapping[str, str],
) -> tuple[bool, str]:
    """Whether a version with these tags becomes the champion, and why."""
    if standing is None:
        return True, f"the first {ALIAS} of {version.name}"
    number = int(standing.version)
    if number == int(version.version):
        return True, f"version {number} is the {ALIAS} already"
    comparable = tags["gan_tune.comparable"]
    if standing.tags.get("gan_tune.comparable") != comparable:
        measured = standing.tags.get("gan_tune.comparable", "nothing known")
        return False, (
            f"version {number} stays {ALIAS}: it was measured by {measured}, this one by "
            f"{comparable}; give another name (--model OTHERNAME) or delete the alias {ALIAS}"
        )
    value, than = float(tags["gan_tune.value"]), float(standing.tags["gan_tune.value"])
    seeds, its_seeds = int(tags[SEEDS_TAG]), int(standing.tags.get(SEEDS_TAG, 0))
    if its_seeds and not seeds:
        return False, (
            f"version {number} stays {ALIAS}: its {than:g} is confirmed (seeds: {its_seeds}), "
            f"and {value:g} is not"
        )
    if seeds and not its_seeds:
        return True, (
            f"{value:g} is confirmed (seeds: {seeds}), and version {number}'s {than:g} is not"
        )
    if objective.better(value, than):
        return True, f"{value:g} beats version {number}'s {than:g}"
    return False, f"version {number} stays {ALIAS}: its {than:g} is not beaten by {value:g}"


def _export(
    module: torch.nn.Module,
    latent: int,
    temporary: Path,
    run_id: str,
    files: Mapping[str, bytes],
) -> Path:
    """Save the module as an MLflow model that takes any batch, and see that it does.

    Raises:
        GanTuneError: torch cannot export it, or only for one batch size.
    """
    folder = temporary / "model"
    example = np.zeros((2, latent), np.float32)  # a batch of 1 would freeze the batch dimension
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mlflow.pytorch.save_model(
                module,
                str(folder),
                mlflow_model=Model(run_id=run_id),
                signature=_signature(module, example),
                input_example=example,
                extra_files=_written(temporary / "files", files),
                # Given, or MLflow would find out by importing the model in a fresh process.
                pip_requirements=[
                    f"torch=={torch.__version__.partition('+')[0]}",
                    f"numpy=={np.__version__}",
                ],
                serialization_format="pt2",
            )
            read_archive(folder / ARCHIVE)(torch.zeros(3, latent))
    except Exception as error:
        raise GanTuneError(
            f"the generator {type(module).__name__} cannot be exported: torch.export must take it "
            f"for any batch size ({first_line(error)})"
        ) from error
    return folder


def _signature(module: torch.nn.Module, example: np.ndarray[Any, Any]) -> ModelSignature:
    """z[-1, latent] → samples[-1, ...]: MLflow's -1 is any batch size."""
    with torch.inference_mode():
        shape = module(torch.from_numpy(example)).shape
    kind = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(kind, (-1, *example.shape[1:]))]),
        outputs=Schema([TensorSpec(kind, (-1, *shape[1:]))]),
    )


def _register(
    mlflow_client: MlflowClient,
    folder: Path,
    model: str,
    run_id: str,
    tags: Mapping[str, str],
) -> ModelVersion:
    """What `mlflow.pytorch.log_model` does after saving, but in the store and run that are given.

    `log_model` writes to the process's own store and active run, starts one where there is none,
    and tells the terminal all about it.
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
    mlflow_client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(link)})
    return version


def _create_model(mlflow_client: MlflowClient, name: str) -> None:
    try:
        mlflow_client.create_registered_model(name, tags={"gan_tune.kind": "generator"})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        mlflow_client.set_registered_model_tag(name, "gan_tune.kind", "generator")


def _registered_before(
    mlflow_client: MlflowClient, name: str, tags: Mapping[str, str]
) -> ModelVersion | None:
    """The version with the very same weights and tags, from a command that was interrupted."""
    for version in _versions(mlflow_client, name):
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


def _written(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Paths of the files, each under its own name."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in files]


def _weights_digest(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def _parse(model: str, alias: str, version: int | None) -> tuple[str, str, int | None]:
    """(name, alias, version) of what a user wrote."""
    text = model.removeprefix("models:/").strip("/")
    if match := re.fullmatch(r"([^/@]+)/(\d+)", text):
        return match[1], alias, int(match[2])
    if match := re.fullmatch(r"([^/@]+)@([\w-]+)", text):
        return match[1], match[2], None
    return text, alias, version


def _find_version(
    mlflow_client: MlflowClient, uri: str, name: str, alias: str, version: int | None
) -> ModelVersion:
    if version is not None:
        found = _or_none(lambda: mlflow_client.get_model_version(name, str(version)))
    else:
        found = _aliased(mlflow_client, name, alias)
    if found is not None:
        return found
    there = sorted(int(known.version) for known in _versions(mlflow_client, name))
    if not there:
        known = there_are(name, _names(mlflow_client))
        raise ModelNotFoundError(f"no model named {name!r} in {masked(uri)}; {known}")
    wanted = f"alias {alias!r}" if version is None else f"version {version}"
    versions = ", ".join(map(str, there))
    raise ModelNotFoundError(f"model {name!r} has no {wanted}; its versions are: {versions}")


def _load(folder: Path, named: str) -> torch.nn.Module:
    """The module in a folder that :func:`_export` made, or another pt2 model of MLflow's.

    `mlflow.pytorch.load_model` would put the folder's `code` on Python's path, and import the
    module that `data/pickle_module_info.txt` names. Of all files in the folder one is read here.

    Raises:
        GanTuneError: the model would have to be unpickled or run other code, or torch cannot read
            it.
    """
    if not (folder / ARCHIVE).is_file():
        raise GanTuneError(
            f"model {named} is not in torch's pt2 format: gan-tune loads no pickles; "
            "register it again from its search"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_archive(folder / ARCHIVE)
    except Exception as error:
        raise GanTuneError(f"model {named} cannot be loaded: {first_line(error)}") from error


def _aliased(mlflow_client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    return _or_none(lambda: mlflow_client.get_model_version_by_alias(name, alias))


def _or_none(find: Callable[[], ModelVersion]) -> ModelVersion | None:
    """What is found; None where there is no such model, version or alias."""
    try:
        return find()
    except MlflowException as error:
        # An alias that is not there counts as an invalid parameter, a model as not existing.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _versions(mlflow_client: MlflowClient, name: str) -> list[ModelVersion]:
    rule = f"name = {quoted(name)}"
    return pages(lambda token: mlflow_client.search_model_versions(rule, page_token=token))


def _names(mlflow_client: MlflowClient) -> list[str]:
    """Names of the models that gan-tune registered, in order."""
    rule = "tags.`gan_tune.kind` = 'generator'"
    found = pages(lambda token: mlflow_client.search_registered_models(rule, page_token=token))
    return sorted(model.name for model in found)


def _model_info(mlflow_client: MlflowClient, name: str) -> ModelInfo:
    champion = _aliased(mlflow_client, name, ALIAS)
    if champion is None:
        created = mlflow_client.get_registered_model(name).creation_timestamp
        return ModelInfo(name, None, None, None, None, _time(created))
    tags = champion.tags
    return ModelInfo(
        name=name,
        version=int(champion.version),
        value=float(tags["gan_tune.value"]) if "gan_tune.value" in tags else None,
        objective=tags.get("gan_tune.objective", tags.get("gan_tune.comparable")),
        search=tags.get("gan_tune.search"),
        created=_time(champion.creation_timestamp),
    )


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000).astimezone()
