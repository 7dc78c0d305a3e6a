"""The settings that a search tries first: partial trees matched with the tree of a space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gan_tune.config import KEYS_FOR_BOTH
from gan_tune.space.nodes import Branch, Chooser, Leaf, Node, Option, Series, Span
from gan_tune.space.ranges import Scalar, as_written, same_value
from gan_tune.words.wording import did_you_mean, shown

__all__ = ["Match", "Mismatch", "match_entry"]

Place = tuple[str, ...]


@dataclass(frozen=True)
class Mismatch:
    """A leaf of an entry that the space does not allow. ``place`` is its place in a trial."""

    place: Place
    rule: str
    given: Any


@dataclass
class Match:
    """The values that an entry decides.

    ``values`` maps the names of dimensions to values. ``extra`` holds leaves that the space lacks;
    they must equal the default.
    """

    values: dict[str, Scalar] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)
    extra: list[tuple[Place, Any]] = field(default_factory=list)

    def add(self, other: Match) -> None:
        """Add the values that another part of the entry decides."""
        self.values |= other.values
        self.mismatches += other.mismatches
        self.extra += other.extra

    @property
    def badness(self) -> tuple[int, int]:
        """How badly the entry fits: less is better."""
        return len(self.mismatches), len(self.extra)


def match_entry(root: Branch, entry: Mapping[str, Any]) -> Match:
    """Match one entry of `start_from` against a space's tree."""
    given = dict(entry)
    chooser = root.spread
    known = set(root.items)
    for option in chooser.options if chooser else ():
        assert isinstance(option.node, Branch)
        known |= set(option.node.items)
    for both_of, names in KEYS_FOR_BOTH.items():
        if both_of in given and both_of not in known and known & set(names):
            both = given.pop(both_of)
            given = {**dict.fromkeys(names, both), **given}
    return _match_fields(root, given)


def _match_fields(branch: Branch, given: Mapping[str, Any]) -> Match:
    beside = {key: value for key, value in given.items() if key in branch.items}
    rest = {key: value for key, value in given.items() if key not in branch.items}
    match = _match_items(branch, beside, ())
    if branch.spread is None:
        match.extra += [((key,), value) for key, value in rest.items()]
    elif rest:
        match.add(_match_spread(branch.spread, rest))
    return match


def _match_spread(chooser: Chooser, given: Mapping[str, Any]) -> Match:
    """Match fields that belong to the options of a choice; `choice: LABEL` selects an option."""
    fields = {key: value for key, value in given.items() if key != "choice"}
    options: Iterable[Option] = chooser.options
    if "choice" in given:
        options = [option for option in chooser.options if option.label == given["choice"]]
        if not options:
            return _none_of(chooser, ("choice",), given["choice"])
    tried = []
    for option in options:
        assert isinstance(option.node, Branch)
        match = _match_fields(option.node, fields)
        match.values = {chooser.name: option.label, **match.values}
        tried.append(match)
    return min(tried, key=lambda match: match.badness)


def _match(node: Node, given: Any, place: Place) -> Match:
    if isinstance(node, Leaf):
        return _match_leaf(node, given, place)
    if isinstance(node, Span):
        return _match_span(node, given, place)
    if isinstance(node, Series):
        return _match_series(node, given, place)
    if isinstance(node, Chooser):
        return _match_chooser(node, given, place)
    if isinstance(given, str) and "name" in node.items:
        given = {"name": given}
    if not isinstance(given, Mapping):
        return _mismatch(place, "must be a mapping, as in trial", given)
    return _match_items(node, given, place)


def _match_items(node: Branch, given: Mapping[str, Any], place: Place) -> Match:
    if "name" in given and "name" in node.items:
        match = _match(node.items["name"], given["name"], (*place, "name"))
        if match.mismatches:
            return match  # the arguments belong to another part
    match = Match()
    for key, value in given.items():
        if key in node.items:
            match.add(_match(node.items[key], value, (*place, key)))
        else:
            match.extra.append(((*place, key), value))
    return match


def _match_leaf(node: Leaf, given: Any, place: Place) -> Match:
    if isinstance(given, Mapping) and isinstance(node.value, str) and "name" in given:
        match = _match_leaf(node, given["name"], (*place, "name"))
        if not match.mismatches:
            arguments = {key: value for key, value in given.items() if key != "name"}
            match.extra = [((*place, key), value) for key, value in arguments.items()]
        return match
    if _equal(node.value, given):
        return Match()
    return _mismatch(place, f"contradicts trial, where it is {as_written(node.value)}", given)


def _match_span(node: Span, given: Any, place: Place) -> Match:
    rule = node.dimension.broken_rule(given)
    if rule is not None:
        return _mismatch(place, rule, given)
    return Match({node.name: node.dimension.typed(given)})


def _match_series(node: Series, given: Any, place: Place) -> Match:
    if not isinstance(given, list) or len(given) != len(node.items):
        return _mismatch(place, f"must be a list of {len(node.items)}, as in trial", given)
    match = Match()
    for i, (item, value) in enumerate(zip(node.items, given, strict=True)):
        match.add(_match(item, value, (*place, str(i))))
    return match


def _match_chooser(node: Chooser, given: Any, place: Place) -> Match:
    """Match the option that a value names, or the option that it fits best."""
    named = _options_named(node, given)
    if isinstance(given, Mapping) and "label" in given:
        if not named:
            return _none_of(node, place, given)
        given = {key: value for key, value in given.items() if key != "label"}
    tried = []
    for option in named or node.options:
        if named and not isinstance(given, (Mapping, list)):
            match = Match()
        else:
            match = _match(option.node, given, place)
        match.values = {node.name: option.label, **match.values}
        tried.append(match)
    best = min(tried, key=lambda match: match.badness)
    if best.mismatches and not named:
        return _none_of(node, place, given)
    return best


def _options_named(node: Chooser, given: Any) -> list[Option]:
    """The options that a value selects by label, by the name of their part, or by equality."""
    if isinstance(given, Mapping):
        if "label" in given:
            return [option for option in node.options if option.label == given["label"]]
        given = given.get("name")
        return [option for option in node.options if given is not None and _name(option) == given]
    labelled = [option for option in node.options if _equal(option.label, given)]
    return labelled or [o for o in node.options if given is not None and _name(o) == given]


def _name(option: Option) -> Any:
    """The name of an option's part."""
    node = option.node
    if isinstance(node, Branch):
        node = node.items.get("name", node)
    return node.value if isinstance(node, Leaf) else None


def _none_of(node: Chooser, place: Place, given: Any) -> Match:
    labels = [as_written(option.label) for option in node.options]
    name = given.get("label", given.get("name", "")) if isinstance(given, Mapping) else given
    rule = f"must be one of {', '.join(labels)}{did_you_mean(str(name), labels)}"
    return _mismatch(place, rule, given)


def _mismatch(place: Place, rule: str, given: Any) -> Match:
    return Match(mismatches=[Mismatch(place, rule, shown(given))])


def _equal(a: Any, b: Any) -> bool:
    # For a part, null and the name none mean the same.
    return same_value(a, b) or {repr(a), repr(b)} == {"None", "'none'"}
