"""Keeps a trial's state between two reports: every minute, and when the search is asked to end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress

from gan_tune.errors import StorageError
from gan_tune.storage.places import STOP, STOPPED_TRIALS
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolder, TrialFolders

__all__ = ["StopAsked", "StopSign", "StoppedTrials", "TimedKeeper"]

logger = logging.getLogger("gan_tune")

BETWEEN = 60.0
"""Seconds between two checkpoints while a trial trains to its next report."""

MOST = 0.02
"""The share of a trial's time that they may take."""

LOOKS = {True: 1.0, False: 5.0}
"""Seconds between two looks for a wish to end: in a folder, or in a bucket."""


class StopAsked(Exception):
    """The search is asked to end, and the trial's state is stored."""


class StopSign:
    """The wish in a search's folder that the command which works on it ends.

    Args:
        search: the folder.
    """

    def __init__(self, search: Storage) -> None:
        self._search = search.patient(0)
        self._seconds = LOOKS[search.folder is not None]
        self._looked, self._seen = time.monotonic(), False

    def is_seen(self) -> bool:
        """Whether the wish is there; it is looked for once in a while."""
        now = time.monotonic()
        if now - self._looked > self._seconds:
            self._looked = now
            with suppress(StorageError):
                self._seen = self._search.read(STOP) is not None
        return self._seen


class StoppedTrials:
    """The wishes in a search's folder that single trials end at their next report.

    Args:
        search: the folder.
    """

    def __init__(self, search: Storage) -> None:
        self._wishes = search.patient(0).below(STOPPED_TRIALS)
        self._seconds = LOOKS[search.folder is not None]
        self._looked, self._names = -math.inf, frozenset[str]()

    def take(self, name: str) -> bool:
        """Whether a trial is to end; the wish is removed then. It is looked for once in a while."""
        now = time.monotonic()
        with suppress(StorageError):
            if now - self._looked > self._seconds:
                self._looked, self._names = now, frozenset(self._wishes.names())
            if name in self._names:
                self._wishes.delete(name)
                self._names -= {name}
                return True
        return False


class TimedKeeper:
    """Stores a trial's checkpoints, and times them.

    Between two reports nothing is waited for: in an outage of the storage the trial trains on.

    Args:
        search: the search's folder, in which a wish to end lies.
        name: of the trial.
    """

    def __init__(self, search: Storage, name: str) -> None:
        self._trial = TrialFolders(search)[name]
        self._hasty = TrialFolders(search.patient(0))[name]
        self._stored, self._cost = time.monotonic(), 0.0
        self.stop = StopSign(search)

    @property
    def seconds_since(self) -> float:
        """Seconds since the last checkpoint, or since the trial began on this worker."""
        return time.monotonic() - self._stored

    def is_due(self) -> bool:
        """Whether a checkpoint is due between two reports."""
        return self.stop.is_seen() or self.seconds_since > max(BETWEEN, self._cost / MOST)

    def keep(self, state: Callable[[], bytes]) -> None:
        """Store a checkpoint between two reports, if the storage works.

        Raises:
            StopAsked: the search is asked to end.
        """
        try:
            self._timed(self._hasty, state())
        except StorageError as error:
            self._stored = time.monotonic()
            logger.warning("no checkpoint between two reports: %s", error)
        if self.stop.is_seen():
            raise StopAsked

    def store(self, state: bytes) -> None:
        """Store a checkpoint at a report."""
        self._timed(self._trial, state)

    def _timed(self, folder: TrialFolder, state: bytes) -> None:
        begun = time.monotonic()
        folder.write_checkpoint(state)
        self._stored = time.monotonic()
        self._cost = self._stored - begun
