"""Stopping rules decide which trials stop early. They are free of Ray: plain numbers go in and out.

A rule gets the best value so far with each report of a trial, and returns whether the trial stops.
It does not use the current value, since the quality of a GAN goes up and down during training.

To resume a search, a new rule is given all earlier reports. It then decides as the old one would
have, since its state does not depend on the order in which trials reported.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import mul
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import Field

from gan_tune.config import Objective
from gan_tune.searching.rules.best_by_step import BestByStep
from gan_tune.space import SearchSpace

__all__ = [
    "SCHEDULERS",
    "Asha",
    "Expected",
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
"""Golden ratio; see :meth:`Asha.bracket`."""


class Expected(NamedTuple):
    """What becomes of an average trial: the ``share`` of the full length that it is trained for,
    and the share of trials that come to their ``ends``. Both lie in (0, 1]."""

    share: float
    ends: float


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

    def expected(self, reports: Sequence[int]) -> Expected:
        """What becomes of an average trial that reports at these steps."""
        ...


class _NeverWaits:
    """Base of the rules that judge every report immediately, so that no trial waits."""

    def rungs(self, trial: int) -> Sequence[float]:
        """No rungs."""
        return ()

    def undecided(self, trial: int) -> bool:
        """Always False."""
        return False

    def behind(self, trial: int) -> bool:
        """Always False."""
        return False

    def expected(self, reports: Sequence[int]) -> Expected:
        """Every trial runs its full length, unless a rule knows better."""
        return Expected(1.0, 1.0)


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
    until ``reduction`` trials have reached it; other trials run meanwhile. A waiting trial goes on
    unjudged if no new setting is left to begin or, in the second half of the time, if it would
    otherwise not end in time. Each further bracket has its first rung one rung later, which helps
    trials that start slowly. All brackets get the same budget; trials compete within their bracket.

    Note:
        The paper is "A system for massively parallel hyperparameter tuning". Bracket s has its
        rungs at ``grace · steps · reduction^(s + k)``. None lies near ``steps``, since stopping a
        trial near its end saves little. Other implementations let the first trials at each rung
        continue, so these are always trained to their end; here they are :meth:`undecided` and
        wait. Brackets get equal shares of the budget (Li et al.
        2018, Hyperband, algorithm 1): a bracket with h rungs gets trials in proportion to
        reduction^h/(h + 1). A trial's bracket depends only on its number.

    Args:
        steps: length of a trial that is never stopped, > 0.
        mode: whether less or more is better.
        reduction: η: one in ``reduction`` trials continues at each rung.
        grace: share of ``steps`` at which the first rung of the first bracket lies.
        brackets: largest number of brackets; at most one of them has no rung.
        margin: how much worse than the worst continuing trial a trial must be to be stopped, as a
            share of that trial's absolute value; for values near 0 it has little effect.
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

    def expected(self, reports: Sequence[int]) -> Expected:
        """One in ``reduction`` goes on at each rung, which lies at the first report from it on."""
        heights = [self._reduction ** len(b) / (len(b) + 1) for b in self.brackets]
        shares, ends = 0.0, 0.0
        for weight, rungs in zip(heights, self.brackets, strict=True):
            stops = [reports[bisect_left(reports, rung)] / self._steps for rung in rungs]
            lengths = [after - before for before, after in pairwise([0.0, *stops, 1.0])]
            kept = [self._reduction**-i for i in range(len(lengths))]
            shares += weight * sum(map(mul, kept, lengths))
            ends += weight * kept[-1]
        return Expected(shares / sum(heights), ends / sum(heights))

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
        margin: how much worse than the median a trial must be to be stopped, as a share of the
            median's absolute value.
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
        self._known: set[tuple[int, int]] = set()  # trial, step
        self._bests = BestByStep()

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        """Stop a trial whose best value up to this step is worse than the others' median."""
        if (trial, step) in self._known or step >= self._steps:
            return False
        if value is not None:
            self._known.add((trial, step))
            self._bests.note(trial, step, self._cost(value))
        if step < self._first:
            return False
        others = self._bests.others(trial, step)
        if len(others) < self._startup:
            return False
        return value is None or _worse(self._cost(value), float(np.median(others)), self._margin)

    def expected(self, reports: Sequence[int]) -> Expected:
        """About half of the trials are stopped, at the first report from ``grace`` on."""
        first = reports[bisect_left(reports, self._first)] / self._steps
        return Expected((1 + first) / 2, 0.5)


def _worse(cost: float, threshold: float, margin: float) -> bool:
    return cost > threshold + margin * abs(threshold)


def _bounds(weights: Iterable[float]) -> list[float]:
    """The inner borders when the unit interval is divided in proportion to ``weights``."""
    ends = list(accumulate(weights))
    return [end / ends[-1] for end in ends[:-1]]


SCHEDULERS: Mapping[str, Callable[..., StoppingRule]] = MappingProxyType(
    {
        "asha": Asha,
        "median": Median,
        "none": NoStopping,
    }
)
"""Name in a space file (`search.scheduler`) → rule, built as ``rule(steps, mode, **arguments)``."""


def stopping_rule(space: SearchSpace) -> StoppingRule:
    """The rule of a space. With several objectives, `search.prune_on` is needed to stop trials."""
    search, steps = space.search, space.steps
    if len(space.objectives) > 1 and search.prune_on is None:
        return NoStopping()
    return SCHEDULERS[search.scheduler.name](steps, space.pruned_by.mode, **search.scheduler.args)
