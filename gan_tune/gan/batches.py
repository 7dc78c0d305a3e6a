"""The input of training: batches of real samples and of noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_tune.data.placement import Source

__all__ = ["Batches"]


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches of ``size`` scaled real samples and of noise [size, latent], on a device."""

    data: Source
    size: int
    latent: int
    device: torch.device

    def real(self, random: torch.Generator, size: int | None = None) -> Tensor:
        """Samples of the training data [size, *shape], drawn with replacement."""
        count = self.size if size is None else size
        chosen = torch.randint(len(self.data), (count,), generator=random, device=self.device)
        return self.data.batch(chosen)

    def noise(self, random: torch.Generator, size: int | None = None) -> Tensor:
        """Standard normal z [size, latent]."""
        count = self.size if size is None else size
        return torch.randn(count, self.latent, generator=random, device=self.device)
