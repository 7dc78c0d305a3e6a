"""All access to private names of Ray: a new release may break this file, but no other.

Each function does something for which Ray has no public name. If a release of Ray removes a name,
functions that only make a search faster do nothing, and ``tests/test_ray_internals.py`` fails.
Checked with Ray 2.50.0 and 2.60.0.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray._private import ray_constants, state, utils, worker
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
from ray._raylet import (  # type: ignore[attr-defined]
    AuthenticationMode,
    AuthenticationTokenLoader,
    Config,
    get_authentication_mode,
)
from ray.exceptions import RayActorError, RayTaskError

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

__all__ = [
    "PACKAGING_LOGGER",
    "draining_nodes",
    "end_idle_workers",
    "first_with_pending_worker",
    "forget_own_token",
    "hear_of_losses",
    "idle_workers",
    "is_left_behind",
    "keep_workers",
    "keeping_own_handler",
    "may_begin",
    "off_the_screen",
    "start_on_loopback",
    "started_here",
    "token_headers",
    "uses_tokens",
]

PACKAGING_LOGGER = "ray._private.runtime_env.packaging"
"""The logger of what Ray says of folders that travel with a job."""

logger = logging.getLogger("gan_tune")

TOKEN = "RAY_AUTH_TOKEN"
MODE = "RAY_AUTH_MODE"
PRELOADED = "RAY_preload_python_modules"
"""The variable from which Ray's node takes the modules that its workers import first."""


def start_on_loopback(preload: str = "", **options: Any) -> None:
    """Start Ray with every port on loopback; ``options`` are of :func:`ray.init`.

    Each worker imports the module ``preload`` when its process starts. So the first workers, which
    Ray starts at once, import it while this process prepares the search.

    On Linux Ray (2.60) replaces a given loopback address by the machine's external address, so that
    other machines can join. On Windows and macOS it does so only on request. For this start, Ray is
    made to believe it runs on such a machine.

    Every process of this Ray asks for a token, which only the environment of these processes holds:
    the one that Ray would make lies in a file that all users of the machine may read.
    """
    if os.environ.get(TOKEN) != _own_token():
        _mode_before[:] = [os.environ[MODE]] if MODE in os.environ else []
    os.environ[MODE], os.environ[TOKEN] = "token", _own_token()
    _forget_tokens()
    joinable, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        with _preloading(preload):
            ray.init(address="local", _node_ip_address="127.0.0.1", **options)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = joinable


def forget_own_token() -> None:
    """Join a cluster with its own token, even after a Ray that was started here."""
    if os.environ.get(TOKEN) == _own_token():
        del os.environ[TOKEN], os.environ[MODE]
        if _mode_before:
            os.environ[MODE] = _mode_before[0]
        _forget_tokens()


_mode_before: list[str] = []
"""The value of RAY_AUTH_MODE, if any, before a Ray was started here."""


@cache
def _own_token() -> str:
    """A random token, the same for each Ray that this process starts: Ray keeps it in memory."""
    return secrets.token_urlsafe(32)


def _forget_tokens() -> None:
    """Let Ray read mode and token from the environment again, not from its memory.

    The mode first: a thread of Ray's that is still ending reads the token by it.
    """
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _preloading(module: str) -> Iterator[None]:
    """Pass a module to Ray's node, beside those that the user's environment names."""
    named = os.environ.get(PRELOADED)
    modules = [name for name in (named, module) if name]
    if modules:
        os.environ[PRELOADED] = ",".join(modules)
    try:
        yield
    finally:
        os.environ.pop(PRELOADED, None)
        if named is not None:
            os.environ[PRELOADED] = named


@contextmanager
def off_the_screen() -> Iterator[None]:
    """Keep off stdout what Ray says of nodes and workers that died, in the block.

    Ray (2.60) prints it whatever `log_to_driver` says, twenty lines of a raylet's state among it,
    into the table of a search or between its JSON lines. gan-tune says in a line of its own what
    became of the trials. Ray's words are logged for debugging.
    """
    prints = getattr(worker, "print_to_stdstream", None)
    if prints is not None:
        worker.print_to_stdstream = _log_ray
    try:
        yield
    finally:
        if prints is not None:
            worker.print_to_stdstream = prints


@contextmanager
def keeping_own_handler() -> Iterator[None]:
    """Let Ray install its handler of SIGTERM, in the block, only where there is no other.

    It raises SystemExit wherever the main thread is then. Between taking a lock and guarding it
    (as in logging, or in an import), the lock is never given back, and whichever thread asks for
    it next waits for ever.
    """
    install = getattr(utils, "set_sigterm_handler", None)

    def if_there_is_none(handler: Any) -> None:
        if install is not None and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            install(handler)

    if install is not None:
        utils.set_sigterm_handler = if_there_is_none
    try:
        yield
    finally:
        if install is not None:
            utils.set_sigterm_handler = install


def _log_ray(data: Mapping[str, Any], *args: Any, **options: Any) -> None:
    logger.debug("Ray: %s", "\n".join(map(str, data.get("lines", ()))))


def started_here() -> bool:
    """Whether this process started its Ray instance. Such an instance never gets more nodes."""
    node = worker._global_node
    return node is not None and bool(node.is_head())


