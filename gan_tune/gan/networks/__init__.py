"""Generators, discriminators and encoders by name.

The first argument of a network part is the shape of one sample ((C, H, W) for pictures, (D,) for
points). Its own settings are keywords. A generator maps latents [batch, latent] to samples
[batch, *shape] in the *scaled* data space. A discriminator maps samples to logits [batch, 1]; its
``features`` maps them to the input of the last layer. An encoder's second argument is the size of
the code; it maps samples to codes [batch, code]. A user's own class follows the same convention:
``Generator(shape, latent=..., ...)``, ``Discriminator(shape, ...)``, ``Encoder(shape, code, ...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from gan_tune.config.import_path import import_own
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
    """The network of that name for a role, or a user's own class `package.module:Class`.

    Raises:
        LookupError: it cannot be imported, is no such class, or is defined in another package than
            its path names; the text states the broken rule.
    """
    if name in NETWORKS[role]:
        return NETWORKS[role][name]
    found = import_own(name)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise LookupError("must be a class derived from torch.nn.Module")
    return found


def build_network(
    role: str,
    shape: tuple[int, ...],
    *,
    name: str,
    args: Mapping[str, Any],
    code: int | None = None,
) -> nn.Module:
    """A new network for samples of ``shape``, its weights drawn from torch's global generator.

    ``code`` is the size of an encoder's codes. Other roles do not use it.
    """
    sizes = (shape,) if code is None else (shape, code)
    return network_class(role, name)(*sizes, **args)
