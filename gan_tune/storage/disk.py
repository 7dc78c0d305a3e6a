"""Files on a disk, below one folder, out of which no link leads."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from gan_tune.atomic_file import create_whole, write_whole
from gan_tune.errors import StorageError

__all__ = ["Disk"]

IS_A_LINK = (errno.ELOOP, errno.EMLINK)
"""What Linux and BSD answer where a link must not be followed."""

HAS_HANDLES = hasattr(os, "O_PATH") and os.path.isdir("/proc/self/fd")
"""Whether files can be found without being opened, and the system says where they are."""


class Disk:
    """Folders and files below ``root``: no link is followed out of it, and nothing but files read.

    Whoever hands on a folder could otherwise have private files of its reader put into a report,
    which the reader hands back.
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)

    def write(self, path: str, content: bytes) -> None:
        target = Path(path)
        self._make_folder(target.parent)
        write_whole(target, content)

    def create(self, path: str, content: bytes) -> bool:
        target = Path(path)
        self._make_folder(target.parent)
        return create_whole(target, content)

    def read(self, path: str) -> bytes:
        with self._opened(path) as descriptor:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            if not stat.S_ISREG(mode):
                raise StorageError(f"storage: must be a file: {path}")
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.read()

    def names(self, path: str) -> list[str]:
        with self._folder(path) as found:
            return os.listdir(found)

    def delete(self, path: str) -> None:
        with self._folder(os.path.dirname(path)) as found, _named(path):
            os.unlink(f"{found}/{os.path.basename(path)}")

    def _make_folder(self, folder: Path) -> None:
        """Make a folder that does not exist."""
        try:
            with self._folder(str(folder)):
                return
        except FileNotFoundError:
            self._check(os.path.realpath(folder), named=str(folder))
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        """A file inside, open to be read. A pipe is not waited for, nor a link's target opened."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        with self._folder(os.path.dirname(path)) as folder, _named(path):
            try:
                descriptor = os.open(f"{folder}/{os.path.basename(path)}", flags | os.O_NOFOLLOW)
            except OSError as error:
                if error.errno not in IS_A_LINK:
                    raise
                with self._inside(path) as found:
                    descriptor = os.open(found, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _folder(self, path: str) -> AbstractContextManager[str]:
        """A folder inside, as :meth:`_inside`."""
        return self._inside(path, os.O_DIRECTORY)

    @contextmanager
    def _inside(self, path: str, flags: int = 0) -> Iterator[str]:
        """What exists at a path and lies inside, by a path that leads to it and nothing else.

        On Linux a handle is taken, which opens nothing, and the system is asked where that lies.
        So nothing can take its place meanwhile. A look at each part of the path would also be slow:
        after each call of the system, a thread waits for its turn among its process's.
        """
        if not HAS_HANDLES:
            if not stat.S_ISDIR(os.stat(path).st_mode) and flags & os.O_DIRECTORY:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            self._check(os.path.realpath(path), named=path)
            yield path
            return
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC | flags)
        try:
            found = f"/proc/self/fd/{handle}"
            self._check(os.readlink(found), named=path)
            with _named(path):
                yield found
        finally:
            os.close(handle)

    def _check(self, place: str, *, named: str) -> None:
        if place == f"{self._root} (deleted)":  # meanwhile
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), named)
        if place != self._root and not place.startswith(f"{self._root.rstrip('/')}/"):
            raise StorageError(
                f"storage: must be no link out of {self._root}, but is one: {named}; if "
                "the folder that it leads to is meant, name that with --storage"
            )


@contextmanager
def _named(path: str) -> Iterator[None]:
    """An error of the system in the block names the path, and not a handle's."""
    try:
        yield
    except OSError as error:
        if str(error.filename).startswith("/proc/self/fd/"):
            error.filename = path
        raise
