"""Keeps a trial's state between two reports: every minute, and when its worker is to end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress

from gan_tune.errors import StorageError
from gan_tune.storage.nodes_aside import nodes_aside
from gan_tune.storage.places import DRIVER, STOP, STOPPED_TRIALS
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolder, TrialFolders

__all__ = [
    "LeavingSign",
    "NodeLeaves",
    "StopAsked",
    "StopSign",
    "StoppedTrials",
    "Superseded",
    "TimedKeeper",
]

logger = logging.getLogger("gan_tune")

BETWEEN = 60.0
"""Seconds between two checkpoints while a trial trains to its next report."""

MOST = 0.02
"""The share of a trial's time that they may take."""

LOOKS = {True: 1.0, False: 5.0}
"""Seconds between two looks for a wish to end: in a folder, or in a bucket."""


class StopAsked(Exception):
    """The search is asked to end, and the trial's state is stored."""


class NodeLeaves(Exception):
    """The worker's node is being taken away, and the trial's state is stored."""


class Superseded(Exception):
    """Another command works on the search, and may train this trial: nothing more is stored."""


class _Sign:
    """Something in a search's folder that is looked for once in a while.

    Args:
        search: the folder.
    """

    def __init__(self, search: Storage) -> None:
        self._search = search.patient(0)
        self._seconds = LOOKS[search.folder is not None]
        self._looked, self._seen = time.monotonic(), False

    def is_seen(self) -> bool:
        """Whether it is there."""
        now = time.monotonic()
        if now - self._looked > self._seconds:
            self._looked = now
            with suppress(StorageError):
                self._seen = self._look()
        return self._seen

    def _look(self) -> bool:
        raise NotImplementedError


class StopSign(_Sign):
    """The wish in a search's folder that the command which works on it ends."""

    def _look(self) -> bool:
        return self._search.read(STOP) is not None


class LeavingSign(_Sign):
    """The note in a search's folder that a node is being taken away.

    Args:
        search: the folder.
        node_id: of the node; empty: of none.
    """

    def __init__(self, search: Storage, node_id: str = "") -> None:
        super().__init__(search)
        self._node_id = node_id

    def _look(self) -> bool:
        aside = nodes_aside(self._search).get(self._node_id) if self._node_id else None
        return aside is not None and aside.state == "leaving"


class _DriverSign(_Sign):
    """The word of another driver in the search's folder: this worker has outlived its own.

    Args:
        search: the folder.
        word: of the worker's driver; empty: not known, so no other is seen.
    """

    def __init__(self, search: Storage, word: str) -> None:
        super().__init__(search)
        self._word = word.encode()

    def _look(self) -> bool:
        found = self._search.read(DRIVER) if self._word else None
        return found is not None and found != self._word


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
        node_id: of the node on which it trains; empty: not known, so its leaving is not seen.
        word: of the driver, as workers find it in the folder; empty: not known.
    """

    def __init__(self, search: Storage, name: str, node_id: str = "", word: str = "") -> None:
        self._trial = TrialFolders(search)[name]
        self._hasty = TrialFolders(search.patient(0))[name]
        self._stored, self._cost = time.monotonic(), 0.0
        self.stop, self._leaving = StopSign(search), LeavingSign(search, node_id)
        self._other_driver = _DriverSign(search, word)

    @property
    def seconds_since(self) -> float:
        """Seconds since the last checkpoint, or since the trial began on this worker."""
        return time.monotonic() - self._stored

    def is_due(self) -> bool:
        """Whether a checkpoint is due between two reports."""
        is_asked = self._leaving.is_seen() or self._other_driver.is_seen()
        return is_asked or self.is_overdue(BETWEEN)

    def check_driver(self) -> None:
        """Check that the driver of this worker still works on the search, before it stores.

        Raises:
            Superseded: another one does.
        """
        if self._other_driver.is_seen():
            raise Superseded

    def is_overdue(self, seconds: float) -> bool:
        """Whether the last checkpoint is older than that and than what it may cost, or the search
        is asked to end.
        """
        return self.stop.is_seen() or self.seconds_since > max(seconds, self._cost / MOST)

    def keep(self, state: Callable[[], bytes]) -> None:
        """Store a checkpoint between two reports, if the storage works.

        Raises:
            StopAsked: the search is asked to end.
            NodeLeaves: the worker's node is being taken away.
            Superseded: another command works on the search; nothing is stored.
        """
        self.check_driver()
        try:
            self._timed(self._hasty, state)
        except StorageError as error:
            self._stored = time.monotonic()
            logger.warning("no checkpoint between two reports: %s", error)
        if self.stop.is_seen():
            raise StopAsked
        if self._leaving.is_seen():
            raise NodeLeaves

    def store(self, state: Callable[[], bytes]) -> None:
        """Store a checkpoint at a report."""
        self._timed(self._trial, state)

    def _timed(self, folder: TrialFolder, state: Callable[[], bytes]) -> None:
        begun = time.monotonic()
        folder.write_checkpoint(state())
        self._stored = time.monotonic()
        self._cost = self._stored - begun
