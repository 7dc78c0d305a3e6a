"""How a search is shown while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_tune.searching.jobs import Job
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.storage.trial_records import Ending, Result


class Watcher:
    """Shows a search while it runs. This one shows nothing: override what is to be seen.

    All calls come from the thread that called :func:`gan_tune.search`; none may block.
    """

    def named(self, name: str) -> None:
        """The search has got this name."""

    def stage(self, text: str) -> None:
        """This is done now, until the next stage begins."""

    def note(self, text: str) -> None:
        """Something to remember, which stays on the screen."""

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, ``slots`` at a time, or go on after ``resumed`` settings."""

    def tick(self) -> None:
        """Some time has passed; called many times a second."""

    def end(self) -> None:
        """No trial runs any more."""

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """A trial begins, or goes on from its checkpoint."""

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """A trial was evaluated; ``grid`` is a PNG of its samples."""

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """A trial has ended, or is paused."""
