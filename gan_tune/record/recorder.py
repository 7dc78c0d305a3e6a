"""The recorder: sends the events of a search to MLflow.

The search passes events and continues at once, so a slow or dead server does not delay it.
:mod:`gan_tune.record.delivery` sends the events to MLflow, and :mod:`gan_tune.record.projection`
converts them to runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import cast

from gan_tune.config import Objective
from gan_tune.record import search_run
from gan_tune.record.delivery import Delivery
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
from gan_tune.record.mlflow_internals import SystemMetrics
from gan_tune.record.mlflow_store import answering, client, connect
from gan_tune.record.projection import Projection
from gan_tune.record.tags import Tag
from gan_tune.version import __version__
from gan_tune.words.outcomes import OUTCOMES, Outcome
from gan_tune.words.wording import masked

__all__ = ["DatasetInfo", "Kind", "Picture", "Recorder", "connect"]

logger = logging.getLogger("gan_tune")


class Recorder:
    """Keeps the record of one search: a parent run, and one child run for each trial.

    Only :meth:`open`, :meth:`flush` and :meth:`close` wait for MLflow. All other methods return at
    once and raise no errors of MLflow. If MLflow does not answer, it is tried again with growing
    pauses, after one warning. Events that MLflow permanently refuses are left out, with one warning
    for each kind of refusal.

    Args:
        uri: from :func:`connect`.
        experiment: MLflow experiment; created if it does not exist.
        search: name of the search. A search of that name in the experiment continues in its runs.
        flush_every: seconds over which events are gathered into one delivery.
        system_metrics: whether the driver's load is recorded in the parent run.
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
        self._recorded_outcomes: dict[str, str] = {}
        self._projection: Projection | None = None
        self._delivery: Delivery | None = None
        self._is_closed = False

    def open(
        self,
        *,
        space_text: str,
        space_params: Mapping[str, object],
        objective: Objective,
        tags: Mapping[str, str] | None = None,
        dataset: DatasetInfo | None = None,
    ) -> str:
        """Create or find the experiment and the parent run, and begin to record.

        Returns the parent run's id.

        Raises:
            TrackingError: MLflow does not answer, or refuses.
        """
        mlflow_client = client(self.uri)
        with answering(self.uri):
            experiment_id = search_run.open_experiment(mlflow_client, self.uri, self.experiment)
            parent = search_run.open_search_run(
                mlflow_client,
                experiment_id,
                self.search,
                {**(tags or {}), **self._own_tags(objective)},
            )
            self.parent_run_id = parent.info.run_id
            search_run.log_space(mlflow_client, parent, space_text, space_params)
            if dataset is not None:
                search_run.log_dataset(mlflow_client, parent, dataset)
            self._projection = Projection(
                mlflow_client,
                experiment_id=experiment_id,
                parent_run_id=self.parent_run_id,
                search=self.search,
                code_version=self._code_version,
            )
            self._recorded_outcomes = self._projection.outcomes()
        self._delivery = self._start_delivery(self._projection)
        return self.parent_run_id

    def _start_delivery(self, projection: Projection) -> Delivery:
        system_metrics = SystemMetrics(self.parent_run_id, self.uri)
        if self._system_metrics:
            system_metrics.start()
        delivery = Delivery(projection, system_metrics, uri=self.uri, flush_every=self._flush_every)
        delivery.start()
        return delivery

    def _own_tags(self, objective: Objective) -> dict[str, str]:
        return {
            Tag.SEARCH: self.search,
            Tag.KIND: "parent",
            Tag.CODE_VERSION: self._code_version,
            Tag.OBJECTIVE: objective.metric,
            Tag.MODE: objective.mode,
        }

    def trial_started(
        self,
        trial: str,
        *,
        setting: int,
        replicate: int,
        kind: Kind,
        params: Mapping[str, object],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """A trial starts or continues: its run is created or found, and is RUNNING."""
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
        ended = _outcome(outcome)
        self._put(TrialEnded(trial, ended, dict(best or {}), error, tuple(symptoms), _now_ms()))

    def finished(
        self,
        outcome: str,
        *,
        leaderboard: Sequence[Mapping[str, object]] = (),
        figures: Mapping[str, Picture] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """The search ends: ``completed`` or ``interrupted``. None of its runs stays RUNNING.

        ``figures`` are files of the parent run by name (`champion.png`, `plots/history.png`).

        Raises:
            ValueError: no such outcome.
        """
        self._put(
            SearchFinished(
                _outcome(outcome),
                [dict(row) for row in leaderboard],
                dict(figures or {}),
                dict(metrics or {}),
                dict(tags or {}),
                _now_ms(),
            )
        )

    def run_id(self, trial: str) -> str | None:
        """The MLflow run of a trial, available after :meth:`flush`."""
        return self._projection.run_ids.get(trial) if self._projection else None

    def recorded_outcome(self, trial: str) -> str | None:
        """A trial's outcome in MLflow when the record was opened; None if it had none."""
        return self._recorded_outcomes.get(trial)

    @property
    def undelivered(self) -> int:
        """Number of events that are not in MLflow: those that wait, and those that it refused."""
        return self._delivery.undelivered if self._delivery else 0

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until all events so far are delivered; False if that takes longer."""
        return self._delivery.flush(timeout) if self._delivery else True

    def close(self, timeout: float = 30.0) -> int:
        """Deliver waiting events, for at most ``timeout`` seconds, and stop.

        Returns how many events are not in MLflow (:attr:`undelivered`); warns if there are any.
        """
        if self._delivery is not None:
            self._delivery.close(timeout)
        was_closed, self._is_closed = self._is_closed, True
        if self.undelivered and not was_closed:
            logger.warning(
                "%d events of search %r did not reach MLflow at %s: run the same command again",
                self.undelivered,
                self.search,
                masked(self.uri),
            )
        return self.undelivered

    def _put(self, event: Event) -> None:
        if self._delivery is None:
            raise RuntimeError("the recorder is not open: call open() first, close() last")
        self._delivery.put(event)


def _outcome(name: str) -> Outcome:
    if name not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}: {name!r}")
    return cast("Outcome", name)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
