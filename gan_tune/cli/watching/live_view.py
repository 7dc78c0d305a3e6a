"""A search on a terminal: one view, redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from gan_tune.cli.printing.tables import table
from gan_tune.cli.watching.board import Board, Outlook
from gan_tune.cli.watching.board_watcher import BoardWatcher
from gan_tune.storage.trial_name import setting_name
from gan_tune.words.outcomes import style
from gan_tune.words.readable import clock, counted, number, plural

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor

__all__ = ["LiveView"]

REFRESH_SECONDS = 0.25
RUNNING_ROWS = 16


class LiveView(BoardWatcher):
    """A watcher for a terminal: one view, redrawn at most four times a second."""

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now=now)
        self._console = console
        self._status: Status | None = None
        self._live: Live | None = None
        self._drawn = float("-inf")
        self._ending = False

    def __exit__(self, *exception: object) -> None:
        self._clear()

    def stage(self, text: str) -> None:
        """Say what is being done before and after the trials."""
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def note(self, text: str) -> None:
        """Print a note that stays on the screen."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, or go on after ``resumed`` of them."""
        self._clear()
        super().begin(conductor, slots, resumed)
        assert self.board is not None
        self._bars, self._bar_ids = _bars(conductor)
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
        board = self.board
        assert board is not None
        outlook = board.outlook()
        search, confirmation = self._bar_ids
        self._bars.update(search, completed=outlook.settled)
        self._bars.update(
            confirmation, completed=outlook.confirmed, total=max(1, outlook.to_confirm)
        )
        self._bars.update(confirmation, visible=outlook.to_confirm > 0)
        active = len(board.active())
        counts = {**outlook.counts, "running": active, "waiting": len(board.running) - active}
        parts: list[RenderableType] = [_header(board), self._bars, Text(counted(counts))]
        parts.append(_running_table(board))
        if outlook.best:
            parts.append(_best_table(board, outlook))
        # Below the tables, since the terminal puts its own ^C there: in a line with room for it.
        if board.conductor.stop_requested:
            parts.append(Text(board.waiting(), style="bold yellow"))
        else:
            parts.append(Text("Ctrl-C ends it in good order", style="dim"))
        return Group(*parts)


def _bars(conductor: Conductor) -> tuple[Progress, tuple[TaskID, TaskID]]:
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), auto_refresh=False
    )
    search = bars.add_task("trials", total=conductor.space.budget.trials)
    confirmation = bars.add_task("confirmation", total=1, visible=False)
    return bars, (search, confirmation)


def _header(board: Board) -> Text:
    conductor = board.conductor
    space, minutes = conductor.space, conductor.space.budget.minutes
    text = Text(board.name, style="bold")
    text.append(
        f"  {space.objective.metric} ({space.objective.mode}) on {_data_name(space.tree)}, "
        f"{space.budget.steps:,} steps a trial, {board.slots} at a time\n",
        style="not bold",
    )
    left = "no time limit" if minutes is None else f"{clock(conductor.seconds_left)} left"
    text.append(
        f"{clock(conductor.seconds_used)} elapsed, {left}; every trial in MLflow: gan-tune ui",
        style="not bold dim",
    )
    return text


def _data_name(tree: Mapping[str, Any]) -> str:
    data = tree["trial"]["data"]
    return str(data["name"] if isinstance(data, Mapping) else data)


def _running_table(board: Board) -> Table:
    figures = ("step", "now", "best", "time")
    rows = table("running", *figures, "settings", figures=figures, wide=True, cut=True)
    active = board.active()
    for trial in active[:RUNNING_ROWS]:
        rows.add_row(
            trial.job.name,
            f"{trial.step:,}/{trial.job.config.steps:,}",
            number(trial.value),
            number(trial.best),
            clock(board.seconds(trial)),
            board.settings(trial.job.setting),
        )
    if len(active) > RUNNING_ROWS:
        rows.add_row(f"and {len(active) - RUNNING_ROWS} more")
    return rows


def _best_table(board: Board, outlook: Outlook) -> Table:
    figures = ("best", "mean", "steps")
    rows = table("setting", *figures, "outcome", "settings", figures=figures, wide=True, cut=True)
    for setting in outlook.best:
        outcome = setting.outcome or "running"
        rows.add_row(
            setting_name(setting.number),
            number(setting.value),
            number(outlook.means.get(setting.number)),
            f"{setting.steps:,}",
            Text(outcome, style=style(outcome)),
            board.settings(setting.number),
        )
    return rows
