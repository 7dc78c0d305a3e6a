"""Residual networks in the manner of SNGAN (Miyato et al. 2018, appendix B), for square pictures.

``width`` is the number of feature maps at the finest resolution: the picture's in a generator, half
of it in a discriminator. Each coarser resolution has twice as many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

from gan_tune.gan.networks.attention import SelfAttention
from gan_tune.gan.networks.layers import ACTIVATIONS, OUTPUTS, Activation, Maps, Output, Width
from gan_tune.gan.networks.norms import NORMS, Norm
from gan_tune.gan.networks.resolutions import crop, resolutions_of

__all__ = ["ResidualDiscriminator", "ResidualGenerator"]

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def _initialised(layer: Layer, *, gain: float = 1.0) -> Layer:
    """Returns the layer, initialised: uniform weights after Glorot and Bengio, zero bias."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """y = F(x) + S(x), feature maps [batch, inputs, H, W] → [batch, outputs, H', W'].

    F: norm → activation → ``up`` → 3×3 → norm → activation → 3×3 → ``down``. S: ``up``, ``down``
    and a 1×1 convolution where the width changes. A block that reads pixels (``raw``) skips the
    first activation and has no batch norm.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        norm: str,
        activation: str,
        up: Sequence[nn.Module] = (),
        down: Sequence[nn.Module] = (),
        raw: bool = False,
    ) -> None:
        super().__init__()
        normalisation = NORMS["none" if raw else norm]
        bias = normalisation.bias
        before = [] if raw else [normalisation.maps(inputs), ACTIVATIONS[activation]()]
        first, second = (
            _initialised(nn.Conv2d(maps, outputs, 3, padding=1, bias=bias), gain=math.sqrt(2))
            for maps in (inputs, outputs)
        )
        between = [normalisation.maps(outputs), ACTIVATIONS[activation]()]
        self.residual = nn.Sequential(*before, *up, first, *between, second, *down)
        widen = (
            [_initialised(nn.Conv2d(inputs, outputs, 1, bias=bias))] if inputs != outputs else []
        )
        # A 1×1 convolution commutes with both; at the coarser resolution it is cheaper.
        self.shortcut = nn.Sequential(*down, *widen, *up)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x) + self.shortcut(x)
        return y


class ResidualGenerator(nn.Module):
    """Residual blocks (Miyato et al. 2018, appendix B): latents → pictures [batch, C, size, size].

    Each block doubles the resolution by nearest neighbours. The last output is cropped to the
    picture's size. ``width`` is the number of maps at the picture's size. ``attention`` adds
    self-attention at the middle resolution.

    Raises:
        ValueError: the shape is not that of square pictures of 8 pixels or more.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: Width = 128,
        width: Maps = 64,
        norm: Norm = "batch",
        activation: Activation = "relu",
        attention: bool = False,
        output: Output = "sigmoid",
    ) -> None:
        super().__init__()
        self.resolutions = r = resolutions_of(shape)
        maps = [width * 2**i for i in reversed(range(r.doublings + 1))]
        layers: list[nn.Module] = [
            _initialised(nn.Linear(latent, maps[0] * r.first**2, bias=NORMS[norm].bias)),
            nn.Unflatten(1, (maps[0], r.first, r.first)),
        ]
        for i, outputs in enumerate(maps):
            if i > 0:
                up = [nn.Upsample(scale_factor=2)]
                layers.append(
                    ResidualBlock(maps[i - 1], outputs, norm=norm, activation=activation, up=up)
                )
            if attention and i == r.doublings_to_middle:
                layers.append(SelfAttention(outputs))
        layers += [NORMS[norm].maps(width), ACTIVATIONS[activation]()]
        self.body = nn.Sequential(*layers)
        self.head = _initialised(nn.Conv2d(width, r.channels, 3, padding=1))
        self.output = OUTPUTS[output]()
        NORMS[norm].weights(self.body)

    def forward(self, z: Tensor) -> Tensor:
        features = crop(self.body(z), self.resolutions.size)
        samples: Tensor = self.output(self.head(features))
        return samples


class ResidualDiscriminator(nn.Module):
    """Residual blocks, then the sum over positions: pictures → logits [batch, 1].

    Each block halves the resolution by averaging; the last one keeps it. ``width`` is the number of
    maps at half the picture's size. ``attention`` adds self-attention at the middle resolution.

    Raises:
        ValueError: the shape is not that of square pictures of 8 pixels or more.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: Maps = 64,
        norm: Norm = "none",
        activation: Activation = "relu",
        attention: bool = False,
    ) -> None:
        super().__init__()
        r = resolutions_of(shape)
        maps = [width * 2**i for i in range(r.doublings)]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(zip([r.channels, *maps], maps, strict=False)):
            down = [nn.AvgPool2d(2)]
            layers.append(
                ResidualBlock(
                    inputs, outputs, norm=norm, activation=activation, down=down, raw=i == 0
                )
            )
            if attention and i + 1 == r.halvings_to_middle:
                layers.append(SelfAttention(outputs))
        layers.append(ResidualBlock(maps[-1], maps[-1], norm=norm, activation=activation))
        layers += [NORMS[norm].maps(maps[-1]), ACTIVATIONS[activation]()]
        self.body = nn.Sequential(*layers)
        self.head = _initialised(nn.Linear(maps[-1], 1))
        NORMS[norm].weights(self)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, [batch, features], for pictures [batch, C, size, size]."""
        features: Tensor = self.body(x).sum((2, 3))
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
