"""Recorded training curves, and the surrogate that they make.

`record_curves.py` records them, `surrogate.py` searches on them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite, log, nan
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold

from gan_tune.config import CollapseRule
from gan_tune.parts.all_parts import catalogue
from gan_tune.space import SearchSpace
from gan_tune.space.nodes import settle
from gan_tune.space.ranges import Choice, Dimension, NumberRange, Scalar, Suggest

SPACE = Path(__file__).with_name("surrogate.yaml")
CURVES = SPACE.with_suffix(".jsonl")
POOR = CollapseRule().variety
TREES = 100
FOLDS = 8

Setting = Mapping[str, Scalar]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """One training run, one entry of each list a report.

    Attributes:
        setting, replicate: its number in the recording, and which of its seeds.
        params: the setting, dimension → value.
        outcome: `completed`, or `diverged` at its last report.
        seconds: of processor time.
        steps: generator steps done.
        values: the objective, None where it diverged.
        variety: of the samples as a share of the data's, None where not finite.
        logits: the discriminator's largest |logit|, None where not finite.
    """

    setting: int
    replicate: int
    params: Setting
    outcome: str
    seconds: float
    steps: Sequence[int]
    values: Sequence[float | None]
    variety: Sequence[float | None]
    logits: Sequence[float | None]

    @property
    def best(self) -> float:
        """The best value, infinite where there is none. Less is better."""
        return min((value for value in self.values if value is not None), default=inf)

    @property
    def peak(self) -> float:
        """The largest |logit|, infinite for a run that diverged."""
        if self.outcome == "diverged":
            return inf
        return max(inf if logit is None else logit for logit in self.logits)


@cache
def load_space(overrides: tuple[str, ...] = ()) -> SearchSpace:
    """The checked space of `surrogate.yaml`."""
    return SearchSpace.load(SPACE, catalogue(), overrides=overrides)


def read_curves(path: Path = CURVES) -> tuple[dict[str, Any], list[Curve]]:
    """What is said of a recording, and its curves. A last line torn by a kill is left out."""
    whole, _, _ = path.read_text().rpartition("\n")
    head, *curves = (json.loads(line) for line in whole.split("\n"))
    return head, [Curve(**curve) for curve in curves]


# ---------------------------------------------------------------- settings


class CubePoint:
    """Suggests, as an Optuna trial does, the values that a point of the unit cube stands for.

    Args:
        coordinates: dimension → its coordinate in [0, 1).
    """

    def __init__(self, coordinates: Mapping[str, float]) -> None:
        self._coordinates = coordinates
        self.params: dict[str, Scalar] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None:
            raise NotImplementedError(f"{name}: must have no step, but got {step}")
        u = self._coordinates[name]
        value = low * (high / low) ** u if log else low + u * (high - low)
        self.params[name] = value = float(f"{value:.6g}")
        return value

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        raise NotImplementedError(f"{name}: must be a range of real numbers or a choice")

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        self.params[name] = value = choices[int(self._coordinates[name] * len(choices))]
        return value


def setting_at(space: SearchSpace, point: Sequence[float] | Floats) -> dict[str, Scalar]:
    """The setting at a point of the unit cube, one coordinate for each dimension of the space."""
    names = [dimension.name for dimension in space.dimensions()]
    cube = CubePoint(dict(zip(names, map(float, point), strict=True)))
    decide(space, cube)
    return cube.params


def decide(space: SearchSpace, suggest: Suggest) -> None:
    """Let ``suggest`` decide a setting; unlike `space.sample` this makes no config of it."""
    settle(space.trial, lambda dimension: dimension.suggest(suggest))


def random_setting(space: SearchSpace, random: np.random.Generator) -> Setting:
    """An independent draw."""
    return setting_at(space, random.random(len(space.dimensions())))


# ---------------------------------------------------------------- the surrogates


class Surrogate(Protocol):
    """Stands for training at any setting of a space."""

    def curve(self, setting: Setting) -> Curve:
        """What training at a setting gives."""
        ...


class Nearest:
    """Answers a setting with the recorded curve of its nearest neighbour.

    The distance is Euclidean in the unit cube: numbers as their ranges are scaled, other options of
    a chooser one apart. What exists under one of two options only plays no part.
    """

    def __init__(self, dimensions: Sequence[Dimension], curves: Sequence[Curve]) -> None:
        self.curves = curves
        self._dimensions = dimensions
        self._choosers = np.array([isinstance(dimension, Choice) for dimension in dimensions])
        self._points = np.array([self._point(curve.params) for curve in curves])

    def _point(self, setting: Setting) -> list[float]:
        """Its coordinates; the number of the option for a chooser, NaN for what it has not."""
        return [
            _coordinate(d, setting[d.name]) if d.name in setting else nan for d in self._dimensions
        ]

    def distances(self, setting: Setting) -> Floats:
        """From a setting to each recorded one."""
        apart = np.abs(self._points - np.array(self._point(setting)))
        apart[:, self._choosers] = apart[:, self._choosers] != 0
        distances: Floats = np.sqrt(np.nansum(apart**2, axis=1))
        return distances

    def nearest(self, setting: Setting) -> int:
        """The place of the curve that stands for a setting."""
        return int(np.argmin(self.distances(setting)))

    def curve(self, setting: Setting) -> Curve:
        """The nearest neighbour's."""
        return self.curves[self.nearest(setting)]

    def features(self, settings: Iterable[Setting]) -> Floats:
        """Settings for trees [N, F]: coordinates, -1 for what a setting has not; one column for
        each option of a chooser."""
        points = np.array([self._point(setting) for setting in settings])
        columns = [
            points[:, [j]] == range(len(d.options)) if isinstance(d, Choice) else points[:, [j]]
            for j, d in enumerate(self._dimensions)
        ]
        found: Floats = np.nan_to_num(np.hstack(columns).astype(float), nan=-1.0)
        return found


