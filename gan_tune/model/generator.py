"""A generator to draw from: the same samples for the same seed, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from gan_tune.config.settings import check_seed
from gan_tune.data.columns import Column
from gan_tune.gan.device import global_state
from gan_tune.gan.randomness import seeded_globals
from gan_tune.model.confined import BLOCK
from gan_tune.model.generator_config import GeneratorConfig
from gan_tune.samples.inspection import slerp

__all__ = ["BLOCK", "Generator"]

MOST_STOPS = 10_000
"""Latents of a walk, which are in memory together."""


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained generator: latents z [B, latent] → samples in data space, float32.

    Samples are pictures [B, C, H, W] in [0, 1], or points [B, D] in the data's own units.

    Attributes:
        name: of the model, or of the run or folder that it comes from.
        version: of the model; None if it is not registered.
        latent: size of z.
        module: the network with the scaling back to data space, in eval mode.
        tags: of the model's version in MLflow.
        columns: of a table: the names and types of the samples' coordinates.
        config: how the network is built; None if only its graph is known.
    """

    name: str
    version: int | None
    latent: int
    module: nn.Module
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    config: GeneratorConfig | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}/{self.version}"

    def __call__(self, z: Tensor) -> Tensor:
        """Samples [B, ...] of latents z [B, latent], on the generator's device.

        A network that is read from an archive computes in batches that it was tried with
        (:mod:`gan_tune.model.confined`), so its samples may differ in their last digit.
        A network that draws in `forward` takes from torch's global random generator.
        """
        with torch.inference_mode():
            samples: Tensor = self.module(z.to(self.device, torch.float32))
        return samples

    @cached_property
    def device(self) -> torch.device:
        """The device that it computes on."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) of a picture, (D,) of a point."""
        return tuple(self._block(torch.zeros(BLOCK, self.latent), 0, 0).shape[1:])

    @cached_property
    def draws(self) -> bool:
        """Whether the network draws numbers in `forward`, for noise or dropout.

        Then a sample depends on its place in the batch, too.
        """
        with seeded_globals(0, "forward", self.device):
            before = global_state(self.device)
            self(torch.zeros(BLOCK, self.latent))
            after = global_state(self.device)
        return any(not torch.equal(state, after[kind]) for kind, state in before.items())

    def sample(self, n: int, seed: int = 0, *, truncation: float | None = None) -> Tensor:
        """``n`` samples [n, ...] of standard normal latents; see :meth:`batches`.

        Raises:
            ValueError: ``n`` < 1, or ``truncation`` ≤ 0.
        """
        samples = torch.empty(0)
        done = 0
        for batch in self.batches(n, seed, truncation=truncation):
            if done == 0:
                samples = torch.empty(n, *batch.shape[1:], device=batch.device)
            samples[done : done + len(batch)] = batch
            done += len(batch)
        return samples

    def batches(
        self, n: int, seed: int = 0, *, truncation: float | None = None
    ) -> Iterator[Tensor]:
        """``n`` samples of standard normal latents, in batches [at most 64, ...].

        On one machine and device the same seed gives the same samples, bit for bit, for any ``n``;
        it also decides what the network draws in `forward`. The latents are drawn on the CPU, so
        they are the same for every device.

        Args:
            n: how many, at least 1.
            seed: of the latents, and of what the network itself draws.
            truncation: the largest |z_i|, above 0: fewer outliers, less variety. Each latent moves
                from its quantile of N(0, 1) to the same quantile of the truncated distribution, so
                that a sample stays akin to what it is without truncation. The trick is that of
                Brock et al., Large scale GAN training for high fidelity natural image synthesis,
                2019, section 3.1, who draw again what lies outside.

        Raises:
            ValueError: ``n`` < 1, or ``truncation`` ≤ 0.
            ConfigError: the seed is no whole number from 0 to 2^63 - 1.
        """
        _check(n, truncation)
        check_seed(seed)
        random = torch.Generator().manual_seed(seed)
        return self._batches(self._latents(random, n, truncation), n, seed)

    def walk(
        self, n: int, seed: int = 0, *, stops: int, truncation: float | None = None
    ) -> Iterator[Tensor]:
        """``n`` samples on a closed way through ``stops`` latents, in batches [at most 64, ...].

        The way from one latent to the next is :func:`gan_tune.samples.inspection.slerp`. The last
        sample lies just before the first, so that the pictures can be shown in a circle.

        Raises:
            ValueError: ``n`` < 1, ``stops`` < 2, above ``n`` or :data:`MOST_STOPS`, or
                ``truncation`` ≤ 0.
        """
        _check(n, truncation)
        if not 2 <= stops <= min(n, MOST_STOPS):
            most = f"{MOST_STOPS:,}, and at most the {n} samples"
            raise ValueError(f"stops (--interpolate) must be from 2 to {most}: {stops}")
        anchors = self.latents(stops, seed, truncation=truncation)
        return self._batches(_way(anchors, n), n, seed)

    def latents(self, n: int, seed: int = 0, *, truncation: float | None = None) -> Tensor:
        """The latents [n, latent] of which :meth:`batches` draws its samples, on the CPU.

        Raises:
            ValueError: ``n`` < 1, or ``truncation`` ≤ 0.
            ConfigError: the seed is no whole number from 0 to 2^63 - 1.
        """
        _check(n, truncation)
        check_seed(seed)
        random = torch.Generator().manual_seed(seed)
        return torch.cat(list(self._latents(random, n, truncation)))[:n]

    # ---------------------------------------------------------------- blocks of latents

    def _latents(
        self, random: torch.Generator, n: int, truncation: float | None
    ) -> Iterator[Tensor]:
        """Blocks [BLOCK, latent], enough for ``n``."""
        for _ in range(math.ceil(n / BLOCK)):
            z = torch.randn(BLOCK, self.latent, generator=random)
            yield z if truncation is None else truncated(z, truncation)

    def _batches(self, blocks: Iterable[Tensor], n: int, seed: int) -> Iterator[Tensor]:
        for number, block in enumerate(blocks):
            yield self._block(block, seed, number)[: n - number * BLOCK]

    def _block(self, z: Tensor, seed: int, number: int) -> Tensor:
        """The samples of one block; what the network draws in it depends on seed and number."""
        if not self.draws:
            return self(z)
        with seeded_globals(seed, f"forward/{number}", self.device):
            return self(z)


def truncated(z: Tensor, limit: float) -> Tensor:
    """Standard normal numbers → the same quantiles of N(0, 1) truncated to [−limit, limit].

    √2 erf⁻¹(erf(z/√2) · erf(limit/√2)), in float64.
    """
    bound = math.erf(limit / math.sqrt(2))
    moved = math.sqrt(2) * torch.erfinv(torch.erf(z.double() / math.sqrt(2)) * bound)
    return moved.clamp(-limit, limit).to(z.dtype)


def _way(anchors: Tensor, n: int) -> Iterator[Tensor]:
    """Blocks [BLOCK, latent] of ``n`` latents, evenly on the closed way through the anchors."""
    stops = len(anchors)
    for start in range(0, n, BLOCK):
        places = torch.arange(start, start + BLOCK).double() * stops / n
        leg = places.floor().long() % stops
        t = (places - places.floor()).float()[:, None]
        yield slerp(anchors[leg], anchors[(leg + 1) % stops], t)


def _check(n: int, truncation: float | None) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1: {n}")
    if truncation is not None and not truncation > 0:
        raise ValueError(f"truncation must be above 0: {truncation}")
