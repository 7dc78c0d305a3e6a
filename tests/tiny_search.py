"""A search in the smallest form, and what its record holds."""

from __future__ import annotations

from typing import Any

from conftest import trial_tree
from mlflow import MlflowClient
from mlflow.entities import Run

TRIALS, EVALUATIONS = 5, 4


def space_tree(**changes: Any) -> dict[str, Any]:
    left_out = ("steps", "evaluations", "seed")
    trial = {key: value for key, value in trial_tree().items() if key not in left_out}
    trial["collapse"] = "none"  # so short a training has no champion to speak of
    trial["generator_optimizer"] = {"name": "adam", "lr": {"log_uniform": [1e-4, 1e-2]}}
    return {
        "name": "tiny",
        "budget": {"trials": TRIALS, "steps": 40, "evaluations": EVALUATIONS},
        "search": {"experience": "none"},
        "confirm": {"top": 1, "seeds": 2},
        "trial": trial,
        "start_from": [{"generator_optimizer": {"lr": 1e-4}}],
    } | changes


def runs_of(uri: str) -> list[Run]:
    """All runs of a tracking store."""
    client = MlflowClient(uri)
    ids = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(ids, max_results=1000))
