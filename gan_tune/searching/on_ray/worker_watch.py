"""Watches which trials have a worker: on a cluster others wait for a place, maybe for long."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

from ray.tune.experiment import Trial

from gan_tune.errors import StorageError
from gan_tune.storage.lease import holder_of
from gan_tune.storage.running_trials import note_running_trials
from gan_tune.storage.storage import Storage

__all__ = ["WorkerWatch"]

LOOK_SECONDS = 2.0
"""Seconds between two looks."""
REST_SECONDS = 30.0
"""Seconds in which nothing is noted after the storage was away: the search waits for each try."""


class WorkerWatch:
    """Notes in the search's folder which trials have a worker, and tells of each that gets one.

    While the storage is away, nothing is noted.

    Args:
        home: the search's folder.
        placed: told of the name of each trial that has got a worker.
        counted: told how many have one, at each look.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        home: Storage,
        placed: Callable[[str], None],
        counted: Callable[[int], None] = lambda trials: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._placed, self._counted, self._clock = home, placed, counted, clock
        self._impatient = home.patient(0)
        self._known: frozenset[str] = frozenset()
        self._noted: frozenset[str] | None = None
        self._looked = self._rests_until = -math.inf
        self._holder = ""

    def begin(self) -> None:
        """Learn which command this is, as its readers name it.

        Raises:
            StorageError: the search's folder cannot be read, also after a while.
        """
        self._holder = holder_of(self._home, "")  # the name leads to locks of earlier versions only

    def look(self, trials: Iterable[Trial], name: Callable[[Trial], str]) -> None:
        """Look at Tune's trials that train, once in a while; ``name`` is theirs in the search."""
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        now = frozenset(map(name, trials))
        for trial in sorted(now - self._known):
            self._placed(trial)
        self._known = now
        self._counted(len(now))
        self._note(now)

    def end(self) -> None:
        """No trial has a worker any more."""
        self._note(frozenset())

    def _note(self, now: frozenset[str]) -> None:
        lost = self._home.patience.refused is not None  # the folder is another command's by now
        if now == self._noted or lost or self._clock() < self._rests_until:
            return
        try:
            note_running_trials(self._impatient, now, self._holder)
            self._noted = now
        except StorageError:
            self._rests_until = self._clock() + REST_SECONDS
