"""A search on the screen: a live view on a terminal, plain lines elsewhere, tables at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from gan_tune.storage.trial_name import setting_name
from gan_tune.words.outcomes import OUTCOMES
from gan_tune.words.readable import clock, counted, number, short_form

if TYPE_CHECKING:
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.searching.leading.jobs import Job
    from gan_tune.searching.study.study import Setting
    from gan_tune.service import SearchResult
    from gan_tune.storage.trial_records import Ending, Result

__all__ = [
    "LiveView",
    "PlainLog",
    "leaderboard",
    "search_watcher",
    "table",
    "verdict",
    "what_mattered",
]

REFRESH_SECONDS = 0.25
READ_SECONDS = 1.0
"""The study is read at most so often: each reading looks at its journal."""
BEST_ROWS = 5
RUNNING_ROWS = 16
_SOUND = tuple(name for name, meaning in OUTCOMES.items() if meaning.is_sound)
STYLES = {name: meaning.style for name, meaning in OUTCOMES.items()}


# ---------------------------------------------------------------- what is known while it runs


@dataclass
class _Running:
    job: Job
    since: float | None = None
    step: int = 0
    value: float | None = None
    best: float | None = None


@dataclass(frozen=True)
class _Outlook:
    """What the study said when it was last read."""

    counts: Mapping[str, int]
    settled: int
    confirmed: int
    to_confirm: int
    best: Sequence[Setting]
    means: Mapping[int, float]


class _Board:
    """A search as it stands: heard from its trials, and read from its study now and then."""

    def __init__(self, conductor: Conductor, slots: int, now: Callable[[], float]) -> None:
        self.conductor, self.slots, self._now = conductor, slots, now
        self.running: dict[str, _Running] = {}
        self._outlook: _Outlook | None = None
        self._read = 0.0
        self._short: dict[int, str] = {}

    def started(self, job: Job) -> None:
        self.running[job.name] = _Running(job)

    def reported(self, job: Job, result: Result) -> None:
        trial = self.running.setdefault(job.name, _Running(job))
        trial.step, trial.value, trial.best = result.step, result.value, result.best

    def ended(self, job: Job) -> None:
        self.running.pop(job.name, None)

    def active(self) -> list[_Running]:
        """The trials that hold a slot; Tune takes some more in advance, which wait for one."""
        trials = list(self.running.values())
        found = [t for place, t in enumerate(trials) if place < self.slots or t.step]
        for trial in found:
            trial.since = trial.since if trial.since is not None else self._now()
        return found

    def seconds(self, trial: _Running) -> float:
        """How long a trial has held its slot."""
        return 0.0 if trial.since is None else self._now() - trial.since

    def settings(self, setting: int) -> str:
        """A setting in short form, looked up once."""
        if setting not in self._short:
            self._short[setting] = short_form(self.conductor.study.assignment(setting))
        return self._short[setting]

    def outlook(self) -> _Outlook:
        """What the study says, read anew once a second."""
        if self._outlook is None or self._now() - self._read >= READ_SECONDS:
            self._outlook, self._read = self._look(), self._now()
        return self._outlook

    def _look(self) -> _Outlook:
        conductor, space = self.conductor, self.conductor.space
        settings = conductor.study.settings()
        sign = 1.0 if space.objective.mode == "min" else -1.0
        sound = [s for s in settings if s.value is not None and s.outcome in (None, *_SOUND)]
        sound.sort(key=lambda s: sign * (s.value or 0.0))
        standings = conductor.confirmation.standings()
        completed = sum(s.outcome == "completed" for s in settings)
        top = min(completed, space.confirm.top + 1) if space.confirm.top else 0
        candidates = max(top, len(standings))  # earlier commands may have confirmed others
        spared = sum(space.confirm.seeds - row.seeds for row in standings if row.dropped)
        return _Outlook(
            counts=Counter(s.outcome for s in settings if s.outcome is not None),
            settled=sum(s.outcome is not None for s in settings),
            confirmed=sum(row.seeds for row in standings),
            to_confirm=candidates * space.confirm.seeds - spared,
            best=sound[:BEST_ROWS],
            means={row.setting: row.mean for row in standings},
        )


# ---------------------------------------------------------------- on a terminal


class LiveView:
    """A watcher for a terminal: one view, drawn anew at most four times a second.

    Used as a context manager, so that the terminal is left in order whatever happens.
    """

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self.begun = False
        self.name: str | None = None
        self._console, self._now = console, now
        self._board: _Board | None = None
        self._status: Status | None = None
        self._live: Live | None = None
        self._drawn = float("-inf")
        self._ending = False

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *exception: object) -> None:
        self._clear()

    def named(self, name: str) -> None:
        """Remember which search this is."""
        self.name = name

    def stage(self, text: str) -> None:
        """Say what is being done before and after the trials."""
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def note(self, text: str) -> None:
        """Say what is to be remembered."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, or go on after ``resumed`` of them."""
        self._clear()
        self.begun = True
        self._board = _Board(conductor, slots, self._now)
        self._bars, self._bar_ids = _bars(conductor)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        # A second Ctrl-C leaves at once, with nobody to bring a hidden cursor back.
        self._console.show_cursor(True)
        if resumed:
            self._console.print(
                f"going on with {_name(conductor)} after {_plural(resumed, 'setting')}"
            )
        self.tick()

    def tick(self) -> None:
        """Draw, unless that was just done."""
        if self._live is None or self._board is None:
            return
        news = self._board.conductor.stop_requested and not self._ending
        if news or self._now() - self._drawn >= REFRESH_SECONDS:
            self._ending = self._board.conductor.stop_requested
            self._drawn = self._now()
            self._live.update(self.render(), refresh=True)

    def end(self) -> None:
        """The trials are through; the view goes."""
        self._clear()
        if self._board is not None and self._board.conductor.stop_requested:
            self.stage("ending: completing the record")

    def _clear(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """A trial runs now."""
        if self._board is not None:
            self._board.started(job)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """A trial has been evaluated."""
        if self._board is not None:
            self._board.reported(job, result)

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """A trial is over."""
        if self._board is not None:
            self._board.ended(job)

    def render(self) -> RenderableType:
        """The whole view, as it is now."""
        board = self._board
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
            parts.append(Text(_waiting(active), style="bold yellow"))
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


def _header(board: _Board) -> Text:
    conductor = board.conductor
    space, minutes = conductor.space, conductor.space.budget.minutes
    text = Text(_name(conductor), style="bold")
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


def _name(conductor: Conductor) -> str:
    """The search's name, which is that of its folder."""
    return conductor.storage.uri.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]


