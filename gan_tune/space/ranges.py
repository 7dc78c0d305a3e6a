"""The grammar below `trial:`: plain values, ranges in place of them, and choices of sub-trees.

    Node
    ├── Leaf       a plain value
    ├── Series     a list of nodes
    ├── Branch     a mapping of nodes; the trial itself may also spread a chooser's option in it
    ├── Span       a range of numbers
    └── Chooser    one of several options, each with a node of its own

Each range is a :class:`Dimension`, named by its dotted place; what lies below an option carries
the option's name (`generator_optimizer.adam.lr`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from gan_tune.words.wording import did_you_mean

__all__ = [
    "RANGES",
    "Branch",
    "Chooser",
    "Dimension",
    "Leaf",
    "Node",
    "Option",
    "RangeKind",
    "Scalar",
    "Series",
    "Span",
    "Suggest",
    "dimensions_of",
    "divides",
    "same",
    "settle",
    "under",
    "word",
]

Scalar = str | int | float | bool | None


class Suggest(Protocol):
    """Whatever proposes values as an Optuna trial does."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar: ...


@dataclass(frozen=True)
class RangeKind:
    """What a range key means: whole or real numbers, drawn evenly or by their logarithm."""

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
"""Key → kind of a range of numbers. `choice` is the one other range."""


@dataclass(frozen=True)
class Dimension:
    """One thing a search decides.

    ``kind`` is a key of :data:`RANGES` with ``low`` and ``high`` (both included) and perhaps a
    ``step``, or `choice` with ``options`` (the names of sub-trees; plain values as themselves).
    ``conditions`` are the choosers above it, each with the option under which it exists.
    ``place`` is the way to it in the file's `trial`; ``field`` the field of a trial config.
    """

    name: str
    kind: str
    place: tuple[str | int, ...]
    conditions: tuple[tuple[str, Scalar], ...] = ()
    low: float | int | None = None
    high: float | int | None = None
    step: float | int | None = None
    options: tuple[Scalar, ...] = ()

    @property
    def log(self) -> bool:
        """Whether values are drawn by their logarithm."""
        return self.kind != "choice" and RANGES[self.kind].log

    @property
    def field(self) -> str:
        """The field of a trial config it belongs to; empty for a choice that spans several."""
        return next((str(s) for s in self.place if s != "choice" and isinstance(s, str)), "")

    @property
    def condition(self) -> str:
        """When it exists, in words: `generator_optimizer = adam`; empty for always."""
        return " and ".join(f"{name} = {word(value)}" for name, value in self.conditions)

    @property
    def values(self) -> tuple[Scalar, ...]:
        """What is worth trying one at a time: every option, or both ends."""
        if self.kind == "choice":
            return self.options
        return (self.low,) if self.low == self.high else (self.low, self.high)

    def __str__(self) -> str:
        """The range in words: `log_uniform 1e-05 to 0.01`, `choice of hinge, wasserstein`."""
        if self.kind == "choice":
            return f"choice of {', '.join(map(word, self.options))}"
        step = f" by {self.step:g}" if self.step is not None else ""
        return f"{self.kind} {self.low!r} to {self.high!r}{step}"

    def suggest(self, source: Suggest) -> Scalar:
        """A value, proposed by ``source``."""
        if self.kind == "choice":
            return source.suggest_categorical(self.name, list(self.options))
        low, high = self._ends()
        if RANGES[self.kind].whole:
            step = 1 if self.step is None else int(self.step)
            return source.suggest_int(self.name, int(low), int(high), step=step, log=self.log)
        return source.suggest_float(self.name, low, high, step=self.step, log=self.log)

    def broken_rule(self, value: Any) -> str | None:
        """The rule a value breaks, or None where it lies within the range."""
        if self.kind == "choice":
            if any(same(value, option) for option in self.options):
                return None
            hint = did_you_mean(str(value), [str(option) for option in self.options])
            return f"must be one of {', '.join(map(word, self.options))}{hint}"
        low, high = self._ends()
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a number"
        if RANGES[self.kind].whole and int(value) != value:
            return "must be a whole number"
        if not low <= value <= high:
            return f"must lie between {low!r} and {high!r}"
        if self.step is not None and not divides(self.step, value - low):
            return f"must be {low!r} plus a multiple of {self.step!r}"
        return None

    def nearest(self, value: Scalar) -> Scalar:
        """The value on the range's grid of steps that is nearest to one within the range."""
        if self.step is None or not isinstance(value, (int, float)):
            return value
        low, high = self._ends()
        point = min(high, low + round((value - low) / self.step) * self.step)
        return int(point) if RANGES[self.kind].whole else float(point)

    def _ends(self) -> tuple[float, float]:
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high


