"""A thread between a search and MLflow, which may be slow or not answer.

A search never waits for MLflow. It stores what happens in its folder and says which trial has news;
this thread brings MLflow up to date. What it has not delivered at the end is delivered by the next
command, or by `gan-tune sync`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from mlflow.exceptions import MlflowException

from gan_tune.errors import RecordError, StorageError, TrackingError
from gan_tune.record.frequent_switches import frequent_switches
from gan_tune.record.mlflow_client import reason_of
from gan_tune.record.mlflow_internals import SystemMetrics
from gan_tune.record.outage import Outage
from gan_tune.record.projection import Projection
from gan_tune.record.requests import is_refusal
from gan_tune.record.spool import SearchEnding
from gan_tune.record.trials_at_work import TrialsAtWork
from gan_tune.words.readable import plural

__all__ = ["Delivery", "Waiting"]

logger = logging.getLogger("gan_tune")

GATHER_SECONDS = 2.0
"""News of the trials are gathered for so long, since a request costs more than what it carries."""

REST = 3.0
"""Seconds of rest for each second of the processor's time that went into a trial's record.

Only one thread of a process computes at a time, and the search is led by another one. With hundreds
of slots that one would otherwise wait for this one most of the time. The longer the rest, the more
reports of a trial are written together, which costs little more than one of them.
"""

PATIENCE = 3
"""So often a trial whose folder cannot be read, or that MLflow refuses, is tried."""

Task = Literal["open", "figures", "rest", "ending", "model"]
"""What the thread does next: see :meth:`Delivery._next_task`."""


@dataclass(frozen=True)
class Waiting:
    """What is not in MLflow yet.

    Attributes:
        trials: how many trials have news that are not there.
        search: whether the search's own run lacks its end.
        model: whether the champion is not registered.
        left_out: how many trials cannot be recorded.
        reason: what the last failure was; empty without one.
    """

    trials: int = 0
    search: bool = False
    model: bool = False
    left_out: int = 0
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.trials or self.search or self.model or self.left_out)

    def __str__(self) -> str:
        parts = [
            plural(self.trials + self.left_out, "trial") if self.trials + self.left_out else "",
            "the search's run" if self.search else "",
            "the champion's registration" if self.model else "",
        ]
        return ", ".join(part for part in parts if part)


class Delivery:
    """Brings the record of a search up to date, on a thread of its own.

    If the store does not answer, or refuses the user, it is tried again with growing pauses, after
    one warning. A trial that MLflow permanently refuses is left out, with a warning.

    Args:
        projection: writes the record; used by this thread only.
        uri: the store, for messages.
    """

    def __init__(
        self,
        projection: Projection,
        *,
        uri: str,
        gather: float = GATHER_SECONDS,
    ) -> None:
        self._projection, self._uri, self._gather = projection, uri, gather
        self.at_work = TrialsAtWork(projection.has_ended)  # told of by the search, too
        self._register: Callable[[], None] | None = None
        self._live = False
        self._changed = threading.Condition()
        self._figures: dict[str, None] = {}
        self._rest: dict[str, None] = {}
        self._refusals: Counter[str] = Counter()
        self._left_out: set[str] = set()
        self._ending: SearchEnding | None = None
        self._ends = self._ended = self._registered = self._abandoned = False
        self._refused: RecordError | None = None
        self._outage = Outage(uri)
        self._due = 0.0
        self._busy: str | None = None
        self._rest_is_next = False
        self._system_metrics = SystemMetrics(uri)
        self._thread = threading.Thread(target=self._work, name="gan-tune-record", daemon=True)

    # ---------------------------------------------------------------- called by the search

    def start(self, trials: Iterable[str] = (), *, live: bool = False) -> None:
        """Start the thread.

        Args:
            trials: may have news of earlier commands.
            live: whether trials will run: the driver's load is recorded, too.
        """
        self._figures, self._live = dict.fromkeys(trials), live
        self.at_work.begin(self._figures if live else ())
        self._thread.start()

    def has_news(self, trial: str, *, runs: bool) -> None:
        """A trial has got a worker, reported or ended; ``runs``: whether it runs now."""
        with self._changed:
            self.at_work.has_news(trial, runs=runs)
            if not self._figures:
                self._due = time.monotonic() + self._gather
            self._figures[trial] = None
            self._changed.notify_all()

    def end(
        self, ending: SearchEnding | None, *, register: Callable[[], None] | None = None
    ) -> None:
        """The command ends, or (before :meth:`start`) none works on the search.

        A trial without an ending was interrupted.
        ``register`` registers the champion once everything else is delivered; None: there is none.
        """
        with self._changed:
            self._figures |= dict.fromkeys(self.at_work.end())
            self._ending, self._register, self._ends = ending, register, True
            self._due = 0.0
            self._outage.hurry()
            self._changed.notify_all()

    def wait(self, timeout: float) -> Waiting:
        """Wait until everything is delivered, for at most ``timeout`` seconds.

        Raises:
            RecordError: MLflow holds another search in this one's place.
        """
        with self._changed:
            self._due = 0.0
            self._changed.notify_all()
            self._changed.wait_for(self._is_over, timeout)
            if self._refused is not None:
                raise self._refused
            return self._waiting()

    def close(self) -> None:
        """Stop, at once or after the call that is under way."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
        self._thread.join(0.2)

    @property
    def waiting(self) -> Waiting:
        """What is not delivered yet."""
        with self._changed:
            return self._waiting()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be delivered, unless there are news."""
        with self._changed:
            return self._is_over()

    def _is_over(self) -> bool:
        return not self._left_to_do() or not self._thread.is_alive()

    def _waiting(self) -> Waiting:
        return Waiting(
            trials=len({*self._figures, *self._rest, self._busy} - {None}),
            search=not self._ended,
            model=self._register is not None and not self._registered,
            left_out=len(self._left_out),
            reason=self._outage.reason,
        )

    def _left_to_do(self) -> int:
        """How many tasks are left; 0: nothing more can be delivered."""
        end = int(not self._ended) + int(self._register is not None and not self._registered)
        queued = 2 * len(self._figures) + len(self._rest) + int(self._busy is not None)
        return queued + (end if self._ends else 0)

    # ---------------------------------------------------------------- the thread

    def _work(self) -> None:
        """The thread: work until there is nothing left to do and the search has ended."""
        try:
            with frequent_switches():
                while (task := self._next_task()) is not None:
                    ends, began = self._ends, time.thread_time()
                    try:
                        self._do(*task)
                    except Exception as error:
                        self._note_failure(*task, error)
                    else:
                        self._note_success(*task)
                    if task[0] in ("figures", "rest") and not ends:
                        self._rest_for(REST * (time.thread_time() - began), ends=False)
        except Exception:
            logger.exception("the record has stopped: nothing more reaches MLflow")
        finally:
            self._system_metrics.stop()
            with self._changed:
                self._changed.notify_all()

    def _next_task(self) -> tuple[Task, str] | None:
        """The next task: figures and pictures in turn, or figures first as the search ends."""
        with self._changed:
            self._busy = None
            self._changed.notify_all()
            while not self._abandoned:
                if not self._projection.is_open:
                    return "open", ""
                wait = self._due - time.monotonic()
                queues: list[tuple[Task, dict[str, None]]]
                queues = [("figures", self._figures if wait <= 0 else {}), ("rest", self._rest)]
                in_turn = self._rest_is_next and not self._ends
                for task, queue in reversed(queues) if in_turn else queues:
                    if queue:
                        self._rest_is_next = task == "figures"
                        self._busy = next(iter(queue))
                        del queue[self._busy]
                        return task, self._busy
                if self._ends and not self._figures:
                    if not self._ended:
                        return "ending", ""
                    if self._register is None or self._registered:
                        return None
                    return "model", ""
                self._changed.wait(wait if self._figures else None)
        return None

    def _do(self, task: Task, trial: str) -> None:
        runs = self.at_work.runs(trial)
        if task == "open":
            self._projection.open(self._ending, goes_on=not self._ends)
            if self._live and not self._ends:
                self._system_metrics.start(self._projection.parent_run_id or "")
        elif task == "figures":
            waits = runs and not self.at_work.has_worker(trial)
            if self._projection.write_figures(trial, runs=runs, waits=waits):
                self._add(self._rest, [trial])
        elif task == "rest":
            self._projection.write_rest(trial, runs=runs)
        elif task == "ending":
            self._system_metrics.stop()
            incomplete = self._projection.finish(self._ending, without=self._left_out)
            self._add(self._figures, incomplete)
            self._ended = not incomplete
        elif self._register is not None:
            self._register()
            self._registered = True

    def _add(self, queue: dict[str, None], trials: Iterable[str]) -> None:
        with self._changed:
            queue |= dict.fromkeys(trials)

    def _note_success(self, task: Task, trial: str) -> None:
        self._left_out.discard(trial)
        self._refusals.pop(f"{task} {trial}", None)
        if self._outage.end():
            self._system_metrics.restart()

    def _note_failure(self, task: Task, trial: str, error: Exception) -> None:
        """Put a trial back, and wait if MLflow does not answer; leave out what it refuses."""
        if isinstance(error, RecordError):
            self._refused, self._abandoned = error, True
            return
        if trial:
            self._projection.forget(trial)
            self._add(self._figures, [trial])
        may_pass = isinstance(error, (MlflowException, OSError, TrackingError))
        if may_pass and not is_refusal(error):
            self._rest_for(self._outage.begin(error, ends=self._ends), ends=self._ends)
            return
        self._refusals[f"{task} {trial}"] += 1
        if self._refusals[f"{task} {trial}"] < PATIENCE:
            if is_refusal(error):  # somebody may have deleted the run, or all of the record
                self._projection.forget()
            elif isinstance(error, StorageError):
                self._rest_for(1.0, ends=self._ends)
            return
        self._leave_out(task, trial, error)

    def _leave_out(self, task: Task, trial: str, error: Exception) -> None:
        # An error that is no answer of MLflow is a bug, so its traceback is kept.
        known = isinstance(error, (MlflowException, StorageError))
        what = f"trial {trial}" if trial else f"the search ({task})"
        if trial not in self._left_out:
            told = None if known else error
            logger.warning("MLflow's record lacks %s: %s", what, reason_of(error), exc_info=told)
        with self._changed:
            if trial:
                self._left_out.add(trial)
            else:
                self._abandoned = True
            self._figures.pop(trial, None)
            self._rest.pop(trial, None)
            self._changed.notify_all()

    def _rest_for(self, seconds: float, *, ends: bool) -> None:
        """Wait, unless the search ends meanwhile, if it did not before."""
        with self._changed:
            self._busy = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._abandoned or self._ends != ends, seconds)
