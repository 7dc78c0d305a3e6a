"""Handles Ctrl-C: it ends a search in an orderly way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor


@contextmanager
def interruptible(conductor: Conductor) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks the search to end; the second one exits at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: Any) -> None:
        if conductor.stop_requested:
            os._exit(130)
        conductor.stop_requested = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
