"""The ranges of a space: each is one thing that a search decides.

A range is named by its dotted place. The name of a range below an option of a choice contains the
option's name (`generator_optimizer.adam.lr`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from gan_tune.words.wording import did_you_mean

__all__ = [
    "RANGES",
    "Choice",
    "Dimension",
    "NumberRange",
    "RangeKind",
    "Scalar",
    "Suggest",
    "divides",
    "same",
    "word",
]

Scalar = str | int | float | bool | None


class Suggest(Protocol):
    """Proposes values, with the methods of an Optuna trial."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A real number from ``low`` to ``high``, both included."""

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number from ``low`` to ``high``, both included."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """One of ``choices``."""


@dataclass(frozen=True)
class RangeKind:
    """The meaning of a range key: whole or real numbers, drawn evenly or by their logarithm."""

    whole: bool
    log: bool


RANGES: Mapping[str, RangeKind] = MappingProxyType(
    {
        "uniform": RangeKind(whole=False, log=False),
        "log_uniform": RangeKind(whole=False, log=True),
        "int": RangeKind(whole=True, log=False),
        "log_int": RangeKind(whole=True, log=True),
    }
)
"""Key → kind of a range of numbers. `choice` is the only other range."""


@dataclass(frozen=True, kw_only=True)
class Dimension(ABC):
    """One value that a search decides: a :class:`NumberRange` or a :class:`Choice`.

    ``conditions`` are the choices above it, each with the option under which it exists. ``place``
    is its path in the file's `trial`.
    """

    name: str
    place: tuple[str | int, ...]
    conditions: tuple[tuple[str, Scalar], ...] = ()

    @property
    def field(self) -> str:
        """The field of a trial config it belongs to; empty for a choice that sets several."""
        return next((str(s) for s in self.place if s != "choice" and isinstance(s, str)), "")

    @property
    def condition(self) -> str:
        """When it exists, in words: `generator_optimizer = adam`; empty for always."""
        return " and ".join(f"{name} = {word(value)}" for name, value in self.conditions)

    @property
    @abstractmethod
    def values(self) -> tuple[Scalar, ...]:
        """The values that a check tries one at a time: all options, or both ends."""

    @abstractmethod
    def __str__(self) -> str:
        """The range in words: `log_uniform 1e-05 to 0.01`, `choice of hinge, wasserstein`."""

    @abstractmethod
    def suggest(self, source: Suggest) -> Scalar:
        """A value, proposed by ``source``."""

    @abstractmethod
    def broken_rule(self, value: Any) -> str | None:
        """The rule a value breaks, or None if it lies within the range."""

    @abstractmethod
    def nearest(self, value: Scalar) -> Scalar:
        """The allowed value nearest to ``value``, which lies between the ends."""

    @abstractmethod
    def read(self, written: str) -> Scalar:
        """The written text as a value of the range's type; unchanged if it does not fit."""


@dataclass(frozen=True, kw_only=True)
class NumberRange(Dimension):
    """All numbers from ``low`` to ``high``, both included, or those on a grid of steps.

    ``kind`` is a key of :data:`RANGES`. The grid starts at ``low``.
    """

    kind: str
    low: float | int
    high: float | int
    step: float | int | None = None

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return RANGES[self.kind].whole

    @property
    def log(self) -> bool:
        """Whether values are drawn by their logarithm."""
        return RANGES[self.kind].log

    @property
    def grid(self) -> float | int | None:
        """The distance between two values; None if they are continuous."""
        return 1 if self.step is None and self.whole else self.step

    @property
    def values(self) -> tuple[Scalar, ...]:
        return (self.low,) if self.low == self.high else (self.low, self.high)

    def __str__(self) -> str:
        step = f" by {self.step:g}" if self.step is not None else ""
        return f"{self.kind} {self.low!r} to {self.high!r}{step}"

    def typed(self, value: float) -> float | int:
        """A number as an int or a float, according to the range."""
        return int(value) if self.whole else float(value)

    def suggest(self, source: Suggest) -> Scalar:
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            low, high = int(self.low), int(self.high)
            return source.suggest_int(self.name, low, high, step=step, log=self.log)
        return source.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def broken_rule(self, value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a number"
        if self.whole and int(value) != value:
            return "must be a whole number"
        if not self.low <= value <= self.high:
            return f"must lie between {self.low!r} and {self.high!r}"
        if self.step is not None and not divides(self.step, value - self.low):
            return f"must be {self.low!r} plus a multiple of {self.step!r}"
        return None

    def nearest(self, value: Scalar) -> Scalar:
        if self.step is None or not isinstance(value, (int, float)):
            return value
        steps = round((value - self.low) / self.step)
        return self.typed(min(self.high, self.low + steps * self.step))

    def read(self, written: str) -> Scalar:
        try:
            number = float(written)
        except ValueError:
            return written
        if not math.isfinite(number):
            return written
        return int(number) if self.whole and number.is_integer() else number


@dataclass(frozen=True, kw_only=True)
class Choice(Dimension):
    """One of several ``options``: the names of sub-trees, and plain values as themselves."""

    options: tuple[Scalar, ...]

    @property
    def values(self) -> tuple[Scalar, ...]:
        return self.options

    def __str__(self) -> str:
        return f"choice of {', '.join(map(word, self.options))}"

    def suggest(self, source: Suggest) -> Scalar:
        return source.suggest_categorical(self.name, list(self.options))

    def broken_rule(self, value: Any) -> str | None:
        if any(same(value, option) for option in self.options):
            return None
        hint = did_you_mean(str(value), [str(option) for option in self.options])
        return f"must be one of {', '.join(map(word, self.options))}{hint}"

    def nearest(self, value: Scalar) -> Scalar:
        return value

    def read(self, written: str) -> Scalar:
        return {word(option): option for option in self.options}.get(written, written)


def same(a: Any, b: Any) -> bool:
    """Whether two plain values are the same: 1 and 1.0 are, 1 and true are not."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def divides(step: float, length: float) -> bool:
    """Whether a length is a whole number of steps, apart from rounding."""
    steps = length / step
    return math.isfinite(steps) and abs(steps - round(steps)) <= 1e-6 * max(1.0, abs(steps))


def word(value: Scalar) -> str:
    """A value in the form in which a user writes it in the file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else repr(value)
