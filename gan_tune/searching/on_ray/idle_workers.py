"""Lets go of workers that no trial has needed for a while, so that a cluster can shrink."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["IDLE_SECONDS", "IdleWorkers"]

IDLE_SECONDS = 180.0
"""How long workers stay warm for the next trial: a start costs seconds, an idle GPU money."""


class _Workers(Protocol):
    @property
    def idle_workers(self) -> int: ...
    def end_idle_workers(self) -> None: ...


class IdleWorkers:
    """Ends the idle workers once there was one at each look for a while.

    A node whose workers occupy it is never idle itself, so no autoscaler takes it away.

    Args:
        workers: counts those that are idle, and ends them.
        clock: seconds; only differences count.
    """

    def __init__(self, workers: _Workers, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers, self._clock = workers, clock
        self._since: float | None = None

    def look(self) -> None:
        """Look whether any is idle; to be called often."""
        if not self._workers.idle_workers:
            self._since = None
        elif self._since is None:
            self._since = self._clock()
        elif self._clock() - self._since > IDLE_SECONDS:
            self._since = None
            self._workers.end_idle_workers()
