"""One command at a time works on a search."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gan_tune.errors import SearchLockedError, StorageError

__all__ = ["hold"]


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a search's folder while the block runs. The system frees it when the process dies.

    Raises:
        SearchLockedError: a live process holds it.
        StorageError: the folder cannot be written.
    """
    path = folder / "search.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise StorageError(f"storage: cannot write {path}: {error}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise SearchLockedError(
                f"{folder.name}: this search is being worked on by {holder}; wait for it, or give "
                "another --name"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
