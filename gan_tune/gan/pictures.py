"""Samples as pictures: a grid of small pictures, or points over the data."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from gan_tune.gan.data import Dataset

__all__ = ["grid", "png", "scatter"]

CELL = 64
"""Small pictures are enlarged to at most so many pixels a side, without smoothing."""
SMALL_CELL = 32
"""The same for trials' grids, of which there are many."""
CANVAS = 384


def grid(samples: Tensor, *, columns: int = 8, cell: int = CELL) -> Tensor:
    """Pictures [N, C, H, W] in [0, 1] as one uint8 picture [H', W', 3].

    Small ones are enlarged to at most ``cell`` pixels a side.
    """
    enlarge = max(1, cell // samples.shape[-1])
    tiles = samples.repeat_interleave(enlarge, -1).repeat_interleave(enlarge, -2)
    sheet: Tensor = make_grid(torch.nan_to_num(tiles.cpu()), nrow=columns, padding=2, pad_value=0.5)
    return (sheet.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()


def scatter(samples: Tensor, dataset: Dataset) -> Tensor:
    """Points [N, D ≥ 2] (blue) over the data's (grey), first two coordinates, uint8 [H, W, 3].

    Drawn by hand on a raster: a plotting library would take longer than the training step between
    two reports.
    """
    real = dataset.selection[:, :2]
    low, high = real.min(0), real.max(0)
    margin = 0.25 * (high - low).max()
    low, high = low - margin, high + margin
    canvas = np.full((CANVAS, CANVAS, 3), 255, np.uint8)
    fake = torch.nan_to_num(samples[:, :2].detach().cpu()).numpy()
    for points, colour in ((real, (190, 190, 190)), (fake, (31, 119, 180))):
        inside = ((points >= low) & (points <= high)).all(1)
        places = ((points[inside] - low) / (high - low) * (CANVAS - 2)).astype(int)
        for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
            canvas[CANVAS - 1 - (places[:, 1] + dy), places[:, 0] + dx] = colour
    return torch.from_numpy(canvas)


def png(picture: Tensor) -> bytes:
    """A uint8 picture [H, W, 3] as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
