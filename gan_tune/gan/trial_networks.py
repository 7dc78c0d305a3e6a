"""The networks of one trial: built from its seed, some of them sharing their weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_tune.gan.networks.activations import ActivationRecorder
from gan_tune.gan.networks.norms import mixes_samples
from gan_tune.gan.randomness import global_state, seeded_globals

__all__ = ["TrialNetworks", "WithEncoder", "build_networks"]

Build = Callable[[], nn.Module]


@dataclass(frozen=True, eq=False)
class TrialNetworks:
    """The networks of a trial.

    Attributes:
        generator, discriminator: the two players'.
        encoder: trained by the generator's player, where there is one.
        decoder: the generator's weights with batch statistics of codes: those of noise would not
            serve, nor the other way round.
        average: an average of the generator, where it is on.
        average_decoder: the average's weights with batch statistics of codes. Never trained: what
            it has of its own is taken anew wherever it serves.
        recorder: keeps the generator's hidden activations, where a penalty looks at them.
        mixes_samples: whether the discriminator's logit of a sample depends on the others.
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
        """Those with a state of their own, by name."""
        found = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
            "decoder": self.decoder,
            "average": self.average,
        }
        return {name: network for name, network in found.items() if network is not None}

    def drawn(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """G(z) with its graph, and the hidden activations that a penalty looks at."""
        if self.recorder is None:
            return self.generator(z), []
        self.recorder.kept.clear()
        return self.generator(z), list(self.recorder.kept)


class WithEncoder(nn.Module):
    """A generator whose player trains the encoder as well."""

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

    They are initialised from the seed, on the CPU first, so that every device starts from the same
    weights. ``shape`` is that of one sample.
    """
    with seeded_globals(seed, "networks", device):
        g, d = generator().to(device), discriminator().to(device)
        e = None if encoder is None else encoder().to(device)
        state = global_state(device)
        mixes = mixes_samples(d, shape)  # within, since a user's network may draw in evaluation
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
    """A copy with the same parameters, and buffers of its own."""
    return copy.deepcopy(network, {id(p): p for p in network.parameters()})
