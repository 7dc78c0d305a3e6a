"""Generators, discriminators and encoders by name.

A network part takes the shape of one sample first ((C, H, W) for pictures, (D,) for points) and
its own settings by keyword. A generator maps latents [batch, latent] to samples
[batch, *shape] in the *scaled* data space; a discriminator maps samples to logits [batch, 1], and
its ``features`` maps them to what the last layer reads. An encoder takes the size of the code
second and maps samples to codes [batch, code]. A user's own class follows the same convention:
``Generator(shape, latent=..., ...)``, ``Discriminator(shape, ...)``, ``Encoder(shape, code, ...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from gan_tune.config.import_path import import_by_path
from gan_tune.gan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_tune.gan.networks.mlp import (
    FourierMLPDiscriminator,
    MLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
)
from gan_tune.gan.networks.norms import (
    has_batch_norm,
    has_spectral_norm,
    mixes_samples,
    without_parametrizations,
)
from gan_tune.gan.networks.residual import ResidualDiscriminator, ResidualGenerator
from gan_tune.gan.networks.strided import ConvEncoder, StridedDiscriminator

__all__ = [
    "DISCRIMINATORS",
    "ENCODERS",
    "GENERATORS",
    "NETWORKS",
    "build_network",
    "has_batch_norm",
    "has_spectral_norm",
    "mixes_samples",
    "network_class",
    "without_parametrizations",
]

GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "mlp": MLPGenerator,
    "dcgan": DCGANGenerator,
    "residual": ResidualGenerator,
}
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "mlp": MLPDiscriminator,
    "fourier_mlp": FourierMLPDiscriminator,
    "dcgan": DCGANDiscriminator,
    "conv5": StridedDiscriminator,
    "residual": ResidualDiscriminator,
}
ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": MLPEncoder,
    "conv": ConvEncoder,
}
NETWORKS: dict[str, Mapping[str, Callable[..., nn.Module]]] = {
    "generator": GENERATORS,
    "discriminator": DISCRIMINATORS,
    "encoder": ENCODERS,
}


def network_class(role: str, name: str) -> Callable[..., nn.Module]:
    """The network of that name for a role, or a user's own, named `package.module:Class`.

    Raises:
        LookupError: there is none, or it cannot be imported; the text is the rule broken.
    """
    if name in NETWORKS[role]:
        return NETWORKS[role][name]
    return import_by_path(name)  # type: ignore[no-any-return]


def build_network(
    role: str,
    shape: tuple[int, ...],
    *,
    name: str,
    args: Mapping[str, Any],
    code: int | None = None,
) -> nn.Module:
    """A new network for samples of ``shape``, its weights drawn from torch's global generator.

    ``code`` is the size of an encoder's codes; other roles have none.
    """
    sizes = (shape,) if code is None else (shape, code)
    return network_class(role, name)(*sizes, **args)
