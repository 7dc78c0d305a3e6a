"""A trial's networks, as far as metrics use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Cost", "Model", "ModelName", "Models"]

Model = Callable[[Tensor], Tensor]
"""Real samples [N, *shape] in data space, pictures in [0, 1] → a network's output."""
ModelName = Literal["discriminator_features", "encode", "reconstruct", "generator_cost"]


@dataclass(frozen=True)
class Cost:
    """The cost of the generator: its parameters, and multiply-adds for one sample."""

    parameters: float
    multiply_adds: float


@dataclass(frozen=True)
class Models:
    """A trial's networks in eval mode, as far as it has them, on the device of its samples.

    Attributes:
        discriminator_features: the discriminator's penultimate layer, [N, F].
        encode: the encoder's codes, [N, K].
        reconstruct: the samples as decoded from their codes, [N, *shape] in data space.
        generator_cost: measures the cost of the generator.
        fastest: the device for a costly extractor of features; None: that of the samples.
    """

    discriminator_features: Model | None = None
    encode: Model | None = None
    reconstruct: Model | None = None
    generator_cost: Callable[[], Cost] | None = None
    fastest: torch.device | None = None

    def has(self, name: ModelName) -> bool:
        """Whether the trial has the network of that name."""
        return getattr(self, name) is not None
