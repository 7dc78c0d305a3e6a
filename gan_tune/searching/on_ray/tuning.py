"""Runs a conductor's jobs on Ray Tune: thin adapters that decide nothing themselves."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from gan_tune.cluster.ray_internals import first_with_pending_worker, keep_workers
from gan_tune.data.dataset import Dataset
from gan_tune.errors import StorageError
from gan_tune.metrics import Judge
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor, Next
from gan_tune.searching.on_ray.trainable import GanTrainable
from gan_tune.space import Resources
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_records import Result
from gan_tune.words.wording import last_line

__all__ = ["Shared", "run"]

Answer = TypeVar("Answer")
Substitute = TypeVar("Substitute")

LOST_WORKERS = 3
"""How often a trial whose worker or node died is resumed from its checkpoint."""


@dataclass(frozen=True)
class Shared:
    """What all trials of a search share. It is put into Ray's object store once."""

    dataset: Dataset
    judge: Judge
    storage: Storage
    resources: Resources


def run(
    conductor: Conductor, shared: Shared, *, slots: int, tick: Callable[[], None] = lambda: None
) -> None:
    """Run jobs until the conductor has no more or is asked to stop; then end running trials.

    ``tick`` is called about ten times a second, on this thread.

    Raises:
        StorageError: the study or the trials' folders can no longer be used.
    """
    resources = shared.resources
    trainable = tune.with_parameters(
        GanTrainable,
        dataset=shared.dataset,
        judge=shared.judge,
        storage=shared.storage,
        threads=max(1, int(resources.cpu)),
        gpu=resources.gpu > 0,
    )
    _settle_tune(slots)
    leader = _Leader(conductor)
    with tempfile.TemporaryDirectory(prefix="gan-tune-") as scratch:
        try:
            tune.run(
                trainable,
                name=conductor.space.name,
                storage_path=scratch,
                resources_per_trial={"cpu": resources.cpu, "gpu": resources.gpu},
                num_samples=-1,
                search_alg=_Jobs(leader),
                scheduler=_Decisions(leader, slots),
                stop=_Ask(conductor),
                callbacks=[_LostWorkers(leader), _Tick(tick)],
                max_failures=LOST_WORKERS,
                reuse_actors=True,
                raise_on_failed_trial=False,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
                verbose=0,
            )
        finally:
            leader.sweep()


class _Leader:
    """Asks the conductor for Tune's parts, and keeps a storage error until the run has ended.

    If the study or a folder can no longer be used, the run ends as after Ctrl-C. The error is
    raised after that. If it were raised at once, Tune would hide it in a traceback or a log.
    """

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._lost: StorageError | None = None

    def next_job(self) -> Job | Next:
        return self._answer(self._conductor.next_job, Next.DONE)

    def reported(self, name: str, result: Result) -> bool:
        return self._answer(lambda: self._conductor.reported(name, result), True)

    def failed(self, name: str, error: str) -> None:
        self._answer(lambda: self._conductor.failed(name, error), None)

    def sweep(self) -> None:
        """End running trials, or raise the error that prevents it."""
        if self._lost is not None:
            raise self._lost
        self._conductor.sweep()

    def _answer(self, ask: Callable[[], Answer], otherwise: Substitute) -> Answer | Substitute:
        if self._lost is None:
            try:
                return ask()
            except StorageError as error:
                self._lost, self._conductor.stop_requested = error, True
        return otherwise


class _NeverRestored:
    """Skips Tune's pickles for restoring. A search is restored from its study instead."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()


class _Jobs(_NeverRestored, Searcher):
    """Hands the conductor's jobs to Tune."""

    def __init__(self, leader: _Leader) -> None:
        super().__init__()
        self._leader = leader

    def suggest(self, trial_id: str) -> Any:
        job = self._leader.next_job()
        if job is Next.DONE:
            return Searcher.FINISHED
        return None if job is Next.WAIT else {"job": job}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Do nothing: the scheduler has notified the conductor."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: a search is restored from its study, not from Tune's snapshot."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as :meth:`save`."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing, as :meth:`save`."""


class _Decisions(_NeverRestored, FIFOScheduler):
    """Asks the conductor at each report whether a trial stops."""

    def __init__(self, leader: _Leader, slots: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._leader, self._slots = leader, slots

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Have Tune keep its workers."""
        keep_workers(tune_controller, trial, self._slots)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The trial that takes a free worker before the one proposed for it."""
        return first_with_pending_worker(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        stop = self._hear(trial, result)
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._hear(trial, result)

    def _hear(self, trial: Any, result: dict[str, Any]) -> bool:
        report = result.get("report")
        return isinstance(report, Result) and self._leader.reported(_job(trial).name, report)


class _Ask(_NeverRestored, Stopper):
    """Ends the whole run once a stop was requested."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._conductor.stop_requested


class _LostWorkers(_NeverRestored, tune.Callback):
    """Notifies the conductor of trials that Tune has given up.

    A scheduler cannot do this: it is notified of every death of a worker, also if the trial is
    resumed.
    """

    def __init__(self, leader: _Leader) -> None:
        self._leader = leader

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = last_line(trial.get_error() or "its worker died")
        self._leader.failed(_job(trial).name, error)


class _Tick(_NeverRestored, tune.Callback):
    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._tick()


def _job(trial: Any) -> Job:
    job: Job = trial.config["job"]
    return job


def _trial_name(trial: Any) -> str:
    return _job(trial).name


def _settle_tune(slots: int) -> None:
    """Set what Tune reads from environment variables only."""
    os.environ.update(
        TUNE_MAX_PENDING_TRIALS_PG=str(slots),  # otherwise Tune asks for one at a time
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",  # gan-tune has its own recorder
        TUNE_DISABLE_SIGINT_HANDLER="1",  # gan-tune handles Ctrl-C
        TUNE_GLOBAL_CHECKPOINT_S="3600",  # Tune's own snapshots are never read
        TUNE_WARN_THRESHOLD_S="5",
        RAY_AIR_NEW_OUTPUT="0",
        RAY_CHDIR_TO_TRIAL_DIR="0",
    )
    for name in ("ray.tune", "ray.train", "ray.air"):
        logging.getLogger(name).setLevel(logging.ERROR)
