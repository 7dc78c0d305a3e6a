"""Populations: schedulers that replace a bad trial by a copy of a good one with a new setting.

A population is a plain object that does not depend on Ray, so a table of curves can drive it. It
ranks members by their current values, because a fork starts from current weights. (A stopping rule
looks at the best value so far.)

Each fork is a new setting and a new trial: a member that is behind ends, and a new one starts from
the weights of a leading member. So the setting of a trial never changes.

To add a population, write a function like :func:`pbt` and name it in :data:`POPULATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from gan_tune.config import Objective
from gan_tune.searching.jobs import Fork
from gan_tune.searching.populations.exploring import Assignment, Explore, Interval, Perturb, Start
from gan_tune.searching.rules.stopping import Mode
from gan_tune.space.nodes import Branch

__all__ = ["POPULATIONS", "Population", "pb2", "pbt", "ready_steps"]

Size = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(gt=0, lt=1)]
Quantile = Annotated[float, Field(gt=0, le=0.5)]
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass
class _Member:
    """A setting that trains, or has trained, in a population.

    Attributes:
        assignment: dimension → value.
        born: step at which it started: 0, or the step of its parent's weights.
        inherited_cost: its parent's cost there, if it has one.
        spared: whether it is never behind.
        costs: step → its value as a cost.
        discarded: ready steps whose weights are no longer kept.
        state: whether it trains, has run its full length, or was stopped or failed.
    """

    assignment: Assignment
    born: int
    inherited_cost: float | None
    spared: bool
    costs: dict[int, float] = field(default_factory=dict)
    discarded: set[int] = field(default_factory=set)
    state: Literal["living", "completed", "gone"] = "living"

    @property
    def reached(self) -> int:
        """The last step that it has reported, or its first step."""
        return max(self.costs, default=self.born)


class Population:
    """Members that train side by side; the worst are replaced by forks of the best.

    A *ready point* is the first report at or after each multiple of ``interval``. There a member is
    compared with all others by the last value that each had reported up to that step. It is behind
    if it is among the worst ``quantile``. This is the truncation selection of Jaderberg et al.
    2017. It is asynchronous, so no member waits. Completed members still count; stopped and failed
    ones do not.

    Args:
        space: the tree of the space in which forks are explored.
        report_steps: the steps at which a trial reports; the last one is its length.
        mode: whether less or more is better.
        explore: chooses a fork's setting.
        population: how many members there are at a time.
        interval: distance of two ready points, as a share of the length.
        quantile: share of the members that counts as the best, and as the worst; at least one
            member.
    """

    def __init__(
        self,
        space: Branch,
        report_steps: Sequence[int],
        mode: Mode,
        explore: Explore,
        *,
        population: int,
        interval: float,
        quantile: float,
    ) -> None:
        self.size = population
        self.ready_steps = ready_steps(report_steps, interval)
        self._space, self._explore, self._quantile = space, explore, quantile
        self._cost_of, self._steps = Objective(mode=mode).cost, report_steps[-1]
        self._interval = interval * self._steps
        self._members: dict[int, _Member] = {}

    # ---------------------------------------------------------------- who is in it

    def join(
        self,
        member: int,
        assignment: Assignment,
        fork: Fork | None = None,
        *,
        spared: bool = False,
    ) -> None:
        """Add a setting that starts to train, from scratch or as a fork of a member.

        A ``spared`` setting is never behind: the next worst member is behind instead.
        """
        step = fork.step if fork else 0
        cost = self._members[fork.parent].costs.get(step) if fork else None
        self._members[member] = _Member(assignment, step, cost, spared)

    def observe(self, member: int, step: int, value: float | None) -> None:
        """Note the current value of a member; None is not ranked."""
        if value is not None:
            self._members[member].costs[step] = self._cost_of(value)

    def leave(self, member: int) -> None:
        """Note that a member was stopped or failed."""
        self._members[member].state = "gone"

    def complete(self, member: int) -> None:
        """Note that a member has run its full length."""
        self._members[member].state = "completed"

    def __contains__(self, member: int) -> bool:
        return member in self._members

    @property
    def missing(self) -> int:
        """How many more members can be added."""
        return self.size - sum(member.state != "gone" for member in self._members.values())

    def reached(self, member: int) -> int:
        """The last step that a member has reported, or its first step."""
        return self._members[member].reached

    def cost(self, member: int) -> float:
        """The last value of a member as a cost, infinite before it has one."""
        costs = self._members[member].costs
        return costs[max(costs)] if costs else float("inf")

    @property
    def steps_left(self) -> int:
        """How many steps the least advanced member still has to train; 0 if no member trains."""
        living = [member.reached for member in self._members.values() if member.state == "living"]
        return self._steps - min(living, default=self._steps)

    # ---------------------------------------------------------------- exploit

    def is_behind(self, member: int, step: int) -> bool:
        """Whether a member is among the worst at a ready point, and worse than all of the best.

        A spared member is not counted among the worst.
        """
        ranked = self._ranked(step)
        count = self._count(len(ranked))
        worst = [other for other, _ in ranked if not self._members[other].spared]
        worst = worst[-count:] if count else []
        return member in worst and self._cost(member, step) > ranked[count - 1][1]

    def fork(self, step: int, random: np.random.Generator) -> Fork | None:
        """A new setting that starts from the weights of one of the best members.

        The weights are those of the member's last ready point up to ``step``. None if no weights of
        the best members are kept.
        """
        ranked = self._ranked(step)
        leaders = [member for member, _ in ranked[: max(1, self._count(len(ranked)))]]
        kept = {m: [at for at in self._ready(self._members[m]) if at <= step] for m in leaders}
        sources = [(member, max(steps)) for member, steps in kept.items() if steps]
        if not sources:
            return None
        parent, at = sources[int(random.integers(len(sources)))]
        leader = self._members[parent]
        start = Start(leader.assignment, at / self._interval, leader.costs[at])
        return Fork(parent, at, self._explore(self._space, start, [*self._history()], random))

    def _ranked(self, step: int) -> list[tuple[int, float]]:
        """Members with the last cost that each had reported up to a step, best first."""
        known = [
            (number, self._cost(number, step))
            for number, member in self._members.items()
            if member.state != "gone" and min(member.costs, default=step + 1) <= step
        ]
        return sorted(known, key=lambda entry: (entry[1], entry[0]))

    def _cost(self, member: int, step: int) -> float:
        costs = self._members[member].costs
        return costs[max(at for at in costs if at <= step)]

    def _count(self, members: int) -> int:
        """How many members count as the best, and as the worst; 0 if there is one member."""
        return max(1, int(self._quantile * members + 1e-9)) if members > 1 else 0

    def _ready(self, member: _Member) -> list[int]:
        """The ready points at which a member's weights were stored and are still kept."""
        return [at for at in self.ready_steps if at in member.costs and at not in member.discarded]

    def _history(self) -> Iterator[Interval]:
        """The change of each setting's cost from one of its ready points to the next.

        The interval in which a member still trains is included, without a gain.
        """
        for member in self._members.values():
            time, before = member.born, member.inherited_cost
            for at in (at for at in self.ready_steps if at in member.costs):
                cost = member.costs[at]
                if before is not None:
                    gain = (before - cost) * self._interval / (at - time)
                    yield Interval(member.assignment, time / self._interval, before, gain)
                time, before = at, cost
            if member.state == "living" and before is not None:
                yield Interval(member.assignment, time / self._interval, before, None)

    # ---------------------------------------------------------------- checkpoints

    def discard(self) -> list[tuple[int, int]]:
        """(member, ready step) of the weights from which no fork can start any more.

        These are all weights of stopped and failed members. For other members, they are the weights
        that have newer ones at a step that every living member has reached. Each is returned once.
        """
        living = [member.reached for member in self._members.values() if member.state == "living"]
        least = min(living, default=0)
        over = not living and self.missing <= 0
        found = []
        for number, member in self._members.items():
            steps = self._ready(member)
            if member.state != "gone" and not over:
                steps = [at for at, successor in pairwise(steps) if successor <= least]
            member.discarded.update(steps)
            found += [(number, at) for at in steps]
        return found


