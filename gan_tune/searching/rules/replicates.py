"""Replicates: a setting of the search is trained with several seeds, one after the other.

Nothing here depends on Ray. The stopping rule judges a setting by its first replicate. A later
replicate ends as soon as the replicates so far show that the setting is worse than the best. It
then says nothing against the ones before it: what they came to in full stays the setting's value.
"""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean, stdev
from typing import Literal

from scipy.special import stdtrit

from gan_tune.config import Objective
from gan_tune.words.outcomes import MISSING, Outcome

__all__ = ["Replicates", "surely_worse"]

CONFIDENCE = 0.95


class Replicates:
    """The curves of all settings' replicates, and the decisions based on them.

    Args:
        seeds: number of replicates of a setting.
        steps: length of a trial; the steps of replicate r are counted from r times that.
        mode: whether less or more is better.
    """

    def __init__(self, *, seeds: int, steps: int, mode: Literal["min", "max"]) -> None:
        self._seeds, self._steps = seeds, steps
        self._cost = Objective(mode=mode).cost
        self._curves: dict[int, dict[int, dict[int, float]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._ended: dict[int, dict[int, float | None]] = defaultdict(dict)

    def reported(self, setting: int, replicate: int, step: int, best: float | None) -> None:
        """Record a replicate's best value so far."""
        if best is not None:
            self._curves[setting][replicate][step] = best

    def ended(self, setting: int, replicate: int, value: float | None) -> None:
        """Record that a replicate ran to its end, and its best value; None if never finite."""
        self._ended[setting][replicate] = value

    def next(self, setting: int) -> int | None:
        """The replicate to train next; None if all have been trained."""
        done = len(self._ended[setting])
        return done if done < self._seeds else None

    def values(self, setting: int) -> list[float | None]:
        """Best values of the replicates that ran to their end."""
        return [value for _, value in sorted(self._ended[setting].items())]

    def outcome(self, setting: int, last: Outcome) -> Outcome:
        """How a setting ended whose ``last`` replicate ended so.

        One that was stopped, or whose worker was lost, leaves a setting what is known of it in
        full. One that diverged or collapsed shows what the setting does with some seeds.
        """
        return "completed" if last in MISSING and self._ended[setting] else last

    def total_steps(self, replicate: int, step: int) -> int:
        """All steps of a setting when this replicate has reached ``step``."""
        return replicate * self._steps + step

    def mean(self, setting: int) -> float | None:
        """Mean of the best values of the replicates that ran to their end.

        None if there is none, or if one of them never had a finite value.
        """
        values = self.values(setting)
        finite = [value for value in values if value is not None]
        return fmean(finite) if finite and len(finite) == len(values) else None

    def behind(self, setting: int, replicate: int, step: int) -> bool:
        """Whether a replicate may stop because its setting is surely worse than the best.

        The best is the setting with the best mean among those with all replicates. The two are
        compared seed by seed: by what earlier replicates came to at their end, and by the best
        values up to this step of the one that runs.
        """
        best = self._best()
        if best is None or best == setting:
            return False
        differences = []
        for seed in range(replicate + 1):
            by = step if seed == replicate else math.inf
            mine, theirs = self._best_by(by, setting, seed), self._best_by(by, best, seed)
            if math.isinf(theirs):
                continue
            differences.append(mine - theirs)
        return surely_worse(differences)

    def _best(self) -> int | None:
        means = {
            setting: self._cost(mean)
            for setting in self._ended
            if self.next(setting) is None and (mean := self.mean(setting)) is not None
        }
        return min(means, key=lambda setting: means[setting], default=None)

    def _best_by(self, step: float, setting: int, replicate: int) -> float:
        """A replicate's lowest cost up to a step; infinite before its first value."""
        curve = self._curves[setting].get(replicate, {})
        return min((self._cost(v) for at, v in curve.items() if at <= step), default=math.inf)


def surely_worse(differences: list[float]) -> bool:
    """Whether a one-sided t-interval shows that the mean of paired cost differences is positive.

    False with fewer than two pairs, or while one replicate has no value.
    """
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return False
    error = stdev(differences) / math.sqrt(len(differences))
    limit = float(stdtrit(len(differences) - 1, CONFIDENCE)) * error
    return fmean(differences) > max(limit, 0.0)
