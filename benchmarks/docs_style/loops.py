"""Training loops of GANs in plain PyTorch, as its documentation writes them.

The order of the passes is that of PyTorch's DCGAN tutorial: D's loss on real and on fake samples,
each with a backward pass of its own, then G's loss. For bfloat16 the forward passes and the losses
stand under `torch.autocast`, as its page shows.

The data come in one of two ways: from a data set that makes a tensor of each picture, as
`torchvision.datasets` do, or from a `TensorDataset`, as one has who makes all tensors beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import Compose, Normalize, ToTensor

__all__ = ["Loop", "Pictures", "adversarial_step", "from_pictures", "from_tensors"]


class Pictures(TorchDataset[Tensor]):
    """As `torchvision.datasets.FashionMNIST(transform=ToTensor())` gives them, without labels.

    With ``symmetric`` they are normalised to [-1, 1], as in the DCGAN tutorial.
    """

    def __init__(self, pictures: NDArray[np.uint8], *, symmetric: bool = False) -> None:
        self.pictures = pictures
        self.transform = Compose([ToTensor(), Normalize(0.5, 0.5)]) if symmetric else ToTensor()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        picture: Tensor = self.transform(Image.fromarray(self.pictures[index, 0]))
        return picture


def from_pictures(
    pictures: NDArray[np.uint8], batch_size: int, *, symmetric: bool
) -> Iterator[Tensor]:
    """Batches of one epoch after the other, each picture made a tensor when it is due."""
    dataset = Pictures(pictures, symmetric=symmetric)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True)
    while True:
        yield from loader


def from_tensors(samples: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Batches of one epoch after the other, of samples [N, ...] that are tensors already."""
    dataset = TensorDataset(samples)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True)
    while True:
        for (batch,) in loader:
            yield batch


def adversarial_step(
    real: Tensor,
    netD: nn.Module,
    netG: nn.Module,
    optimizerD: torch.optim.Optimizer,
    optimizerG: torch.optim.Optimizer,
    *,
    latent: int,
    real_label: float = 1.0,
    bfloat16: bool = False,
) -> None:
    """A step of D and one of G, on a batch of real samples [B, ...]."""
    criterion = nn.BCEWithLogitsLoss()
    size, fake_label = len(real), 0.0
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16)
    netD.zero_grad()
    with autocast:
        errD_real = criterion(netD(real), torch.full((size, 1), real_label))
    errD_real.backward()
    with autocast:
        fake = netG(torch.randn(size, latent))
        errD_fake = criterion(netD(fake.detach()), torch.full((size, 1), fake_label))
    errD_fake.backward()
    optimizerD.step()
    netG.zero_grad()
    with autocast:
        errG = criterion(netD(fake), torch.ones(size, 1))
    errG.backward()
    optimizerG.step()


@dataclass(frozen=True)
class Loop:
    """Two networks, their optimizers and the data: all that a docs-style loop has."""

    netD: nn.Module
    netG: nn.Module
    optimizerD: torch.optim.Optimizer
    optimizerG: torch.optim.Optimizer
    batches: Iterator[Tensor]
    latent: int
    bfloat16: bool = False

    def step(self) -> None:
        """The next batch's."""
        adversarial_step(
            next(self.batches),
            self.netD,
            self.netG,
            self.optimizerD,
            self.optimizerG,
            latent=self.latent,
            bfloat16=self.bfloat16,
        )
