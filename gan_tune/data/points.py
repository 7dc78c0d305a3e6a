"""2-D points from mixtures of Gaussians, whose true distribution is known."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from gan_tune.data.dataset import Dataset, Mixture

__all__ = ["gaussian", "grid", "ring"]

HELD_OUT = 2_500
HELD_OUT_PER_MODE = 25
"""With fewer samples per mode, real samples themselves would miss some modes."""

Size = Annotated[int, Field(ge=2, le=100_000_000)]


def ring(
    *,
    modes: Annotated[int, Field(ge=1, le=400)] = 8,
    radius: Annotated[float, Field(gt=0)] = 1.0,
    sigma: Annotated[float, Field(gt=0)] = 0.01,
    size: Size = 100_000,
) -> Dataset:
    """2-D Gaussians of deviation ``sigma``, evenly on a circle; ``size`` points for training.

    Source: Lin et al., PacGAN, 2018, section 4.1.
    """
    angles = np.linspace(0, 2 * np.pi, modes, endpoint=False)  # both ends would be one mode twice
    centres = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _mixture_dataset("ring", Mixture(centres, sigma), size)


def grid(
    *,
    side: Annotated[int, Field(ge=1, le=20)] = 5,
    spacing: Annotated[float, Field(gt=0)] = 2.0,
    sigma: Annotated[float, Field(gt=0)] = 0.05,
    size: Size = 100_000,
) -> Dataset:
    """``side`` x ``side`` 2-D Gaussians, ``spacing`` apart, centred on 0.

    Source: Lin et al., PacGAN, 2018, section 4.1.
    """
    line = (np.arange(side) - (side - 1) / 2) * spacing
    centres = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    return _mixture_dataset("grid", Mixture(centres, sigma), size)


def gaussian(*, size: Size = 100_000) -> Dataset:
    """2-D points of N(0, I): one mode at 0."""
    return _mixture_dataset("gaussian", Mixture(np.zeros((1, 2)), 1.0), size)


def _mixture_dataset(name: str, mixture: Mixture, size: int) -> Dataset:
    held_out = max(HELD_OUT, HELD_OUT_PER_MODE * len(mixture.modes))
    return Dataset(
        name,
        "points",
        train=mixture.draw(size, seed=0),
        selection=mixture.draw(held_out, seed=1),
        test=mixture.draw(held_out, seed=2),
        mixture=mixture,
    )
