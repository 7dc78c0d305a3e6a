"""Runs a conductor's jobs on Ray Tune: thin adapters that decide nothing themselves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from gan_tune.cluster.connection import Places, cores, with_room
from gan_tune.cluster.ray_internals import (
    end_idle_workers,
    first_with_pending_worker,
    hear_of_losses,
    idle_workers,
    keep_workers,
    may_begin,
    started_here,
)
from gan_tune.data.dataset import Dataset
from gan_tune.metrics import Judge
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor, Next
from gan_tune.searching.on_ray.conductor_proxy import ConductorProxy
from gan_tune.searching.on_ray.elastic import ClusterSize
from gan_tune.searching.on_ray.idle_workers import IdleWorkers
from gan_tune.searching.on_ray.losses import fault_from_ray
from gan_tune.searching.on_ray.node_watch import NodeWatch
from gan_tune.searching.on_ray.proof import leave_for_workers
from gan_tune.searching.on_ray.trainable import GanTrainable
from gan_tune.searching.on_ray.tune_settings import configure_tune
from gan_tune.searching.on_ray.unfit_workers import UnfitWorkers
from gan_tune.searching.on_ray.worker_watch import WorkerWatch
from gan_tune.searching.rules.faults import Fault
from gan_tune.space import Resources
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_records import Result

__all__ = ["Shared", "run"]

SAVE_SECONDS = 10.0
"""How long workers may take to store their trials before the search ends."""

Answer = TypeVar("Answer")
Substitute = TypeVar("Substitute")


@dataclass(frozen=True)
class Shared:
    """What all trials of a search share. It is put into Ray's object store once.

    ``without`` are the ids of nodes that get no trials. ``emulates`` is whether a worker may
    emulate the search's precision.
    """

    dataset: Dataset
    judge: Judge
    storage: Storage
    resources: Resources
    without: Collection[str] = ()
    emulates: bool = True


def run(
    conductor: Conductor,
    shared: Shared,
    *,
    slots: int,
    tick: Callable[[], None] = lambda: None,
    note: Callable[[str], None] = lambda text: None,
    placed: Callable[[str], None] = lambda trial: None,
    count: Callable[[Collection[str]], Places] | None = None,
    resized: Callable[[Places], None] = lambda places: None,
    wanted: int | None = None,
) -> None:
    """Run jobs until the conductor has no more or is asked to stop; then end running trials.

    Args:
        conductor: of the search.
        shared: what all trials share.
        slots: how many trials run at a time.
        tick: called about ten times a second, on this thread.
        note: told of each node that is put aside, in one line.
        placed: told of the name of each trial that has got a worker.
        count: the places that the cluster has now without the nodes of these ids; None: they stay
            as they are.
        resized: told of these when they change.
        wanted: how many trials may wait for a place at a time, so that an autoscaler makes it; at
            least ``slots``, by default as many.

    Raises:
        StorageError: the study or the trials' folders can no longer be used.
    """
    resources = shared.resources
    proxy = ConductorProxy(conductor)
    trainable = tune.with_parameters(
        GanTrainable,
        dataset=shared.dataset,
        judge=shared.judge,
        storage=shared.storage,
        threads=max(1, int(resources.cpu)),
        gpu=resources.gpus > 0,
        emulates=shared.emulates,
        expected=leave_for_workers(conductor.storage),
    )
    configure_tune(max(slots, wanted or 0))
    # An autoscaler must see all trials that wait, so a cluster starts all workers at once.
    starts = min(slots, cores()) if started_here() else None
    unfit = UnfitWorkers()
    nodes = NodeWatch(conductor.storage, note, lambda: with_room(resources, shared.without))
    nodes.begin()
    workers = WorkerWatch(conductor.storage, placed, conductor.time.place)
    workers.begin()
    size = _size(conductor, nodes, count, resized)
    lost = _LostTrialCallback(proxy, unfit, nodes)
    scheduler = _StoppingScheduler(proxy, starts, lost.heard, unfit, nodes)
    idle = IdleWorkers(scheduler)
    with tempfile.TemporaryDirectory(prefix="gan-tune-") as scratch:
        try:
            tune.run(
                trainable,
                name=conductor.space.name,
                storage_path=scratch,
                resources_per_trial=_placement(resources, shared.without),
                num_samples=-1,
                search_alg=_JobSearcher(proxy, scheduler),
                scheduler=scheduler,
                stop=_StopOnRequest(proxy, scheduler, unfit, size),
                callbacks=[
                    lost,
                    _TickCallback(
                        [
                            tick,
                            lambda: nodes.look(trains=scheduler.trains),
                            lambda: workers.look(scheduler.training(), _trial_name),
                            *([idle.look] if size else []),  # a cluster may then shrink
                        ],
                        size.placed if size else None,
                    ),
                ],
                max_failures=0,  # the conductor decides what becomes of a lost trial
                reuse_actors=True,
                raise_on_failed_trial=False,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
                progress_reporter=_SilentReporter(),
                verbose=0,
            )
        finally:
            proxy.forget_stop()
            proxy.interrupt_all()
            workers.end()


def _size(
    conductor: Conductor,
    nodes: NodeWatch,
    count: Callable[[Collection[str]], Places] | None,
    resized: Callable[[Places], None],
) -> ClusterSize | None:
    """Follows the cluster without the nodes that are put aside; None if its places stay."""
    if count is None:
        return None
    minutes = conductor.storage.patience.minutes
    return ClusterSize(conductor, lambda: count(nodes.aside), resized, minutes)


def _placement(resources: Resources, without: Collection[str]) -> tune.PlacementGroupFactory:
    """What a trial occupies, and where it may lie. Nodes that join later may be used, too."""
    bundle = {"CPU": resources.cpu, "GPU": resources.gpus}
    if not without:
        return tune.PlacementGroupFactory([bundle])
    selector = {"ray.io/node-id": f"!in({','.join(sorted(without))})"}
    return tune.PlacementGroupFactory([bundle], bundle_label_selector=[selector])


class _NeverRestored:
    """Pickles as an empty object: Tune saves its parts, but a search resumes from its study."""

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()


class _JobSearcher(_NeverRestored, Searcher):
    """Hands the conductor's jobs to Tune."""

    def __init__(self, proxy: ConductorProxy, scheduler: _StoppingScheduler) -> None:
        super().__init__()
        self._proxy, self._scheduler = proxy, scheduler

    def suggest(self, trial_id: str) -> Any:
        if self._proxy.stop_requested() and not self._scheduler.trains:
            return Searcher.FINISHED  # all workers have stored their trials
        if not self._scheduler.may_begin:
            return None
        job = self._proxy.next_job()
        if job is Next.DONE:
            self._scheduler.no_more = True
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


