"""A lock, so that only one command at a time works on a search."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gan_tune.errors import SearchLockedError, StorageError
from gan_tune.storage.places import LOCK

__all__ = ["hold"]


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock a search's folder while the block runs. The system frees it when the process dies.

    Raises:
        SearchLockedError: a live process holds the lock; the message names it.
        StorageError: the folder cannot be written, or its file system has no locks.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Python opens it for this process only: processes that Ray starts may outlive this one.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StorageError(f"storage: cannot write {path}: {error}") from None
    try:
        _take(descriptor, path)
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)  # clears the name of the former holder
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
        raise SearchLockedError(
            f"{path.parent.name}: this search is being worked on by {holder}; wait for it, or "
            "give another --name"
        ) from None
    except OSError as error:
        raise StorageError(f"storage: cannot lock {path}: {error}") from None