def _data_name(tree: Mapping[str, Any]) -> str:
    data = tree["trial"]["data"]
    return str(data["name"] if isinstance(data, Mapping) else data)


def _running_table(board: _Board) -> Table:
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


def _best_table(board: _Board, outlook: _Outlook) -> Table:
    figures = ("best", "mean", "steps")
    rows = table("setting", *figures, "outcome", "settings", figures=figures, wide=True, cut=True)
    for setting in outlook.best:
        outcome = setting.outcome or "running"
        rows.add_row(
            setting_name(setting.number),
            number(setting.value),
            number(outlook.means.get(setting.number)),
            f"{setting.steps:,}",
            Text(outcome, style=STYLES.get(outcome, "")),
            board.settings(setting.number),
        )
    return rows


def table(
    *columns: str,
    figures: Sequence[str] = (),
    wide: bool = False,
    cut: bool = False,
    title: str = "",
) -> Table:
    """A table without lines, its ``figures`` to the right.

    Where it is ``wide`` its last column takes all that is left. What does not fit there goes on
    below, or with ``cut`` ends in an ellipsis.
    """
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=wide)
    if title:
        made.title, made.title_justify, made.title_style = title, "left", "italic"
    for column in columns[:-1]:
        justify: JustifyMethod = "right" if column in figures else "left"
        made.add_column(column, justify=justify, no_wrap=True)
    made.add_column(
        columns[-1],
        justify="right" if columns[-1] in figures else "left",
        ratio=1 if wide else None,
        no_wrap=cut,
        overflow="ellipsis" if cut else "fold",
    )
    return made


