"""The header of an array in .npy form, read without its values, which may be fewer than it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Any, NamedTuple

import numpy as np

__all__ = ["Header", "npy_header"]

_READERS: Mapping[tuple[int, int], Callable[[IO[bytes]], Any]] = MappingProxyType(
    {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
        (3, 0): np.lib.format.read_array_header_2_0,  # which differs in names of fields only
    }
)


class Header(NamedTuple):
    """What an array declares, and how many bytes of its file the header takes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def declared(self) -> int:
        """The bytes of all values. numpy's own product has 64 bits, and begins at 0 again."""
        return math.prod(self.shape) * self.dtype.itemsize


def npy_header(file: IO[bytes]) -> Header:
    """The header at the beginning of a file.

    Raises:
        ValueError: there is none, or of another version, or of a length below 0.
        Exception: whatever numpy raises for a damaged one.
    """
    version = np.lib.format.read_magic(file)
    read = _READERS.get(version)
    if read is None:
        raise ValueError(f"its version is {'.'.join(map(str, version))}")
    shape, _, dtype = read(file)
    if any(length < 0 for length in shape):
        raise ValueError("it has a length below 0")
    return Header(dtype, shape, file.tell())
