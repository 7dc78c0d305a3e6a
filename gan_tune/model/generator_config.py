"""What a generator is beside its weights: `generator.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gan_tune.config import Part
from gan_tune.words.wording import faults_of

__all__ = ["CONFIG", "LARGEST_LATENT", "GeneratorConfig", "config_from_json", "config_to_json"]

CONFIG = "generator.json"
FORMAT = 1
"""Number of the present form of the file. It is raised when an older gan-tune must not read it."""
LARGEST_LATENT = 2**20
LARGEST_SAMPLE = 2**24
"""Values of one sample: more than any network here makes."""


@dataclass(frozen=True)
class GeneratorConfig:
    """What is needed to build a generator again, and to feed it.

    Attributes:
        latent: size of z.
        shape: shape of one sample, (C, H, W) for pictures or (D,) for points.
        network: the network with all its arguments; None if only its graph is known. The name is
            one of gan-tune's own, or the import path of a user's class.
        scaling: a key of :data:`gan_tune.data.scaling.UNDO`; None without ``network``.
        sha256: of the file of weights beside it; None if there is none yet.
    """

    latent: int
    shape: tuple[int, ...]
    network: Part | None = None
    scaling: str | None = None
    sha256: str | None = None

    @property
    def pictures(self) -> bool:
        """Whether its samples are pictures."""
        return len(self.shape) == 3


def config_to_json(config: GeneratorConfig) -> bytes:
    """The file of a config, which :func:`config_from_json` reads back."""
    network = config.network
    tree = {
        "format": FORMAT,
        "latent": config.latent,
        "shape": list(config.shape),
        "network": None if network is None else _plain(network),
        "scaling": config.scaling,
        "sha256": config.sha256,
    }
    return json.dumps(tree, indent=2).encode()


def config_from_json(content: bytes) -> GeneratorConfig:
    """The config in a file.

    Raises:
        ValueError: the file holds anything else, in one line.
    """
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None
    if isinstance(tree, dict) and tree.get("format", FORMAT) != FORMAT:
        raise ValueError(
            f"format must be {FORMAT}, which this gan-tune knows, but is {tree['format']!r:.20}; "
            "a newer gan-tune wrote it"
        )
    try:
        stored = _Stored.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(str(faults_of(error)[0])) from None
    if math.prod(stored.shape) > LARGEST_SAMPLE:
        raise ValueError(f"shape must have at most {LARGEST_SAMPLE} values: {stored.shape}")
    network = stored.network
    part = None if network is None else Part(name=network.name, args=network.args)
    return GeneratorConfig(stored.latent, tuple(stored.shape), part, stored.scaling, stored.sha256)


def _plain(network: Part) -> dict[str, Any]:
    return {"name": network.name, "args": dict(network.args)}


class _StoredNetwork(BaseModel):
    name: str
    args: Mapping[str, Any]


class _Stored(BaseModel):
    """The file's own fields."""

    model_config = ConfigDict(extra="forbid")

    format: int
    latent: int = Field(ge=1, le=LARGEST_LATENT)
    shape: list[Annotated[int, Field(ge=1)]] = Field(min_length=1, max_length=3)
    network: _StoredNetwork | None
    scaling: str | None
    sha256: str | None = None