class Forest:
    """Answers with the mean of randomised trees, fitted to the curves that ran to their end.

    Forests stand for a training algorithm better than neighbours do (Eggensperger et al. 2015,
    "Efficient benchmarking of hyperparameter optimizers via surrogates"). The logarithm of the
    objective and the variety are foretold at each report; a setting whose nearest neighbour
    diverged diverges as that one did.
    """

    def __init__(
        self, dimensions: Sequence[Dimension], curves: Sequence[Curve], *, trees: int = TREES
    ) -> None:
        self._nearest = Nearest(dimensions, curves)
        sound = [curve for curve in curves if curve.outcome == "completed"]
        values = np.log([[v for v in curve.values if v is not None] for curve in sound])
        variety = [[v or 0.0 for v in curve.variety] for curve in sound]
        features = self._nearest.features(curve.params for curve in sound)
        self._trees = ExtraTreesRegressor(trees, random_state=0)
        self._trees.fit(features, np.hstack([values, variety]))

    def curve(self, setting: Setting) -> Curve:
        """The mean of the trees, or the nearest neighbour's where that one diverged."""
        nearest = self._nearest.curve(setting)
        if nearest.outcome == "diverged":
            return nearest
        (told,) = self._trees.predict(self._nearest.features([setting]))
        values, variety = np.split(told, 2)
        return dataclasses.replace(
            nearest, values=np.exp(values).tolist(), variety=variety.tolist()
        )


Build = Callable[[Sequence[Dimension], Sequence[Curve]], Surrogate]
SURROGATES: Mapping[str, Build] = {
    "nearest": Nearest,
    "forest": Forest,
}


def _coordinate(dimension: Dimension, value: Scalar) -> float:
    if isinstance(dimension, Choice):
        return float(dimension.options.index(value))
    assert isinstance(dimension, NumberRange)
    assert isinstance(value, int | float)
    low, high = dimension.low, dimension.high
    return log(value / low) / log(high / low) if dimension.log else (value - low) / (high - low)


def diverging(
    curves: Sequence[Curve], weights: Floats, share: float
) -> tuple[list[Curve], float, float]:
    """The curves under a stricter limit of |logit|, so that ``share`` of random settings diverge.

    A run is cut at its first report beyond the limit, as training would end it. ``weights`` say how
    often a random setting meets each curve.

    Returns:
        The curves, the limit, and the share that comes nearest to the one wanted.

    Raises:
        ValueError: more than that diverge without any limit.
    """
    peaks = np.array([curve.peak for curve in curves])
    limits = np.unique(peaks[np.isfinite(peaks)])
    shares = np.array([weights[peaks >= limit].sum() for limit in limits]) / weights.sum()
    already = float(weights[np.isinf(peaks)].sum() / weights.sum())
    if already > share:
        raise ValueError(f"at least {already:.1%} of random settings diverge, but got {share:.1%}")
    chosen = int(np.argmin(np.abs(shares - share)))
    limit = float(limits[chosen])
    return [_ended_beyond(curve, limit) for curve in curves], limit, float(shares[chosen])


