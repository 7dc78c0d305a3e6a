"""Stopping rules: small objects that do not depend on Ray, so a table of curves can drive them.

A rule gets every report with the trial's best value so far, and says whether to stop. It uses the
best so far because a GAN's quality is not monotone: one bad evaluation means little.

A rule's state does not depend on the order in which trials report. When a search is resumed, a new
rule that gets all earlier reports decides as the old one would have.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import isfinite
from types import MappingProxyType
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from gan_tune.config import Objective
from gan_tune.space import SearchSpace

__all__ = [
    "SCHEDULERS",
    "Asha",
    "Median",
    "Mode",
    "NoStopping",
    "StoppingRule",
    "stopping_rule",
]

Mode = Literal["min", "max"]
Grace = Annotated[float, Field(ge=0, lt=1)]
Margin = Annotated[float, Field(ge=0)]

GOLDEN = (5**0.5 - 1) / 2


class StoppingRule(Protocol):
    """Decides from their reports which trials stop."""

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Whether to stop ``trial`` after its report at ``step``.

        ``value`` is its best so far; None before the first finite one. A repeated report changes
        nothing, and no trial is stopped at its last step.
        """
        ...

    def rungs(self, trial: int) -> Sequence[float]:
        """Steps at which ``trial`` may have to wait for others before anything can be decided."""
        ...

    def undecided(self, trial: int) -> bool:
        """Whether too few trials have reached the rung of ``trial`` to judge it."""
        ...

    def behind(self, trial: int) -> bool:
        """Whether ``trial``, which waited at its rung, stops according to the reports so far."""
        ...


class _NeverWaits:
    """Base of the rules that decide on every report at once, so that no trial ever waits."""

    def rungs(self, trial: int) -> Sequence[float]:
        """No rungs."""
        return ()

    def undecided(self, trial: int) -> bool:
        """Never."""
        return False

    def behind(self, trial: int) -> bool:
        """Never: no trial waits."""
        return False


class NoStopping(_NeverWaits):
    """Every trial runs its full length."""

    def __init__(self, steps: int = 0, mode: Mode = "min") -> None:
        """Both arguments are ignored."""

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Never stop."""
        return False


class Asha:
    """Asynchronous successive halving (Li et al. 2020); with several brackets, Hyperband.

    Rungs lie at ``grace``, ``grace`` · ``reduction``, ... of the steps, but not within a factor of
    √``reduction`` of the end. A trial continues from a rung if it is among the best 1/``reduction``
    of those that have reached it. The first trials at a rung wait there, with their state stored,
    until ``reduction`` trials have reached it; other trials run meanwhile. Waiting trials continue
    unjudged if no other setting is left to begin. In the second half of the time, they also do so
    if there is just enough time for them. Each further bracket begins one rung later, for trials
    that start slowly. All brackets get the same budget; trials are compared within their bracket.

    Note:
        The paper is "A system for massively parallel hyperparameter tuning". Bracket s has its
        rungs at ``grace · steps · reduction^(s + k)``. No rung lies within a factor of
        √``reduction`` of ``steps``, since stopping a trial near its end saves little. Before
        ``reduction`` trials have reached a rung, those at it are :meth:`undecided` and should wait.
        Other implementations let the first trials at each rung continue; then the first trials
        would always be trained to their end. Brackets get equal shares of the budget (Li et al.
        2018, Hyperband, algorithm 1): a bracket with h rungs gets trials in proportion to
        reduction^h/(h + 1). A trial's bracket depends only on its number.

    Args:
        steps: length of a trial that is never stopped, > 0.
        mode: whether less or more is better.
        reduction: η: one in ``reduction`` trials continues at each rung.
        grace: share of ``steps`` at which the first rung of the first bracket lies.
        brackets: largest number of brackets; at most one of them has no rung.
        margin: a trial is stopped only if it is worse than the worst of those that continue by more
            than this share of the latter's size. Near 0 the margin vanishes.
    """

    def __init__(
        self,
        steps: int,
        mode: Mode,
        *,
        reduction: Annotated[int, Field(ge=2)] = 3,
        grace: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        brackets: Annotated[int, Field(ge=1)] = 1,
        margin: Margin = 0.0,
    ) -> None:
        self._steps = steps
        self._cost = Objective(mode=mode).cost
        self._reduction, self._margin = reduction, margin
        rungs: list[float] = []
        rung = grace * steps
        while rung * reduction**0.5 <= steps:
            rungs.append(rung)
            rung *= reduction
        self.brackets = tuple(tuple(rungs[s:]) for s in range(min(brackets, len(rungs) + 1)))
        self._bounds = _bounds(reduction ** len(b) / (len(b) + 1) for b in self.brackets)
        self._costs: dict[tuple[int, float], dict[int, float]] = {}
        self._reached: dict[int, float] = {}  # trial → its highest rung

    def bracket(self, trial: int) -> int:
        """The bracket of a trial.

        Multiples of the golden ratio fill the unit interval evenly (Weyl 1916), so the brackets'
        shares hold for any number of trials.
        """
        return bisect_right(self._bounds, (0.5 + trial * GOLDEN) % 1.0)

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Stop a trial that falls behind at the highest rung it has just reached."""
        bracket = self.bracket(trial)
        reached = [rung for rung in self.brackets[bracket] if step >= rung]
        if step >= self._steps or not reached:
            return False
        rung = self._costs.setdefault((bracket, reached[-1]), {})
        if trial in rung:
            return False
        self._reached[trial] = max(reached[-1], self._reached.get(trial, 0.0))
        if value is not None:
            rung[trial] = self._cost(value)
        return self._is_behind(trial, rung)

    def rungs(self, trial: int) -> Sequence[float]:
        """The rungs of its bracket."""
        return self.brackets[self.bracket(trial)]

    def undecided(self, trial: int) -> bool:
        """Whether its highest rung has fewer than ``reduction`` values."""
        return trial in self._reached and len(self._highest(trial)) < self._reduction

    def behind(self, trial: int) -> bool:
        """Whether it is not among the best 1/``reduction`` of its highest rung."""
        return trial in self._reached and self._is_behind(trial, self._highest(trial))

    def _highest(self, trial: int) -> Mapping[int, float]:
        return self._costs[self.bracket(trial), self._reached[trial]]

    def _is_behind(self, trial: int, rung: Mapping[int, float]) -> bool:
        if len(rung) < self._reduction:
            return False
        kept = float(np.quantile([*rung.values()], 1 / self._reduction))
        return trial not in rung or _worse(rung[trial], kept, self._margin)


