"""Where a Ray started here keeps its temporary files: a folder that can hold its sockets."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from gan_tune.errors import ClusterError

__all__ = ["ray_folder"]

logger = logging.getLogger("gan_tune")

LONGEST_SOCKET = 103 if os.uname().sysname == "Darwin" else 107
"""Bytes of a Unix socket's path."""
INSIDE = "/gt-abcdefgh/ray/session_2026-11-30_10-34-10_129493_4194304/sockets/plasma_store"
"""What is added to the path of the folder."""
OTHERS = ("/tmp", "/var/tmp")  # nosec B108
"""Where a folder of mode 0700 is made by `mkdtemp`, if the environment names no better place."""


@contextmanager
def ray_folder() -> Iterator[str]:
    """A new folder for Ray, which no other user can enter; removed at the end.

    Ray opens its own folder to all users of the machine. So it lies in one that is this user's.

    Raises:
        ClusterError: no folder for temporary files can be used.
    """
    private = tempfile.mkdtemp(prefix="gt-", dir=_roomy_folder())  # mode 0700
    try:
        yield f"{private}/ray"
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _roomy_folder() -> str:
    given = {name: os.environ.get(name) for name in ("RAY_TMPDIR", "TMPDIR")}
    name, first = next(((name, value) for name, value in given.items() if value), ("", OTHERS[0]))
    fault = _fault(first)
    if fault is None:
        return first
    for other in OTHERS:
        if _fault(other) is None:
            logger.warning("%s: Ray keeps its files in %s: %s %s", name, other, first, fault)
            return other
    raise ClusterError(f"RAY_TMPDIR: must name a folder for Ray's files: {first} {fault}")


def _fault(folder: str) -> str | None:
    """Why Ray cannot keep its files in a folder; None if it can."""
    room = LONGEST_SOCKET - len(INSIDE)
    if len(os.fsencode(folder)) > room:
        return f"is longer than the {room} bytes that leave room for sockets"
    if not os.path.isdir(folder):
        return "is no folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else "cannot be written"
