"""The resolutions inside a picture network, from about 4×4 to the picture's own.

A picture of ``size`` pixels a side needs n = ⌊log₂(size / 4)⌋ doublings from a start of 4 to 7
pixels (8 if it must be cropped). A generator starts at ⌈size / 2ⁿ⌉, doubles n times and crops the
excess evenly from all sides: 28 = 7 · 2 · 2, 32 = 4 · 2 · 2 · 2, 30 = crop(8 · 2 · 2). A
discriminator halves n times, rounding down: 30 → 15 → 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Resolutions", "crop", "resolutions_of"]

SMALLEST = 8


@dataclass(frozen=True)
class Resolutions:
    """The resolutions for square pictures [channels, size, size]."""

    channels: int
    size: int

    @property
    def doublings(self) -> int:
        """n = ⌊log₂(size / 4)⌋ ≥ 1."""
        return self.size.bit_length() - 3

    @property
    def first(self) -> int:
        """The resolution at which a generator starts, ⌈size / 2ⁿ⌉."""
        return -(-self.size >> self.doublings)  # rounded up

    @property
    def last(self) -> int:
        """The resolution at which a discriminator ends, ⌊size / 2ⁿ⌋."""
        return self.size >> self.doublings

    @property
    def doublings_to_middle(self) -> int:
        """Doublings from the start to the resolution that has self-attention: 28: 14, 64: 16."""
        return self.doublings // 2

    @property
    def halvings_to_middle(self) -> int:
        """Halvings from the picture to that resolution, at least one."""
        return self.doublings - self.doublings_to_middle


def resolutions_of(shape: tuple[int, ...]) -> Resolutions:
    """The resolutions for samples of ``shape``.

    Raises:
        ValueError: not (channels, size, size) with size ≥ 8.
    """
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] < SMALLEST:
        raise ValueError(
            f"samples must be square pictures (channels, size, size) with size >= {SMALLEST}, "
            f"but got shape {tuple(shape)}"
        )
    return Resolutions(channels=shape[0], size=shape[1])


def crop(x: Tensor, size: int) -> Tensor:
    """The middle [..., size, size] of feature maps [..., S, S], S ≥ size."""
    start = (x.shape[-1] - size) // 2
    return x[..., start : start + size, start : start + size]
