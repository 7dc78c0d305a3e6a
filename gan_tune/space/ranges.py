"""The ranges of a space: each is one value that a search decides.

A range's name is its dotted path in the file. Below an option of a choice, the path contains the
option's name (`generator_optimizer.adam.lr`). `grammar.py` finds the ranges in a file.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from gan_tune.words.wording import did_you_mean

__all__ = [
    "RANGES",
    "Bounds",
    "Choice",
    "Dimension",
    "NumberRange",
    "RangeKind",
    "Scalar",
    "Suggest",
    "as_written",
    "broken_prior_rule",
    "broken_step_rule",
    "divides",
    "in_kind",
    "read_bounds",
    "same_value",
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

LARGEST_WHOLE = 2**53
"""Whole numbers up to this are exact as real numbers, in which samplers compute."""
MOST_GRID_STEPS = 10**9


@dataclass(frozen=True, kw_only=True)
class Dimension(ABC):
    """One value that a search decides: a :class:`NumberRange` or a :class:`Choice`.

    ``conditions`` are the choices above it, each with the option under which the dimension exists.
    ``place`` is its path below `trial` in the file.
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
        """When it exists, in words: `generator_optimizer = adam`; empty if it always exists."""
        return " and ".join(f"{name} = {as_written(value)}" for name, value in self.conditions)

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
        """The rule that a value breaks; None if the value lies in the range."""

    @abstractmethod
    def nearest(self, value: Scalar) -> Scalar:
        """The allowed value nearest to ``value``, which lies between the ends."""

    @abstractmethod
    def read(self, written: str) -> Scalar:
        """A value written as NAME=VALUE, in the range's type; unchanged if that fails."""


@dataclass(frozen=True, kw_only=True)
class NumberRange(Dimension):
    """All numbers from ``low`` to ``high``, both included, or those on a grid of steps.

    ``kind`` is a key of :data:`RANGES`. The grid starts at ``low``. ``prior`` is the value that the
    user believes to be good, if any.
    """

    kind: str
    low: float | int
    high: float | int
    step: float | int | None = None
    prior: float | int | None = None

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
        prior = f", prior {self.prior!r}" if self.prior is not None else ""
        return f"{self.kind} {self.low!r} to {self.high!r}{step}{prior}"

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
        return f"choice of {', '.join(map(as_written, self.options))}"

    def suggest(self, source: Suggest) -> Scalar:
        return source.suggest_categorical(self.name, list(self.options))

    def broken_rule(self, value: Any) -> str | None:
        if any(same_value(value, option) for option in self.options):
            return None
        words = [option for option in self.options if isinstance(option, str)]
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        return f"must be one of {', '.join(map(as_written, self.options))}{hint}"

    def nearest(self, value: Scalar) -> Scalar:
        return value

    def read(self, written: str) -> Scalar:
        return {as_written(option): option for option in self.options}.get(written, written)


def same_value(a: Any, b: Any) -> bool:
    """Whether two plain values are the same: 1 and 1.0 are, 1 and true are not."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def divides(step: float, length: float) -> bool:
    """Whether a length is a whole number of steps, apart from rounding."""
    steps = length / step
    return math.isfinite(steps) and abs(steps - round(steps)) <= 1e-6 * max(1.0, abs(steps))


def as_written(value: Scalar) -> str:
    """A value in the form in which a user writes it in the file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else repr(value)


class Bounds(NamedTuple):
    """The bounds of a range in its kind's type (None: they are no numbers of that kind).

    ``fault`` is the rule that they break, if any.
    """

    low: Any = None
    high: Any = None
    fault: str | None = None


def read_bounds(given: Any, kind: str) -> Bounds:
    """The bounds of a range as a file gives them: `[low, high]` of numbers of that kind."""
    if not isinstance(given, list) or len(given) != 2:
        return Bounds(fault=f"{kind} must be a list of two numbers, low and high")
    if not all(_is_number(bound) for bound in given):
        return Bounds(fault=f"the bounds of {kind} must be numbers")
    if RANGES[kind].whole and any(int(bound) != bound for bound in given):
        return Bounds(fault=f"the bounds of {kind} must be whole numbers")
    if RANGES[kind].whole and any(abs(bound) > LARGEST_WHOLE for bound in given):
        return Bounds(fault=f"the bounds of {kind} must lie within ±2^53")
    low, high = (in_kind(kind, bound) for bound in given)
    if low > high:
        fault = f"low <= high must hold, but got (low={low!r}, high={high!r})"
        return Bounds(low, high, fault)
    if RANGES[kind].log and low <= 0:
        fault = f"low > 0 must hold for {kind}, but got (low={low!r}, high={high!r})"
        return Bounds(low, high, fault)
    if not math.isfinite(high - low):
        return Bounds(low, high, f"high - low must be finite, but got (low={low!r}, high={high!r})")
    return Bounds(low, high)


def broken_step_rule(kind: str, low: Any, high: Any, step: Any) -> str | None:
    """The rule that a range's step breaks, or None."""
    if RANGES[kind].log:
        return f"step does not go with {kind}"
    if not _is_number(step) or (RANGES[kind].whole and int(step) != step):
        return f"step must be a {'whole ' if RANGES[kind].whole else ''}number"
    if step <= 0:
        return "step > 0 must hold"
    if not divides(step, high - low):
        return f"step must divide high - low, but got (low={low!r}, high={high!r})"
    if high - low > MOST_GRID_STEPS * step:
        return f"step must be at least a {MOST_GRID_STEPS:,}th of high - low"
    return None


def broken_prior_rule(kind: str, low: Any, high: Any, prior: Any) -> str | None:
    """The rule that a range's prior breaks, or None."""
    if not _is_number(prior) or (RANGES[kind].whole and int(prior) != prior):
        return f"prior must be a {'whole ' if RANGES[kind].whole else ''}number"
    if not low <= prior <= high:
        return f"prior must lie in its range, from {low!r} to {high!r}"
    return None


def in_kind(kind: str, value: float) -> float | int:
    """A number in the type of its kind of range: int for whole numbers, otherwise float."""
    return int(value) if RANGES[kind].whole else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
