"""gan-tune: Ray-distributed hyperparameter search for GANs.

The names below load on first use, so that ``import gan_tune`` stays light (no torch, ray, optuna
or mlflow).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gan_tune.version import __version__ as __version__

if TYPE_CHECKING:
    from gan_tune.config import TrialConfig
    from gan_tune.data.dataset import Dataset
    from gan_tune.errors import GanTuneError
    from gan_tune.gan.training import Report
    from gan_tune.registry.pull import Generator
    from gan_tune.service import (
        SearchResult,
        first_setting,
        load_generator,
        load_space,
        search,
        train,
    )
    from gan_tune.space import SearchSpace

_HOMES = {
    "Dataset": "gan_tune.data.dataset",
    "GanTuneError": "gan_tune.errors",
    "Generator": "gan_tune.registry.pull",
    "Report": "gan_tune.gan.training",
    "SearchResult": "gan_tune.service",
    "SearchSpace": "gan_tune.space",
    "TrialConfig": "gan_tune.config",
    "first_setting": "gan_tune.service",
    "load_generator": "gan_tune.service",
    "load_space": "gan_tune.service",
    "search": "gan_tune.service",
    "train": "gan_tune.service",
}

__all__ = [
    "Dataset",
    "GanTuneError",
    "Generator",
    "Report",
    "SearchResult",
    "SearchSpace",
    "TrialConfig",
    "first_setting",
    "load_generator",
    "load_space",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