class Median(_NeverWaits):
    """The median rule of Vizier (Golovin et al. 2017), on best values instead of running averages.

    A trial is stopped if its best value up to a step is worse than the median of the others' best
    values up to that step. It stops fewer trials than `asha`.

    Note:
        A trial that was stopped earlier counts with its best value. If only trials that reached the
        step were compared, the rule would halve them again at each report. The large first values
        of a GAN would distort running averages, which Vizier uses.

    Args:
        steps: length of a trial that is never stopped, > 0.
        mode: whether less or more is better.
        grace: share of ``steps`` before which no trial is stopped.
        startup: how many other trials must have a value up to that step.
        margin: a trial is stopped only if it is worse than the median by more than this share of
            its size.
    """

    def __init__(
        self,
        steps: int,
        mode: Mode,
        *,
        grace: Grace = 0.15,
        startup: Annotated[int, Field(ge=1)] = 5,
        margin: Margin = 0.0,
    ) -> None:
        self._steps = steps
        self._cost = Objective(mode=mode).cost
        self._first, self._startup, self._margin = grace * steps, startup, margin
        self._costs: dict[int, dict[int, float]] = {}

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Stop a trial whose best value up to this step is worse than the others' median."""
        costs = self._costs.setdefault(trial, {})
        if step in costs or step >= self._steps:
            return False
        if value is not None:
            costs[step] = self._cost(value)
        others = [self._best_by(step, other) for other in self._costs if other != trial]
        known = [cost for cost in others if isfinite(cost)]
        if step < self._first or len(known) < self._startup:
            return False
        return value is None or _worse(costs[step], float(np.median(known)), self._margin)

    def _best_by(self, step: int, trial: int) -> float:
        """A trial's lowest cost up to a step; infinite before its first report."""
        told = (cost for at, cost in self._costs[trial].items() if at <= step)
        return min(told, default=float("inf"))


def _worse(cost: float, threshold: float, margin: float) -> bool:
    return cost > threshold + margin * abs(threshold)


def _bounds(weights: Iterable[float]) -> list[float]:
    """The borders between the shares of the unit interval."""
    ends = list(accumulate(weights))
    return [end / ends[-1] for end in ends[:-1]]


SCHEDULERS: Mapping[str, Callable[..., StoppingRule]] = MappingProxyType(
    {"asha": Asha, "median": Median, "none": NoStopping}
)
"""Rule by its name in a space file; each is built with the length of a trial and the mode."""


def stopping_rule(space: SearchSpace) -> StoppingRule:
    """The rule of a space. With several objectives, `search.prune_on` is needed to stop trials."""
    search, steps = space.search, space.budget.steps
    if len(space.objectives) > 1 and search.prune_on is None:
        return NoStopping()
    return SCHEDULERS[search.scheduler.name](steps, space.pruned_by.mode, **search.scheduler.args)
