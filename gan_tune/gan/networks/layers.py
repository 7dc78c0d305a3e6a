"""The activations that all networks offer: of hidden layers and of the generator's output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

__all__ = [
    "ACTIVATIONS",
    "CODE_OUTPUTS",
    "OUTPUTS",
    "Activation",
    "CodeOutput",
    "Maps",
    "Output",
    "Width",
    "Widths",
]

Width = Annotated[int, Field(ge=1, le=65536)]
Widths = Annotated[tuple[Width, ...], Field(max_length=32)]
Maps = Annotated[int, Field(ge=1, le=1024)]
"""The number of a convolution's output feature maps."""

Activation = Literal["leaky_relu", "relu", "elu", "tanh"]
Output = Literal["sigmoid", "tanh", "linear"]
CodeOutput = Literal["linear", "relu"]
"""The last layer of an encoder; rectified codes have exact zeros."""

# None of them works in place: penalties on gradients differentiate twice.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}
OUTPUTS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "linear": nn.Identity,
}
CODE_OUTPUTS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
}