def draining_nodes() -> set[str]:
    """The ids of the nodes that are being taken away, as Ray was told; it has no public name."""
    ask = getattr(state.state, "get_draining_nodes", None)
    return set() if ask is None else set(ask())


def uses_tokens() -> bool:
    """Whether the Ray that this process belongs to asks for a token, by its environment."""
    return bool(get_authentication_mode() != AuthenticationMode.DISABLED)


def token_headers() -> dict[str, str]:
    """The headers with which Ray's dashboard is asked, by the environment; none without tokens."""
    return dict(get_auth_headers_if_auth_enabled({}))


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


def idle_workers(scheduler_view: Any) -> int:
    """How many of the workers that :func:`keep_workers` keeps have no trial."""
    cache = getattr(_controller(scheduler_view), "_actor_cache", None)
    return getattr(cache, "num_cached_objects", 0)


def end_idle_workers(scheduler_view: Any) -> None:
    """End the workers that have no trial. Tune starts others when trials need them."""
    end = getattr(_controller(scheduler_view), "_cleanup_cached_actors", None)
    if end is not None:
        end(force_all=True)


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


def hear_of_losses(scheduler_view: Any, hear: Callable[[Trial, Exception], None]) -> None:
    """Call ``hear`` with each error that ends a trial's worker, before Tune handles it.

    Tune itself keeps the errors in files, which may not be there yet when they are read. And Tune
    ends the whole run at any error of Ray that is neither an actor's nor a task's, as where Ray
    kills a worker for memory. Such an error is passed to Tune as the actor's. So is the loss of a
    node that was taken away, after which Tune would resume the trial without asking.

    Args:
        scheduler_view: the ``tune_controller`` that Tune hands to a scheduler.
        hear: called with the trial and the error. If it is called again, it takes the place of the
            one before.
    """
    controller = _controller(scheduler_view)
    manager = getattr(controller, "_actor_manager", None)
    if manager is None or not hasattr(manager, "_actor_task_failed"):
        return
    task_failed = type(manager)._actor_task_failed
    start_failed = type(manager)._actor_start_failed

    def note(actor: Any, error: Exception) -> None:
        trial = controller._actor_to_trial.get(actor)
        if trial is not None:
            hear(trial, error)

    def on_task(tracked_actor_task: Any, exception: Exception) -> None:
        note(tracked_actor_task._tracked_actor, exception)
        task_failed(manager, tracked_actor_task, _of_actor(exception))

    def on_start(tracked_actor: Any, exception: Exception) -> None:
        note(tracked_actor, exception)
        start_failed(manager, tracked_actor, _of_actor(exception))

    manager._actor_task_failed, manager._actor_start_failed = on_task, on_start


def _of_actor(error: Exception) -> Exception:
    return error if isinstance(error, RayTaskError) else RayActorError(error_msg=str(error))


def may_begin(scheduler_view: Any, starts: int) -> bool:
    """Whether another trial finds a free worker that is up, or may have one started for it.

    At most ``starts`` workers start at a time; once some are up, half as many. Each start takes
    seconds of a core. If all workers started at once, the first would be up when the last is, and
    no trial would run before. While trials keep the cores busy, further workers would not help.

    Args:
        scheduler_view: the ``tune_controller`` that Tune hands to a scheduler.
        starts: at least 1.
    """
    controller = _controller(scheduler_view)
    workers = getattr(controller, "_started_actors", None)
    if workers is None:
        return True
    starting = max(1, starts // 2) if workers else starts
    # A trial whose worker was lost stays among the live ones.
    live = sum(not trial.is_finished() for trial in controller.get_live_trials())
    return live < len(workers) + starting


def _controller(scheduler_view: Any) -> Any:
    """Tune's own controller behind the view of it that a scheduler gets."""
    return getattr(scheduler_view, "_tune_controller", None)


# -------------------------------------------------------------------- what travels with a job


def is_left_behind(path: Path, folder: Path, excludes: Sequence[str]) -> bool:
    """Whether no file of ``path``, a file or folder below ``folder``, travels with a job.

    Args:
        path: absolute.
        folder: the working folder, absolute.
        excludes: patterns of what stays, beside those of `.gitignore` and `.rayignore`.
    """
    from ray._private.runtime_env import packaging

    git = os.environ.get(ray_constants.RAY_RUNTIME_ENV_IGNORE_GITIGNORE, "0") != "1"
    quiet = logging.Logger("packaging", logging.WARNING)

    @cache
    def rules_in(each: Path) -> Sequence[Callable[[Path], bool]]:
        return packaging.get_excludes_from_ignore_files(each, git, quiet) if each.is_dir() else ()

    always = packaging._get_excludes(folder, list(excludes))

    def stays(file: Path) -> bool:
        rules, above = [always, *rules_in(folder)], folder
        for part in file.relative_to(folder).parts:
            above = above / part
            rules += rules_in(above)
            if any(rule(above) for rule in rules):
                return True
        return False

    if not path.is_dir():
        return stays(path)
    files = [each for each in path.rglob("*") if not each.is_dir()]
    return bool(files) and all(map(stays, files))
