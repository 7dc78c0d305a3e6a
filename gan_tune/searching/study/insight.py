"""Analyses of a search: which parameters matter, where the best settings lie, which fail.

All of it is computed from the study.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, get_args

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from gan_tune.searching.study.optuna_internals import ped_anova, uncopied
from gan_tune.searching.study.reading import OUTCOME, curve, objective_of
from gan_tune.words.outcomes import Outcome

if TYPE_CHECKING:
    from optuna.importance import PedAnovaImportanceEvaluator

__all__ = [
    "BEST_SHARE",
    "FEWEST",
    "Importances",
    "Insight",
    "OptionOutcomes",
    "Region",
    "evaluator",
    "is_sound",
]

BEST_SHARE = 0.25
"""Share of the compared settings that counts as the best."""

FEWEST = 20
"""The smallest number of settings for an analysis; five of them are the best."""

FEWEST_OF_BEST = 3
"""A parameter that fewer of the best settings have gets no importance: a density of two points
only shows its kernels."""

FEWEST_SHARING = 5
"""Smallest number of settings that must have two parameters that are drawn together."""

Label = str | int | float | bool | None
Extent = tuple[float, float] | Mapping[Label, float]
"""For numbers, the smallest and the largest; for a choice, each option's share (they sum to 1)."""


@dataclass(frozen=True)
class Importances:
    """How much each parameter matters among settings that are compared at one step.

    Attributes:
        step: the step at which they are compared.
        settings: how many are compared.
        left_out: how many are excluded because they diverged or collapsed.
        shares: parameter → importance, the greatest first; they sum to 1. Empty for fewer than
            :data:`FEWEST` settings, or if no parameter separates the best from the others. A
            parameter that fewer than :data:`FEWEST_OF_BEST` of the best settings have is left out.
    """

    step: int
    settings: int
    left_out: int
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Region:
    """The region of the best settings in one dimension.

    Attributes:
        name: of the dimension.
        whole: for all compared settings, the range of numbers or the share of each option.
        best: the same for the best settings; None if none of them has the parameter.
        settings: how many of the best settings have it.
    """

    name: str
    whole: Extent
    best: Extent | None
    settings: int


@dataclass(frozen=True)
class OptionOutcomes:
    """The outcomes of the settings with one option of a choice: outcome → number of settings."""

    name: str
    option: Label
    outcomes: Mapping[Outcome, int]

    @property
    def settings(self) -> int:
        """How many settings with this option have ended."""
        return sum(self.outcomes.values())


def is_sound(trial: FrozenTrial) -> bool:
    """Whether a setting neither diverged nor collapsed."""
    return all(constraint <= 0 for constraint in trial.constraints.values())


def evaluator() -> PedAnovaImportanceEvaluator:
    """PED-ANOVA for the best :data:`BEST_SHARE` (Watanabe et al. 2023, arXiv:2304.10255).

    For a parameter that exists only below an option, Optuna compares the settings that have it. It
    weights the result by the option's frequency among the best and among all settings (Conditional
    PED-ANOVA, arXiv:2601.20800). So a parameter below an option that no good setting has gets no
    importance.
    """
    return ped_anova()(target_quantile=BEST_SHARE)


