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

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from gan_tune.errors import Fault
from gan_tune.wording import closest, shown, unknown_key

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
    "parse_trial",
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

RANGE_KEYS = (*RANGES, "choice")


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
            near = closest(str(value), [str(option) for option in self.options])
            hint = f"; did you mean {near!r}?" if near else ""
            return f"must be one of {', '.join(map(word, self.options))}{hint}"
        low, high = self._ends()
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "must be a number"
        if RANGES[self.kind].whole and int(value) != value:
            return "must be a whole number"
        if not low <= value <= high:
            return f"must lie between {low!r} and {high!r}"
        if self.step is not None and not _divides(self.step, value - low):
            return f"must be {low!r} plus a multiple of {self.step!r}"
        return None

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


# ---- parsing -----------------------------------------------------------------------------------

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "seed": "is derived for each trial from search.seed, and is not written in trial",
        "steps": "stands in budget, and is not written in trial",
        "evaluations": "stands in budget, and is not written in trial",
        "objective": "stands at the top of the file, and is not written in trial",
    }
)
"""Fields of a trial config that a space file decides elsewhere."""


def parse_trial(raw: Mapping[str, Any]) -> tuple[Branch, list[Fault]]:
    """The node of a space file's `trial`, and what is wrong with its ranges."""
    parser = _Parser()
    root = parser.fields(raw, _Spot())
    for dimension in dimensions_of(root):
        if dimension.field == "data" and dimension.name != "data.batch_size":
            fault = Fault(dimension.name, "in data only batch_size may be a range", str(dimension))
            parser.faults.append(fault)
    return root, parser.faults


@dataclass(frozen=True)
class _Spot:
    """Where the parser is: the dotted name, the way in the raw tree, the choosers above."""

    name: str = ""
    place: tuple[str | int, ...] = ()
    conditions: tuple[tuple[str, Scalar], ...] = ()

    def down(self, step: str | int) -> _Spot:
        name = f"{self.name}.{step}" if self.name else str(step)
        return _Spot(name, (*self.place, step), self.conditions)

    def into(self, chooser: str, label: Scalar, way: tuple[str | int, ...]) -> _Spot:
        conditions = (*self.conditions, (chooser, label))
        return _Spot(f"{chooser}.{label}", (*self.place, *way), conditions)


