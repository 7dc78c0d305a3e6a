"""Networks of linear layers, for samples of any shape."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from gan_tune.gan.networks.layers import (
    ACTIVATIONS,
    CODE_OUTPUTS,
    OUTPUTS,
    Activation,
    CodeOutput,
    Output,
    Width,
    Widths,
)
from gan_tune.gan.networks.norms import NORMS, Norm

__all__ = ["FourierMLPDiscriminator", "MLPDiscriminator", "MLPEncoder", "MLPGenerator"]


def _stack(inputs: int, widths: tuple[int, ...], activation: str, norm: str) -> nn.Sequential:
    """Linear → norm → activation for each width; the layers' names are numbered from 0."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, width in enumerate(widths):
        layers[f"linear{i}"] = nn.Linear(inputs, width)
        layers[f"norm{i}"] = NORMS[norm].units(width)
        layers[f"activation{i}"] = ACTIVATIONS[activation]()
        inputs = width
    return nn.Sequential(layers)


class MLPGenerator(nn.Module):
    """Linear layers: latents [batch, latent] → hidden layers → samples [batch, *shape]."""

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
        NORMS[norm].weights(self.body)

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.output(self.head(self.body(z)))
        return samples.view(-1, *self.shape)


class MLPDiscriminator(nn.Module):
    """Linear layers: samples [batch, *shape] → hidden layers → logits [batch, 1]."""

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
        NORMS[norm].weights(self)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, [batch, features], for samples [batch, *shape]."""
        features: Tensor = self.body(x.flatten(1))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


class FourierMLPDiscriminator(nn.Module):
    """Linear layers with Fourier features: samples [batch, *shape] → logits [batch, 1].

    The features sin 2π⟨f, x⟩ and cos 2π⟨f, x⟩ have fixed random frequencies f, normal with standard
    deviation ``scale``, in periods per unit of the scaled data (Tancik et al. 2020, "Fourier
    Features Let Networks Learn High Frequency Functions in Low Dimensional Domains"). They resolve
    modes much narrower than the data, and separate narrow from wide modes long before a plain
    network does. With `norm: spectral` the slope is at most about √(1 + (2π s)²) instead of 1, s
    the largest singular value of the frequencies: the norm bounds only the layers after the
    features.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        waves: Width = 16,
        scale: Annotated[float, Field(gt=0)] = 1.0,
        hidden: Widths = (256, 256),
        activation: Activation = "leaky_relu",
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        inputs = math.prod(shape)
        self.frequencies: Tensor
        frequencies = torch.empty(inputs, waves)
        if not frequencies.is_meta:  # there PyTorch would import its compiler, which takes a second
            frequencies = torch.randn(inputs, waves) * scale
        self.register_buffer("frequencies", frequencies)
        inputs += 2 * waves
        self.body = _stack(inputs, tuple(hidden), activation, norm)
        self.head = nn.Linear(([inputs, *hidden])[-1], 1)
        NORMS[norm].weights(self)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, [batch, features], for samples [batch, *shape]."""
        x = x.flatten(1)
        phases = 2 * math.pi * (x @ self.frequencies)
        features: Tensor = self.body(torch.cat([x, phases.sin(), phases.cos()], dim=1))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


class MLPEncoder(nn.Module):
    """Linear layers: samples [batch, *shape] → hidden layers → codes [batch, code].

    A code is as large as the generator's `latent`. ``output: relu`` gives codes with exact zeros.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        code: int,
        *,
        hidden: Widths = (128, 64),
        activation: Activation = "leaky_relu",
        norm: Norm = "none",
        output: CodeOutput = "linear",
    ) -> None:
        super().__init__()
        inputs = math.prod(shape)
        self.body = _stack(inputs, tuple(hidden), activation, norm)
        self.head = nn.Linear(([inputs, *hidden])[-1], code)
        self.output = CODE_OUTPUTS[output]()
        NORMS[norm].weights(self.body)

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.output(self.head(self.body(x.flatten(1))))
        return codes
