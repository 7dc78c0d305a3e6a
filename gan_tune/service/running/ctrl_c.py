"""Handles Ctrl-C, SIGTERM and a closed terminal, so that a search ends in an orderly way."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil

from gan_tune.watching import in_kernel

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor

__all__ = ["Signals", "heeded"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST = 12.0
"""Seconds in which a first signal that comes while no trials run ends the process in order; then it
ends as by a second one. Libraries may swallow a KeyboardInterrupt, or wait for a server."""
LOOK = 0.5
"""Seconds between two looks at whether that time is over."""


class Signals:
    """Heeds signals to a search: the first ends it in order, the second at once.

    While trials run, the conductor is asked to end. Otherwise KeyboardInterrupt is raised. In the
    kernel of a notebook the second signal raises it, too, since the kernel stays.

    Attributes:
        asked: whether a signal has come.
        heard: the last signal that the process got, whoever handled it; 0: none.
        leaves: when the process ends whatever it does then, by the monotonic clock; None: never.
    """

    def __init__(self) -> None:
        self.asked = False
        self.heard = 0
        self.leaves: float | None = None
        self._conductor: Conductor | None = None
        self._is_held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """A first signal takes effect at the end of the block, in which a library would swallow it.

        The library may also install handlers of its own, which are replaced then.

        Raises:
            KeyboardInterrupt: a signal has come.
        """
        self._is_held = True
        try:
            yield
        except SystemExit:  # as a library's own handler of SIGTERM raises
            raise KeyboardInterrupt from None
        finally:
            self._is_held = False
            self.install()
        if self.heard and not self.asked:
            # The library's handler got it, and what that raised was lost, as in a callback of fork.
            self._heed(self.heard, None)
        if self.asked:
            raise KeyboardInterrupt

    @contextmanager
    def asking(self, conductor: Conductor) -> Iterator[None]:
        """In the block a first signal asks the conductor to end."""
        self._conductor = conductor
        try:
            yield
        finally:
            self._conductor = None

    def install(self) -> None:
        """Handle the signals; one that is ignored, as under nohup, still is."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._heed)

    def _heed(self, number: int, frame: Any) -> None:
        if self.asked and in_kernel():
            raise KeyboardInterrupt
        if self.asked:
            _leave_at_once()
        self.asked = True
        if number == signal.SIGHUP:
            _let_go_of_the_terminal()
        if self._conductor is not None:
            self._conductor.stop_requested = True
            self._conductor.storage.patience.give_up()
            return
        if not in_kernel():
            self.leaves = time.monotonic() + LONGEST
        if not self._is_held:
            raise KeyboardInterrupt

    def stay(self) -> None:
        """Let this process go on after a signal: all has ended in order."""
        self.leaves = None


@contextmanager
def heeded() -> Iterator[Signals]:
    """Heed signals within the block, if this is the main thread.

    Raises:
        KeyboardInterrupt: a signal came when no trials ran.
    """
    signals = Signals()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signals.install()
    try:
        with _second_heard(signals):
            yield signals
    finally:
        signals.stay()
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # else it is none of Python's
                    signal.signal(number, handler)


@contextmanager
def _second_heard(signals: Signals) -> Iterator[None]:
    """Leave at once at a second signal, also while the main thread waits for a library.

    Python runs its handlers only when the main thread comes back to Python, which may take as long
    as Ray takes to start, or for ever: where KeyboardInterrupt was raised, a lock may never be
    given back. A thread hears of each signal at once, and takes no lock.
    """
    if in_kernel() or threading.current_thread() is not threading.main_thread():
        yield
        return
    hears, is_told = socket.socketpair()
    is_told.setblocking(False)
    hears.settimeout(LOOK)
    thread = threading.Thread(
        target=_listen, args=(hears, signals), name="gan-tune-signals", daemon=True
    )
    before = signal.set_wakeup_fd(is_told.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        is_told.close()
        thread.join(1.0)
        hears.close()


def _listen(hears: socket.socket, signals: Signals) -> None:
    """Count the signals, a byte each, until the other end is closed."""
    count, number = 0, None
    while number != b"":
        try:
            number = hears.recv(1)
        except TimeoutError:
            number = None
        leaves = signals.leaves  # another thread may set it to None between two looks
        if leaves is not None and time.monotonic() > leaves:
            _leave()
        if number and number[0] in SIGNALS:
            signals.heard = number[0]
            count += 1
        if count > 1:
            _leave_at_once()


def _leave() -> None:
    line = f"warning: it did not end within {LONGEST:g} s, and leaves at once\n".encode()
    with suppress(OSError, ValueError):  # a logger would ask for a lock
        if select.select([], [2], [], 0)[1]:  # else a full pipe, or a terminal that is halted
            os.write(2, line)
    _leave_at_once()


def _leave_at_once() -> None:
    """End this process, and what it has started: parts of a Ray would outlive it."""
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    os._exit(130)


def _let_go_of_the_terminal() -> None:
    """Print to nowhere from now on: the terminal is closed, and writing to it would fail."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):  # a closed terminal is no `isatty`
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
