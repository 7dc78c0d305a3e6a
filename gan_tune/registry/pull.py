"""Pulls a registered generator: downloads its files, and checks them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gan_tune.errors import GanTuneError
from gan_tune.gan.device import check_device
from gan_tune.model.generator import Generator
from gan_tune.model.generator_config import CONFIG, LARGEST_LATENT
from gan_tune.model.weights import WEIGHTS, is_own
from gan_tune.record.artifact_roots import ArtifactRoots
from gan_tune.record.mlflow_store import answering, client, connect
from gan_tune.record.tags import Tag
from gan_tune.registry.download import ModelFiles
from gan_tune.registry.mlflow_model import (
    ARCHIVE,
    COLUMNS,
    EXTRA_FILES,
    LARGEST,
    check_archived,
    read_columns,
    read_config,
    read_model,
)
from gan_tune.registry.promotion import ALIAS
from gan_tune.registry.versions import look_up, own_version

__all__ = ["load_generator"]


def load_generator(
    model: str,
    *,
    alias: str = ALIAS,
    version: int | None = None,
    uri: str | None = None,
    device: str = "cpu",
) -> Generator:
    """Pull a registered generator. Its files are checked first, so that they cannot run own code.

    The model is named as for :func:`gan_tune.registry.versions.find_version`.

    Raises:
        ModelNotFoundError: no such model, alias or version; the message names the existing ones.
        GanTuneError: the model's files lie outside of the store; it is damaged, was not saved by
            gan-tune or not without pickle, or its files hold anything but tensors, a network of
            gan-tune's own and operators on tensors.
        DeviceError: torch has no such device.
        TrackingError: MLflow does not answer.
    """
    check_device(device)
    uri = connect(uri, create=False)
    found = own_version(look_up(uri, model, alias, version))
    label = f"{found.name}/{found.version}"
    latent = _latent(found.tags[Tag.LATENT], label)
    with answering(uri), tempfile.TemporaryDirectory() as temporary:
        # Not `models:/NAME/3`, which MLflow looks up in the process's own store.
        mlflow_client, folder = client(uri), Path(temporary)
        source = mlflow_client.get_model_version_download_uri(found.name, str(found.version))
        files = ModelFiles(source, uri, ArtifactRoots(mlflow_client, uri), label)
        files.fetch([f"{EXTRA_FILES}/{name}" for name in (CONFIG, COLUMNS)], folder, LARGEST)
        config = read_config(folder, label)
        if config is not None and config.latent != latent:
            rule = f"must be {config.latent}, as {CONFIG} says"
            raise GanTuneError(f"model {label}: tag {Tag.LATENT} {rule}: {latent}")
        weights = f"{EXTRA_FILES}/{WEIGHTS}"
        own = is_own(config) and files.has(weights)
        files.fetch([weights if own else ARCHIVE], folder, LARGEST)
        if not own:
            check_archived(folder, label)
        module = read_model(folder, label, config, latent)
        columns = read_columns(folder, label)
    return Generator(
        found.name, found.version, latent, module.to(device), found.tags, columns, config
    )


def _latent(tag: str, label: str) -> int:
    """Size of z, as the version's tag says.

    Raises:
        GanTuneError: it says something else.
    """
    if not (tag.isascii() and tag.isdigit() and len(tag) < 8 and 1 <= int(tag) <= LARGEST_LATENT):
        rule = f"must be a whole number from 1 to {LARGEST_LATENT}"
        raise GanTuneError(f"model {label}: tag {Tag.LATENT} {rule}: {tag!r:.60}")
    return int(tag)
