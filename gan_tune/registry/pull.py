"""Pulling a registered generator: downloaded, read with a guard, ready to draw samples from."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
import torch

from gan_tune.errors import GanTuneError
from gan_tune.record.mlflow_store import answering, client, connect
from gan_tune.record.tags import Tag
from gan_tune.registry.mlflow_model import read_model
from gan_tune.registry.promotion import ALIAS
from gan_tune.registry.versions import look_up

__all__ = ["Generator", "load_generator"]

CHUNK = 64
"""Samples that are made in one forward pass."""


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

        The same seed gives the same samples, bit for bit, for any ``n``, since samples are always
        made in batches of 64.

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


def load_generator(
    model: str, *, alias: str = ALIAS, version: int | None = None, uri: str | None = None
) -> Generator:
    """Pull a registered generator. Its file is checked first, so that it cannot run its own code.

    The model is named as for :func:`gan_tune.registry.versions.find_version`.

    Raises:
        ModelNotFoundError: no such model, alias or version; the message names the existing ones.
        GanTuneError: the model was not saved in torch's `pt2` format, or not by gan-tune, or its
            file holds anything but tensors and operators on them.
        TrackingError: MLflow does not answer.
    """
    uri = connect(uri, create=False)
    found = look_up(uri, model, alias, version)
    label = f"{found.name}/{found.version}"
    with answering(uri):
        # Not `models:/NAME/3`, which MLflow looks up in the process's own store.
        source = client(uri).get_model_version_download_uri(found.name, str(found.version))
        with tempfile.TemporaryDirectory() as temporary:
            folder = mlflow.artifacts.download_artifacts(
                source, dst_path=temporary, tracking_uri=uri
            )
            module = read_model(Path(folder), label)
    latent = found.tags.get(Tag.LATENT)
    if latent is None:
        raise GanTuneError(f"model {label} has no tag {Tag.LATENT}: not gan-tune's own")
    return Generator(found.name, found.version, int(latent), found.tags, module)
