"""What several test files share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# One thread a test: results do not depend on the machine, and parallel tests do not fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that needs Ray starts its own: one that some other test has left may be half dead.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

import pytest
import torch

from gan_tune.config import TrialConfig
from gan_tune.data import idx
from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset
from gan_tune.parts.all_parts import catalogue

# They wait for processes of their own: begun first, the others fill the time beside them.
LONG_FILES = (
    "test_resuming.py",
    "test_cli.py",
    "test_search.py",
    "test_cluster.py",
    "test_earlier_commits.py",
)


def pytest_xdist_auto_num_workers() -> int:
    """As many processes as cores: one more took 387 s in place of 319 on two of them."""
    return min(4, len(os.sched_getaffinity(0)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: the last one to end is not begun last."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _archives_tried_in_a_child_where_that_is_tested(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere the archives are a test's own, and a child takes seconds."""
    if request.module.__name__ not in ("test_confined", "test_fuzz_archives"):
        monkeypatch.setattr("gan_tune.model.confined._try_in_child", lambda path, latent: None)


def trial_tree(**changes: Any) -> dict[str, Any]:
    """A small trial on the digits; ``changes`` replace top-level fields."""
    adam = {"name": "adam", "lr": 1e-3, "beta1": 0.5}
    tree: dict[str, Any] = {
        "data": {"name": "digits", "batch_size": 16},
        "generator": {"name": "mlp", "latent": 8, "hidden": [16]},
        "discriminator": {"name": "mlp", "hidden": [16]},
        "loss": "non_saturating",
        "generator_optimizer": adam,
        "discriminator_optimizer": adam,
        "steps": 24,
        "evaluations": 3,
        "seed": 5,
    }
    return tree | changes


def trial_config(**changes: Any) -> TrialConfig:
    """:func:`trial_tree`, checked."""
    return TrialConfig.from_tree(trial_tree(**changes), catalogue())


def real_fashion_mnist() -> Dataset:
    """The real pictures; where they are missing, a test skips or, as in CI, fails."""
    folder = idx.DEBIAN_FASHION_MNIST
    if not folder.is_dir():
        reason = f"Debian's package dataset-fashion-mnist is not installed: no {folder}"
        if os.environ.get("GAN_TUNE_TESTS_NEED_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return load_dataset("fashion_mnist", root=str(folder))


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A Ray of two cores, whose workers find the tests' own parts."""
    import ray

    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with MLflow's tables and nothing else: making one takes two seconds."""
    from gan_tune.record.mlflow_store import connect

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    """A new MLflow store of this test's own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"
