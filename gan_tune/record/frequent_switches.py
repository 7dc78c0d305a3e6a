"""Lets threads of this process take turns more often than Python does by itself."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["frequent_switches"]

SWITCH_SECONDS = 0.0005
"""For how long a thread computes while others wait for their turn; Python's own is 0.005 s."""

_lock = threading.Lock()
_before: list[float] = []
"""The interval that each block found, while any lasts."""


@contextmanager
def frequent_switches() -> Iterator[None]:
    """While blocks of this kind last, a thread that computes gives way ten times as often.

    A thread waits for its turn after each call of the system. With thousands of trials a search
    makes hundreds of those a second, and spent most of its time waiting for the thread that
    delivers to MLflow.
    """
    with _lock:
        _before.append(sys.getswitchinterval())
        sys.setswitchinterval(min(SWITCH_SECONDS, _before[0]))
    try:
        yield
    finally:
        with _lock:
            first = _before[0]
            _before.pop()
            if not _before:
                sys.setswitchinterval(first)
