"""Every private name of Ray that the package uses exists in the installed release."""

from __future__ import annotations

import inspect
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray._private import ray_constants, utils, worker
from ray.air.execution._internal import RayActorManager, TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.utils.object_cache import _ObjectCache

import gan_tune
from gan_tune.cluster import ray_internals
from gan_tune.cluster.connection import connected
from gan_tune.cluster.ray_internals import (
    PRELOADED,
    end_idle_workers,
    first_with_pending_worker,
    hear_of_losses,
    idle_workers,
    keep_workers,
    keeping_own_handler,
    may_begin,
    start_on_loopback,
)
from gan_tune.errors import UnfitNodesError

PRIVATE = (
    r"\bray\._private\b"
    r"|\b_(?:tune_controller|actor_cache|actor_manager|trial_to_actor|actor_to_trial|started_actors)\b"
)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (ray_constants, "ENABLE_RAY_CLUSTER"),
        (worker, "_global_node"),
        (worker, "print_to_stdstream"),
        (utils, "set_sigterm_handler"),
        (_ObjectCache, "total_max_objects"),
        (_ObjectCache, "increase_max"),
        (_ObjectCache, "num_cached_objects"),
        (TuneController, "_cleanup_cached_actors"),
        (RayActorManager, "pending_actors"),
        (RayActorManager, "_actor_task_failed"),
        (RayActorManager, "_actor_start_failed"),
    ],
    ids=str,
)
def test_a_name_that_is_used_exists(owner: object, name: str) -> None:
    assert hasattr(owner, name)


@pytest.mark.parametrize(
    "name",
    ["_actor_cache", "_actor_manager", "_actor_to_trial", "_started_actors", "_trial_to_actor"],
)
def test_tunes_controller_has_the_attributes_that_are_read(name: str) -> None:
    source = inspect.getsource(TuneController.__init__)
    assert re.search(rf"self\.{name}\b[^=\n]*=", source)


def test_a_scheduler_is_handed_a_view_of_the_controller() -> None:
    source = inspect.getsource(inspect.getmodule(TuneController) or TuneController)
    assert "self._tune_controller = tune_controller" in source


def test_ray_can_be_told_its_own_address() -> None:
    assert "_node_ip_address" in inspect.getsource(ray.init)


def test_a_ray_without_the_names_is_slower_and_nothing_else() -> None:
    class Bare:
        _tune_controller = object()

    keep_workers(Bare(), Trial("none", stub=True), slots=2)
    end_idle_workers(Bare())
    assert idle_workers(Bare()) == 0
    assert first_with_pending_worker(Bare()) is None
    assert may_begin(Bare(), starts=1)


@pytest.mark.parametrize(
    "error",
    [
        ray.exceptions.OutOfMemoryError("1 worker(s) were killed: the node was low on memory"),
        ray.exceptions.ObjectLostError("ab" * 28, None, ""),
        ray.exceptions.RaySystemError("odd"),
        ray.exceptions.RayActorError(error_msg="its worker died"),
        ray.exceptions.RayActorError(error_msg="its node was taken away", preempted=True),
    ],
    ids=str,
)
def test_no_error_of_ray_ends_the_run(error: Exception) -> None:
    """As an error of an actor it ends one trial; and we hear of it as it was."""
    seen: list[Exception] = []
    manager = RayActorManager(SimpleNamespace(free_resources=lambda acquired_resource: None))
    actor = TrackedActor(1, on_error=lambda actor, error: seen.append(error))
    manager._live_actors_to_ray_actors_resources[actor] = (None, None)
    controller = SimpleNamespace(_actor_manager=manager, _actor_to_trial={actor: "trial"})
    heard: list[tuple[object, Exception]] = []
    view = SimpleNamespace(_tune_controller=controller)
    hear_of_losses(view, lambda trial, error: heard.append((trial, error)))
    manager._actor_task_failed(TrackedActorTask(actor), error)
    assert heard == [("trial", error)]
    (passed_on,) = seen
    assert isinstance(passed_on, ray.exceptions.RayActorError)
    assert not passed_on.preempted
    assert str(error) in str(passed_on)


@pytest.mark.parametrize(
    ("up", "unfinished", "may"),
    [(0, 3, True), (0, 4, False), (1, 2, True), (1, 3, False), (9, 8, True), (9, 11, False)],
)
def test_few_workers_start_at_a_time_and_one_that_is_up_never_waits(
    up: int, unfinished: int, may: bool
) -> None:
    """Four may start together at first, then two."""
    lost = SimpleNamespace(is_finished=lambda: True)
    live = [SimpleNamespace(is_finished=lambda: False) for _ in range(unfinished)]
    controller = SimpleNamespace(
        _started_actors=set(range(up)), get_live_trials=lambda: [lost, *live, lost]
    )
    assert may_begin(SimpleNamespace(_tune_controller=controller), starts=4) is may


def test_workers_are_told_what_to_import_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []
    monkeypatch.setattr(ray, "init", lambda **_: told.append(os.environ.get(PRELOADED)))
    monkeypatch.delenv(PRELOADED, raising=False)
    start_on_loopback()
    start_on_loopback("gan_tune.errors")
    assert PRELOADED not in os.environ
    monkeypatch.setenv(PRELOADED, "json")
    start_on_loopback("gan_tune.errors")
    assert told == [None, "gan_tune.errors", "json,gan_tune.errors"]
    assert os.environ[PRELOADED] == "json"


def test_no_other_file_of_the_package_uses_them() -> None:
    package = Path(gan_tune.__file__).parent
    users = [path.name for path in package.rglob("*.py") if re.search(PRIVATE, path.read_text())]
    assert users == ["ray_internals.py"]


@pytest.mark.parametrize("mode", [None, "token"])
def test_the_own_token_leaves_the_mode_as_it_was(
    mode: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster without tokens can be joined after a Ray that was started here."""
    monkeypatch.setattr(ray_internals, "_mode_before", [])
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    for _ in range(2):
        ray_internals.start_on_loopback()
    ray_internals.forget_own_token()
    assert os.environ.get("RAY_AUTH_MODE") == mode
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_ray_that_cannot_start_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is too busy Ray raises a bare Exception; that cannot be had at will."""

    def too_slow(*_: object, **__: object) -> None:
        raise Exception("The current node timed out during startup.\nSee the logs.")

    monkeypatch.setattr("gan_tune.cluster.connection.start_on_loopback", too_slow)
    refused = pytest.raises(UnfitNodesError, match="Ray could not start on this machine")
    with refused as raised, connected("local", None):
        pytest.fail("it has not started")
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


def test_rays_handler_of_sigterm_replaces_no_other() -> None:
    def ours(*given: object) -> None: ...
    def rays(*given: object) -> None: ...

    before, install = signal.getsignal(signal.SIGTERM), utils.set_sigterm_handler
    try:
        for handler, kept in (
            (ours, ours),
            (signal.SIG_IGN, signal.SIG_IGN),
            (signal.SIG_DFL, rays),
        ):
            signal.signal(signal.SIGTERM, handler)
            with keeping_own_handler():
                utils.set_sigterm_handler(rays)  # as ray.init does
            assert signal.getsignal(signal.SIGTERM) == kept
    finally:
        signal.signal(signal.SIGTERM, before)
    assert utils.set_sigterm_handler is install