@dataclass(frozen=True)
class Leaf:
    """A plain value. ``name`` is its dotted place in the file, here and below."""

    name: str
    value: Scalar


@dataclass(frozen=True)
class Series:
    """A list."""

    name: str
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Branch:
    """A mapping; the items of an option of ``spread`` (a choice of branches) are put beside."""

    name: str
    items: Mapping[str, Node]
    spread: Chooser | None = None


@dataclass(frozen=True)
class Span:
    """A range of numbers."""

    name: str
    dimension: Dimension


@dataclass(frozen=True)
class Option:
    """One option of a choice: how Optuna calls it, and what it stands for."""

    label: Scalar
    node: Node


@dataclass(frozen=True)
class Chooser:
    """A choice between options."""

    name: str
    dimension: Dimension
    options: tuple[Option, ...]

    def option(self, label: Any) -> Option:
        """The option of that label, which must be one of the dimension's."""
        return next(option for option in self.options if same(option.label, label))


Node = Leaf | Series | Branch | Span | Chooser


def settle(
    node: Node,
    decide: Callable[[Dimension], Any],
    names: dict[str, str] | None = None,
    path: str = "",
) -> Any:
    """The plain value a node becomes once ``decide`` has settled each dimension it meets.

    ``names`` is filled with the dotted path in the result → the name in the file.
    """
    if names is not None and path:
        names[path] = node.name
    below = f"{path}." if path else ""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Span):
        return decide(node.dimension)
    if isinstance(node, Series):
        return [settle(n, decide, names, f"{below}{i}") for i, n in enumerate(node.items)]
    if isinstance(node, Chooser):
        return settle(node.option(decide(node.dimension)).node, decide, names, path)
    tree = {key: settle(n, decide, names, f"{below}{key}") for key, n in node.items.items()}
    if node.spread is not None:
        tree |= settle(node.spread, decide, names, path)
    return tree


def dimensions_of(node: Node) -> Iterator[Dimension]:
    """All dimensions of a tree, a chooser before what lies below its options."""
    if isinstance(node, Span):
        yield node.dimension
    elif isinstance(node, Series):
        for item in node.items:
            yield from dimensions_of(item)
    elif isinstance(node, Chooser):
        yield node.dimension
        for option in node.options:
            yield from dimensions_of(option.node)
    elif isinstance(node, Branch):
        for item in node.items.values():
            yield from dimensions_of(item)
        if node.spread is not None:
            yield from dimensions_of(node.spread)


def under(name: str, place: str) -> bool:
    """Whether a dotted name is ``place`` or lies below it."""
    return name == place or name.startswith(f"{place}.")


def same(a: Any, b: Any) -> bool:
    """Whether two plain values are the same: 1 and 1.0 are, 1 and true are not."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def divides(step: float, length: float) -> bool:
    """Whether a length is so many whole steps, but for rounding."""
    steps = length / step
    return abs(steps - round(steps)) <= 1e-6 * max(1.0, abs(steps))


def word(value: Scalar) -> str:
    """A value as a person would write it in the file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else repr(value)
