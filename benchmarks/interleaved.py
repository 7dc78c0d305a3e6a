"""Times of several sides, taken in turns, so that whatever slows the machine slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

__all__ = ["Spread", "in_turns", "ratios", "seconds_of"]

Side = TypeVar("Side")
Turn = Callable[[], float]
"""Does a turn's work and returns its seconds for one unit of it."""


class Spread(NamedTuple):
    """A median and its quartiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """That of some values."""
        return cls(*(float(q) for q in np.quantile(values, (0.25, 0.5, 0.75))))

    def __format__(self, form: str) -> str:
        low, median, high = (format(value, form) for value in self)
        return f"{median} ({low}–{high})"


def in_turns(sides: Mapping[Side, Turn], turns: int) -> dict[Side, list[float]]:
    """Side → what each of its turns took; each side has a turn more before, to warm up.

    Every other turn goes through the sides backwards, so that none is always behind another.
    """
    taken: dict[Side, list[float]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        order = list(sides)[:: 1 if turn % 2 else -1]
        for name in order:
            seconds = sides[name]()
            if turn:
                taken[name].append(seconds)
    return taken


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """The ratio of two sides, turn by turn."""
    return Spread.of([a / b for a, b in zip(numerator, denominator, strict=True)])


def seconds_of(step: Callable[[], object], steps: int) -> Turn:
    """A turn of so many steps: seconds a step."""

    def turn() -> float:
        started = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - started) / steps

    return turn
