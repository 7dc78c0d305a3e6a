"""Networks of 5×5 convolutions of stride 2, for pictures of any size.

Each convolution halves the resolution, rounding up: 28 → 14 → 7 → 4 → 2.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from gan_tune.gan.networks.layers import ACTIVATIONS, CODE_OUTPUTS, Activation, CodeOutput, Maps
from gan_tune.gan.networks.norms import NORMS, Norm

__all__ = ["ConvEncoder", "StridedDiscriminator"]

ManyMaps = Annotated[tuple[Maps, ...], Field(min_length=1, max_length=8)]


def _stack(channels: int, maps: tuple[int, ...], activation: str, norm: str) -> nn.Sequential:
    """Convolution → norm → activation for each of ``maps``, then flat; no batch norm on the first.

    Pictures [batch, channels, H, W] → features [batch, :func:`_flat`].
    """
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip([channels, *maps], maps, strict=False)):
        plain = i == 0
        bias = plain or NORMS[norm].bias
        layers.append(nn.Conv2d(inputs, outputs, 5, 2, 2, bias=bias))
        layers.append(nn.Identity() if plain else NORMS[norm].maps(outputs))
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers, nn.Flatten())


def _flat(shape: tuple[int, ...], maps: tuple[int, ...]) -> int:
    """How many features a stack has for pictures of ``shape``."""
    _, height, width = shape
    return maps[-1] * -(-height >> len(maps)) * -(-width >> len(maps))  # rounded up


def _check(shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise ValueError(
            f"samples must be pictures (channels, height, width), but got shape {tuple(shape)}"
        )


class StridedDiscriminator(nn.Module):
    """5×5 convolutions of stride 2: pictures [batch, C, H, W] of any shape → logits [batch, 1].

    Raises:
        ValueError: the shape is not that of pictures.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        maps: ManyMaps = (64, 128, 256, 512, 1024),
        norm: Norm = "none",
        activation: Activation = "leaky_relu",
    ) -> None:
        super().__init__()
        _check(shape)
        self.body = _stack(shape[0], tuple(maps), activation, norm)
        self.head = nn.Linear(_flat(shape, tuple(maps)), 1)
        NORMS[norm].weights(self)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, [batch, features], for pictures [batch, C, H, W]."""
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


class ConvEncoder(nn.Module):
    """5×5 convolutions of stride 2: pictures [batch, C, H, W] → codes [batch, code].

    A code is as large as the generator's `latent`. ``output: relu`` gives codes with exact zeros.

    Raises:
        ValueError: the shape is not that of pictures.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        code: int,
        *,
        maps: ManyMaps = (32, 64),
        norm: Norm = "none",
        activation: Activation = "leaky_relu",
        output: CodeOutput = "linear",
    ) -> None:
        super().__init__()
        _check(shape)
        self.body = _stack(shape[0], tuple(maps), activation, norm)
        self.head = nn.Linear(_flat(shape, tuple(maps)), code)
        self.output = CODE_OUTPUTS[output]()
        NORMS[norm].weights(self.body)

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.output(self.head(self.body(x)))
        return codes
