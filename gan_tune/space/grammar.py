"""Parses the tree below `trial:`, with the rules for ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gan_tune.errors import Fault
from gan_tune.space.nodes import Branch, Chooser, Leaf, Node, Option, Series, Span, dimensions_of
from gan_tune.space.ranges import (
    RANGES,
    Choice,
    NumberRange,
    Scalar,
    as_written,
    broken_prior_rule,
    broken_step_rule,
    in_kind,
    read_bounds,
)
from gan_tune.words.wording import did_you_mean, shown, unknown_key

__all__ = ["ELSEWHERE", "RANGE_KEYS", "parse_trial"]

RANGE_KEYS = (*RANGES, "choice")

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "seed": "is derived from search.seed for each trial, and must not be in trial",
        "steps": "belongs in budget, and must not be in trial",
        "evaluations": "belongs in budget, and must not be in trial",
        "objective": "belongs at the top of the file, and must not be in trial",
    }
)
"""Fields of a trial config that a space file decides elsewhere."""

MOST_OPTIONS = 1000
"""Largest number of options of a choice, since each is tried when a space is checked."""

ALIKE = ("measure", "precision")
"""Fields that all trials of a search share."""

ALIKE_RULE = "must be the same for every trial: no range, and in no option"


def parse_trial(raw: Mapping[str, Any]) -> tuple[Branch, list[Fault]]:
    """The node of a space file's `trial`, and the faults of its ranges."""
    parser = _Parser()
    root = parser.fields(raw, _Spot())
    for dimension in dimensions_of(root):
        if dimension.field == "data" and dimension.name != "data.batch_size":
            fault = Fault(dimension.name, "in data only batch_size may be a range", str(dimension))
            parser.faults.append(fault)
        if dimension.field in ALIKE:
            parser.faults.append(Fault(dimension.name, ALIKE_RULE, str(dimension)))
    return root, parser.faults


@dataclass(frozen=True)
class _Spot:
    """The parser's position: the dotted name, the place in the raw tree, the choosers above."""

    name: str = ""
    place: tuple[str | int, ...] = ()
    conditions: tuple[tuple[str, Scalar], ...] = ()

    def down(self, step: str | int) -> _Spot:
        """The position one step below."""
        name = f"{self.name}.{step}" if self.name else str(step)
        return _Spot(name, (*self.place, step), self.conditions)

    def into(self, chooser: str, label: Scalar, way: tuple[str | int, ...]) -> _Spot:
        """The position of an option, which is ``way`` below."""
        conditions = (*self.conditions, (chooser, label))
        return _Spot(f"{chooser}.{label}", (*self.place, *way), conditions)


@dataclass
class _Parser:
    faults: list[Fault] = field(default_factory=list)

    def fault(self, name: str, rule: str, given: Any) -> None:
        """Note a fault."""
        self.faults.append(Fault(name, rule, shown(given)))

    def fields(self, raw: Mapping[str, Any], at: _Spot) -> Branch:
        """Parse the trial itself, or an option with several of its fields."""
        items: dict[str, Node] = {}
        for key, value in raw.items():
            if key in ELSEWHERE:
                self.fault(at.down(key).name, ELSEWHERE[key], value)
            elif key in ALIKE and at.conditions:
                self.fault(at.down(key).name, ALIKE_RULE, value)
            elif key not in ("choice", "label"):
                items[key] = self.node(value, at.down(key))
            elif key == "label":
                self.fault(at.down(key).name, "a label belongs to an option of a choice", value)
        if "choice" not in raw:
            return Branch(at.name, items)
        return Branch(at.name, items, self.spread(raw["choice"], items, at.down("choice")))

    def spread(self, raw: Any, beside: Mapping[str, Node], at: _Spot) -> Chooser | None:
        """Parse a choice whose options are sets of fields."""
        labels = self.labels(raw, at)
        options = []
        for i, (label, value) in enumerate(labels):
            spot = at.into(at.name, label, (i,))
            if not isinstance(value, Mapping):
                self.fault(spot.name, "must be a mapping of fields of a trial", value)
                continue
            if "data" in value:
                self.fault(f"{spot.name}.data", "data must not be in a choice", value["data"])
            for key in beside:
                if key in value:
                    rule = "is given both beside the choice and in it"
                    self.fault(f"{spot.name}.{key}", rule, value[key])
            options.append(Option(label, self.fields(value, spot)))
        return self.chooser(options, at, at.place) if options else None

    def node(self, raw: Any, at: _Spot) -> Node:
        """Parse any value of a field."""
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
        """Report a range with a misspelt key: a mapping with a list and without a name."""
        if "name" in raw:
            return
        for key, value in raw.items():
            near = did_you_mean(key, RANGE_KEYS)
            if near and isinstance(value, list):
                self.fault(at.name, f"no range is called {key!r}{near}", raw)

    def range(self, raw: Mapping[str, Any], keys: Sequence[str], at: _Spot) -> Node:
        """Parse a mapping with range keys."""
        kind = keys[0]
        if len(keys) > 1:
            self.fault(at.name, f"must be one range, not {' and '.join(keys)} at once", raw)
            return Leaf(at.name, None)
        allowed = (kind,) if kind == "choice" else (kind, "step", "prior")
        for key in raw:
            if key not in allowed:
                owner = f"a range {kind}"
                self.faults.append(unknown_key(key, allowed, raw[key], at.name, owner))
        if kind == "choice":
            return self.choice(raw["choice"], at)
        return self.span(raw, kind, at)

    def choice(self, raw: Any, at: _Spot) -> Node:
        """Parse a choice in place of a value; its options may be whole sub-trees."""
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
        """The node of a choice between parsed options."""
        labels = tuple(option.label for option in options)
        dimension = Choice(name=at.name, place=place, conditions=at.conditions, options=labels)
        return Chooser(at.name, dimension, tuple(options))

    def labels(self, raw: Any, at: _Spot) -> list[tuple[Scalar, Any]]:
        """The options of a choice, each with its label, which is removed from the option."""
        if not isinstance(raw, list) or not raw:
            self.fault(at.name, "a choice must be a list of one or more options", raw)
            return []
        if len(raw) > MOST_OPTIONS:
            rule = f"a choice must have at most {MOST_OPTIONS} options, but has {len(raw)}"
            self.fault(at.name, rule, raw)
            return []
        found: list[tuple[Scalar, Any]] = []
        for i, value in enumerate(raw):
            label, bare = self.label(value, i, at)
            if any(label == other for other, _ in found):
                rule = f"two options are called {as_written(label)}; give each a label of its own"
                self.fault(at.name, rule, value)
                label = f"#{i}"
            found.append((label, bare))
        return found

    def label(self, value: Any, i: int, at: _Spot) -> tuple[Scalar, Any]:
        """The label of the option number ``i``, and the option without it."""
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
        """Parse a range of numbers."""
        step, prior = raw.get("step"), raw.get("prior")
        bounds = read_bounds(raw[kind], kind)
        low, high, rule, given = bounds.low, bounds.high, bounds.fault, raw[kind]
        if rule is None and "step" in raw:
            rule, given = broken_step_rule(kind, low, high, step), step
        if rule is None and "prior" in raw:
            rule, given = broken_prior_rule(kind, low, high, prior), prior
        if rule is not None:
            self.fault(at.name, rule, given)
            return Leaf(at.name, low)
        dimension = NumberRange(
            name=at.name,
            place=at.place,
            conditions=at.conditions,
            kind=kind,
            low=low,
            high=high,
            step=None if step is None else in_kind(kind, step),
            prior=None if prior is None else in_kind(kind, prior),
        )
        return Span(at.name, dimension)
