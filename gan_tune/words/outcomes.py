"""The meaning of each outcome of a trial: for Optuna, MLflow, the screen and the report.

This is the only table of outcomes. A trial that runs or waits for its turn has no outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

__all__ = [
    "ENDINGS",
    "MISSING",
    "OUTCOMES",
    "SHOWN_ORDER",
    "UNSOUND",
    "Meaning",
    "Outcome",
    "is_healthy",
    "reason",
    "style",
]

Outcome = Literal["completed", "pruned", "diverged", "collapsed", "failed", "interrupted"]


@dataclass(frozen=True)
class Meaning:
    """What one outcome means.

    Attributes:
        reason: when a trial ends with it; one phrase for the report and the docs.
        is_ending: whether the trial is over; otherwise the next command continues it.
        optuna_state: name of the state in ``optuna.trial.TrialState``. (For a sampler that reads
            only complete trials, an unsound one is COMPLETE with the worst finite value.)
        is_sound: whether the Optuna constraint `health` is 0 (feasible) instead of 1. A failed
            trial gets no constraint, since its setting was never judged.
        mlflow_status: status of its MLflow run.
        style: how Rich colours it on the screen.
    """

    reason: str
    is_ending: bool
    optuna_state: Literal["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    is_sound: bool
    mlflow_status: Literal["FINISHED", "FAILED", "KILLED"]
    style: str


OUTCOMES: Mapping[str, Meaning] = MappingProxyType(
    {
        "completed": Meaning(
            "ran its full length, or stopped by its own patience",
            is_ending=True,
            optuna_state="COMPLETE",
            is_sound=True,
            mlflow_status="FINISHED",
            style="green",
        ),
        "pruned": Meaning(
            "a scheduler stopped it",
            is_ending=True,
            optuna_state="PRUNED",
            is_sound=True,
            mlflow_status="FINISHED",
            style="cyan",
        ),
        "diverged": Meaning(
            "a value was not finite, or exploded",
            is_ending=True,
            optuna_state="PRUNED",
            is_sound=False,
            mlflow_status="FINISHED",
            style="red",
        ),
        "collapsed": Meaning(
            "the generator lost its variety",
            is_ending=True,
            optuna_state="PRUNED",
            is_sound=False,
            mlflow_status="FINISHED",
            style="red",
        ),
        "failed": Meaning(
            "its own code raised an exception again, or it was out of memory also when alone",
            is_ending=True,
            optuna_state="FAIL",
            is_sound=False,
            mlflow_status="FAILED",
            style="bold red",
        ),
        "interrupted": Meaning(
            "the command ended first, or a machine failed it; the next one continues it",
            is_ending=False,
            optuna_state="RUNNING",
            is_sound=True,
            mlflow_status="KILLED",
            style="yellow",
        ),
    }
)
assert set(OUTCOMES) == set(get_args(Outcome))

ENDINGS: tuple[Outcome, ...] = tuple(o for o in get_args(Outcome) if OUTCOMES[o].is_ending)
"""Outcomes after which a trial is over."""

UNSOUND: tuple[Outcome, ...] = tuple(
    o for o in get_args(Outcome) if OUTCOMES[o].optuna_state != "FAIL" and not OUTCOMES[o].is_sound
)
"""Outcomes that are infeasible for Optuna: the settings trained but diverged or collapsed."""

MISSING: tuple[Outcome, ...] = ("pruned", "failed")
"""Outcomes that leave a replicate without a value: they say nothing against those in full."""

SHOWN_ORDER: tuple[str, ...] = (*OUTCOMES, "running", "waiting")
"""The order in which counts are shown, with the states of trials that have no outcome."""


def is_healthy(outcome: str | None) -> bool:
    """Whether a trial's values count. True also for a trial without an outcome: it still runs."""
    return outcome is None or outcome not in OUTCOMES or OUTCOMES[outcome].is_sound


def style(outcome: str) -> str:
    """How Rich colours an outcome; no colour for `running` and `waiting`."""
    return OUTCOMES[outcome].style if outcome in OUTCOMES else ""


def reason(outcome: str) -> str:
    """When a trial has this outcome, in one phrase; empty for `running` and `waiting`."""
    return OUTCOMES[outcome].reason if outcome in OUTCOMES else ""
