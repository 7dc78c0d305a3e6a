"""A search on a terminal: one view, redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live
from rich.status import Status

from gan_tune.outgoing import outgoing_line
from gan_tune.watching.board_watcher import BoardWatcher
from gan_tune.watching.search_view import SearchView
from gan_tune.words.readable import plural
from gan_tune.words.terminal import terminal_may_close

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor

__all__ = ["LiveView"]

REFRESH_SECONDS = 0.25


class LiveView(BoardWatcher):
    """A watcher for a terminal: one view, redrawn at most four times a second."""

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now=now)
        self._console = console
        self._status: Status | None = None
        self._live: Live | None = None
        self._view: SearchView | None = None
        self._drawn = float("-inf")
        self._ending = False

    def __exit__(self, *exception: object) -> None:
        self._clear()

    def stage(self, text: str) -> None:
        """Say what is being done before and after the trials."""
        if self._status is None:
            self._status = self._console.status(outgoing_line(text))
            self._status.start()
        else:
            self._status.update(outgoing_line(text))

    def note(self, text: str) -> None:
        """Print a note that stays on the screen."""
        with terminal_may_close():
            self._console.print(outgoing_line(text), highlight=False, markup=False, soft_wrap=True)

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, or go on after ``resumed`` of them."""
        self._clear()
        super().begin(conductor, slots, resumed)
        assert self.board is not None
        self._view = SearchView(self.board, "Ctrl-C")
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        # A second Ctrl-C leaves at once, with nobody to bring a hidden cursor back.
        self._console.show_cursor(True)
        if resumed:
            self._console.print(
                f"going on with {self.board.name} after {plural(resumed, 'setting')}"
            )
        self.tick()

    def tick(self) -> None:
        """Draw, unless that was just done."""
        if self._live is None or self.board is None:
            return
        news = self.board.conductor.stop_requested and not self._ending
        if news or self._now() - self._drawn >= REFRESH_SECONDS:
            self._ending = self.board.conductor.stop_requested
            self._drawn = self._now()
            with terminal_may_close():
                self._live.update(self.render(), refresh=True)

    def end(self) -> None:
        """The trials are through; the view goes."""
        self._clear()
        if self.board is not None and self.board.conductor.stop_requested:
            self.stage("ending: completing the record")

    def _clear(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        """The whole view, as it is now."""
        assert self._view is not None
        return self._view.render()
