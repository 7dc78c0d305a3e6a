"""The interface for showing a search while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_tune.cluster.connection import Places
    from gan_tune.searching.jobs import Job
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.storage.trial_records import Ending, Result


class Watcher:
    """Shows a search while it runs. This class shows nothing: override the methods you need.

    All calls come from the thread that called :func:`gan_tune.search`; no method may block.

    Attributes:
        shows_grids: whether it uses the grids of the reports. If not, they are not read.
    """

    shows_grids = True

    def named(self, name: str) -> None:
        """The search's name is known."""

    def stage(self, text: str) -> None:
        """A stage begins; it lasts until the next one."""

    def note(self, text: str) -> None:
        """A note that stays on the screen."""

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, ``slots`` at a time, or continue after ``resumed`` settings."""

    def resized(self, places: Places) -> None:
        """A cluster's room for trials is known, or has changed."""

    def tick(self) -> None:
        """Some time has passed; called many times a second."""

    def end(self) -> None:
        """No trial runs any more."""

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """A trial begins, or continues from its checkpoint."""

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """A trial was evaluated; ``grid`` is a PNG of its samples, if ``shows_grids``."""

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """A trial has ended, or is paused."""
