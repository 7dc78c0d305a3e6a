"""A sampler that gan-tune does not ship: expected improvement under a forest on all reports.

As SMAC does it (Hutter, Hoos, Leyton-Brown 2011, "Sequential model-based optimization for general
algorithm configuration"; Lindauer et al. 2022), for spaces whose ranges depend on choices: a forest
is fitted to the best value so far at each report of each ended trial, with the share of the steps
as one more feature, and asked for the full length. Of random settings and neighbours of the best
ones it takes the one with the largest expected improvement. See ``recorded_tasks.py samplers``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import exp, inf, isfinite, log
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from scipy import stats
from sklearn.ensemble import ExtraTreesRegressor

from benchmarks.curves import Nearest, decide
from gan_tune.space import SearchSpace

Setting = Mapping[str, Any]

STARTUP = 10
"""Ended trials before the forest is asked."""
TREES = 32
CANDIDATES = 200
BEST = 5
"""Settings whose neighbours are candidates."""
CAPPED = 0.9
"""Quantile of the values at which worse ones are cut, and which a trial without a value gets."""


class Neighbour:
    """Suggests, as an Optuna trial does, values near those of a setting; {} is near none."""

    def __init__(self, setting: Setting, draws: random.Random) -> None:
        self._setting, self._draws = setting, draws
        self._rate, self._width = draws.choice([0.1, 0.25, 0.5]), draws.choice([0.05, 0.15, 0.3])
        self.params: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None:
            raise NotImplementedError(f"{name}: must have no step, but got {step}")
        place = self._draws.random()
        if name in self._setting:
            place = _place(float(self._setting[name]), low, high, log)
            if self._draws.random() < self._rate:
                place = min(1.0, max(0.0, place + self._draws.gauss(0.0, self._width)))
        value = low * (high / low) ** place if log else low + place * (high - low)
        self.params[name] = value = min(high, max(low, value))
        return value

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        raise NotImplementedError(f"{name}: must be a range of real numbers or a choice")

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        kept = name in self._setting and self._draws.random() >= self._rate
        self.params[name] = value = self._setting[name] if kept else self._draws.choice(choices)
        return value


def _place(value: float, low: float, high: float, scaled: bool) -> float:
    return log(value / low) / log(high / low) if scaled else (value - low) / (high - low)


class ForestSampler(BaseSampler):
    """Proposes one setting of a space.

    Args:
        space: of the search.
        seed: of this proposal.
        local: share of the candidates that are neighbours of the best settings.
    """

    def __init__(self, space: SearchSpace, seed: int, *, local: float) -> None:
        self._space, self._seed, self._local = space, seed, local
        self._random = RandomSampler(seed=seed)
        self._chosen: Setting = {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if len(ended) >= STARTUP:
            self._chosen = self._choose([one for one in ended if one.params])

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if param_name in self._chosen:
            return self._chosen[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _choose(self, ended: Sequence[FrozenTrial]) -> Setting:
        rows = [row for trial in ended for row in _rows(trial, self._space.steps)]
        known = [value for _, _, value in rows if isfinite(value)]
        if not known:
            return {}
        worst = float(np.quantile(known, CAPPED))
        values = np.minimum([value for _, _, value in rows], worst)
        curves: Any = [SimpleNamespace(params=trial.params) for trial in ended]
        encode = Nearest(self._space.dimensions(), curves).features
        forest = ExtraTreesRegressor(
            TREES, max_features=0.5, bootstrap=True, random_state=self._seed
        ).fit(np.column_stack([encode(s for s, _, _ in rows), [r for _, r, _ in rows]]), values)
        best: dict[str, Setting] = {}
        for place in np.argsort(values, kind="stable"):
            best.setdefault(str(rows[place][0]), rows[place][0])
        candidates = self._candidates(list(best.values())[:BEST])
        asked = np.column_stack([encode(candidates), np.ones(len(candidates))])
        told = np.array([tree.predict(asked) for tree in forest.estimators_])
        return candidates[int(np.argmax(_improvement(told, float(values.min()))))]

    def _candidates(self, best: Sequence[Setting]) -> list[Setting]:
        draws = random.Random(self._seed)
        found: list[Setting] = []
        for _ in range(CANDIDATES):
            near = draws.choice(best) if draws.random() < self._local else {}
            suggested = Neighbour(near, draws)
            decide(self._space, suggested)
            found.append(suggested.params)
        return found


def _rows(trial: FrozenTrial, steps: int) -> list[tuple[Mapping[str, Any], float, float]]:
    """Setting, share of the steps, log best value so far: for each report; infinite if none."""
    curve = sorted((step, v) for step, v in trial.intermediate_values.items() if isfinite(v))
    if not curve:
        return [(trial.params, 1.0, inf)]
    bests = accumulate((max(v, exp(-30.0)) for _, v in curve), min)
    return [
        (trial.params, step / steps, log(best))
        for (step, _), best in zip(curve, bests, strict=True)
    ]


def _improvement(told: NDArray[np.float64], best: float) -> NDArray[np.float64]:
    """Expected improvement below ``best`` of what the trees told [T, N], taken as normal."""
    mean, deviation = told.mean(0), told.std(0) + 1e-9
    z = (best - mean) / deviation
    found: NDArray[np.float64] = (best - mean) * stats.norm.cdf(z) + deviation * stats.norm.pdf(z)
    return found