def _waiting(trials: int) -> str:
    return f"ending: waiting for {_plural(trials, 'trial')} (Ctrl-C again to leave at once)"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


# ---------------------------------------------------------------- elsewhere


class PlainLog:
    """A watcher for files and pipes: a line for each stage and each trial that has ended."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.begun = False
        self.name: str | None = None
        self._stream = stream or sys.stdout
        self._board: _Board | None = None
        self._ending = False
        self._confirming = False
        self._best: float | None = None

    def __enter__(self) -> PlainLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def named(self, name: str) -> None:
        """Remember which search this is."""
        self.name = name

    def stage(self, text: str) -> None:
        """Say what is being done before and after the trials."""
        self._say(text)

    def note(self, text: str) -> None:
        """Say what is to be remembered."""
        self._say(text)

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, or go on after ``resumed`` of them."""
        self.begun = True
        self._board = _Board(conductor, slots, time.monotonic)
        space, minutes = conductor.space, conductor.space.budget.minutes
        outlook = self._board.outlook()
        self._best = outlook.best[0].value if outlook.best else None
        verb = f"goes on after {_plural(resumed, 'setting')}" if resumed else "begins"
        limit = "" if minutes is None else f" in {minutes:g} min"
        self._say(
            f"search {_name(conductor)} {verb}: {space.budget.trials} settings of "
            f"{space.budget.steps:,} steps{limit}, {slots} at a time"
        )

    def tick(self) -> None:
        """Say once that the search is asked to end."""
        board = self._board
        if board is not None and board.conductor.stop_requested and not self._ending:
            self._ending = True
            self._say(_waiting(len(board.active())))

    def end(self) -> None:
        """Nothing is left to be put in order."""

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Remember what runs; the first that confirms is worth a line."""
        if self._board is not None:
            self._board.started(job)
            if job.kind == "confirmation" and not self._confirming:
                self._confirming = True
                self._say("confirmation begins: the best settings with fresh seeds")

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """Remember how far it is."""
        if self._board is not None:
            self._board.reported(job, result)

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Say how a trial ended."""
        board = self._board
        if board is None:
            return
        board.ended(job)
        if ending.paused:
            return  # no news: it goes on in its turn
        objective = board.conductor.space.objective
        what = f"trial {job.name} {ending.outcome} at step {ending.step:,}"
        value = "" if ending.value is None else f": {objective.metric} {number(ending.value)}"
        error = f": {ending.error}" if ending.error else ""
        if ending.value is not None and ending.outcome in _SOUND:
            if self._best is None or objective.better(ending.value, self._best):
                self._best = ending.value
            value += f" (best {number(self._best)})"
        settled = sum(s.outcome is not None for s in board.conductor.study.settings())
        done = f" [{settled}/{board.conductor.space.budget.trials}]"
        self._say(what + value + error + (done if job.kind == "search" else ""))

    def _say(self, text: str) -> None:
        seconds = f"{clock(self._board.conductor.seconds_used)} " if self._board else ""
        print(seconds + text, file=self._stream, flush=True)


def search_watcher(console: Console) -> LiveView | PlainLog:
    """What shows a search on standard output: a live view if that is a terminal."""
    live = sys.stdout.isatty() and not console.is_dumb_terminal
    return LiveView(console) if live else PlainLog()


# ---------------------------------------------------------------- at the end


