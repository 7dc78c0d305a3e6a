"""Maps an ended setting to Optuna's terms: its state, its values and whether it was sound.

The table of outcomes is :data:`gan_tune.words.outcomes.OUTCOMES`. This file translates a row of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import TrialState

from gan_tune.config import Objective
from gan_tune.words.outcomes import OUTCOMES, UNSOUND, Outcome

__all__ = ["HEALTH", "TellArguments", "tell_arguments", "worst_values"]

HEALTH = "health"
"""Name of the Optuna constraint that is 0 for sound trials, 1 for diverged and collapsed ones."""


@dataclass(frozen=True)
class TellArguments:
    """What `study.tell` gets for an ended setting.

    Attributes:
        state: of Optuna's trial.
        values: one for each objective if the state is COMPLETE, otherwise None.
        health: the constraint :data:`HEALTH`; None for a failed trial, which was never judged.
    """

    state: TrialState
    values: list[float] | None
    health: float | None


def tell_arguments(
    outcome: Outcome,
    values: Sequence[float],
    objectives: Sequence[Objective],
    *,
    reads_constraints: bool,
    completed: Sequence[Sequence[float]],
) -> TellArguments:
    """The arguments of `study.tell` for a setting that ended with this outcome.

    Args:
        outcome: how it ended.
        values: its finite values, in the order of the objectives; some may be missing.
        objectives: of the search.
        reads_constraints: whether the sampler reads the constraints of pruned trials. If not, an
            unsound setting is recorded as complete with the worst values so far. Otherwise the
            sampler would propose similar settings again.
        completed: the values of all complete trials so far, one for each objective.
    """
    health = None if outcome == "failed" else float(outcome in UNSOUND)
    if outcome in UNSOUND and not reads_constraints:
        worst = worst_values(completed, objectives)
        return TellArguments(
            TrialState.PRUNED if worst is None else TrialState.COMPLETE, worst, health
        )
    if outcome != "completed":
        return TellArguments(TrialState[OUTCOMES[outcome].optuna_state], None, health)
    if len(values) < len(objectives):
        return TellArguments(
            TrialState.FAIL, None, health
        )  # Optuna accepts all values of a trial or none
    return TellArguments(TrialState.COMPLETE, list(values), health)


def worst_values(
    completed: Sequence[Sequence[float]], objectives: Sequence[Objective]
) -> list[float] | None:
    """The worst value of each objective among complete trials; None if there is none."""
    if not completed:
        return None
    by_objective = zip(objectives, zip(*completed, strict=True), strict=True)
    return [max(values, key=objective.cost) for objective, values in by_objective]
