"""A generator as a folder in MLflow's format: saved without pickle, and checked when read.

    data/model.pt2                     what MLflow itself serves: torch's exported program
    extra_files/generator.json         shape and latents; of gan-tune's networks, name and arguments
    extra_files/generator.safetensors  the weights
    extra_files/columns.json           of a table: the names and types of its columns

gan-tune reads a network of its own from the last three, and a user's network from the first. It
reads no other file, and none beyond a size.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from gan_tune.data.columns import Column, columns_from_json
from gan_tune.errors import GanTuneError, OutputError
from gan_tune.model.export import ExportedGenerator, saved_whole
from gan_tune.model.generator_config import (
    CONFIG,
    GeneratorConfig,
    config_from_json,
)
from gan_tune.model.own_files import LARGEST_COLUMNS, LARGEST_CONFIG, LARGEST_WEIGHTS
from gan_tune.model.weights import WEIGHTS, built_from, is_own, stored_files
from gan_tune.record.mlflow_client import quiet_mlflow, reason_of
from gan_tune.record.mlflow_internals import pytorch_flavor

__all__ = [
    "ARCHIVE",
    "COLUMNS",
    "LARGEST",
    "check_archived",
    "name_run",
    "read_columns",
    "read_config",
    "read_model",
    "save_model",
]

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)

COLUMNS = "columns.json"
EXTRA_FILES = "extra_files"
"""The folder into which MLflow puts the files next to the model."""
ARCHIVE = "data/model.pt2"
LARGEST: Mapping[str, int] = {
    f"{EXTRA_FILES}/{CONFIG}": LARGEST_CONFIG,
    f"{EXTRA_FILES}/{COLUMNS}": LARGEST_COLUMNS,
    f"{EXTRA_FILES}/{WEIGHTS}": LARGEST_WEIGHTS,
    ARCHIVE: LARGEST_WEIGHTS,
}
"""The files that are read, and the size in bytes up to which they are."""

REQUIREMENTS = ("torch>=2.10,<3", "numpy>=2")
"""What serving needs: the releases of torch that this package allows. Each of them has been seen to
read what the oldest and the newest have written, though torch does not promise it."""


def save_model(
    folder: Path,
    module: torch.nn.Module,
    *,
    latent: int,
    run_id: str,
    files: Mapping[str, bytes],
) -> None:
    """Save a module z[B, latent] → samples [B, ...], and check that it works for any batch size.

    ``files`` are written next to it, by name, and with them the config and weights of a generator
    that knows them. The folder must not exist yet, but its parent must.

    Raises:
        GanTuneError: torch cannot export the module, or only for one batch size.
        OutputError: the folder cannot be written.
    """
    from gan_tune.model.archive import read_archive

    if isinstance(module, ExportedGenerator) and module.config is not None:
        files = {**files, **stored_files(module, module.config)}
    quiet_mlflow()  # a search with --offline opens no client, which would do so
    flavor = pytorch_flavor()
    example = np.zeros((2, latent), np.float32)  # a batch of 1 would freeze the batch dimension
    try:
        with warnings.catch_warnings(), saved_whole():
            warnings.simplefilter("ignore")
            flavor.save_model(
                module,
                str(folder),
                mlflow_model=Model(run_id=run_id),
                signature=_signature(module, example),
                input_example=example,
                extra_files=_written(folder.with_name("files"), files),
                # Given here; otherwise MLflow would import the model in a new process.
                pip_requirements=list(REQUIREMENTS),
                serialization_format="pt2",
            )
            read_archive(folder / ARCHIVE)(torch.zeros(3, latent))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
        raise GanTuneError(
            f"the generator {type(module).__name__} cannot be exported: torch.export must take it "
            f"for any batch size ({reason_of(error)})"
        ) from error


def name_run(folder: Path, run_id: str) -> None:
    """Write into a saved model's folder which MLflow run trained it."""
    described = Model.load(str(folder))
    described.run_id = run_id
    described.save(str(folder / "MLmodel"))


def read_config(folder: Path, label: str) -> GeneratorConfig | None:
    """The config of a model's generator; None if it was saved without one.

    Raises:
        GanTuneError: the file holds anything else.
    """
    path = folder / EXTRA_FILES / CONFIG
    try:
        return config_from_json(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise GanTuneError(f"model {label}: {CONFIG}: {reason_of(error)}") from error


def read_model(
    folder: Path, label: str, config: GeneratorConfig | None, latent: int
) -> torch.nn.Module:
    """The module in a folder of :func:`save_model`, or in another one of MLflow's pt2 models.

    A network of gan-tune's own is built from config and weights. Any other is read from torch's
    archive, which may not be readable by another release of torch. A child process reads it first,
    with limits on memory and time.

    `mlflow.pytorch.load_model` would put the folder's `code` on Python's path, and import the
    module that `data/pickle_module_info.txt` names. Here one file of the folder is read.

    ``label`` names the model in messages, ``latent`` is the size of its z.

    Raises:
        GanTuneError: the model would have to be unpickled or run other code, or is damaged, or
            torch cannot read it.
    """
    weights = folder / EXTRA_FILES / WEIGHTS
    if config is not None and is_own(config) and weights.is_file():
        try:
            return built_from(config, weights.read_bytes())
        except (OSError, ValueError) as error:
            raise GanTuneError(f"model {label} cannot be loaded: {reason_of(error)}") from error
    check_archived(folder, label)
    from gan_tune.model.confined import read_confined

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_confined(folder / ARCHIVE, latent)
    except Exception as error:
        raise GanTuneError(f"model {label} cannot be loaded: {reason_of(error)}") from error


def check_archived(folder: Path, label: str) -> None:
    """Check that a model has torch's archive.

    Raises:
        GanTuneError: it has none, so it would have to be unpickled.
    """
    if not (folder / ARCHIVE).is_file():
        raise GanTuneError(
            f"model {label} is not in torch's pt2 format: gan-tune loads no pickles; "
            "register it again from its search"
        )


def read_columns(folder: Path, label: str) -> tuple[Column, ...]:
    """The columns of the table that a model in ``folder`` imitates; none if it is of no table.

    Raises:
        GanTuneError: the file holds anything else.
    """
    path = folder / EXTRA_FILES / COLUMNS
    try:
        return columns_from_json(path.read_bytes()) if path.is_file() else ()
    except (OSError, ValueError) as error:
        raise GanTuneError(f"model {label}: {COLUMNS}: {reason_of(error)}") from error


def _signature(module: torch.nn.Module, example: NDArray[np.float32]) -> ModelSignature:
    """z[-1, latent] → samples[-1, ...]: MLflow's -1 is any batch size."""
    with torch.inference_mode():
        shape = module(torch.from_numpy(example)).shape
    kind = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(kind, (-1, *example.shape[1:]))]),
        outputs=Schema([TensorSpec(kind, (-1, *shape[1:]))]),
    )


def _written(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Paths of the files, each under its own name."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [str(folder / name) for name in files]