@dataclass
class _Parser:
    faults: list[Fault] = field(default_factory=list)

    def fault(self, name: str, rule: str, given: Any) -> None:
        self.faults.append(Fault(name, rule, shown(given)))

    def fields(self, raw: Mapping[str, Any], at: _Spot) -> Branch:
        """The trial itself, or an option that holds several of its fields."""
        items: dict[str, Node] = {}
        for key, value in raw.items():
            if key in ELSEWHERE:
                self.fault(at.down(key).name, ELSEWHERE[key], value)
            elif key not in ("choice", "label"):
                items[key] = self.node(value, at.down(key))
            elif key == "label":
                self.fault(at.down(key).name, "a label belongs to an option of a choice", value)
        if "choice" not in raw:
            return Branch(at.name, items)
        return Branch(at.name, items, self.spread(raw["choice"], items, at.down("choice")))

    def spread(self, raw: Any, beside: Mapping[str, Node], at: _Spot) -> Chooser | None:
        """A choice whose options are sets of fields."""
        labels = self.labels(raw, at)
        options = []
        for i, (label, value) in enumerate(labels):
            spot = at.into(at.name, label, (i,))
            if not isinstance(value, Mapping):
                self.fault(spot.name, "must be a mapping of fields of a trial", value)
                continue
            if "data" in value:
                self.fault(f"{spot.name}.data", "data must not stand in a choice", value["data"])
            for key in beside:
                if key in value:
                    rule = "stands both beside the choice and in it"
                    self.fault(f"{spot.name}.{key}", rule, value[key])
            options.append(Option(label, self.fields(value, spot)))
        return self.chooser(options, at, at.place) if options else None

    def node(self, raw: Any, at: _Spot) -> Node:
        if isinstance(raw, list):
            return Series(at.name, tuple(self.node(v, at.down(i)) for i, v in enumerate(raw)))
        if not isinstance(raw, Mapping):
            return Leaf(at.name, raw)
        keys = [key for key in raw if key in RANGE_KEYS]
        if keys:
            return self.range(raw, keys, at)
        self.misspelt_range(raw, at)
        return Branch(at.name, {key: self.node(v, at.down(key)) for key, v in raw.items()})

    def misspelt_range(self, raw: Mapping[str, Any], at: _Spot) -> None:
        """A mapping without a name that holds a list is hardly a part."""
        if "name" in raw:
            return
        for key, value in raw.items():
            near = closest(key, RANGE_KEYS)
            if near and isinstance(value, list):
                rule = f"no such range; did you mean {near!r}?"
                self.fault(at.down(key).name, rule, value)

    def range(self, raw: Mapping[str, Any], keys: Sequence[str], at: _Spot) -> Node:
        kind = keys[0]
        if len(keys) > 1:
            self.fault(at.name, f"must be one range, not {' and '.join(keys)} at once", raw)
            return Leaf(at.name, None)
        allowed = (kind,) if kind == "choice" else (kind, "step")
        for key in raw:
            if key not in allowed:
                owner = f"a range {kind}"
                self.faults.append(unknown_key(key, allowed, raw[key], at.name, owner))
        if kind == "choice":
            return self.choice(raw["choice"], at)
        return self.span(raw, kind, at)

    def choice(self, raw: Any, at: _Spot) -> Node:
        options = []
        for i, (label, value) in enumerate(self.labels(raw, at)):
            if isinstance(value, (Mapping, list)):
                node = self.node(value, at.into(at.name, label, ("choice", i)))
            else:
                node = Leaf(at.name, value)
            options.append(Option(label, node))
        if not options:
            return Leaf(at.name, None)
        return self.chooser(options, at, at.place)

    def chooser(
        self, options: Sequence[Option], at: _Spot, place: tuple[str | int, ...]
    ) -> Chooser:
        labels = tuple(option.label for option in options)
        dimension = Dimension(at.name, "choice", place, at.conditions, options=labels)
        return Chooser(at.name, dimension, tuple(options))

    def labels(self, raw: Any, at: _Spot) -> list[tuple[Scalar, Any]]:
        """The options of a choice, each with what it is called; labels are taken off them."""
        if not isinstance(raw, list) or not raw:
            self.fault(at.name, "a choice must be a list of one or more options", raw)
            return []
        found: list[tuple[Scalar, Any]] = []
        for i, value in enumerate(raw):
            label, bare = self.label(value, i, at)
            if any(label == other for other, _ in found):
                rule = f"two options are called {word(label)}; give each a label of its own"
                self.fault(at.name, rule, value)
                label = f"#{i}"
            found.append((label, bare))
        return found

    def label(self, value: Any, i: int, at: _Spot) -> tuple[Scalar, Any]:
        if isinstance(value, list):
            return f"#{i}", value
        if not isinstance(value, Mapping):
            return value, value
        if "label" not in value:
            name = value.get("name")
            return (name if isinstance(name, str) else f"#{i}"), value
        label = value["label"]
        bare = {key: inner for key, inner in value.items() if key != "label"}
        if isinstance(label, str) and label.replace("-", "_").isidentifier():
            return label, bare
        rule = "a label must be a word of letters, digits, '_' and '-'"
        self.fault(f"{at.name}.#{i}.label", rule, label)
        return f"#{i}", bare

    def span(self, raw: Mapping[str, Any], kind: str, at: _Spot) -> Node:
        step = raw.get("step")
        rule, low, high = _bounds(raw[kind], kind)
        if rule is None and "step" in raw:
            rule = _step_rule(kind, low, high, step)
        if rule is not None:
            given = raw[kind] if not rule.startswith("step") else step
            self.fault(at.name, rule, given)
            return Leaf(at.name, low)
        step = None if step is None else _as(kind, step)
        return Span(at.name, Dimension(at.name, kind, at.place, at.conditions, low, high, step))


def _bounds(given: Any, kind: str) -> tuple[str | None, Any, Any]:
    """The rule that two bounds break, if any, and the bounds in the kind's type."""
    if not isinstance(given, list) or len(given) != 2:
        return f"{kind} must be a list of two numbers, low and high", None, None
    if not all(_is_number(bound) for bound in given):
        return f"the bounds of {kind} must be numbers", None, None
    if RANGES[kind].whole and any(int(bound) != bound for bound in given):
        return f"the bounds of {kind} must be whole numbers", None, None
    low, high = (_as(kind, bound) for bound in given)
    if low > high:
        return f"low <= high must hold, but got (low={low!r}, high={high!r})", low, high
    if RANGES[kind].log and low <= 0:
        return f"low > 0 must hold for {kind}, but got (low={low!r}, high={high!r})", low, high
    return None, low, high


def _step_rule(kind: str, low: Any, high: Any, step: Any) -> str | None:
    if RANGES[kind].log:
        return f"step does not go with {kind}"
    if not _is_number(step) or (RANGES[kind].whole and int(step) != step):
        return f"step must be a {'whole ' if RANGES[kind].whole else ''}number"
    if step <= 0:
        return "step > 0 must hold"
    if not _divides(step, high - low):
        return f"step must divide high - low, but got (low={low!r}, high={high!r})"
    return None


def _as(kind: str, value: float) -> float | int:
    return int(value) if RANGES[kind].whole else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _divides(step: float, length: float) -> bool:
    steps = length / step
    return abs(steps - round(steps)) <= 1e-6 * max(1.0, abs(steps))


def word(value: Scalar) -> str:
    """A value as a person would write it in the file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else repr(value)
