"""The networks of one trial: initialised from its seed; some share their weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_tune.gan.device import global_state
from gan_tune.gan.networks.activations import ActivationRecorder
from gan_tune.gan.networks.norms import mixes_samples
from gan_tune.gan.precision import Rounding
from gan_tune.gan.randomness import seeded_globals

__all__ = ["TrialNetworks", "WithEncoder", "build_networks"]

Build = Callable[[], nn.Module]


@dataclass(frozen=True, eq=False)
class TrialNetworks:
    """The networks of a trial.

    Attributes:
        generator, discriminator: the two players'.
        encoder: trained by the generator's player, if there is one.
        decoder: the generator's weights with batch statistics of codes. Statistics of noise do not
            fit codes, or vice versa.
        average: an average of the generator, if averaging is on.
        average_decoder: the average's weights with batch statistics of codes. It is never trained:
            its statistics are computed again before each use.
        recorder: keeps the generator's hidden activations, if a penalty uses them.
        mixes_samples: whether the discriminator's logit of a sample depends on other samples.
    """

    generator: nn.Module
    discriminator: nn.Module
    encoder: nn.Module | None = None
    decoder: nn.Module | None = None
    average: nn.Module | None = None
    average_decoder: nn.Module | None = None
    recorder: ActivationRecorder | None = None
    mixes_samples: bool = False

    def by_name(self) -> dict[str, nn.Module]:
        """The networks that have their own state, by name."""
        found = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
            "decoder": self.decoder,
            "average": self.average,
        }
        return {name: network for name, network in found.items() if network is not None}

    def drawn(self, z: Tensor, rounded: Rounding) -> tuple[Tensor, list[Tensor]]:
        """G(z) with its graph, and the hidden activations that a penalty uses."""
        generator = rounded(self.generator)
        if self.recorder is None:
            return generator(z), []
        self.recorder.kept.clear()
        return generator(z), [activation.float() for activation in self.recorder.kept]


class WithEncoder(nn.Module):
    """A generator whose player also trains the encoder."""

    def __init__(self, generator: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.generator(z)
        return samples


def build_networks(
    generator: Build,
    discriminator: Build,
    encoder: Build | None = None,
    *,
    shape: tuple[int, ...],
    seed: int,
    device: torch.device,
    averaged: bool = False,
    record_activations: bool = False,
) -> tuple[TrialNetworks, dict[str, Tensor]]:
    """The networks on a device, and the state of torch's global generators after them.

    They are initialised from the seed on the CPU, then moved, so every device starts from the same
    weights. ``shape`` is the shape of one sample.
    """
    with seeded_globals(seed, "networks", device):
        g, d = generator().to(device), discriminator().to(device)
        e = None if encoder is None else encoder().to(device)
        state = global_state(device)
        mixes = mixes_samples(d, shape)  # inside, since a user's network may draw in evaluation
    average = None
    if averaged:
        with seeded_globals(seed, "networks", device):
            average = generator().to(device)
    found = TrialNetworks(
        generator=g,
        discriminator=d,
        encoder=e,
        decoder=None if e is None else _sharing_weights(g),
        average=average,
        average_decoder=None if average is None or e is None else _sharing_weights(average).eval(),
        recorder=ActivationRecorder(g) if record_activations else None,
        mixes_samples=mixes,
    )
    return found, state


def _sharing_weights(network: nn.Module) -> nn.Module:
    """A copy with the same parameters but its own buffers."""
    return copy.deepcopy(network, {id(p): p for p in network.parameters()})
