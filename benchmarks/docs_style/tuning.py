"""The peer's search: OptunaSearch, MLflowLoggerCallback, a cold actor for each trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch


def tuner(
    trainable: Callable[..., None],
    space: Mapping[str, Any],
    folder: Path,
    *,
    metric: str,
    slots: int,
    seed: int | None = None,
    callbacks: Sequence[tune.Callback] = (),
    **limits: Any,
) -> tune.Tuner:
    """As the documentation puts it together; ``limits`` are further fields of `tune.TuneConfig`."""
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space=dict(space),
        tune_config=tune.TuneConfig(
            metric=metric,
            mode="min",
            search_alg=OptunaSearch(seed=seed),
            max_concurrent_trials=slots,
            **limits,
        ),
        run_config=tune.RunConfig(
            name="docs_style",
            storage_path=str(folder / "ray"),
            verbose=0,
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", experiment_name="docs_style"
                ),
                *callbacks,
            ],
        ),
    )