class Insight:
    """The analyses of a study as it stands. Each is made once, when it is first asked for.

    Settings are compared at one step, since values after different lengths of training cannot be
    compared.

    Args:
        study: of a search.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    @cached_property
    def step(self) -> int:
        """The step of the first rung: where the scheduler first pruned a setting.

        If it pruned none, the last step of any setting; 0 without reports.
        """
        lengths = [(max(known), t.state) for t in self._sound if (known := curve(t))]
        pruned = [length for length, state in lengths if state == TrialState.PRUNED]
        return min(pruned) if pruned else max((length for length, _ in lengths), default=0)

    @cached_property
    def common(self) -> optuna.Study:
        """A study in memory of all sound settings, complete with their best value at :attr:`step`.

        A completed setting that ended earlier by its patience counts with its best value. A running
        setting counts once it has reached that step.
        """
        (direction, *_), step = self._study.directions, self.step
        derived = optuna.create_study(direction=direction)
        for trial in self._sound:
            known = curve(trial)
            reached = max((at for at in known if at <= step), default=None)
            if reached is not None and (trial.state != TrialState.RUNNING or max(known) >= step):
                complete = optuna.trial.create_trial(
                    value=known[reached], params=trial.params, distributions=trial.distributions
                )
                derived.add_trial(uncopied(complete))
        return derived

    @cached_property
    def importances(self) -> Importances:
        """How well each parameter separates the best settings from the others."""
        count = len(self._compared)
        shares: dict[str, float] = {}
        if count >= FEWEST:
            known = Counter(name for trial in self._best for name in trial.params)
            params = [name for name, having in known.items() if having >= FEWEST_OF_BEST]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of options that are rare
                found = evaluator().evaluate(self.common, params=params)
            total = sum(found.values())
            shares = {name: value / total for name, value in found.items()} if total else {}
        unsound = sum(not is_sound(trial) for trial in self._study.get_trials(deepcopy=False))
        return Importances(self.step, count, unsound, shares)

    @cached_property
    def pair(self) -> tuple[str, str] | None:
        """The two most important parameters that can be drawn together; None if there are none.

        Enough settings must have both, and each must vary among them. So two parameters below
        different options of one choice are no pair. A choice and a parameter below one of its
        options are no pair either.
        """
        for pair in combinations(self.importances.shares, 2):
            sharing = [t.params for t in self._compared if set(pair) <= t.params.keys()]
            varied = all(len({params[name] for params in sharing}) > 1 for name in pair)
            if varied and len(sharing) >= FEWEST_SHARING:
                return pair
        return None

    @cached_property
    def regions(self) -> list[Region]:
        """The regions of the best :data:`BEST_SHARE` of the settings, by name.

        Settings are compared as in :attr:`importances`; empty for fewer than :data:`FEWEST`.
        """
        if len(self._compared) < FEWEST:
            return []
        return [
            _region(name, how, self._compared, self._best)
            for name, how in _dimensions(self._compared).items()
        ]

    @cached_property
    def choices(self) -> list[OptionOutcomes]:
        """The number of settings by outcome, for each option of each choice that was searched.

        In the order of the choices' names. Options that no setting has are included with no
        settings.
        """
        trials = [t for t in self._study.get_trials(deepcopy=False) if t.user_attrs.get(OUTCOME)]
        found = []
        for name, distribution in _dimensions(trials).items():
            if not isinstance(distribution, CategoricalDistribution) or distribution.single():
                continue
            # A setting without the choice differs from one with the option null.
            ended = Counter(
                (trial.params[name], trial.user_attrs[OUTCOME])
                for trial in trials
                if name in trial.params
            )
            for option in distribution.choices:
                counts = {how: ended[option, how] for how in get_args(Outcome)}
                of_option = {how: count for how, count in counts.items() if count}
                found.append(OptionOutcomes(name, option, of_option))
        return found

    @cached_property
    def _sound(self) -> list[FrozenTrial]:
        """The settings that have a value, or still run, and neither diverged nor collapsed."""
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        return [t for t in self._study.get_trials(deepcopy=False, states=states) if is_sound(t)]

    @cached_property
    def _compared(self) -> list[FrozenTrial]:
        return self.common.get_trials(deepcopy=False)

    @cached_property
    def _best(self) -> list[FrozenTrial]:
        """The best :data:`BEST_SHARE` of the compared settings."""
        cost = objective_of(self.common).cost
        ranked = sorted(self._compared, key=lambda trial: cost(trial.value or 0.0))
        return ranked[: math.ceil(BEST_SHARE * len(ranked))]


def _region(
    name: str, distribution: BaseDistribution, trials: list[FrozenTrial], best: list[FrozenTrial]
) -> Region:
    everywhere = [trial.params[name] for trial in trials if name in trial.params]
    among_best = [trial.params[name] for trial in best if name in trial.params]
    if isinstance(distribution, CategoricalDistribution):
        options = distribution.choices
        shares = _shares(among_best, options) if among_best else None
        return Region(name, _shares(everywhere, options), shares, len(among_best))
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    searched = (distribution.low, distribution.high)
    narrow = (min(among_best), max(among_best)) if among_best else None
    return Region(name, searched, narrow, len(among_best))


def _shares(values: list[Label], options: tuple[Label, ...]) -> dict[Label, float]:
    return {option: values.count(option) / len(values) for option in options}


def _dimensions(trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
    """All dimensions of the trials, by name: a choice comes before the dimensions below it."""
    found = {name: how for trial in trials for name, how in trial.distributions.items()}
    return {name: found[name] for name in sorted(found)}
