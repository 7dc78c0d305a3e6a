"""Watches which trials have a worker: on a cluster others wait for a place, maybe for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from ray.tune.experiment import Trial

from gan_tune.errors import StorageError
from gan_tune.storage.places import RUNNING_TRIALS
from gan_tune.storage.running_trials import note_running_trials
from gan_tune.storage.storage import Storage

__all__ = ["WorkerWatch"]

LOOK_SECONDS = 2.0
"""Seconds between two looks."""


class WorkerWatch:
    """Notes in the search's folder which trials have a worker, and tells of each that gets one.

    While the storage is away, nothing is noted.

    Args:
        home: the search's folder.
        placed: told of the name of each trial that has got a worker.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        home: Storage,
        placed: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._placed, self._clock = home, placed, clock
        self._impatient = home.patient(0)
        self._known: frozenset[str] = frozenset()
        self._noted: frozenset[str] | None = None
        self._looked = -LOOK_SECONDS

    def begin(self) -> None:
        """Forget what an earlier command noted.

        Raises:
            StorageError: the search's folder cannot be written, also after a while.
        """
        self._home.delete(RUNNING_TRIALS)

    def look(self, trials: Iterable[Trial], name: Callable[[Trial], str]) -> None:
        """Look at Tune's trials once in a while; ``name`` is theirs in the search."""
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        now = frozenset(name(trial) for trial in trials if trial.status == Trial.RUNNING)
        for trial in sorted(now - self._known):
            self._placed(trial)
        self._known = now
        if now != self._noted:
            with suppress(StorageError):
                note_running_trials(self._impatient, now)
                self._noted = now