def _ended_beyond(curve: Curve, limit: float) -> Curve:
    beyond = (i for i, logit in enumerate(curve.logits) if logit is None or logit >= limit)
    first = next(beyond, None)
    if first is None:
        return curve
    return dataclasses.replace(
        curve,
        outcome="diverged",
        steps=curve.steps[: first + 1],
        values=[*curve.values[:first], None],
        variety=curve.variety[: first + 1],
        logits=curve.logits[: first + 1],
    )


# ---------------------------------------------------------------- how good they are


@dataclass(frozen=True)
class Recording:
    """How densely the recorded settings lie, and how they ended; logarithms are natural.

    Attributes:
        settings, dimensions: how many.
        met: how often each curve is the nearest one of a fresh random setting.
        diverged, collapsed: shares of the settings; the latter with little variety at the end.
        gap: distance of a fresh random setting to the nearest recorded one, quartiles.
        apart: median distance of two random settings.
        deviation: standard deviation of the log best values.
        between_seeds: the same between seeds of one setting, over ``replicated`` settings.
    """

    settings: int
    dimensions: int
    met: Floats
    diverged: float
    collapsed: float
    gap: tuple[float, float, float]
    apart: float
    deviation: float
    between_seeds: float
    replicated: int


def recording(
    space: SearchSpace, curves: Sequence[Curve], *, fresh: int = 20_000, seed: int = 0
) -> Recording:
    """Measure a recording with so many fresh random settings."""
    first = [curve for curve in curves if curve.replicate == 0]
    nearest = Nearest(space.dimensions(), first)
    random = np.random.default_rng(seed)
    far = np.array([nearest.distances(random_setting(space, random)) for _ in range(fresh)])
    gone = np.array([curve.outcome == "diverged" for curve in first])
    best = np.array([curve.best for curve in first])
    spreads = _spreads(curves)
    low, middle, high = np.quantile(far.min(axis=1), (0.25, 0.5, 0.75))
    return Recording(
        settings=len(first),
        dimensions=len(space.dimensions()),
        met=np.bincount(far.argmin(axis=1), minlength=len(first)).astype(float),
        diverged=float(gone.mean()),
        collapsed=float(np.mean(~gone & [(curve.variety[-1] or 0.0) < POOR for curve in first])),
        gap=(float(low), float(middle), float(high)),
        apart=float(np.median(far)),
        deviation=float(np.log(best[np.isfinite(best)]).std()),
        between_seeds=float(np.sqrt(np.mean(spreads))) if spreads else nan,
        replicated=len(spreads),
    )


def _spreads(curves: Sequence[Curve]) -> list[float]:
    """The variance of the log best value between the seeds of each setting that has several."""
    seeds: dict[int, list[float]] = {}
    for curve in curves:
        seeds.setdefault(curve.setting, []).append(log(curve.best))
    several = [logs for logs in seeds.values() if len(logs) > 1 and all(map(isfinite, logs))]
    return [float(np.var(logs, ddof=1)) for logs in several]


@dataclass(frozen=True)
class Fidelity:
    """How well a surrogate foretells settings that it has not seen.

    Attributes:
        error: median |log best value foretold − recorded|.
        rank: Spearman's correlation of the two.
        agreed: share of settings whose divergence is foretold.
    """

    error: float
    rank: float
    agreed: float


def fidelity(build: Build, dimensions: Sequence[Dimension], curves: Sequence[Curve]) -> Fidelity:
    """Cross-validate a surrogate; ``build`` is as in :data:`SURROGATES`."""
    told: list[tuple[Curve, Curve]] = []
    for known, held in KFold(FOLDS, shuffle=True, random_state=0).split(np.arange(len(curves))):
        surrogate = build(dimensions, [curves[i] for i in known])
        told += [(surrogate.curve(curves[i].params), curves[i]) for i in held]
    agreed = [mine.outcome == true.outcome for mine, true in told]
    logs = np.log([(mine.best, true.best) for mine, true in told])
    mine, true = logs[np.isfinite(logs).all(axis=1)].T
    return Fidelity(
        error=float(np.median(np.abs(mine - true))),
        rank=float(stats.spearmanr(mine, true).statistic),
        agreed=float(np.mean(agreed)),
    )
