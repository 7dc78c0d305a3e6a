"""A search in a notebook: one output below the cell, renewed in place."""

from __future__ import annotations

import functools
import io
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from rich.console import Console

from gan_tune.outgoing import outgoing_line
from gan_tune.watching.board_watcher import BoardWatcher
from gan_tune.watching.search_view import SearchView, progress
from gan_tune.words.readable import clock, number

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor

__all__ = ["NotebookView", "in_kernel", "shown_in_notebooks"]

Given = ParamSpec("Given")
Result = TypeVar("Result")
Bundle = dict[str, str]

REFRESH_SECONDS = 1.0
WIDTH = 110
"""Columns of the live table."""
INTERRUPT = "interrupting the kernel"
BLOCK = '<pre style="white-space:pre;line-height:1.3;font-family:monospace">{code}</pre>'


def in_kernel() -> bool:
    """Whether this process is the kernel of a notebook, or of another front end of Jupyter."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def shown_in_notebooks(search: Callable[Given, Result]) -> Callable[Given, Result]:
    """Give a search that is called in a notebook without a ``watcher`` a :class:`NotebookView`."""

    @functools.wraps(search)
    def shown(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        if kwargs.get("watcher") is not None or not in_kernel():
            return search(*args, **kwargs)
        with NotebookView() as view:
            kwargs["watcher"] = view
            return search(*args, **kwargs)

    return shown


class NotebookView(BoardWatcher):
    """A watcher for notebooks: the live table as HTML, or one line where a front end shows text.

    A front end picks from each update what it can show. What is left in the notebook afterwards is
    one line, and the notes.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now=now)
        self._handle: Any = None
        self._view: SearchView | None = None
        self._drawn = float("-inf")

    def __exit__(self, *exception: object) -> None:
        error = exception[0] if exception else None
        name = f"search {self.name}" if self.name else "the search"
        if error is None and not self._is_ending:
            self._show({"text/plain": f"{name} has ended{self._figures()}"})
        elif error in (None, KeyboardInterrupt):
            again = "the same call goes on with it"
            self._show({"text/plain": f"{name} was interrupted{self._figures()}; {again}"})
        else:
            self._show({"text/plain": f"{name} ended with an error"})

    def stage(self, text: str) -> None:
        """Say what is being done before and after the trials."""
        self._show({"text/plain": outgoing_line(text)})

    def note(self, text: str) -> None:
        """Print a note that stays."""
        print(outgoing_line(text), flush=True)

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, or go on after ``resumed`` of them."""
        super().begin(conductor, slots, resumed)
        assert self.board is not None
        self._view = SearchView(self.board, INTERRUPT)
        self.tick()

    def tick(self) -> None:
        """Draw, unless that was just done."""
        if self._view is None or self._now() - self._drawn < REFRESH_SECONDS:
            return
        self._drawn = self._now()
        # The console is no terminal, so that it writes no codes; it records the styles.
        console = Console(
            file=io.StringIO(), width=WIDTH, record=True, markup=False, force_jupyter=False
        )
        console.print(self._view.render())
        html = console.export_html(inline_styles=True, code_format=BLOCK)
        self._show({"text/plain": self._line(), "text/html": html})

    def end(self) -> None:
        """The trials are through; the table goes."""
        self._view = None

    @property
    def _is_ending(self) -> bool:
        return self.board is not None and self.board.conductor.stop_requested

    def _line(self) -> str:
        """The search in one line."""
        assert self.board is not None
        if self._is_ending:
            return self.board.waiting(INTERRUPT)
        conductor = self.board.conductor
        _, done = progress(conductor, self.board.outlook().settled)
        active = len(self.board.active())
        return f"search {self.board.name}: {done}{self._figures()}, {active} running"

    def _figures(self) -> str:
        """The best value and the time, once there are any."""
        if self.board is None:
            return ""
        conductor, best = self.board.conductor, self.board.outlook().best
        value = f", best {conductor.space.objective.metric} {number(best[0].value)}" if best else ""
        return f"{value}, {clock(conductor.seconds_used)}"

    def _show(self, bundle: Bundle) -> None:
        """Renew the output."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)
