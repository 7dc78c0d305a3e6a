"""Writing a file whole or not at all: neither a kill nor a power cut leaves a torn one.

Each file that somebody may read back is written here. The content goes to a hidden file beside the
target, reaches the disk, and only then takes the target's name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["replace_file", "whole_file", "write_whole"]

_CANNOT_SYNC_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM)
"""What a file system answers that syncs no folders, or for a folder that may not be listed."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it is on the disk when this returns.

    An existing file is replaced. The mode is a new file's, as the umask says. The folder must
    exist. A killed process may leave a hidden file behind, whose name begins with a dot.

    Raises:
        OSError: as the system gives it (full disk, no right to write); the target is unchanged.
    """
    with whole_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write piece by piece; it is moved to ``path`` when the block ends without an error.

    Otherwise as :func:`write_whole`.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _rename(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace_file(complete: Path, path: Path) -> None:
    """Move a complete file, written by others, to ``path`` in the same folder, by way of the disk.

    Raises:
        OSError: as the system gives it; the target is unchanged.
    """
    _sync(complete)
    _rename(complete, path)


def _rename(complete: Path, path: Path) -> None:
    os.replace(complete, path)
    try:
        _sync(path.parent)  # or a power cut brings the old file back
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
