"""The one writer of a search's record: a queue and a thread between the search and MLflow.

The search hands events over and goes on at once; a server that is slow, or dies, costs it nothing.
What the events become in MLflow is :mod:`gan_tune.record.projection`'s affair.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Param, Run
from mlflow.exceptions import MlflowException

from gan_tune.config import Objective
from gan_tune.record.events import (
    DatasetInfo,
    Event,
    Kind,
    Picture,
    Reported,
    SearchFinished,
    TrialEnded,
    TrialStarted,
)
from gan_tune.record.mlflow_store import (
    answering,
    artifact_location,
    client,
    connect,
    first_line,
    quoted,
    search_runs,
)
from gan_tune.record.projection import Projection, batches, param_text
from gan_tune.version import __version__
from gan_tune.words.outcomes import OUTCOMES
from gan_tune.words.wording import masked

__all__ = ["DatasetInfo", "Kind", "Picture", "Recorder", "connect"]

logger = logging.getLogger("gan_tune")

BATCH = 1000  # events that are delivered together at most
SYSTEM_METRICS_SECONDS = 15
LONGEST_PAUSE = 30.0  # seconds between two tries to reach a store that does not answer

_REFUSED = frozenset(
    # Trying the same again would be answered the same.
    {
        "BAD_REQUEST",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)


class Recorder:
    """Keeps the record of one search: a parent run, and one child run for each trial.

    Only :meth:`open`, :meth:`flush` and :meth:`close` wait for MLflow; all else returns at once and
    raises nothing that has to do with MLflow. One that fails to answer is tried again with growing
    pauses, after one warning. What MLflow refuses for good is left out, with one warning for each
    kind of refusal.

    Args:
        uri: as :func:`connect` gives it.
        experiment: MLflow experiment; made where there is none.
        search: name of the search. A search of that name in the experiment goes on in its runs.
        flush_every: seconds over which events are gathered into one delivery.
        system_metrics: whether the driver's load is recorded at the parent run.
    """

    def __init__(
        self,
        uri: str,
        *,
        experiment: str,
        search: str,
        code_version: str = __version__,
        flush_every: float = 2.0,
        system_metrics: bool = True,
    ) -> None:
        self.uri = uri
        self.experiment = experiment
        self.search = search
        self.parent_run_id = ""
        self._code_version = code_version
        self._flush_every = flush_every
        self._system_metrics = system_metrics
        self._monitor: Any = None
        self._projection: Projection | None = None
        self._recorded_outcomes: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._events: deque[Event] = deque()
        self._condition = threading.Condition()
        self._flushing = 0
        self._closing = False
        self._abandoned = False
        self._failures = 0
        self._dropped = 0
        self._warned: set[tuple[str, str]] = set()

    def open(
        self,
        *,
        space_text: str,
        space_params: Mapping[str, Any],
        objective: Objective,
        tags: Mapping[str, str] | None = None,
        dataset: DatasetInfo | None = None,
    ) -> str:
        """Make the experiment and the parent run, or find them again, and begin to record.

        Returns the parent run's id.

        Raises:
            TrackingError: MLflow does not answer, or refuses.
        """
        mlflow_client = client(self.uri)
        with answering(self.uri):
            experiment_id = _open_experiment(mlflow_client, self.uri, self.experiment)
            parent_tags = {
                **(tags or {}),
                "gan_tune.search": self.search,
                "gan_tune.kind": "parent",
                "gan_tune.code_version": self._code_version,
                "gan_tune.objective": objective.metric,
                "gan_tune.mode": objective.mode,
            }
            parent = _open_parent(mlflow_client, experiment_id, self.search, parent_tags)
            self.parent_run_id = parent.info.run_id
            _log_space(mlflow_client, parent, space_text, space_params)
            if dataset is not None:
                _log_dataset(mlflow_client, parent, dataset)
        self._projection = Projection(
            mlflow_client,
            experiment_id=experiment_id,
            parent_run_id=self.parent_run_id,
            search=self.search,
            code_version=self._code_version,
        )
        with answering(self.uri):
            self._recorded_outcomes = self._projection.outcomes()
        if self._system_metrics:
            self._monitor = _start_monitor(self.parent_run_id, self.uri)
        self._thread = threading.Thread(target=self._work, name="gan-tune-recorder", daemon=True)
        self._thread.start()
        return self.parent_run_id

    def trial_started(
        self,
        trial: str,
        *,
        setting: int,
        replicate: int,
        kind: Kind,
        params: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """A trial starts, or goes on: its run is made, or found again, and is RUNNING."""
        params, tags = dict(params), dict(tags or {})
        self._put(TrialStarted(trial, setting, replicate, kind, params, tags, _now_ms()))

    def reported(
        self,
        trial: str,
        step: int,
        scalars: Mapping[str, float],
        *,
        timestamp_ms: int,
        grid: Picture | None = None,
    ) -> None:
        """A report of ``step``, with the grid as a PNG; a step reported twice is ignored."""
        self._put(Reported(trial, step, dict(scalars), timestamp_ms, grid))

    def trial_ended(
        self,
        trial: str,
        outcome: str,
        *,
        best: Mapping[str, float] | None = None,
        error: str | None = None,
        symptoms: Sequence[str] = (),
    ) -> None:
        """A trial ended; ``best`` holds the values of its best report by metric.

        Raises:
            ValueError: no such outcome.
        """
        _check_outcome(outcome)
        self._put(TrialEnded(trial, outcome, dict(best or {}), error, tuple(symptoms), _now_ms()))

    def finished(
        self,
        outcome: str,
        *,
        leaderboard: Sequence[Mapping[str, Any]] = (),
        figures: Mapping[str, Picture] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """The search ends: ``completed`` or ``interrupted``. No run of it is left RUNNING.

        ``figures`` are files of the parent run by name (`champion.png`, `plots/history.png`).

        Raises:
            ValueError: no such outcome.
        """
        _check_outcome(outcome)
        self._put(
            SearchFinished(
                outcome,
                [dict(row) for row in leaderboard],
                dict(figures or {}),
                dict(metrics or {}),
                dict(tags or {}),
                _now_ms(),
            )
        )

    def run_id(self, trial: str) -> str | None:
        """The MLflow run of a trial, once it is made: after :meth:`flush`."""
        return self._projection.run_ids.get(trial) if self._projection else None

    def recorded_outcome(self, trial: str) -> str | None:
        """The outcome that MLflow held for a trial when the record was opened; None if none."""
        return self._recorded_outcomes.get(trial)

    @property
    def undelivered(self) -> int:
        """Events that are not in MLflow: those that wait, and those that it refused."""
        return len(self._events) + self._dropped

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all events so far are delivered; False if that takes longer."""
        with self._condition:
            self._flushing += 1
            self._condition.notify_all()
            done = self._condition.wait_for(lambda: not self._events or self._stopped, timeout)
            self._flushing -= 1
        return done and not self._events

    def close(self, timeout: float = 30.0) -> int:
        """Deliver what waits, for ``timeout`` seconds at most, and stop.

        Returns how many events are not in MLflow (:attr:`undelivered`); if any, a warning says so.
        """
        with self._condition:
            already, self._closing = self._closing, True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._condition:
            self._abandoned = True
            self._condition.notify_all()
        if self.undelivered and not already:
            logger.warning(
                "%d events of search %r did not reach MLflow at %s: run the same command again",
                self.undelivered,
                self.search,
                masked(self.uri),
            )
        return self.undelivered

    @property
    def _stopped(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    def _put(self, event: Event) -> None:
        with self._condition:
            if self._projection is None or self._closing:
                raise RuntimeError("the recorder is not open: call open() first, close() last")
            self._events.append(event)
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
            self._stop_monitor()
            with self._condition:
                self._condition.notify_all()

    def _next_batch(self) -> list[Event]:
        """The next events, which stay queued until they are delivered; empty: the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._events or self._closing)
            self._condition.wait_for(self._due, self._flush_every)
            if self._abandoned:
                return []
            return list(itertools.islice(self._events, BATCH))

    def _due(self) -> bool:
        return len(self._events) >= BATCH or self._closing or self._flushing > 0

    def _deliver(self, batch: list[Event]) -> None:
        """Apply a batch and take it off the queue; what MLflow refuses is searched out by halving.

        Raises:
            MlflowException, OSError: MLflow does not answer; what is left stays queued.
        """
        assert self._projection is not None
        if any(isinstance(event, SearchFinished) for event in batch):
            self._stop_monitor()
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
        self._recovered()
        with self._condition:
            for _ in batch:
                self._events.popleft()
            self._condition.notify_all()

    def _refuse(self, event: Event, error: Exception) -> None:
        self._dropped += 1
        code = getattr(error, "error_code", type(error).__name__)
        kind = (type(event).__name__, str(code))
        if kind in self._warned:
            return
        self._warned.add(kind)
        # An error that MLflow did not answer with is a bug: it keeps its traceback.
        logger.warning(
            "MLflow's record lacks an event (%s): %s",
            kind[0],
            first_line(error),
            exc_info=None if isinstance(error, MlflowException) else error,
        )

    def _pause(self, error: Exception) -> None:
        """After a delivery that broke off: warn, the first time, and wait."""
        self._failures += 1
        if self._failures == 1:
            logger.warning(
                "MLflow at %s does not answer; the search goes on and its record waits: %s",
                masked(self.uri),
                first_line(error),
            )
        with self._condition:
            closing = self._closing
            seconds = 0.5 if closing else min(LONGEST_PAUSE, 2.0 ** (self._failures - 1))
            self._condition.wait_for(
                lambda: self._abandoned or (self._closing and not closing), seconds
            )

    def _recovered(self) -> None:
        if self._failures:
            logger.warning("MLflow at %s answers again", masked(self.uri))
            if self._monitor is not None:  # it gave up at the first call without an answer
                self._stop_monitor()
                self._monitor = _start_monitor(self.parent_run_id, self.uri)
        self._failures = 0

    def _stop_monitor(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            monitor.finish()


def _may_pass(error: Exception) -> bool:
    """Whether the same call may succeed later: no answer, a locked database, a full disk."""
    if isinstance(error, MlflowException):
        return error.error_code not in _REFUSED
    return isinstance(error, OSError)  # with all that `requests` raises


def _check_outcome(outcome: str) -> None:
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}: {outcome!r}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _open_experiment(mlflow_client: MlflowClient, uri: str, name: str) -> str:
    """Id of the experiment: found, taken back from MLflow's bin, or made."""
    experiment = mlflow_client.get_experiment_by_name(name)
    if experiment is None:
        # The tag opens MLflow's UI on training runs; without it, it asks what this is.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        location = artifact_location(uri, name)
        try:
            return str(mlflow_client.create_experiment(name, location, tags))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = mlflow_client.get_experiment_by_name(name)  # made by another just now
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        mlflow_client.restore_experiment(experiment.experiment_id)
        logger.warning("the deleted MLflow experiment %r is restored", name)
    return str(experiment.experiment_id)


def _open_parent(
    mlflow_client: MlflowClient, experiment_id: str, search: str, tags: Mapping[str, str]
) -> Run:
    """The search's parent run, RUNNING: the oldest one there is, or a new one."""
    rule = f"tags.`gan_tune.search` = {quoted(search)} and tags.`gan_tune.kind` = 'parent'"
    found = search_runs(mlflow_client, [experiment_id], rule)
    if not found:
        source = {"mlflow.source.name": "gan-tune", "mlflow.source.type": "LOCAL"}
        return mlflow_client.create_run(experiment_id, tags={**source, **tags}, run_name=search)
    parent = found[0]
    if parent.info.status != "RUNNING":
        mlflow_client.update_run(parent.info.run_id, status="RUNNING")
    if "gan_tune.outcome" in parent.data.tags:
        mlflow_client.delete_tag(parent.info.run_id, "gan_tune.outcome")
    for key, value in tags.items():
        if parent.data.tags.get(key) != value:
            mlflow_client.set_tag(parent.info.run_id, key, value)
    return parent


def _log_space(
    mlflow_client: MlflowClient, parent: Run, text: str, params: Mapping[str, Any]
) -> None:
    """The space file, and those params the run has not got yet: a param cannot change."""
    mlflow_client.log_text(parent.info.run_id, text, "space.yaml")
    new = [Param(k, param_text(v)) for k, v in params.items() if k not in parent.data.params]
    for batch in batches(new):
        mlflow_client.log_batch(parent.info.run_id, params=batch)


def _log_dataset(mlflow_client: MlflowClient, parent: Run, info: DatasetInfo) -> None:
    dataset = Dataset(
        name=info.name[:500],
        digest=info.digest[:36],
        source_type="local",
        source=json.dumps({"uri": info.source}),
        profile=json.dumps(dict(info.profile), default=str),
    )
    tags = [InputTag("mlflow.data.context", info.context)]
    mlflow_client.log_inputs(parent.info.run_id, [DatasetInput(dataset, tags)])


def _start_monitor(run_id: str, uri: str) -> Any:
    """MLflow's own thread of system metrics, or None where it cannot be had: it is a nicety."""
    try:
        from mlflow.system_metrics import system_metrics_monitor

        make: Any = system_metrics_monitor.SystemMetricsMonitor
        monitor = make(
            run_id,
            sampling_interval=SYSTEM_METRICS_SECONDS,
            resume_logging=True,
            tracking_uri=uri,
        )
        monitor.start()
    except Exception as error:
        logger.info("no system metrics: %s", first_line(error))
        return None
    return monitor
