"""Confirmation: the best settings are trained again with fresh seeds, so that luck does not win.

Nothing here depends on Ray. :class:`Confirmation` says which replicate to train next, records its
value, drops settings that are clearly worse, and ranks the others by their mean. A setting with
fewer seeds than others is ranked behind them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean, stdev
from typing import Literal

from scipy.special import stdtrit

from gan_tune.config import Objective
from gan_tune.searching.jobs import FIRST_SETTING, Setting

__all__ = ["Confirmation", "Standing", "candidates", "ranked", "spread"]

CONFIDENCE = 0.95

Values = Mapping[int, float | None]
"""Best values of a setting by replicate; None if a replicate never had a finite value."""


@dataclass(frozen=True)
class Standing:
    """A setting's standing in the confirmation.

    Attributes:
        setting: its number.
        values: the best value of each replicate by its number; None if it never had a finite one.
        mean: mean of the values; infinitely bad if one of them is None.
        spread: their sample deviation; NaN for fewer than two.
        dropped: whether it is clearly worse than the best.
        behind: whether it is not dropped, but has fewer seeds than another setting other than the
            first. Its mean may then be luck.
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
    pruned: bool = False,
) -> list[int]:
    """The ``top`` best of the :func:`ranked` settings, and the first setting, to compare with.

    The first setting is there even if it was stopped early, but not if it went wrong. If no setting
    counts, nothing is confirmed; or, with ``pruned``, the best of those that were stopped early: a
    setting that was better than they and then collapsed leaves no champion otherwise.
    """
    chosen = ranked(settings, mode=mode, replicated=replicated)[:top]
    if pruned and not chosen:
        stopped = [
            s for s in settings if s.outcome == "pruned" and None not in (s.value, *s.values)
        ]
        cost = Objective(mode=mode).cost
        chosen = [s.number for s in sorted(stopped, key=lambda s: cost(s.value or 0.0))][:top]
    for setting in settings if chosen and FIRST_SETTING not in chosen else ():
        only_stopped = setting.outcome == "pruned" and setting.value is not None
        if setting.number == FIRST_SETTING and (
            only_stopped or _counts(setting, replicated=replicated)
        ):
            chosen.append(FIRST_SETTING)
    return chosen


def ranked(
    settings: Sequence[Setting], *, mode: Literal["min", "max"], replicated: bool = False
) -> list[int]:
    """All settings that count, best first.

    A setting counts if it ran to its end or was cut off by the time limit. In the latter case its
    best value so far is no unfair advantage, since more steps could only improve it. If settings
    are ``replicated``, a setting that was cut off must have a complete replicate, and one with
    fewer replicates than others is placed by the worst that its mean over as many may well be,
    because a mean of fewer may be luck.
    """
    counting = [s for s in settings if _counts(s, replicated=replicated)]
    objective = Objective(mode=mode)
    luck = _Luck(counting)

    def place(setting: Setting) -> float:
        return objective.cost(setting.value or 0.0) + luck.of(setting)

    return [setting.number for setting in sorted(counting, key=place)]


def _counts(setting: Setting, *, replicated: bool) -> bool:
    cut_off = setting.outcome is None and bool(setting.values or not replicated)
    finite = setting.value is not None and None not in setting.values
    return (setting.outcome == "completed" or cut_off) and finite


class _Luck:
    """By how much the mean of few replicates may be better than that of many.

    It is a one-sided bound, from the pooled spread of all settings' replicates: the variance of the
    difference between means of n and of the first k of these is σ² (1/k − 1/n). It is infinite
    while no spread is known.
    """

    def __init__(self, settings: Sequence[Setting]) -> None:
        known = [[v for v in s.values if v is not None] for s in settings]
        self._most = max(map(len, known), default=0)
        squares = sum((value - fmean(own)) ** 2 for own in known if own for value in own)
        freedom = sum(len(own) - 1 for own in known if own)
        self._bound = math.inf
        if freedom:
            self._bound = float(stdtrit(freedom, CONFIDENCE)) * math.sqrt(squares / freedom)

    def of(self, setting: Setting) -> float:
        """The bound for a setting; 0 for one that has as many replicates as any."""
        missing = self._most - len(setting.values)
        if missing <= 0 or not setting.values:
            return 0.0
        return self._bound * math.sqrt(1 / len(setting.values) - 1 / self._most)


