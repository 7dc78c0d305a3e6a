"""Population based bandits: a Gaussian process that forgets chooses a fork's numbers.

Parker-Holder et al. 2020, "Provably efficient online hyperparameter optimization with
population-based bandits", with the kernel of Bogunovic et al. 2016, "Time-varying Gaussian process
bandit optimization".

The authors' code and Ray's PB2 use a variance instead of σ. Here it is σ, as in the paper's bound.
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

from gan_tune.searching.populations.exploring import (
    WEIGHTS,
    Assignment,
    Interval,
    Start,
    explored,
    share_of,
    value_at,
)
from gan_tune.space.nodes import Branch, dimensions_of
from gan_tune.space.ranges import NumberRange, Scalar

__all__ = ["Bandit", "TimeVarying", "exploration", "placed", "posterior"]

Rows = NDArray[np.float64]
C_1, C_2 = 0.2, 0.4
"""Constants of β_t that the paper's experiments use."""
LARGEST_GAIN = 2.0
"""In standard deviations. Larger gains, such as those of the first steps, are cut to this, as in
the authors' code."""


class TimeVarying(StationaryKernelMixin, NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """k((t, x), (t', x')) = (1 − ω)^(|t − t'| / 2) · exp(−‖x − x'‖² / (2 ℓ²)); t is first.

    Args:
        length_scale: ℓ.
        omega: ω in (0, 1), how fast the past is forgotten.
        length_scale_bounds, omega_bounds: limits for fitting them.
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
        """ℓ, in the form that scikit-learn fits."""
        return Hyperparameter("length_scale", "numeric", self.length_scale_bounds)

    @property
    def hyperparameter_omega(self) -> Hyperparameter:
        """ω, in the form that scikit-learn fits."""
        return Hyperparameter("omega", "numeric", self.omega_bounds)

    def __call__(self, X: Rows, Y: Rows | None = None, eval_gradient: bool = False) -> Any:
        """k(X, Y) [n, m]; on request with its gradient [n, n, 2] in log ℓ and log ω."""
        X, other = np.atleast_2d(X), np.atleast_2d(X if Y is None else Y)
        lag = cdist(X[:, :1], other[:, :1])
        squares = cdist(X[:, 1:], other[:, 1:], "sqeuclidean") / self.length_scale**2
        k = (1 - self.omega) ** (lag / 2) * np.exp(-squares / 2)
        if not eval_gradient:
            return k
        by_omega = -k * lag / 2 * self.omega / (1 - self.omega)
        return k, np.dstack((k * squares, by_omega))


def exploration(seen: int) -> float:
    """β_t = c₁ + log(c₂ t), at least c₁, after ``seen`` intervals.

    The authors' first code had a product instead of the sum
    (https://github.com/ray-project/ray/issues/28267).
    """
    return C_1 + max(0.0, math.log(C_2 * max(seen, 1)))


@dataclass(frozen=True)
class Bandit:
    """A Gaussian process chooses numbers; options are chosen as in population based training.

    The process predicts how much the cost falls over an interval. Its inputs are the time and the
    cost at the interval's start, and the numbers. A fork gets the numbers with the largest upper
    confidence bound μ + √β_t σ among random ``candidates``. Numbers are drawn at random until
    there is an interval with a value at both ends.
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
        """The parent's setting with the numbers of the largest upper confidence bound."""

        def draw(number: NumberRange, value: Scalar) -> Scalar:
            return value_at(number, random.random())

        chosen = explored(space, start.assignment, draw, resample=self.resample, random=random)
        known = [interval for interval in history if interval.gain is not None]
        open_ones = [d for d in _numbers(space) if d.name in chosen and d.field not in WEIGHTS]
        if not known or not open_ones:
            return chosen
        drawn = [
            chosen | {d.name: value_at(d, random.random()) for d in open_ones}
            for _ in range(self.candidates)
        ]
        running = [interval for interval in history if interval.gain is None]
        asked = [Interval(setting, start.time, start.cost, None) for setting in drawn]
        rows = _rows(space, [*known, *running, *asked], [interval.before for interval in known])
        seen, pending, points = np.split(rows, [len(known), len(known) + len(running)])
        gains = np.array([interval.gain for interval in known])
        mean, deviation = posterior(seen, gains, pending, points)
        return drawn[int(np.argmax(mean + math.sqrt(exploration(len(known))) * deviation))]


def posterior(seen: Rows, gains: Rows, pending: Rows, points: Rows) -> tuple[Rows, Rows]:
    """μ and σ of the gain at ``points``, in standard deviations of the ``gains`` at ``seen``.

    ``pending`` points count with their expected gain. This does not change μ and lowers σ there, so
    that forks made at the same time differ (Desautels et al. 2014). σ is the deviation of the gain
    without its noise.
    """
    targets = (gains - gains.mean()) / (gains.std() or 1.0)
    targets = np.clip(targets, -LARGEST_GAIN, LARGEST_GAIN)
    process = _fitted(seen, targets)
    if len(pending):
        expected = process.predict(pending)
        process = GaussianProcessRegressor(process.kernel_, optimizer=None)
        process.fit(np.vstack((seen, pending)), np.concatenate((targets, expected)))
    mean, deviation = process.predict(points, return_std=True)
    noise = process.kernel_.k2.noise_level
    return mean, np.sqrt(np.maximum(deviation**2 - noise, 0.0))


def _fitted(rows: Rows, targets: Rows) -> GaussianProcessRegressor:
    kernel = TimeVarying() + WhiteKernel(0.1, (1e-4, 1.0))
    with warnings.catch_warnings():
        # Too few intervals do not determine ℓ and ω; the fit then ends at a bound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianProcessRegressor(kernel).fit(rows, targets)


def _rows(space: Branch, intervals: Sequence[Interval], known: Sequence[float]) -> Rows:
    """The process's inputs [n, 2 + numbers]: time, the cost before, and the numbers.

    The cost is scaled to the range of the ``known`` costs.
    """
    low, width = min(known), (max(known) - min(known)) or 1.0
    numbers = _numbers(space)
    return np.array(
        [
            [interval.time, (interval.before - low) / width, *_places(numbers, interval.assignment)]
            for interval in intervals
        ]
    )


def _numbers(space: Branch) -> list[NumberRange]:
    return [one for one in dimensions_of(space) if isinstance(one, NumberRange)]


def _places(numbers: Sequence[NumberRange], assignment: Assignment) -> Iterator[float]:
    for number in numbers:
        yield from placed(number, assignment.get(number.name))


def placed(number: NumberRange, value: Scalar | None) -> tuple[float, ...]:
    """A number's coordinates among the process's inputs; ``value`` None: the setting has none.

    A number that every setting has is placed at its share. A number below an option of a choice is
    placed on an arc of 60° and radius 1; if the setting does not have it, at the arc's centre (the
    kernel for hierarchical spaces of Hutter and Osborne 2013, with weight 1 and ρ = 1/3). The
    centre is as far from each value as the ends of the range are from each other, so that values
    say nothing about settings without the number.
    """
    if not number.conditions:
        assert value is not None
        return (share_of(number, value),)
    if value is None:
        return 0.0, 0.0
    angle = math.pi / 3 * share_of(number, value)
    return math.sin(angle), math.cos(angle)
