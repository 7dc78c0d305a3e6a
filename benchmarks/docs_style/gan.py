"""The peer's training: an MLP GAN on Fashion-MNIST in plain PyTorch, reported to Ray Tune.

Only data and judgement are gan-tune's, so that both sides have the same splits and the same metric.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray import tune
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.docs_style.loops import Pictures, adversarial_step
from gan_tune.data.dataset import Dataset
from gan_tune.metrics.features import FeatureExtractor, build_extractor
from gan_tune.metrics.frechet import GaussianStatistics, gaussian_distance, gaussian_statistics

EPOCHS = 20
METRIC = "frechet_distance"
WEIGHTS = "generator.pt"
PIXELS = 28 * 28


@dataclass(frozen=True, eq=False)
class Judgement:
    """The Fréchet distance to one split, by the features that gan-tune's judge uses."""

    extractor: FeatureExtractor
    real: GaussianStatistics

    def __call__(self, samples: Tensor) -> float:
        return gaussian_distance(self.real, gaussian_statistics(self.extractor(samples)))


def judgement(dataset: Dataset) -> Judgement:
    """That of the selection split."""
    extractor = build_extractor(dataset)
    real = torch.from_numpy(dataset.selection).float() / 255
    return Judgement(extractor, gaussian_statistics(extractor(real)))


def generator(latent: int, width: int) -> nn.Sequential:
    """[B, latent] → pictures [B, 1, 28, 28] in [0, 1]."""
    return nn.Sequential(
        nn.Linear(latent, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, 2 * width),
        nn.LeakyReLU(0.2),
        nn.Linear(2 * width, PIXELS),
        nn.Sigmoid(),
        nn.Unflatten(1, (1, 28, 28)),
    )


def discriminator(width: int) -> nn.Sequential:
    """Pictures [B, 1, 28, 28] → logits [B, 1]."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(PIXELS, 2 * width),
        nn.LeakyReLU(0.2),
        nn.Linear(2 * width, width),
        nn.LeakyReLU(0.2),
        nn.Linear(width, 1),
    )


def train_gan(config: dict[str, Any], pictures: NDArray[np.uint8], judge: Judgement) -> None:
    """A function trainable: a report and a checkpoint after each epoch."""
    netG = generator(config["latent"], config["generator_width"])
    netD = discriminator(config["discriminator_width"])
    optimizerG = torch.optim.Adam(
        netG.parameters(), lr=config["generator_lr"], betas=(config["generator_beta1"], 0.999)
    )
    optimizerD = torch.optim.Adam(
        netD.parameters(),
        lr=config["discriminator_lr"],
        betas=(config["discriminator_beta1"], 0.999),
    )
    loader = DataLoader(
        Pictures(pictures), batch_size=config["batch_size"], shuffle=True, drop_last=True
    )
    for _ in range(EPOCHS):
        for real in loader:
            adversarial_step(
                real,
                netD,
                netG,
                optimizerD,
                optimizerG,
                latent=config["latent"],
                real_label=1.0 - config["label_smoothing"],
            )
        netG.eval()
        with torch.no_grad():
            distance = judge(netG(torch.randn(judge.real.count, config["latent"])))
        netG.train()
        with tempfile.TemporaryDirectory() as folder:
            torch.save(netG.state_dict(), Path(folder) / WEIGHTS)
            tune.report({METRIC: distance}, checkpoint=tune.Checkpoint.from_directory(folder))
