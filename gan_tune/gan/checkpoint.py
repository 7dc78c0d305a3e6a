"""A trial's complete state as one safetensors file: tensors, and scalars in the header.

It is a single file, so it is either complete or absent. It contains no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gan_tune.atomic_file import write_whole
from gan_tune.errors import CheckpointError
from gan_tune.gan.device import step_counter_device

__all__ = ["BEGUN", "FILE_NAME", "Checkpoint", "pack", "read", "step_of", "write"]

FILE_NAME = "checkpoint.safetensors"
FORMAT = "1"
BEGUN = "window_begun"
"""Scalar of a checkpoint from between two reports: the step of the first one; else absent."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: named tensors, JSON scalars and the digest of the trial config."""

    tensors: Mapping[str, Tensor]
    scalars: Mapping[str, Any]
    config_digest: str

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors named ``prefix/REST``, keyed by REST."""
        start = f"{prefix}/"
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}

    def check(self, config_digest: str) -> None:
        """Check that the checkpoint belongs to this trial config.

        Raises:
            CheckpointError: the digests differ.
        """
        if self.config_digest != config_digest:
            raise CheckpointError(
                f"checkpoint: must be of trial config {config_digest}, but is of "
                f"{self.config_digest}"
            )


def pack(tensors: Mapping[str, Tensor], scalars: Mapping[str, Any], config_digest: str) -> bytes:
    """The bytes of a checkpoint."""
    header = {"format": FORMAT, "config": config_digest, "scalars": json.dumps(scalars)}
    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    own = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    return bytes(save_tensors(own, metadata=header))


def read(source: bytes | Path) -> Checkpoint:
    """Read a checkpoint from its bytes, its file, or the folder that holds it.

    Raises:
        CheckpointError: it is missing, damaged, or not a checkpoint of gan-tune.
    """
    if isinstance(source, Path):
        path = source / FILE_NAME if source.is_dir() else source
        try:
            source = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path}: must be a readable checkpoint: {error}") from None
    try:
        header = _header(source)
        return Checkpoint(load_tensors(source), json.loads(header["scalars"]), header["config"])
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"checkpoint is torn or not gan-tune's: {error}") from None


def step_of(stored: bytes | None) -> int:
    """The step at which a checkpoint was written; 0 if there is none, or it is damaged."""
    try:
        return 0 if stored is None else int(json.loads(_header(stored)["scalars"])["step"])
    except (ValueError, KeyError, TypeError):
        return 0


def _header(stored: bytes) -> dict[str, str]:
    size = int.from_bytes(stored[:8], "little")
    header: dict[str, str] = json.loads(stored[8 : 8 + size])["__metadata__"]
    return header


def write(state: bytes, folder: Path) -> Path:
    """Write a checkpoint's bytes into a folder, completely or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    write_whole(path, state)
    return path


def optimizer_tensors(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimizer's state as named tensors: `prefix/PARAMETER/KEY`, numbers as 0-d tensors."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return {
        f"{prefix}/{i}/{key}": torch.as_tensor(value)
        for i, parameter in enumerate(parameters)
        for key, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore an optimizer's state; settings such as the learning rate come from the config."""
    parameters = [(p, group) for group in optimizer.param_groups for p in group["params"]]
    for name, tensor in tensors.items():
        index, key = name.split("/", 1)
        parameter, settings = parameters[int(index)]
        counts = key == "step"
        device = step_counter_device(parameter, settings) if counts else parameter.device
        optimizer.state[parameter][key] = tensor.to(device)
