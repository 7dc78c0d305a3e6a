"""What one request asks for, and how several are drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_tune.model.generator import BLOCK, Generator

__all__ = ["Drawn", "Order", "draw_together"]


@dataclass(frozen=True)
class Order:
    """``n`` samples of the latents of ``seed``; see :meth:`Generator.batches`."""

    n: int
    seed: int
    truncation: float | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples [n, ...] in main memory, and the generator that made them."""

    samples: Tensor
    generator: Generator


def draw_together(generator: Generator, orders: Sequence[Order]) -> list[Drawn]:
    """The samples of each order.

    They share forward passes, always of the same size: a sample depends neither on the other orders
    nor, but for rounding, on its place among them. A network that draws in `forward` draws each
    order alone, since there a sample does depend on its place.
    """
    if generator.draws:
        return [
            Drawn(generator.sample(o.n, o.seed, truncation=o.truncation).cpu(), generator)
            for o in orders
        ]
    latents = [generator.latents(o.n, o.seed, truncation=o.truncation) for o in orders]
    z = torch.cat(latents)
    rows = len(z)
    padded = torch.cat([z, z.new_zeros(-rows % BLOCK, z.shape[1])])
    blocks = [generator(block) for block in padded.split(BLOCK)]
    samples = torch.cat(blocks)[:rows].cpu()
    return [Drawn(part, generator) for part in samples.split([order.n for order in orders])]
