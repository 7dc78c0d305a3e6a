"""Where population based bandits look for a fork's numbers: a Gaussian process that forgets.

Parker-Holder et al. 2020, "Provably efficient online hyperparameter optimization with
population-based bandits", with the kernel of Bogunovic et al. 2016, "Time-varying Gaussian process
bandit optimization".
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    Hyperparameter,
    Kernel,
    NormalizedKernelMixin,
    StationaryKernelMixin,
    WhiteKernel,
)

from gan_tune.searching.exploring import (
    Assignment,
    Interval,
    Start,
    explored,
    share_of,
    value_at,
)
from gan_tune.space.ranges import Branch, Dimension, Scalar, dimensions_of

__all__ = ["Bandit", "TimeVarying", "exploration"]

Rows = NDArray[np.float64]
C_1, C_2 = 0.2, 0.4
"""Constants of β_t that the paper's experiments use."""


class TimeVarying(StationaryKernelMixin, NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """k((t, x), (t', x')) = (1 − ω)^(|t − t'| / 2) · exp(−‖x − x'‖² / (2 ℓ²)); t is first.

    Args:
        length_scale: ℓ.
        omega: ω in (0, 1), how fast the past is forgotten.
        length_scale_bounds, omega_bounds: between which they are fitted.
    """

    def __init__(
        self,
        length_scale: float = 1.0,
        omega: float = 0.1,
        length_scale_bounds: tuple[float, float] = (0.05, 20.0),
        omega_bounds: tuple[float, float] = (1e-3, 0.99),
    ) -> None:
        self.length_scale, self.omega = length_scale, omega
        self.length_scale_bounds, self.omega_bounds = length_scale_bounds, omega_bounds

    @property
    def hyperparameter_length_scale(self) -> Hyperparameter:
        """ℓ, as scikit-learn fits it."""
        return Hyperparameter("length_scale", "numeric", self.length_scale_bounds)

    @property
    def hyperparameter_omega(self) -> Hyperparameter:
        """ω, as scikit-learn fits it."""
        return Hyperparameter("omega", "numeric", self.omega_bounds)

    def __call__(self, X: Rows, Y: Rows | None = None, eval_gradient: bool = False) -> Any:
        """k(X, Y) [n, m]; with its gradient [n, n, 2] by log ℓ and log ω where asked for."""
        X, other = np.atleast_2d(X), np.atleast_2d(X if Y is None else Y)
        lag = cdist(X[:, :1], other[:, :1])
        squares = cdist(X[:, 1:], other[:, 1:], "sqeuclidean") / self.length_scale**2
        k = (1 - self.omega) ** (lag / 2) * np.exp(-squares / 2)
        if not eval_gradient:
            return k
        by_omega = -k * lag / 2 * self.omega / (1 - self.omega)
        return k, np.dstack((k * squares, by_omega))


def exploration(seen: int) -> float:
    """β_t = c₁ + log(c₂ t), at least c₁, after ``seen`` intervals."""
    return C_1 + max(0.0, math.log(C_2 * max(seen, 1)))


@dataclass(frozen=True)
class Bandit:
    """Numbers from a Gaussian process, options of a choice as in population based training.

    The process learns how much the value changed over an interval from when it began, the numbers
    in their ranges and the value before. A fork gets the numbers with the largest upper confidence
    bound μ + √β_t σ among random ``candidates``; intervals that still run count with what is
    expected of them, so that forks of one time differ (Desautels et al. 2014). Before the first
    interval that has a value at both ends, numbers are drawn.
    """

    candidates: int
    resample: float

    def __call__(
        self,
        space: Branch,
        start: Start,
        history: Sequence[Interval],
        random: np.random.Generator,
    ) -> dict[str, Scalar]:
        """The setting of a fork."""
        numbers: list[Dimension] = []

        def explore(dimension: Dimension, value: Scalar) -> Scalar:
            if dimension.kind == "choice" and random.random() >= self.resample:
                return value
            if dimension.kind != "choice":
                numbers.append(dimension)
            return value_at(dimension, random.random())

        chosen = explored(space, start.assignment, explore, random)
        seen = [interval for interval in history if interval.after is not None]
        if not seen or not numbers:
            return chosen
        drawn = [
            chosen | {d.name: value_at(d, random.random()) for d in numbers}
            for _ in range(self.candidates)
        ]
        running = [interval for interval in history if interval.after is None]
        asked = [Interval(setting, start.time, start.cost, None) for setting in drawn]
        rows = _rows(space, [*seen, *running, *asked])
        known, pending, points = np.split(rows, [len(seen), len(seen) + len(running)])
        gained = np.array([i.before - i.after for i in seen if i.after is not None])
        process = _fitted(known, gained)
        if len(pending):
            # What is expected of them leaves the mean as it is, and takes from the deviation.
            expected = process.predict(pending)
            process = GaussianProcessRegressor(process.kernel_, optimizer=None, normalize_y=True)
            process.fit(np.vstack((known, pending)), np.concatenate((gained, expected)))
        mean, deviation = process.predict(points, return_std=True)
        return drawn[int(np.argmax(mean + math.sqrt(exploration(len(seen))) * deviation))]


def _fitted(rows: Rows, gained: Rows) -> GaussianProcessRegressor:
    kernel = TimeVarying() + WhiteKernel(0.1, (1e-4, 1.0))
    with warnings.catch_warnings():
        # Few intervals say little of ℓ and ω, which then end at a bound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianProcessRegressor(kernel, normalize_y=True).fit(rows, gained)


def _rows(space: Branch, intervals: Sequence[Interval]) -> Rows:
    """Time, standardised value before, and the share of each number: [n, 2 + numbers]."""
    numbers = [d for d in dimensions_of(space) if d.kind != "choice"]
    before = np.array([interval.before for interval in intervals])
    known = before[[interval.after is not None for interval in intervals]]
    before = (before - known.mean()) / (known.std() or 1.0)
    return np.array(
        [
            [interval.time, value, *_shares(numbers, interval.assignment)]
            for interval, value in zip(intervals, before, strict=True)
        ]
    )


def _shares(numbers: Sequence[Dimension], assignment: Assignment) -> Iterator[float]:
    """Where each number lies; the middle for what is there only below another option."""
    for number in numbers:
        known = number.name in assignment
        yield share_of(number, assignment[number.name]) if known else 0.5
