"""Studies as searches leave them, made without any training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from conftest import trial_tree
from optuna.trial import Trial, TrialState

from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.study.opening import open_study
from gan_tune.space import SearchSpace
from gan_tune.words.outcomes import ENDINGS

METRIC = "frechet_distance"
RATE = {"log_uniform": [1e-4, 1e-2]}
CONDITIONAL = {
    "generator_optimizer": {
        "choice": [
            {"name": "adam", "lr": RATE, "beta1": {"uniform": [0.0, 0.9]}},
            {"name": "sgd", "lr": RATE},
        ]
    },
    "generator": {"name": "mlp", "latent": {"int": [4, 16]}, "hidden": {"choice": [[8], [8, 8]]}},
}
ONE = {"loss": {"choice": ["non_saturating", "hinge"]}}
ONLY_STARTS: dict[str, Any] = {}

AWKWARD: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "no setting": (CONDITIONAL, []),
    "one": (CONDITIONAL, ["completed"]),
    "one sound": (CONDITIONAL, ["completed", "failed", None]),
    "none sound": (CONDITIONAL, ["diverged", "collapsed", "failed"]),
    "two": (CONDITIONAL, ["completed", "completed"]),
    "one pruned": (CONDITIONAL, ["completed", "pruned"]),
    "all pruned": (CONDITIONAL, ["pruned"] * 30),
    "every outcome": (CONDITIONAL, [*ENDINGS, None] * 8),
    "one parameter": (ONE, ["completed"] * 24),
    "no parameter": (ONLY_STARTS, ["completed"] * 24),
}
"""Ranges, and an outcome for each setting; None still runs."""


def study_of(folder: Path, ranges: dict[str, Any], outcomes: list[Any]) -> optuna.Study:
    """A search's own study, with a trial of each outcome."""
    left_out = ("steps", "evaluations", "seed")
    trial = {key: value for key, value in trial_tree().items() if key not in left_out}
    tree = {
        "name": "toy",
        "budget": {"trials": 99, "steps": 100, "evaluations": 5},
        "search": {"sampler": "random"},
        "trial": trial | ranges,
    }
    study = open_study(folder / "study.journal", SearchSpace.load(tree, catalogue()))
    for i, outcome in enumerate(outcomes):
        job = study.ask()
        value = 3.0 + i % 7
        study.report(job.setting, 20, value + 1)
        study.report(job.setting, 40, value)
        if outcome is not None:
            study.tell(job.setting, outcome, value)
    return study.optuna_study


def add(study: optuna.Study, outcome: str | None, curve: Mapping[int, float], **wanted: Any) -> Any:
    """A setting with this course and end; what is not ``wanted`` of its parameters is sampled."""
    study.enqueue_trial(wanted)
    trial = study.ask()
    params = suggest(trial)
    for step, value in curve.items():
        trial.report(value, step)
    if outcome is not None:
        trial.set_user_attr("outcome", outcome)
        trial.set_constraint("health", float(outcome in ("diverged", "collapsed")))
        states = {"completed": TrialState.COMPLETE, "failed": TrialState.FAIL}
        state = states.get(outcome, TrialState.PRUNED)
        study.tell(trial, list(curve.values())[-1] if outcome == "completed" else None, state)
    return params


def suggest(trial: Trial) -> dict[str, Any]:
    """A loss, a rate, a penalty with a weight of its own, and two that do nothing."""
    trial.suggest_categorical("loss", ["hinge", "wasserstein"])
    trial.suggest_float("rate", 1e-4, 1e-2, log=True)
    if trial.suggest_categorical("penalty", ["none", "r1", "dragan"]) == "r1":
        trial.suggest_float("penalty.r1.weight", 0.0, 1.0)
    trial.suggest_int("idle", 1, 8)
    trial.suggest_categorical("alone", ["only"])
    return dict(trial.params)


def random_study(direction: str = "minimize", seed: int = 0) -> optuna.Study:
    """A study to which :func:`add` adds."""
    return optuna.create_study(
        direction=direction, sampler=optuna.samplers.RandomSampler(seed=seed)
    )