def ready_steps(report_steps: Sequence[int], interval: float) -> tuple[int, ...]:
    """The first report at or after each multiple of ``interval`` of the steps, without the last."""
    steps = report_steps[-1]
    due = [ceil(round(i * interval * steps, 6)) for i in range(1, ceil(1 / interval))]
    found = {next(at for at in report_steps if at >= step) for step in due}
    return tuple(sorted(found - {steps}))


def pbt(
    space: Branch,
    report_steps: Sequence[int],
    mode: Mode,
    *,
    population: Size = 8,
    interval: Share = 0.1,
    quantile: Quantile = 0.25,
    resample: Probability = 0.25,
    factor: Annotated[float, Field(gt=1)] = 1.2,
) -> Population:
    """Population based training (Jaderberg et al. 2017).

    Args:
        space, report_steps, mode: as of :class:`Population`.
        population: members at a time.
        interval: distance of two ready points, as a share of the length.
        quantile: share of the best, and of the worst.
        resample: probability that a value is drawn again.
        factor: how far a number moves otherwise; see :func:`~.exploring.moved`.
    """
    explore = Perturb(factor=factor, resample=resample)
    return Population(
        space,
        report_steps,
        mode,
        explore,
        population=population,
        interval=interval,
        quantile=quantile,
    )


def pb2(
    space: Branch,
    report_steps: Sequence[int],
    mode: Mode,
    *,
    population: Size = 8,
    interval: Share = 0.1,
    quantile: Quantile = 0.25,
    resample: Probability = 0.25,
    candidates: Annotated[int, Field(ge=1)] = 1_000,
) -> Population:
    """Population based bandits (Parker-Holder et al. 2020): a Gaussian process chooses numbers.

    Args:
        space, report_steps, mode: as of :class:`Population`.
        population, interval, quantile: as of :func:`pbt`.
        resample: probability that an option of a choice is drawn again. Until the process has data,
            numbers are also drawn at random.
        candidates: number of random points over which the acquisition function is maximised.
    """
    from gan_tune.searching.populations.bandit import Bandit

    explore = Bandit(candidates=candidates, resample=resample)
    return Population(
        space,
        report_steps,
        mode,
        explore,
        population=population,
        interval=interval,
        quantile=quantile,
    )


POPULATIONS: Mapping[str, Callable[..., Population]] = MappingProxyType({"pbt": pbt, "pb2": pb2})
"""Population by its name in a space file, where it replaces a stopping rule. Each is built with the
tree of the space, the steps of the reports and the mode."""
