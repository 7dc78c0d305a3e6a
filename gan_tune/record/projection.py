"""Events → MLflow runs: the record as a function of what happened.

Applying events twice gives the same record as applying them once. So a failed delivery can be
repeated, and a resumed search finds the runs of its trials again. MLflow causes one exception: if
the server died while it wrote the two files of a picture, the picture may be shown twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlflow import MlflowClient

from gan_tune.record import search_run
from gan_tune.record.events import Event, Reported, SearchFinished, TrialEnded, TrialStarted
from gan_tune.record.mlflow_internals import PARENT_RUN
from gan_tune.record.mlflow_store import search_runs, tagged
from gan_tune.record.tags import Tag
from gan_tune.record.trial_run import TrialRun, end_as_interrupted

__all__ = ["Projection"]


class Projection:
    """Writes the events of one search into its run and the runs of its trials.

    Not thread-safe: one thread applies events. Other threads may read ``run_ids`` (trial → run).
    """

    def __init__(
        self,
        client: MlflowClient,
        *,
        experiment_id: str,
        parent_run_id: str,
        search: str,
        code_version: str,
    ) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._parent_run_id = parent_run_id
        self._search = search
        self._code_version = code_version
        self._runs: dict[str, TrialRun] | None = None
        self.run_ids: dict[str, str] = {}

    def outcomes(self) -> dict[str, str]:
        """Trial → outcome, for all trials whose end is in MLflow. Makes at most one request."""
        runs = self._known_runs()
        return {trial: run.outcome for trial, run in runs.items() if run.outcome is not None}

    def apply(self, events: Sequence[Event]) -> None:
        """Write events in their order, in as few requests as possible.

        Raises:
            MlflowException, OSError: as MLflow does; call :meth:`forget`, then apply again.
            KeyError: an event of a trial that never started.
        """
        for event in events:
            match event:
                case TrialStarted():
                    self._start(event)
                case Reported():
                    self._run_of(event.trial).report(event)
                case TrialEnded():
                    self._run_of(event.trial).end(event)
                case SearchFinished():
                    self._finish(event)
        self._write_all()

    def forget(self) -> None:
        """Drop all cached state of the runs: the next :meth:`apply` reads it from MLflow."""
        self._runs = None

    def _start(self, event: TrialStarted) -> None:
        run = self._known_runs().get(event.trial)
        if run is None:
            run = self._create_run(event)
        else:
            run.go_on(event, self._code_version)
        run.add_params(event)

    def _create_run(self, event: TrialStarted) -> TrialRun:
        run = TrialRun.create(
            self._client,
            event,
            experiment_id=self._experiment_id,
            parent_run_id=self._parent_run_id,
            search=self._search,
            code_version=self._code_version,
        )
        self._known_runs()[event.trial] = run
        self.run_ids[event.trial] = run.run_id
        return run

    def _finish(self, event: SearchFinished) -> None:
        self._write_all()
        search_run.log_result(self._client, self._parent_run_id, event)
        self._sweep(event.time_ms)
        search_run.log_end(self._client, self._parent_run_id, event)

    def _sweep(self, time_ms: int) -> None:
        """End all trials' runs that are still RUNNING."""
        rule = f"{self._is_child} and attributes.status = 'RUNNING'"
        for run in search_runs(self._client, [self._experiment_id], rule):
            end_as_interrupted(self._client, run, time_ms)
        self._runs = None

    @property
    def _is_child(self) -> str:
        return tagged(PARENT_RUN, self._parent_run_id)

    def _known_runs(self) -> dict[str, TrialRun]:
        if self._runs is None:
            self._runs = {}
            for run in search_runs(self._client, [self._experiment_id], self._is_child):
                trial = run.data.tags.get(Tag.TRIAL)
                if trial is not None:
                    self._runs.setdefault(trial, TrialRun.found(self._client, run))
                    self.run_ids.setdefault(trial, run.info.run_id)
        return self._runs

    def _run_of(self, trial: str) -> TrialRun:
        run = self._known_runs().get(trial)
        if run is None:
            raise KeyError(f"trial {trial!r} has no run: it was never started")
        return run

    def _write_all(self) -> None:
        for run in (self._runs or {}).values():
            run.write()
