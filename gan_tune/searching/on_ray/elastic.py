"""Follows a cluster that grows and shrinks: its slots, and the time until one takes a trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from gan_tune.cluster.connection import Places
from gan_tune.errors import UnfitNodesError
from gan_tune.searching.leading.conductor import Conductor, follow_cluster

__all__ = ["ClusterSize"]

LOOK_SECONDS = 5.0
"""Seconds between two counts of the slots."""


class ClusterSize:
    """Tells the conductor how many trials can run at a time, and when its time begins.

    The time counts from the first trial that has a place. A search may begin with no slot.

    Args:
        conductor: of the search.
        count: what the cluster has now.
        changed: told of that whenever it changes.
        patience: minutes without a slot, and without a trial that runs, after which the search
            ends; 0: it waits for ever.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        conductor: Conductor,
        count: Callable[[], Places],
        changed: Callable[[Places], None],
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conductor, self._count, self._clock = conductor, count, clock
        self._changed, self._places = changed, Places(-1, -1)
        self._patience = 60 * patience
        self._looked = -LOOK_SECONDS
        self._empty_since: float | None = None
        self._empty_at = ""
        conductor.time.wait()

    @property
    def slots(self) -> int:
        """How many trials the cluster had places for when it was last looked at."""
        return max(0, self._places.slots)

    def placed(self) -> None:
        """A trial has a place."""
        self._conductor.time.begin()

    def look(self, *, trains: bool) -> UnfitNodesError | None:
        """Count the slots once in a while; returns the error to end with if none has come.

        ``trains``: whether a trial runs.
        """
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return None
        self._looked = now
        places = self._count()
        if places != self._places:
            self._places = places
            self._changed(places)
        slots = places.slots
        if slots and slots != self._conductor.slots:
            follow_cluster(self._conductor, slots)
        if slots or trains:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since, self._empty_at = now, datetime.now().strftime("%H:%M:%S")
        elif self._patience and now - self._empty_since > self._patience:
            return UnfitNodesError(
                f"no node has had room for a trial since {self._empty_at}; the same command goes "
                "on with the search"
            )
        return None
