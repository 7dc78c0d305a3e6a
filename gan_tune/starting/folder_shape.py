"""The size and the channels at which a folder of pictures is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_tune.data.picture_folder import opened
from gan_tune.errors import DataError

__all__ = ["FolderShape", "folder_shape"]

LOOKED_AT = 400
"""So many pictures, evenly spread over the folder, are asked for their size."""
DECODED = 60
"""So many of them are decoded, to see whether there is colour in them."""
GREY_WITHIN = 8
"""Levels, of 255, by which the channels of a grey JPEG may differ."""
SMALLEST, STEP = 8, 4


class FolderShape(NamedTuple):
    """What pictures of a folder look like.

    Attributes:
        size: side in pixels of the squares that are trained on.
        channels: 1 if no picture has colour, else 3.
        sides: the smallest and the largest side in pixels of the pictures looked at.
        uniform: whether all of those are squares of one size.
    """

    size: int
    channels: int
    sides: tuple[int, int]
    uniform: bool

    def sentences(self) -> Iterator[str]:
        """At which size the pictures are read, unless they have it."""
        low, high = self.sides
        if low == high == self.size:
            return
        sides = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        yield f"Their sides have {sides} pixels; they are read at {self.size}x{self.size}."


def folder_shape(root: Path, paths: Sequence[Path], largest: int) -> FolderShape:
    """Look at some pictures of a folder. ``largest`` is the largest side worth training on.

    Pictures are never enlarged, but for one in ten: the size is at most what nine in ten have.

    Raises:
        DataError: no picture can be opened, or they are too small.
    """
    some = [paths[i] for i in _spread(len(paths), LOOKED_AT)]
    sides = [found for path in some if (found := _sides(path)) is not None]
    if not sides:
        raise DataError(f"{root}: must hold pictures that Pillow can open: {some[0].name} is none")
    shorter = sorted(min(found) for found in sides)
    usual = shorter[len(shorter) // 10]
    if usual < SMALLEST:
        rule = f"must hold pictures of at least {SMALLEST} pixels a side"
        raise DataError(f"{root}: {rule}: one in ten has {usual} or less")
    uniform = len(set(sides)) == 1 and sides[0][0] == sides[0][1]
    size = usual if uniform and usual <= largest else min(usual, largest) // STEP * STEP
    grey = all(_is_grey(some[i]) for i in _spread(len(some), DECODED))
    flat = [side for found in sides for side in found]
    return FolderShape(size, 1 if grey else 3, (min(flat), max(flat)), uniform)


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the indices below ``count``, evenly spread."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]


def _sides(path: Path) -> tuple[int, int] | None:
    try:
        with opened(path) as picture:
            return picture.size
    except Exception:  # Pillow may raise anything; the folder's reader tells of broken files
        return None


def _is_grey(path: Path) -> bool:
    try:
        with opened(path) as picture:
            levels = np.asarray(picture.convert("RGB"), dtype=np.int16)
    except Exception:  # as above
        return True
    return int(np.ptp(levels, axis=2).max()) <= GREY_WITHIN
