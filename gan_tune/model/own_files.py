"""The files of a generator that are read, wherever they come from, and none beyond a size."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

__all__ = ["LARGEST_COLUMNS", "LARGEST_CONFIG", "LARGEST_WEIGHTS", "check_file", "read_file"]

MiB = 2**20
LARGEST_CONFIG: Final = MiB
LARGEST_COLUMNS: Final = 4 * MiB
LARGEST_WEIGHTS: Final = 8192 * MiB
"""In bytes; also of a program that has the weights in it."""


def read_file(path: Path, largest: int) -> bytes:
    """The content of a file of at most ``largest`` bytes.

    Raises:
        ValueError: it is larger, or no file: a pipe or a device would be waited for.
        OSError: it cannot be read.
    """
    check_file(path, largest)
    return path.read_bytes()


def check_file(path: Path, largest: int) -> None:
    """Check that a file can be read, and is not too large; raises as :func:`read_file`."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path.name} must be a file, and neither a folder nor a pipe or a device")
    if found.st_size > largest:
        rule = f"must have at most {largest:,} bytes"
        raise ValueError(f"{path.name} {rule}, but has {found.st_size:,}")
