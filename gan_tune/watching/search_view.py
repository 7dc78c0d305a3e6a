"""A search as it stands, drawn: bars, what runs, the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from gan_tune.storage.trial_name import setting_name
from gan_tune.watching.board import Board, Outlook
from gan_tune.words.outcomes import style
from gan_tune.words.readable import clock, counted, number, plural
from gan_tune.words.tables import table

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor

__all__ = ["SearchView", "progress"]

RUNNING_ROWS = 16


class SearchView:
    """Draws a board.

    Args:
        board: the search as it stands.
        interrupt: what ends the search, as its last line says it.
    """

    def __init__(self, board: Board, interrupt: str) -> None:
        self._board, self._interrupt = board, interrupt
        self._bars, self._bar_ids = _bars(board.conductor)

    def render(self) -> RenderableType:
        """The whole view, as it is now."""
        board = self._board
        outlook = board.outlook()
        search, confirmation = self._bar_ids
        done, of = progress(board.conductor, outlook.settled)
        self._bars.update(search, completed=done, count=of)
        self._bars.update(
            confirmation,
            completed=outlook.confirmed,
            total=max(1, outlook.to_confirm),
            count=f"{outlook.confirmed}/{max(1, outlook.to_confirm)}",
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
            parts.append(Text(board.waiting(self._interrupt), style="bold yellow"))
        else:
            parts.append(Text(f"{self._interrupt} ends it in good order", style="dim"))
        return Group(*parts)


def _bars(conductor: Conductor) -> tuple[Progress, tuple[TaskID, TaskID]]:
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(None),
        TextColumn("{task.fields[count]}"),
        auto_refresh=False,
    )
    most, minutes = conductor.space.budget.most_trials, conductor.space.budget.minutes
    total = 60 * (minutes or 0) if math.isinf(most) else most
    search = bars.add_task("trials", total=total, count="")
    confirmation = bars.add_task("confirmation", total=1, visible=False, count="")
    return bars, (search, confirmation)


def progress(conductor: Conductor, settled: int) -> tuple[float, str]:
    """How far a search has come, in its settings or, if only time ends it, in seconds."""
    most = conductor.space.budget.most_trials
    if math.isinf(most):
        return conductor.seconds_used, plural(settled, "setting")
    return settled, f"{settled}/{int(most)}"


def _header(board: Board) -> Text:
    conductor = board.conductor
    space, minutes = conductor.space, conductor.space.budget.minutes
    text = Text(board.name, style="bold")
    where = "" if board.places is None else f" on {plural(board.places.nodes, 'node')}"
    text.append(
        f"  {space.objective.metric} ({space.objective.mode}) on {_data_name(space.tree)}, "
        f"{space.steps:,} steps a trial, {board.slots} at a time{where}\n",
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
