"""Generators and discriminators by name.

A network part takes the shape of one sample first ((C, H, W) for pictures, (D,) for points) and
its own settings by keyword. A generator maps latents [batch, latent] to samples
[batch, *shape] in the *scaled* data space; a discriminator maps samples to logits [batch, 1].
A user's own class follows the same convention: ``Generator(shape, latent=..., ...)``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "NETWORKS",
    "MLPDiscriminator",
    "MLPGenerator",
    "build_network",
    "has_batch_norm",
    "network_class",
]

Width = Annotated[int, Field(ge=1, le=65536)]
Widths = Annotated[tuple[Width, ...], Field(max_length=32)]
Activation = Literal["leaky_relu", "relu", "elu", "tanh"]
Norm = Literal["none", "batch"]
Output = Literal["sigmoid", "tanh", "linear"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}
NORMS: dict[str, Callable[[int], nn.Module | None]] = {
    "none": lambda width: None,
    "batch": nn.BatchNorm1d,
}
OUTPUTS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "linear": nn.Identity,
}


def _stack(inputs: int, widths: tuple[int, ...], activation: str, norm: str) -> nn.Sequential:
    """Linear → norm → activation for each width; the layers' names count from 0."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, width in enumerate(widths):
        layers[f"linear{i}"] = nn.Linear(inputs, width)
        if (layer := NORMS[norm](width)) is not None:
            layers[f"norm{i}"] = layer
        layers[f"activation{i}"] = ACTIVATIONS[activation]()
        inputs = width
    return nn.Sequential(layers)


class MLPGenerator(nn.Module):
    """Latents [batch, latent] → hidden layers → samples [batch, *shape]."""

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: Width = 100,
        hidden: Widths = (128, 256),
        activation: Activation = "leaky_relu",
        norm: Norm = "none",
        output: Output = "sigmoid",
    ) -> None:
        super().__init__()
        self.shape = shape
        self.body = _stack(latent, tuple(hidden), activation, norm)
        self.head = nn.Linear(([latent, *hidden])[-1], math.prod(shape))
        self.output = OUTPUTS[output]()

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.output(self.head(self.body(z)))
        return samples.view(-1, *self.shape)


class MLPDiscriminator(nn.Module):
    """Samples [batch, *shape] → hidden layers → logits [batch, 1]."""

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        hidden: Widths = (256, 128),
        activation: Activation = "leaky_relu",
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        inputs = math.prod(shape)
        self.body = _stack(inputs, tuple(hidden), activation, norm)
        self.head = nn.Linear(([inputs, *hidden])[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x.flatten(1)))
        return logits


def has_batch_norm(network: nn.Module) -> bool:
    """Whether a network's output for one sample depends on the others in its batch."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


GENERATORS: dict[str, Callable[..., nn.Module]] = {"mlp": MLPGenerator}
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {"mlp": MLPDiscriminator}
NETWORKS: dict[str, Mapping[str, Callable[..., nn.Module]]] = {
    "generator": GENERATORS,
    "discriminator": DISCRIMINATORS,
}


def network_class(role: str, name: str) -> Callable[..., nn.Module]:
    """The network of that name for a role, or a user's own, named `package.module:Class`.

    Raises:
        LookupError: there is none, or it cannot be imported; the text is the rule broken.
    """
    if name in NETWORKS[role]:
        return NETWORKS[role][name]
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)  # type: ignore[no-any-return]
    except Exception as error:  # a user's module may raise anything while it is imported
        raise LookupError(
            f"must be importable as package.module:Class ({type(error).__name__}: {error})"
        ) from error


def build_network(
    role: str, shape: tuple[int, ...], *, name: str, args: Mapping[str, Any]
) -> nn.Module:
    """A new network for samples of ``shape``, its weights drawn from torch's global generator."""
    return network_class(role, name)(shape, **args)
