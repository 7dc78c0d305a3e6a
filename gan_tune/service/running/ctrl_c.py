"""Handles Ctrl-C, so that a search ends in an orderly way."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gan_tune.watching import in_kernel

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor


@contextmanager
def interruptible(conductor: Conductor) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks the search to end; the second one exits at once.

    The kernel of a notebook stays: there the second one raises KeyboardInterrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: Any) -> None:
        if conductor.stop_requested and in_kernel():
            raise KeyboardInterrupt
        if conductor.stop_requested:
            os._exit(130)
        conductor.stop_requested = True
        conductor.storage.patience.give_up()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
