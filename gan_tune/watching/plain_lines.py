"""A search in files and pipes: a line for each stage and each trial that has ended."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, TextIO

from gan_tune.outgoing import outgoing_line
from gan_tune.watching.board_watcher import BoardWatcher
from gan_tune.words.outcomes import is_healthy
from gan_tune.words.readable import clock, number, plural
from gan_tune.words.terminal import terminal_may_close

if TYPE_CHECKING:
    from gan_tune.cluster.connection import Places
    from gan_tune.searching.jobs import Job
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.space import SearchSpace
    from gan_tune.storage.trial_records import Ending

__all__ = ["PlainLines"]


class PlainLines(BoardWatcher):
    """A watcher for files and pipes: a line for each stage and each trial that has ended."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout
        self._ending = False
        self._confirming = False
        self._best: float | None = None

    def stage(self, text: str) -> None:
        """Say what is being done before and after the trials."""
        self._say(text)

    def note(self, text: str) -> None:
        """Print a note that stays on the screen."""
        self._say(text)

    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None:
        """The trials begin, or go on after ``resumed`` settings."""
        super().begin(conductor, slots, resumed)
        assert self.board is not None
        space, minutes = conductor.space, conductor.space.budget.minutes
        best = self.board.outlook().best
        self._best = best[0].value if best else None
        verb = f"goes on after {plural(resumed, 'setting')}" if resumed else "begins"
        limit = "" if minutes is None else f" in {minutes:g} min"
        self._say(
            f"search {self.board.name} {verb}: {_many(space)}settings of "
            f"{space.steps:,} steps{limit}, {slots} at a time"
        )

    def resized(self, places: Places) -> None:
        """Say how many nodes have room for trials now."""
        super().resized(places)
        if not places.nodes:
            self._say("no node has room for a trial now")
        else:
            room = plural(places.slots, "trial")
            self._say(f"{plural(places.nodes, 'node')}: {room} at a time")

    def tick(self) -> None:
        """Say once that the search is asked to end."""
        board = self.board
        if board is not None and board.conductor.stop_requested and not self._ending:
            self._ending = True
            self._say(board.waiting())

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """Remember what runs; the first that confirms is worth a line."""
        super().trial_started(job, resumed=resumed)
        if self.board is not None and job.kind == "confirmation" and not self._confirming:
            self._confirming = True
            self._say("confirmation begins: the best settings with fresh seeds")

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """Say how a trial ended."""
        super().trial_ended(job, ending)
        board = self.board
        if board is None or ending.paused or ending.is_lost:
            return  # what is paused is no news: it goes on in its turn
        objective = board.conductor.space.objective
        what = f"trial {job.name} {ending.outcome} at step {ending.step:,}"
        value = "" if ending.value is None else f": {objective.metric} {number(ending.value)}"
        error = f": {ending.error}" if ending.error else ""
        if ending.value is not None and is_healthy(ending.outcome):
            if self._best is None or objective.better(ending.value, self._best):
                self._best = ending.value
            value += f" (best {number(self._best)})"
        settled = sum(s.outcome is not None for s in board.conductor.study.settings())
        most = board.conductor.space.budget.most_trials
        done = f" [{settled}]" if math.isinf(most) else f" [{settled}/{int(most)}]"
        self._say(what + value + error + (done if job.kind == "search" else ""))

    def _say(self, text: str) -> None:
        seconds = f"{clock(self.board.conductor.seconds_used)} " if self.board else ""
        with terminal_may_close():
            print(outgoing_line(seconds + text), file=self._stream, flush=True)


def _many(space: SearchSpace) -> str:
    """The number of settings before their name; empty if only time ends the search."""
    most = space.budget.most_trials
    return "" if math.isinf(most) else f"{int(most)} "
