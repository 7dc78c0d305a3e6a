"""Stopping rules: small objects that know nothing of Ray, so that a table of curves can drive them.

A rule hears of every report with the trial's best value so far, and says whether to stop. Best so
far, because a GAN's quality is not monotone: one bad evaluation says little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

__all__ = ["SCHEDULERS", "Asha", "NoStopping", "StoppingRule"]


class StoppingRule(Protocol):
    """Decides on trials by their reports."""

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Whether to stop ``trial`` after its report at ``step``.

        ``value`` is its best so far (None: none yet). A report heard twice changes nothing.
        """
        ...


class NoStopping:
    """Every trial runs its full length."""

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Never stop."""
        return False


class Asha:
    """Asynchronous successive halving, one bracket (Li et al. 2020, "A system for massively
    parallel hyperparameter tuning").

    Rungs lie at ``grace · steps · reduction^k`` below ``steps``. A trial that reaches a rung is
    stopped unless it is among the best 1/``reduction`` of all that have reached it so far, the
    rung's first trials being kept.

    Args:
        steps: length of a trial that is never stopped, > 0.
        mode: whether less or more is better.
        reduction: η ≥ 2.
        grace: share of ``steps``, in (0, 1], at which the first rung lies.
    """

    def __init__(
        self, *, steps: int, mode: Literal["min", "max"], reduction: int = 3, grace: float = 0.15
    ) -> None:
        self._sign = 1.0 if mode == "min" else -1.0
        self._reduction = reduction
        self.rungs: list[float] = []
        rung = grace * steps
        while rung < steps:
            self.rungs.append(rung)
            rung *= reduction
        self._values: dict[float, dict[int, float]] = {rung: {} for rung in self.rungs}

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Stop a trial that falls behind at the highest rung it has just reached."""
        reached = [rung for rung in self.rungs if step >= rung]
        if not reached or trial in self._values[reached[-1]]:
            return False
        cost = float("inf") if value is None else self._sign * value
        rung = self._values[reached[-1]]
        rung[trial] = cost
        finite = [v for v in rung.values() if np.isfinite(v)]
        if len(rung) < self._reduction:
            return False
        return not finite or bool(cost > np.quantile(finite, 1 / self._reduction))


SCHEDULERS: dict[str, Callable[..., StoppingRule]] = {
    "asha": Asha,
    "none": lambda **_: NoStopping(),
}
"""Rule by its name in a space file; each is built with steps, mode, reduction and grace."""
