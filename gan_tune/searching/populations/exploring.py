"""Changes a parent's setting to a fork's, within the space.

The *share* of a value is its position in its range, from 0 to 1, on the scale on which it is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gan_tune.space.nodes import Branch, settle
from gan_tune.space.ranges import Choice, Dimension, NumberRange, Scalar

__all__ = [
    "WEIGHTS",
    "Assignment",
    "Explore",
    "Interval",
    "Perturb",
    "Start",
    "explored",
    "inherited",
    "moved",
    "share_of",
    "value_at",
]

WEIGHTS = ("data", "generator", "discriminator", "encoder")
"""Fields of a trial that a fork inherits from its parent, so that the parent's weights fit."""

Assignment = Mapping[str, Scalar]
"""Dotted name of a dimension → its value: one setting of a space."""


@dataclass(frozen=True)
class Interval:
    """The change of a setting's cost from one ready point to the next. Less is better.

    Attributes:
        assignment: the setting.
        time: time of the first ready point, in intervals since the start of training.
        before: the cost there.
        gain: how much the cost fell until the second ready point, per interval of training; None
            while the setting still trains towards it.
    """

    assignment: Assignment
    time: float
    before: float
    gain: float | None


@dataclass(frozen=True)
class Start:
    """A fork's start: its parent's setting, and time and cost as in :class:`Interval`."""

    assignment: Assignment
    time: float
    cost: float


class Explore(Protocol):
    """Chooses the setting of a fork, from its parent's setting and from the others' gains."""

    def __call__(
        self,
        space: Branch,
        start: Start,
        history: Sequence[Interval],
        random: np.random.Generator,
    ) -> dict[str, Scalar]: ...


@dataclass(frozen=True)
class Perturb:
    """The exploration of population based training (Jaderberg et al. 2017, section 4.1.1).

    Each value is drawn again with probability ``resample``. Otherwise a number moves by ``factor``,
    up or down (:func:`moved`), and an option of a choice stays.
    """

    factor: float
    resample: float

    def __call__(
        self,
        space: Branch,
        start: Start,
        history: Sequence[Interval],
        random: np.random.Generator,
    ) -> dict[str, Scalar]:
        """A setting near the parent's; the history is not used."""

        def move(dimension: NumberRange, value: Scalar) -> Scalar:
            return moved(dimension, value, self.factor, up=random.random() < 0.5)

        return explored(space, start.assignment, move, resample=self.resample, random=random)


def explored(
    space: Branch,
    parent: Assignment,
    move: Callable[[NumberRange, Scalar], Scalar],
    *,
    resample: float,
    random: np.random.Generator,
) -> dict[str, Scalar]:
    """The parent's setting, with every value changed that a fork may change.

    A value is drawn again with probability ``resample``. Otherwise an option of a choice stays, and
    ``move`` chooses a number. Values that only a newly chosen option has are drawn.
    """
    fixed = inherited(space)
    decided: dict[str, Scalar] = {}

    def decide(dimension: Dimension) -> Scalar:
        name = dimension.name
        if name not in parent:
            decided[name] = value_at(dimension, random.random())
        elif name in fixed or dimension.field in WEIGHTS:
            decided[name] = parent[name]
        elif random.random() < resample:
            decided[name] = value_at(dimension, random.random())
        elif isinstance(dimension, NumberRange):
            decided[name] = move(dimension, parent[name])
        else:
            decided[name] = parent[name]
        return decided[name]

    settle(space, decide)
    return decided


def inherited(branch: Branch) -> frozenset[str]:
    """Names of the choosers whose options set several fields, including networks."""
    chooser = branch.spread
    if chooser is None:
        return frozenset()
    options = [option.node for option in chooser.options if isinstance(option.node, Branch)]
    below = frozenset[str]().union(*(inherited(option) for option in options))
    return below | {chooser.name} if any(map(_has_weights, options)) else below


def _has_weights(branch: Branch) -> bool:
    if not branch.items.keys().isdisjoint(WEIGHTS):
        return True
    options = branch.spread.options if branch.spread is not None else ()
    return any(_has_weights(option.node) for option in options if isinstance(option.node, Branch))


def moved(dimension: NumberRange, value: Scalar, factor: float, *, up: bool) -> Scalar:
    """A number moved up or down by a small amount within its range.

    On a logarithmic range it is multiplied or divided by ``factor``. On other ranges it moves by
    ``factor`` − 1 times the range's width. On a grid, such as whole numbers, it moves at least one
    place.
    """
    low, high = dimension.low, dimension.high
    assert isinstance(value, (int, float))
    if dimension.log:
        target = value * factor if up else value / factor
    else:
        target = value + (factor - 1) * (high - low) * (1 if up else -1)
    step = dimension.grid
    if step is None:
        return min(max(target, low), high)
    places = max(1, round(abs(target - value) / step))
    place = round((value - low) / step) + (places if up else -places)
    return _on_grid(dimension, place)


def value_at(dimension: Dimension, share: float) -> Scalar:
    """The value at a share in [0, 1] of a range; of a choice, one of the equally wide options."""
    if isinstance(dimension, Choice):
        options = dimension.options
        return options[min(int(share * len(options)), len(options) - 1)]
    assert isinstance(dimension, NumberRange)
    low, high = dimension.low, dimension.high
    step = dimension.grid
    if step is None:
        value = low * (high / low) ** share if dimension.log else low + share * (high - low)
        return min(max(value, low), high)  # in case of rounding errors
    if dimension.log:
        below, above = low - 0.5, high + 0.5  # so that each whole number has the same width
        return _on_grid(dimension, round(below * (above / below) ** share) - round(low))
    return _on_grid(dimension, int(share * (round((high - low) / step) + 1)))


def share_of(dimension: NumberRange, value: Scalar) -> float:
    """The share of a number in its range; 1/2 if the range is a single point."""
    low, high = dimension.low, dimension.high
    assert isinstance(value, (int, float))
    if low == high:
        return 0.5
    if dimension.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _on_grid(dimension: NumberRange, place: int) -> float:
    """The value at a place of a range's grid; beyond its ends, the nearer end."""
    assert dimension.grid is not None
    return min(dimension.low + dimension.grid * max(place, 0), dimension.high)
