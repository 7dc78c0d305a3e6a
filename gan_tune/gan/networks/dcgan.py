"""The deep convolutional GAN (Radford et al. 2016), for square pictures of 8 pixels or more.

``width`` is the number of feature maps at the finest hidden resolution, half the picture's size (64
in the paper). Each coarser resolution has twice as many. Weights start as N(0, 0.02²).
"""

from __future__ import annotations

from torch import Tensor, nn

from gan_tune.gan.networks.attention import SelfAttention
from gan_tune.gan.networks.layers import ACTIVATIONS, OUTPUTS, Activation, Maps, Output, Width
from gan_tune.gan.networks.norms import NORMS, Norm
from gan_tune.gan.networks.resolutions import crop, resolutions_of

__all__ = ["DCGANDiscriminator", "DCGANGenerator"]


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02²), gains of batch norm from N(1, 0.02²), biases zero."""
    weight = getattr(module, "weight", None)
    if weight is None or weight.is_meta:  # there PyTorch would import its compiler to draw
        return
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class DCGANGenerator(nn.Module):
    """DCGAN (Radford et al. 2016): latents [batch, latent] → pictures [batch, C, size, size].

    Each 4×4 transposed convolution of stride 2 doubles the resolution. The last output is cropped
    to the picture's size. ``width`` is the number of maps at half the picture's size.
    ``attention`` adds self-attention at the middle resolution.

    Raises:
        ValueError: the shape is not that of square pictures of 8 pixels or more.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        latent: Width = 100,
        width: Maps = 64,
        norm: Norm = "batch",
        activation: Activation = "relu",
        attention: bool = False,
        output: Output = "sigmoid",
    ) -> None:
        super().__init__()
        self.resolutions = r = resolutions_of(shape)
        maps = [width * 2**i for i in reversed(range(r.doublings))]
        bias = NORMS[norm].bias
        layers: list[nn.Module] = [
            nn.Linear(latent, maps[0] * r.first**2, bias=bias),
            nn.Unflatten(1, (maps[0], r.first, r.first)),
        ]
        for i, outputs in enumerate(maps):
            if i > 0:
                layers.append(nn.ConvTranspose2d(maps[i - 1], outputs, 4, 2, 1, bias=bias))
            layers += [NORMS[norm].maps(outputs), ACTIVATIONS[activation]()]
            if attention and i == r.doublings_to_middle:
                layers.append(SelfAttention(outputs))
        self.body = nn.Sequential(*layers)
        self.head = nn.ConvTranspose2d(maps[-1], r.channels, 4, 2, 1)
        self.output = OUTPUTS[output]()
        self.apply(_initialise)
        NORMS[norm].weights(self.body)

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.output(crop(self.head(self.body(z)), self.resolutions.size))
        return samples


class DCGANDiscriminator(nn.Module):
    """DCGAN: pictures [batch, C, size, size] → 4×4 convolutions of stride 2 → logits [batch, 1].

    ``width`` is the number of maps at half the picture's size. The first layer has no batch norm,
    as in the paper. ``attention`` adds self-attention at the middle resolution.

    Raises:
        ValueError: the shape is not that of square pictures of 8 pixels or more.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: Maps = 64,
        norm: Norm = "none",
        activation: Activation = "leaky_relu",
        attention: bool = False,
    ) -> None:
        super().__init__()
        r = resolutions_of(shape)
        maps = [width * 2**i for i in range(r.doublings)]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(zip([r.channels, *maps], maps, strict=False)):
            plain = i == 0
            bias = plain or NORMS[norm].bias
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=bias))
            layers.append(nn.Identity() if plain else NORMS[norm].maps(outputs))
            layers.append(ACTIVATIONS[activation]())
            if attention and i + 1 == r.halvings_to_middle:
                layers.append(SelfAttention(outputs))
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(maps[-1] * r.last**2, 1)
        self.apply(_initialise)
        NORMS[norm].weights(self)

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, [batch, features], for pictures [batch, C, size, size]."""
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