class _StoppingScheduler(_NeverRestored, FIFOScheduler):
    """Asks the conductor at each report whether a trial stops, and paces the workers' starts.

    Args:
        proxy: of the conductor.
        starts: how many workers start at a time; None: no limit.
        heard: called with each error that ends a trial's worker.
        unfit: the workers that failed their proof.
        nodes: on which trials report.
    """

    def __init__(
        self,
        proxy: ConductorProxy,
        starts: int | None,
        heard: Callable[[Any, Exception], None],
        unfit: UnfitWorkers,
        nodes: NodeWatch,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._proxy, self._starts, self._heard = proxy, starts, heard
        self._controller: Any = None
        self._unfit, self._nodes, self.no_more = unfit, nodes, False

    @property
    def may_begin(self) -> bool:
        """Whether another trial gets a worker soon."""
        if self._starts is None or self._controller is None:
            return True
        return may_begin(self._controller, self._starts)

    @property
    def trains(self) -> bool:
        """Whether a worker trains now."""
        return any(True for _ in self.training())

    def training(self) -> Iterator[Trial]:
        """The trials that a sound worker has."""
        for trial in self._unfinished():
            if trial.status == Trial.RUNNING and trial.trial_id not in self._unfit:
                yield trial

    def _unfinished(self) -> list[Trial]:
        live = self._controller.get_live_trials() if self._controller is not None else ()
        return [trial for trial in live if not trial.is_finished()]

    @property
    def is_over(self) -> bool:
        """Whether there are no more jobs, and only unfit workers hold trials."""
        return self.no_more and all(trial.trial_id in self._unfit for trial in self._unfinished())

    @property
    def idle_workers(self) -> int:
        """How many workers wait for a trial."""
        return idle_workers(self._controller)

    def end_idle_workers(self) -> None:
        """End those; others are started when trials need them."""
        end_idle_workers(self._controller)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Have Tune keep its workers, and say what ends them."""
        if self._controller is None:
            hear_of_losses(tune_controller, self._heard)
        self._controller = tune_controller
        keep_workers(tune_controller, trial, self._proxy.slots)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """The oldest trial whose worker waits for resources; None if there is none."""
        return first_with_pending_worker(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        stop = self._hear(trial, result)
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._hear(trial, result)

    def _hear(self, trial: Any, result: dict[str, Any]) -> bool:
        report, unfit, node = result.get("report"), result.get("unfit"), result.get("node_id", "")
        if isinstance(unfit, Fault):
            if self._unfit.note(trial.trial_id, unfit):
                self._nodes.unfit(unfit)
                self._proxy.lost(_job(trial).name, unfit)
        else:
            self._unfit.forget(trial.trial_id)
            if node and not self._unfit.has(node):
                self._nodes.is_fit(node)
        if not isinstance(report, Result):
            return False
        self._nodes.reported(trial.trial_id, node)
        return self._proxy.reported(_job(trial).name, report)


class _StopOnRequest(_NeverRestored, Stopper):
    """Stops the whole run once a stop was requested, or the time of the search is used up, and the
    workers have stored their trials."""

    def __init__(
        self,
        proxy: ConductorProxy,
        scheduler: _StoppingScheduler,
        unfit: UnfitWorkers,
        size: ClusterSize | None,
    ) -> None:
        self._proxy, self._scheduler, self._unfit, self._size = proxy, scheduler, unfit, size
        self._since: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        trains, size = self._scheduler.trains, self._size
        empty = size.look(trains=trains) if size else None
        places = size.slots if size else 0
        if (error := self._unfit.error(others=trains, places=places) or empty) is not None:
            self._proxy.halt(error)
        if not (self._proxy.stop_requested() or self._proxy.is_out_of_time):
            return self._scheduler.is_over
        if self._since is None:
            self._since = time.monotonic()
            self._proxy.ask_workers_to_stop()
        waited = time.monotonic() - self._since
        return not trains or self._proxy.cannot_store or waited > SAVE_SECONDS


class _SilentReporter(_NeverRestored, tune.ProgressReporter):
    """Reports nothing: in a notebook Tune's own reporter would clear the cell's output."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Show nothing, not even at the end."""


class _LostTrialCallback(_NeverRestored, tune.Callback):
    """Notifies the conductor of trials whose worker was lost."""

    def __init__(self, proxy: ConductorProxy, unfit: UnfitWorkers, nodes: NodeWatch) -> None:
        self._proxy, self._unfit, self._nodes = proxy, unfit, nodes
        self._errors: dict[str, Exception] = {}

    def heard(self, trial: Any, error: Exception) -> None:
        """Remember the error that ended a trial's worker."""
        self._errors[trial.trial_id] = error

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        fault = fault_from_ray(self._errors.pop(trial.trial_id, None))
        if self._unfit.forget(trial.trial_id):
            return  # its job runs elsewhere
        job = _job(trial)
        self._proxy.lost(job.name, self._nodes.cut_off(trial.trial_id, job.setting, fault))


class _TickCallback(_NeverRestored, tune.Callback):
    def __init__(
        self,
        ticks: Sequence[Callable[[], None]],
        placed: Callable[[], None] | None,
    ) -> None:
        self._ticks, self._placed = ticks, placed

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if self._placed is not None:
            self._placed()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        for tick in self._ticks:
            tick()


def _job(trial: Any) -> Job:
    job: Job = trial.config["job"]
    return job


def _trial_name(trial: Any) -> str:
    return _job(trial).name
