"""How a data file is read: whatever a reader raises becomes one line, and sizes are checked first.

The libraries that read files raise what their decompressors, parsers and allocators raise, among it
MemoryError where a damaged header asks for more memory than there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from gan_tune.data.short_text import told
from gan_tune.errors import DataError
from gan_tune.regular_file import why_not_regular
from gan_tune.words.readable import gibibytes

__all__ = ["check_room", "free_memory", "reading"]


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Read a file that must be ``what`` (`an .npz file`) within the block.

    Raises:
        DataError: it is a folder, or nothing that ends; of the block, or in place of any other
            error in it.
    """
    if why_not := "must be a file, not a folder" if _is_folder(path) else why_not_regular(path):
        raise DataError(f"{path}: {why_not}")
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: must exist: no such file") from None
    except Exception as error:  # a reader may raise anything for a damaged file
        raise DataError(f"{path}: must be {what}: {told(error)}") from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # whoever opens it says why
        return False


def check_room(path: Path, size: int) -> None:
    """Check that the ``size`` bytes that a file declares to hold fit into memory.

    Raises:
        DataError: they do not.
    """
    free = free_memory()
    if size > free:
        rule = f"must fit into memory, of which {gibibytes(free)} are free"
        raise DataError(f"{path}: {rule}: it declares {gibibytes(size)}")


def free_memory() -> int:
    """Bytes of this machine's memory that are free now."""
    return int(psutil.virtual_memory().available)
