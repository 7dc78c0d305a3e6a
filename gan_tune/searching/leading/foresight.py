"""How long a trial may be, and how many settings a search can judge, in the time it is given.

Pure functions of numbers, as in :mod:`~gan_tune.searching.leading.time_budget`: the time of a step
and of an evaluation is measured elsewhere. All times are in seconds. A setting is judged if it has
a report at a tenth of the full length or later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gan_tune.searching.leading.time_budget import SAFETY, Planned, TimeBudget, makespan
from gan_tune.searching.rules.stopping import StoppingRule, stopping_rule
from gan_tune.space import SearchSpace

__all__ = ["ENOUGH_SETTINGS", "FEW_SETTINGS", "Course", "Foresight", "Pace", "foresee"]

ENOUGH_SETTINGS = 20
"""A search that chooses its own length judges at least so many."""
FEW_SETTINGS = 10
"""A search that foresees fewer says so: it hardly finds anything."""
PLANNED_SETTINGS = 30
"""The length is chosen for so many, since a good start leaves more trials at each rung."""
LONGEST_SHARE = 0.25
"""Largest share of the search's time for one full trial: at least some must come to their end."""
OVERHEAD = 1.2
"""A trial's time in units of its steps' and evaluations': it is also started, stored and paused."""
LEAST_STEPS = 100
MOST_STEPS = 30_000
"""The length that a search chooses lies between these."""


@dataclass(frozen=True)
class Pace:
    """The time of one step and of one evaluation of a trial, with the others running beside it."""

    step: float
    evaluation: float

    def full(self, steps: int, evaluations: int) -> float:
        """The time of a full trial."""
        return OVERHEAD * (steps * self.step + min(evaluations, steps) * self.evaluation)


@dataclass(frozen=True)
class Course:
    """What a search does with its settings, whatever their length.

    Attributes:
        evaluations: reports of a full trial.
        share: the average share of a full trial that a setting trains, over all its seeds.
        replicates: confirming trials of the best settings, without those of the first setting.
        members: size of a population, whose members all run their full length; 0: none.
    """

    evaluations: int
    share: float
    replicates: int
    members: int = 0

    @classmethod
    def of(cls, space: SearchSpace) -> Course:
        """The course of a space's search."""
        search, confirm = space.search, space.confirm
        evaluations = space.budget.evaluations
        bred = search.scheduler.name in space.catalogue.populations
        members = search.scheduler.args["population"] if bred else 0
        share = 1.0 if bred else _share(stopping_rule(space), space)
        return cls(evaluations, share, confirm.top * confirm.seeds, members)


def _share(rule: StoppingRule, space: SearchSpace) -> float:
    count = min(space.budget.evaluations, space.steps)
    reports = [space.steps * (i + 1) // count for i in range(count)]
    expected = rule.expected(reports)
    return expected.share + expected.ends * (space.search.seeds - 1)


@dataclass(frozen=True)
class Foresight:
    """What a search can do in its time.

    Attributes:
        steps: the length of a trial.
        trial_seconds: the time of a full trial.
        settings: how many settings it can judge.
        minutes: the time in which it would judge :data:`ENOUGH_SETTINGS`.
    """

    steps: int
    trial_seconds: float
    settings: int
    minutes: float


def foresee(
    budget: TimeBudget, course: Course, pace: Pace, *, steps: int | None = None
) -> Foresight:
    """How many settings a search can judge.

    Args:
        budget: with a limit.
        course: of its trials.
        pace: of a trial.
        steps: the length of a trial; None: it is chosen so that at least
            :data:`ENOUGH_SETTINGS` can be judged and the best be confirmed.
    """
    steps = _length(budget, course, pace) if steps is None else steps
    full = pace.full(steps, course.evaluations)
    of_a_setting = full * course.share
    searching = budget.slots * (budget.total - _confirming(budget, course, full))
    judged = int(searching / of_a_setting)
    enough = ENOUGH_SETTINGS * of_a_setting / budget.slots / (1 - budget.share) / 60
    return Foresight(steps, full, max(course.members, judged), enough)


def _length(budget: TimeBudget, course: Course, pace: Pace) -> int:
    searching = budget.slots * budget.total * (1 - budget.share)
    longest = [LONGEST_SHARE * budget.total]
    if course.members:
        longest.append(searching / course.members / SAFETY)
    else:
        longest.append(searching / PLANNED_SETTINGS / course.share)
    if course.replicates and budget.share:
        rounds = makespan([1.0] * course.replicates, budget.slots)
        longest.append(budget.share * budget.total / SAFETY / rounds)
    left = min(longest) / OVERHEAD - course.evaluations * pace.evaluation
    return _rounded(min(MOST_STEPS, max(LEAST_STEPS, left / pace.step)))


def _confirming(budget: TimeBudget, course: Course, full: float) -> float:
    """The time that the search leaves to the confirmation."""
    return budget.needed_to_confirm([Planned(full, course.replicates, course.replicates)])


def _rounded(steps: float) -> int:
    """Two significant digits."""
    unit = 10 ** (math.floor(math.log10(steps)) - 1)
    return int(steps // unit * unit)
