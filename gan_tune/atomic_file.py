"""Writing a file whole or not at all: neither a kill nor a power cut leaves a torn one.

Each file that somebody may read back is written here. The content goes to a hidden file beside the
target, reaches the disk, and only then takes the target's name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

__all__ = [
    "create_whole",
    "replace_file",
    "whole_file",
    "whole_folder",
    "write_whole",
    "write_whole_files",
]

_CANNOT_SYNC_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM)
"""What a file system answers that syncs no folders, or for a folder that may not be listed."""

_CANNOT_LINK = (
    *(errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP),
    *(errno.ENOSYS, errno.EMLINK, errno.EXDEV),
)
"""What a file system answers that knows no second name of a file (FAT)."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it is on the disk when this returns.

    An existing file is replaced. The mode is a new file's, as the umask says. The folder must
    exist. A killed process may leave a hidden file behind, whose name begins with a dot.

    Raises:
        OSError: as the system gives it (full disk, no right to write); the target is unchanged.
    """
    with whole_file(path) as file:
        file.write(content)


def create_whole(path: Path, content: bytes) -> bool:
    """Write a file that does not exist, whole or not at all; False if there is one.

    Of all that try at once, one succeeds. Where the file system has hard links, nobody finds the
    file half-written; elsewhere a look at the wrong moment, or a kill, finds a torn one. Otherwise
    as :func:`write_whole`.

    Raises:
        OSError: as the system gives it.
    """
    if os.path.lexists(path):
        return False
    partial = _partial(path)
    try:
        with partial.open("xb") as file:
            _write_to_disk(file, content)
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        return _create_in_place(path, content)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _create_in_place(path: Path, content: bytes) -> bool:
    """:func:`create_whole` where a file has but one name."""
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            _write_to_disk(file, content)
    except OSError:
        path.unlink(missing_ok=True)  # it is this process's own
        raise
    _sync_folder(path.parent)
    return True


def _write_to_disk(file: IO[bytes], content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _partial(path: Path) -> Path:
    """A hidden name beside a file's or folder's own, which nobody else takes."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")


def write_whole_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write several files of a folder, each as :func:`write_whole`, in the given order.

    The folder is synced once, which is half of the waiting for the disk. An error leaves the files
    before it written.

    Raises:
        OSError: as the system gives it.
    """
    try:
        for name, content in contents.items():
            with _moved_into_place(folder / name) as file:
                file.write(content)
    finally:
        _sync_folder(folder)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write piece by piece; it is moved to ``path`` when the block ends without an error.

    Otherwise as :func:`write_whole`.
    """
    with _moved_into_place(path) as file:
        yield file
    _sync_folder(path.parent)


@contextlib.contextmanager
def _moved_into_place(path: Path) -> Iterator[IO[bytes]]:
    """:func:`whole_file`, except that the folder is not synced."""
    partial = _partial(path)
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace_file(complete: Path, path: Path) -> None:
    """Move a complete file, written by others, to ``path`` in the same folder, by way of the disk.

    Raises:
        OSError: as the system gives it; the target is unchanged.
    """
    _sync(complete)
    os.replace(complete, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, or a power cut brings the old files back."""
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill; it is moved to ``path`` when the block ends without an error.

    An existing folder is replaced, and so is a link, without what it points to. The parent must
    exist.

    Raises:
        OSError: as the system gives it; the target is unchanged.
    """
    partial = _partial(path)
    replaced = path.with_name(f"{partial.name}.old")
    try:
        partial.mkdir()
        yield partial
        try:
            if os.path.lexists(path):
                path.rename(replaced)
            partial.rename(path)
        finally:
            if os.path.lexists(replaced) and not os.path.lexists(path):
                replaced.rename(path)
        _remove(replaced)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()  # what it points to belongs to somebody else
    shutil.rmtree(path, ignore_errors=True)
