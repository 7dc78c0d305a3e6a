"""Which trials a search works on now, and which of these wait for a worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

__all__ = ["TrialsAtWork"]


class TrialsAtWork:
    """What a record must know of a trial beside its folder. Thread-safe.

    A trial that an earlier command left unfinished waits, until more is heard of it.

    Args:
        has_ended: whether a trial has ended for good, by its folder.
    """

    def __init__(self, has_ended: Callable[[str], bool]) -> None:
        self._has_ended, self._lock = has_ended, threading.Lock()
        self._left: set[str] = set()
        self._works_on: set[str] = set()
        self._waits: set[str] = set()

    def begin(self, trials: Iterable[str]) -> None:
        """A command that trains begins; of these trials some may be unfinished."""
        with self._lock:
            self._left = set(trials) - self._works_on

    def waits(self, trial: str) -> None:
        """The trial was begun, and waits for a worker."""
        with self._lock:
            self._left.discard(trial)
            self._works_on.add(trial)
            self._waits.add(trial)

    def has_news(self, trial: str, *, runs: bool) -> None:
        """The trial has got a worker, reported, or ended (not ``runs``)."""
        with self._lock:
            self._left.discard(trial)
            self._waits.discard(trial)
            (self._works_on.add if runs else self._works_on.discard)(trial)

    def end(self) -> set[str]:
        """Nothing is worked on any more; returns what was."""
        with self._lock:
            was = self._works_on
            self._left, self._works_on, self._waits = set(), set(), set()
            return was

    def runs(self, trial: str) -> bool:
        """Whether the trial is worked on, with a worker or without."""
        # The folder is read without the lock: it may lie far away.
        if trial in self._left and not self._has_ended(trial):
            with self._lock:
                if trial in self._left:  # else there are news
                    self._works_on.add(trial)
                    self._waits.add(trial)
        with self._lock:
            self._left.discard(trial)
            return trial in self._works_on

    def has_worker(self, trial: str) -> bool:
        """Whether the trial has a worker, as far as it was told."""
        with self._lock:
            return trial in self._works_on and trial not in self._waits