def spread(values: Iterable[float | None]) -> float:
    """Sample deviation of the finite values; NaN for fewer than two."""
    finite = [value for value in values if value is not None]
    return stdev(finite) if len(finite) > 1 else math.nan


class Confirmation:
    """Hands out the replicates of the settings considered, and keeps their values.

    Args:
        seeds: replicates for each setting. The first of every setting comes before any second,
            those of the first setting last.
        mode: whether less or more is better.
        first: number of the first replicate; smaller ones belong to the search.
    """

    def __init__(self, *, seeds: int, mode: Literal["min", "max"], first: int = 1) -> None:
        self._replicates = range(first, first + seeds)
        self._objective = Objective(mode=mode)
        self._known: dict[int, dict[int, float | None]] = {}
        self._values: dict[int, dict[int, float | None]] = {}
        self._out: set[tuple[int, int]] = set()
        self._lost: set[tuple[int, int]] = set()

    def consider(self, settings: Sequence[int]) -> None:
        """Confirm these settings from now on, in this order. All recorded values are kept."""
        self._values = {setting: self._known.setdefault(setting, {}) for setting in settings}

    def next(self, *, only: int | None = None) -> tuple[int, int] | None:
        """Hand out the next (setting, replicate) to train; None if there is none.

        The first setting only serves as the baseline, so its replicates come after all others.
        ``only``: consider this setting only.
        """
        others = [setting for setting in self._values if setting != FIRST_SETTING]
        for group in (others, [FIRST_SETTING] if FIRST_SETTING in self._values else []):
            for replicate, setting in product(self._replicates, group):
                gone = self._out | self._lost
                if replicate in self._values[setting] or (setting, replicate) in gone:
                    continue
                if only in (None, setting) and not self._is_dropped(setting):
                    self._out.add((setting, replicate))
                    return setting, replicate
        return None

    def running(self) -> list[int]:
        """The setting of each replicate that has begun and not ended."""
        return [setting for setting, _ in self._out]

    def record(self, setting: int, replicate: int, value: float | None) -> None:
        """Record the best value of a replicate; None if it never had a finite one."""
        self._out.discard((setting, replicate))
        self._known.setdefault(setting, {})[replicate] = value

    def lose(self, setting: int, replicate: int) -> None:
        """Note a replicate that failed: nothing is known of it, and it is not trained again."""
        self._out.discard((setting, replicate))
        self._lost.add((setting, replicate))

    def hand_back(self, setting: int, replicate: int) -> None:
        """Take back a replicate that was interrupted: it may be handed out again."""
        self._out.discard((setting, replicate))

    def known(self) -> list[int]:
        """All settings that have a replicate, whether they are considered now or not."""
        return [setting for setting, values in self._known.items() if values]

    def missing(self, setting: int) -> int:
        """How many replicates of a setting have not ended; 0 if it is dropped."""
        if setting in self._values and self._is_dropped(setting):
            return 0
        lost = {replicate for number, replicate in self._lost if number == setting}
        return len(set(self._replicates) - self._known.get(setting, {}).keys() - lost)

    def to_begin(self, setting: int) -> int:
        """How many of these have not begun."""
        out = sum(setting == running for running, _ in self._out)
        return max(0, self.missing(setting) - out)

    def standings(self, settings: Iterable[int] | None = None) -> list[Standing]:
        """All settings with at least one replicate, best mean first.

        If the time ended before all settings had all their seeds, settings with the most seeds come
        first, those with fewer next, and dropped ones last. The first setting's number of seeds is
        not compared with the others', because it is confirmed while the search still runs.

        ``settings``: only these; by default the settings considered.
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
    """Whether a one-sided t-test with the pooled spread shows a setting is worse than the best.

    ``values`` are all settings' values by replicate. The first setting never counts as clearly
    worse, since the gain is measured against it.
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
    limit = float(stdtrit(freedom, CONFIDENCE)) * error
    return costs[setting] - costs[best] > limit


def _mean_cost(values: Values, objective: Objective) -> float:
    return fmean(math.inf if v is None else objective.cost(v) for v in values.values())
