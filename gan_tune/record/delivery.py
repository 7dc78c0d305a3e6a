"""A queue and a thread between a search and MLflow, which may be slow or not answer."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque

from mlflow.exceptions import MlflowException

from gan_tune.record.events import Event, SearchFinished
from gan_tune.record.mlflow_internals import SystemMetrics
from gan_tune.record.mlflow_store import reason_of
from gan_tune.record.projection import Projection
from gan_tune.words.wording import masked

__all__ = ["Delivery"]

logger = logging.getLogger("gan_tune")

BATCH = 1000
"""Largest number of events that are delivered together."""

LONGEST_PAUSE = 30.0
"""Seconds between two tries to reach a store that does not answer."""

REFUSED = frozenset(
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)
"""MLflow's error codes for requests that would fail again."""


class Delivery:
    """Passes events to a projection, on a separate thread, until MLflow has stored them.

    If the store does not answer, it is tried again with growing pauses, after one warning. An event
    that MLflow permanently refuses is left out, with one warning for each kind of refusal.

    Args:
        projection: writes the events; used by this thread only.
        system_metrics: already started, if it is used; stopped before the search's end is written.
        uri: the store, for messages.
        flush_every: seconds over which events are gathered into one delivery.
    """

    def __init__(
        self,
        projection: Projection,
        system_metrics: SystemMetrics,
        *,
        uri: str,
        flush_every: float,
    ) -> None:
        self._projection = projection
        self._system_metrics = system_metrics
        self._uri = uri
        self._flush_every = flush_every
        self._events: deque[Event] = deque()
        self._condition = threading.Condition()
        self._flushing = 0
        self._closing = False
        self._abandoned = False
        self._failures = 0
        self._dropped = 0
        self._warned: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._work, name="gan-tune-recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def undelivered(self) -> int:
        """Number of events that are not in MLflow: those that wait, and those that it refused."""
        return len(self._events) + self._dropped

    def put(self, event: Event) -> None:
        """Queue an event.

        Raises:
            RuntimeError: after :meth:`close`.
        """
        with self._condition:
            if self._closing:
                raise RuntimeError("the recorder is not open: call open() first, close() last")
            self._events.append(event)
            self._condition.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all events so far are delivered; False if that takes longer."""
        with self._condition:
            self._flushing += 1
            self._condition.notify_all()
            done = self._condition.wait_for(
                lambda: not self._events or not self._thread.is_alive(), timeout
            )
            self._flushing -= 1
        return done and not self._events

    def close(self, timeout: float) -> None:
        """Deliver waiting events, for at most ``timeout`` seconds, and stop."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout)
        with self._condition:
            self._abandoned = True
            self._condition.notify_all()

    def _work(self) -> None:
        """The thread: deliver until closed and empty."""
        try:
            while batch := self._next_batch():
                try:
                    self._deliver(batch)
                except (MlflowException, OSError) as error:
                    self._pause(error)
        except Exception:
            logger.exception("the recorder has stopped: nothing more reaches MLflow")
        finally:
            self._system_metrics.stop()
            with self._condition:
                self._condition.notify_all()

    def _next_batch(self) -> list[Event]:
        """The next events; they stay queued until they are delivered. Empty at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._events or self._closing)
            self._condition.wait_for(self._is_due, self._flush_every)
            if self._abandoned:
                return []
            return list(itertools.islice(self._events, BATCH))

    def _is_due(self) -> bool:
        return len(self._events) >= BATCH or self._closing or self._flushing > 0

    def _deliver(self, batch: list[Event]) -> None:
        """Apply a batch and remove it from the queue; refused events are found by halving.

        Raises:
            MlflowException, OSError: MLflow does not answer; the remaining events stay queued.
        """
        if any(isinstance(event, SearchFinished) for event in batch):
            self._system_metrics.stop()
        try:
            self._projection.apply(batch)
        except Exception as error:
            self._projection.forget()
            if _may_pass(error):
                raise
            if len(batch) > 1:
                half = len(batch) // 2
                self._deliver(batch[:half])
                self._deliver(batch[half:])
                return
            self._refuse(batch[0], error)
        self._note_success()
        with self._condition:
            for _ in batch:
                self._events.popleft()
            self._condition.notify_all()

    def _refuse(self, event: Event, error: Exception) -> None:
        """Leave out an event; warn the first time."""
        self._dropped += 1
        code = getattr(error, "error_code", type(error).__name__)
        kind = (type(event).__name__, str(code))
        if kind in self._warned:
            return
        self._warned.add(kind)
        # An error that is no answer of MLflow is a bug, so its traceback is kept.
        logger.warning(
            "MLflow's record lacks an event (%s): %s",
            kind[0],
            reason_of(error),
            exc_info=None if isinstance(error, MlflowException) else error,
        )

    def _pause(self, error: Exception) -> None:
        """After a failed delivery: warn the first time, and wait."""
        self._failures += 1
        if self._failures == 1:
            logger.warning(
                "MLflow at %s does not answer; the search goes on and its record waits: %s",
                masked(self._uri),
                reason_of(error),
            )
        with self._condition:
            closing = self._closing
            seconds = 0.5 if closing else min(LONGEST_PAUSE, 2.0 ** (self._failures - 1))
            self._condition.wait_for(
                lambda: self._abandoned or (self._closing and not closing), seconds
            )

    def _note_success(self) -> None:
        """After a successful delivery: note that MLflow answers again, if it did not before."""
        if self._failures:
            logger.warning("MLflow at %s answers again", masked(self._uri))
            self._system_metrics.restart()
        self._failures = 0


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: no answer, a locked database, a full disk."""
    if isinstance(error, MlflowException):
        return error.error_code not in REFUSED
    return isinstance(error, OSError)  # includes all errors of `requests`
