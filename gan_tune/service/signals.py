"""Servers of the command line: they run until a signal ends them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["until_signalled"]


@contextmanager
def until_signalled() -> Iterator[None]:
    """Run the block until SIGINT, SIGTERM or SIGHUP leaves it, in order."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    with suppress(KeyboardInterrupt):
        yield
