"""Every private name of Ray that the package uses exists in the installed release."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import ray
from ray._private import ray_constants, worker
from ray.air.execution._internal import RayActorManager
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.utils.object_cache import _ObjectCache

import gan_tune
from gan_tune.cluster.ray_internals import first_with_pending_worker, keep_workers

PRIVATE = r"\bray\._private\b|\._(?:tune_controller|actor_cache|actor_manager|trial_to_actor)\b"


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (ray_constants, "ENABLE_RAY_CLUSTER"),
        (worker, "_global_node"),
        (_ObjectCache, "total_max_objects"),
        (_ObjectCache, "increase_max"),
        (RayActorManager, "pending_actors"),
    ],
    ids=str,
)
def test_a_name_that_is_used_exists(owner: object, name: str) -> None:
    assert hasattr(owner, name)


@pytest.mark.parametrize("name", ["_actor_cache", "_actor_manager", "_trial_to_actor"])
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
    assert first_with_pending_worker(Bare()) is None


def test_no_other_file_of_the_package_uses_them() -> None:
    package = Path(gan_tune.__file__).parent
    users = [path.name for path in package.rglob("*.py") if re.search(PRIVATE, path.read_text())]
    assert users == ["ray_internals.py"]
