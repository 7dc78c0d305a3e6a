"""All access to private names of Ray: a new release may break this file, but no other.

Each function does something for which Ray has no public name. If a release of Ray removes a name,
functions that only make a search faster do nothing, and ``tests/test_ray_internals.py`` fails.
Checked with Ray 2.50.0 and 2.60.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray._private import ray_constants, worker

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

__all__ = ["first_with_pending_worker", "keep_workers", "start_on_loopback", "started_here"]


def start_on_loopback(**options: Any) -> None:
    """Start Ray with every port on loopback; ``options`` are of :func:`ray.init`.

    On Linux Ray (2.60) replaces a given loopback address by the machine's external address, so that
    other machines can join. On Windows and macOS it does so only on request. For this start, Ray is
    made to believe it runs on such a machine.
    """
    joinable, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        ray.init(address="local", _node_ip_address="127.0.0.1", **options)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = joinable


def started_here() -> bool:
    """Whether this process started its Ray instance. Such an instance never gets more nodes."""
    node = worker._global_node
    return node is not None and bool(node.is_head())


def keep_workers(scheduler_view: Any, trial: Trial, slots: int) -> None:
    """Make Tune keep a worker for each slot, even if no trial waits for it.

    Tune kills a worker if no trial waits. If trials are shorter than a worker's start, the next
    trial's worker then waits in the queue forever. Tune has no setting for this.

    Args:
        scheduler_view: the ``tune_controller`` that Tune hands to a scheduler.
        trial: any; its resources are those of a slot.
        slots: how many trials run at a time.
    """
    cache = getattr(_controller(scheduler_view), "_actor_cache", None)
    if cache is not None and cache.total_max_objects < slots:
        cache.increase_max(trial.placement_group_factory, by=slots)


def first_with_pending_worker(scheduler_view: Any) -> Trial | None:
    """The oldest trial whose worker waits for resources; None if there is none.

    A scheduler returns it to have a free worker serve this trial. FIFO would name the oldest trial
    that has not begun, whose worker may be starting: Tune would kill that worker, and start another
    for the next trial, again and again.

    Args:
        scheduler_view: the ``tune_controller`` that Tune hands to a scheduler.
    """
    from ray.tune.experiment import Trial  # Tune is slow to load, and joining needs none of it

    controller = _controller(scheduler_view)
    waiting = set(getattr(getattr(controller, "_actor_manager", None), "pending_actors", ()))
    if not waiting:
        return None
    workers = getattr(controller, "_trial_to_actor", {})
    trials = scheduler_view.get_trials()
    return next(
        (t for t in trials if t.status == Trial.PENDING and workers.get(t) in waiting), None
    )


def _controller(scheduler_view: Any) -> Any:
    """Tune's own controller behind the view of it that a scheduler gets."""
    return getattr(scheduler_view, "_tune_controller", None)
