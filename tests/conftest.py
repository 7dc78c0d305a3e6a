"""What several test files share."""

from __future__ import annotations

import os
from typing import Any

# One thread a test: results do not depend on the machine, and parallel tests do not fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from gan_tune.config import TrialConfig
from gan_tune.data import idx
from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset
from gan_tune.parts.catalogue import catalogue

# They wait for processes of their own: begun first, the others fill the time beside them.
LONG_FILES = ("test_resuming.py", "test_search.py", "test_cluster.py", "test_earlier_commits.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: the last one to end is not begun last."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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
