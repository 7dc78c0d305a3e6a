"""Confirmation: the best settings trained again with fresh seeds, so that luck is not crowned.

Plain objects that know nothing of Ray: :class:`Confirmation` says which replicate to train next,
hears its value, drops what is clearly worse, and ranks settings by their mean, those with fewer
seeds than others behind these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy import stats

from gan_tune.config import Objective
from gan_tune.searching.study.settings import FIRST_SETTING, Setting

__all__ = ["Confirmation", "Standing", "candidates", "spread"]

CONFIDENCE = 0.95

Values = Mapping[int, float | None]
"""Best values of a setting by replicate, None for one that never had a finite value."""


@dataclass(frozen=True)
class Standing:
    """How a setting stands in the confirmation.

    ``values`` are its replicates' best values by replicate number (None: never a finite one);
    ``mean`` is infinitely bad where one is None; ``spread`` is the sample deviation, NaN for one.
    One that is ``dropped`` is clearly worse than the best. One that is ``behind`` is not, but has
    fewer seeds than another one besides the first setting: its mean may be luck.
    """

    setting: int
    values: dict[int, float | None]
    mean: float
    spread: float
    dropped: bool
    behind: bool

    @property
    def seeds(self) -> int:
        """How many replicates have been trained."""
        return len(self.values)


def candidates(
    settings: Sequence[Setting],
    *,
    top: int,
    mode: Literal["min", "max"],
    replicated: bool = False,
) -> list[int]:
    """The ``top`` best settings that count, best first, and the first setting.

    Those count that ran to their end, and those that the end of the time cut off: the best so far
    is fair to them, as more steps can only better it. Where settings are ``replicated``, one that
    was cut off needs a whole replicate, and comes behind all that have all of theirs: a mean of
    fewer may be luck. With none that count, nothing can be confirmed.
    """
    counting = [s for s in settings if _counts(s, replicated=replicated)]
    objective = Objective(mode=mode)

    def place(setting: Setting) -> tuple[bool, float]:
        return replicated and setting.outcome is None, objective.cost(setting.value or 0.0)

    chosen = [s.number for s in sorted(counting, key=place)[:top]]
    first = any(s.number == FIRST_SETTING for s in counting)
    if chosen and first and FIRST_SETTING not in chosen:
        chosen.append(FIRST_SETTING)
    return chosen


def _counts(setting: Setting, *, replicated: bool) -> bool:
    cut_off = setting.outcome is None and bool(setting.values or not replicated)
    finite = setting.value is not None and None not in setting.values
    return (setting.outcome == "completed" or cut_off) and finite


def spread(values: Iterable[float | None]) -> float:
    """Sample deviation of the finite values, NaN for less than two."""
    finite = [value for value in values if value is not None]
    return stdev(finite) if len(finite) > 1 else math.nan


class Confirmation:
    """Trains ``seeds`` replicates of each setting in turn, a round of all before the next.

    Their numbers begin at ``first``: those below belong to the search.
    """

    def __init__(self, *, seeds: int, mode: Literal["min", "max"], first: int = 1) -> None:
        self._replicates = range(first, first + seeds)
        self._objective = Objective(mode=mode)
        self._known: dict[int, dict[int, float | None]] = {}
        self._values: dict[int, dict[int, float | None]] = {}
        self._out: set[tuple[int, int]] = set()

    def consider(self, settings: Sequence[int]) -> None:
        """From now on these settings are confirmed, in this order; what is known stays known."""
        self._values = {setting: self._known.setdefault(setting, {}) for setting in settings}

    def next(self, *, only: int | None = None) -> tuple[int, int] | None:
        """The next (setting, replicate) to train, None when nothing is left to hand out.

        ``only``: of this setting alone.
        """
        for replicate in self._replicates:
            for setting, values in self._values.items():
                if replicate in values or (setting, replicate) in self._out:
                    continue
                if only in (None, setting) and not self._is_dropped(setting):
                    self._out.add((setting, replicate))
                    return setting, replicate
        return None

    def record(self, setting: int, replicate: int, value: float | None) -> None:
        """Hear the best value of a replicate; None if it never had a finite one."""
        self._out.discard((setting, replicate))
        self._known.setdefault(setting, {})[replicate] = value

    def hand_back(self, setting: int, replicate: int) -> None:
        """A replicate was interrupted: it may be handed out again."""
        self._out.discard((setting, replicate))

    def known(self) -> list[int]:
        """All settings that have a replicate, whether they are considered now or not."""
        return [setting for setting, values in self._known.items() if values]

    def missing(self, setting: int) -> int:
        """How many replicates a setting has yet to run: none if it is dropped."""
        if setting in self._values and self._is_dropped(setting):
            return 0
        return len(set(self._replicates) - self._known.get(setting, {}).keys())

    def to_begin(self, setting: int) -> int:
        """How many of those do not run yet."""
        out = sum(setting == running for running, _ in self._out)
        return max(0, self.missing(setting) - out)

    def standings(self, settings: Iterable[int] | None = None) -> list[Standing]:
        """All settings with at least one replicate, best mean first.

        Where the time ended before all had all their seeds, those with the most come before those
        with fewer, and dropped ones last. How many the first setting has says nothing of the
        others: it is confirmed while the search still runs.

        ``settings``: of these alone; by default of those considered.
        """
        values = self._values
        if settings is not None:
            values = {setting: self._known.get(setting, {}) for setting in settings}
        objective = self._objective
        dropped = {setting for setting in values if clearly_worse(setting, values, objective)}
        compared = values.keys() - dropped - {FIRST_SETTING}
        most = max((len(values[setting]) for setting in compared), default=0)
        rows = [
            Standing(
                setting=setting,
                values=dict(sorted(own.items())),
                mean=objective.value(_mean_cost(own, objective)),
                spread=spread(own.values()),
                dropped=setting in dropped,
                behind=setting not in dropped and len(own) < most,
            )
            for setting, own in values.items()
            if own
        ]
        return sorted(rows, key=lambda row: (row.dropped, row.behind, objective.cost(row.mean)))

    def _is_dropped(self, setting: int) -> bool:
        return clearly_worse(setting, self._values, self._objective)


def clearly_worse(setting: int, values: Mapping[int, Values], objective: Objective) -> bool:
    """Whether a one-sided t-test over the pooled spread says a setting is worse than the best.

    ``values`` are all settings' values by replicate. The first setting is never clearly worse: the
    gain is measured against it.
    """
    costs = {s: _mean_cost(v, objective) for s, v in values.items() if v}
    finite = {s: [v for v in own.values() if v is not None] for s, own in values.items()}
    sound = {s: finite[s] for s in costs if math.isfinite(costs[s])}
    if setting == FIRST_SETTING or not sound or not values[setting]:
        return False
    if setting not in sound:
        return True
    best = min(sound, key=lambda s: costs[s])
    squares = sum((value - fmean(own)) ** 2 for own in sound.values() for value in own)
    freedom = sum(len(own) - 1 for own in sound.values())
    if setting == best or freedom < 1:
        return False
    error = math.sqrt(squares / freedom * (1 / len(sound[setting]) + 1 / len(sound[best])))
    limit = float(stats.t.ppf(CONFIDENCE, freedom)) * error
    return costs[setting] - costs[best] > limit


def _mean_cost(values: Values, objective: Objective) -> float:
    return fmean(math.inf if v is None else objective.cost(v) for v in values.values())
