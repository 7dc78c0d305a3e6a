"""A generator as a folder in MLflow's format: saved without pickle, and checked when read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from gan_tune.errors import GanTuneError
from gan_tune.model.archive import read_archive
from gan_tune.record.mlflow_store import reason_of

__all__ = ["read_model", "save_model"]

ARCHIVE = Path("data", "model.pt2")
"""The only file of the folder that is read."""


def save_model(
    folder: Path,
    module: torch.nn.Module,
    *,
    latent: int,
    run_id: str,
    files: Mapping[str, bytes],
) -> None:
    """Save a module z[B, latent] → samples [B, ...], and check that it works for any batch size.

    ``files`` are written next to it, by name. The folder must not exist yet, but its parent must.

    Raises:
        GanTuneError: torch cannot export the module, or only for one batch size.
    """
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
                extra_files=_written(folder.with_name("files"), files),
                # Given here; otherwise MLflow would import the model in a new process.
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
            f"for any batch size ({reason_of(error)})"
        ) from error


def read_model(folder: Path, label: str) -> torch.nn.Module:
    """The module in a folder of :func:`save_model`, or in another one of MLflow's pt2 models.

    `mlflow.pytorch.load_model` would put the folder's `code` on Python's path, and import the
    module that `data/pickle_module_info.txt` names. Here one file of the folder is read.

    ``label`` names the model in messages.

    Raises:
        GanTuneError: the model would have to be unpickled or run other code, or torch cannot read
            it.
    """
    if not (folder / ARCHIVE).is_file():
        raise GanTuneError(
            f"model {label} is not in torch's pt2 format: gan-tune loads no pickles; "
            "register it again from its search"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_archive(folder / ARCHIVE)
    except Exception as error:
        raise GanTuneError(f"model {label} cannot be loaded: {reason_of(error)}") from error


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
