"""The files at every depth of a folder of pictures, whatever it is: deep, circular, closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gan_tune.errors import DataError
from gan_tune.regular_file import real_path

__all__ = ["MAX_DEPTH", "files_below", "holds", "unreadable"]

MAX_DEPTH = 100
"""Folders within each other. Deeper ones are made by mistake, or to harm."""


def files_below(folder: Path, *, enters: Callable[[Path], bool]) -> Iterator[Path]:
    """All below a folder but the folders that are entered; ``enters`` says which of them are.

    Raises:
        DataError: the folders lie too deep.
        OSError: one of them cannot be listed.
    """
    left = [(folder, 1)]  # not by calls within calls, which a deep folder would exhaust
    while left:
        here, depth = left.pop()
        if depth > MAX_DEPTH:
            rule = f"must have at most {MAX_DEPTH} folders within each other"
            raise DataError(f"{folder}: {rule}: it has more")
        with os.scandir(here) as entries:
            inside = sorted(Path(entry.path) for entry in entries)
        for path in inside:
            if path.is_dir() and enters(path):
                left.append((path, depth + 1))
            else:
                yield path


def holds(path: Path, root: Path) -> bool:
    """Whether a link leads to ``root`` or to a folder above it: following it would never end."""
    if not (path.is_symlink() and path.is_dir()):  # a link that leads to itself is no folder
        return False
    return real_path(root).is_relative_to(real_path(path))


def unreadable(root: Path, error: OSError) -> DataError:
    """The error of a folder below ``root`` that cannot be read, which is named."""
    return DataError(f"{error.filename or root}: must be readable: {error.strerror or error}")
