"""What every watcher of the command line remembers of a search."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from gan_tune.watching.board import Board
from gan_tune.watching.watcher import Watcher

if TYPE_CHECKING:
    from gan_tune.cluster.connection import Places
    from gan_tune.searching.jobs import Job
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.storage.trial_records import Ending, Result

__all__ = ["BoardWatcher"]


class BoardWatcher(Watcher):
    """A watcher that keeps a board of the trials. It shows nothing by itself.

    Used as a context manager, so that the screen is left in order whatever happens.

    Attributes:
        name: of the search, None until it is decided.
        begun: whether trials have begun.
        board: the search as it stands, None before.
    """

    shows_grids = False

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.begun = False
        self.name: str | None = None
        self.board: Board | None = None
        self._now = now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the screen in order."""

    def named(self, name: str) -> None:
        """Remember which search this is."""
        self.name = name

    def note(self, text: str) -> None:
        """Print a note that stays on the screen."""

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """Begin a board."""
        self.begun = True
        self.board = Board(conductor, self._now)

    def resized(self, places: Places) -> None:
        """Note the nodes of the cluster."""
        if self.board is not None:
            self.board.places = places

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Put the trial on the board."""
        if self.board is not None:
            self.board.started(job)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """Note how far the trial is."""
        if self.board is not None:
            self.board.reported(job, result)

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Take the trial off the board, and say to what its worker was lost."""
        if self.board is not None:
            self.board.ended(job)
        if ending.is_lost:
            how = "is tried again" if ending.paused else "is put aside until the next command"
            self.note(f"trial {job.name} {how}: {ending.error}")