def leaderboard(found: Sequence[Mapping[str, Any]], metric: str, *, top: int = 10) -> Table:
    """The best settings, as `result.json` holds them."""
    rows = table(
        "setting",
        "confirmed",
        "search",
        "outcome",
        "settings",
        figures=("confirmed", "search"),
        wide=True,
        title=f"{metric}: confirmed mean ± spread (seeds), and the search's own value",
    )
    for row in found[:top]:
        outcome = row["outcome"] or "interrupted"
        rows.add_row(
            setting_name(row["setting"]),
            _confirmed(row),
            _searched(row),
            Text(outcome, style=STYLES.get(outcome, "")),
            short_form(row["changes"]),
        )
    return rows


def pareto_front(found: Sequence[Mapping[str, Any]], metric: str) -> Table | None:
    """The settings that no other beats in all objectives; None for a search of one objective."""
    front = [row for row in found if row.get("on_front")]
    if not front:
        return None
    metrics = [metric, *front[0]["further"]]
    rows = table(
        "setting",
        *metrics,
        "settings",
        figures=metrics,
        wide=True,
        title=f"Pareto front; {metric} decides who is the champion",
    )
    for row in sorted(front, key=lambda row: float(row["value"])):
        values = [row["value"], *row["further"].values()]
        rows.add_row(setting_name(row["setting"]), *map(number, values), short_form(row["changes"]))
    return rows


def _searched(row: Mapping[str, Any]) -> str:
    seeds = row.get("value_seeds", 1)
    spread = "" if row.get("value_spread") is None else f" ± {number(row['value_spread'])}"
    return f"{number(row['value'])}{spread}" + (f" ({seeds})" if seeds > 1 else "")


def _confirmed(row: Mapping[str, Any]) -> str:
    spread = "" if row["spread"] is None else f" ± {number(row['spread'])}"
    return f"{number(row['mean'])}{spread} ({row['seeds']})" if row["seeds"] else "-"


def verdict(result: SearchResult) -> Iterator[str]:
    """What came of a search, line by line: the gain, the picture, and what was registered."""
    metric, champion = result.metric, result.champion
    if champion is None:
        if result.finished:
            yield (
                "no champion: no trial stayed in good health; where most diverged, lower "
                "the learning rates, clip the gradients, or see `divergence` in docs/reference.md"
            )
        return
    mine, first = (result.test.get(f"test.{who}.{metric}") for who in ("mean", "first"))
    if champion["setting"] == 0:
        yield "the first setting is the champion: the search found nothing better"
    elif mine is not None and first is not None and result.gain is not None:
        better = "less is better" if result.mode == "min" else "more is better"
        yield (
            f"test split: {metric} {number(mine)}, the first setting {number(first)}: "
            f"{result.gain:.3g} times as much ({better})"
        )
    elif f"test.{metric}" in result.test:
        yield f"test split: {metric} {number(result.test[f'test.{metric}'])}"
    elif result.test:
        yield f"test split: no {metric}, which is measured on a trial's own networks as they train"
    floor = result.test.get(f"test.floor.{metric}")
    if floor is not None:
        yield f"real against real: {number(floor)}"
    if result.grid:
        yield f"samples: {result.grid}"
    if result.model:
        yield f"registered: {result.model}/{result.model_version}, {_promotion(result)}"


def what_mattered(importances: Mapping[str, Any], *, top: int = 3) -> Iterator[str]:
    """The most important parameters with their shares, line by line.

    ``importances`` are as `result.json` holds them; where they tell of none, there is no line.
    """
    shares = importances.get("shares", {})
    if shares:
        yield (
            f"what mattered (PED-ANOVA: share in reaching the best quarter; "
            f"{importances['settings']} settings at step {importances['step']:,}):"
        )
    for name, share in list(shares.items())[:top]:
        yield f"  {share:4.0%}  {name}"


def _promotion(result: SearchResult) -> str:
    promoted = "now the champion" if result.promoted else "not the champion"
    return f"{promoted} ({result.model_note})" if result.model_note else promoted
