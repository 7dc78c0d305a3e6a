"""Fits a recorded setting onto a space: as much of it as the space leaves open.

A start of `start_from` must lie in the space. A recorded setting comes from another space: a number
beyond a range is moved to its end, and what the space does not offer is left to the sampler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_tune.config import KEYS_FOR_BOTH
from gan_tune.experience.settings import Setting, tree_of
from gan_tune.space import NumberRange, Scalar, SearchSpace
from gan_tune.space.nodes import Branch, Chooser, Leaf, Node, Option, Series, Span, dimensions_of
from gan_tune.space.ranges import same_value

__all__ = ["Fitted", "fit_setting", "fit_settings"]

MISSING = object()
"""Stands for a value that the setting does not have."""


@dataclass
class Fitted:
    """A recorded setting on a space.

    Attributes:
        values: name of a dimension → value.
        moved: names of those that were moved into the space.
        left: names of dimensions that the sampler decides.
        distance: how far the setting is from what the space fixes; 0 if they agree.
    """

    values: dict[str, Scalar] = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    distance: float = 0.0

    def add(self, other: Fitted) -> None:
        """Add another part of the same setting."""
        self.values |= other.values
        self.moved += other.moved
        self.left += other.left
        self.distance += other.distance

    @property
    def fits(self) -> bool:
        """Whether the setting decides at least half of what the space leaves open."""
        return 0 < len(self.values) >= len(self.left)


def fit_settings(space: SearchSpace, settings: Iterable[Setting]) -> list[tuple[int, Fitted]]:
    """Those of some settings that fit a space, each with its place among them; none twice."""
    kept: list[tuple[int, Fitted]] = []
    for place, setting in enumerate(settings):
        fitted = fit_setting(space.trial, setting)
        if fitted.fits and not any(fitted.values == other.values for _, other in kept):
            kept.append((place, fitted))
    return kept


def fit_setting(root: Branch, setting: Setting) -> Fitted:
    """A setting on the tree of a space's `trial`."""
    return _fields(root, tree_of(setting))


def _fields(branch: Branch, tree: Mapping[str, Any]) -> Fitted:
    fitted = Fitted()
    for key, node in branch.items.items():
        one, _ = KEYS_FOR_BOTH.get(key, (key, key))
        fitted.add(_fit(node, tree.get(one, MISSING)))
    if branch.spread is not None:
        fitted.add(_spread(branch.spread, tree))
    return fitted


def _spread(chooser: Chooser, tree: Mapping[str, Any]) -> Fitted:
    """Take the option whose fields agree best; the sampler chooses between equally good ones."""
    tried = []
    for option in chooser.options:
        assert isinstance(option.node, Branch)
        tried.append((option, _fields(option.node, tree)))
    nearest = min(fitted.distance for _, fitted in tried)
    best = [(option, fitted) for option, fitted in tried if fitted.distance == nearest]
    if len(best) > 1:
        return Fitted(left=[chooser.name])
    return _chosen(chooser, *best[0])


def _chosen(chooser: Chooser, option: Option, below: Fitted) -> Fitted:
    fitted = Fitted(values={chooser.name: option.label})
    fitted.add(below)
    return fitted


def _fit(node: Node, given: Any) -> Fitted:
    match node:
        case Leaf():
            return Fitted(distance=_distance(node.value, given))
        case Span():
            return _in_range(node.dimension, given)
        case Series():
            return _series(node, given)
        case Chooser():
            return _choice(node, given)
        case Branch():
            return _branch(node, given)


def _branch(node: Branch, given: Any) -> Fitted:
    if isinstance(given, str) and "name" in node.items:
        given = {"name": given}
    tree = given if isinstance(given, Mapping) else {}
    fitted = Fitted()
    for key, item in node.items.items():
        fitted.add(_fit(item, tree.get(key, MISSING)))
    return fitted


def _in_range(dimension: NumberRange, given: Any) -> Fitted:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return Fitted(left=[dimension.name])
    inside = min(max(given, dimension.low), dimension.high)
    value = dimension.nearest(dimension.typed(round(inside) if dimension.whole else inside))
    moved = [] if same_value(value, given) else [dimension.name]
    return Fitted({dimension.name: value}, moved)


def _choice(node: Chooser, given: Any) -> Fitted:
    """Take the option that the value names, or the nearest number; leave others to the sampler."""
    named = [option for option in node.options if _offers(option.node, given)]
    if named:
        tried = [(option, _fit(option.node, given)) for option in named]
        option, below = min(tried, key=lambda pair: (pair[1].distance, len(pair[1].left)))
        return _chosen(node, option, below)
    numbers = [option for option in node.options if _is_number(option.label)]
    if _is_number(given) and len(numbers) == len(node.options):
        nearest = min(numbers, key=lambda option: _distance(option.label, given))
        return Fitted({node.name: nearest.label}, [node.name])
    return Fitted(left=[node.name])


def _offers(node: Node, given: Any) -> bool:
    """Whether an option is the part, the value or the list that a setting has."""
    match node:
        case Leaf():
            name = given.get("name") if isinstance(given, Mapping) else given
            return same_value(node.value, name) or {node.value, _hashable(name)} == {None, "none"}
        case Branch():
            if "name" not in node.items:
                return isinstance(given, Mapping)
            name = given.get("name", MISSING) if isinstance(given, Mapping) else given
            return _offers(node.items["name"], name)
        case Chooser():
            return any(_offers(option.node, given) for option in node.options)
        case Series():
            alike = isinstance(given, Sequence) and not isinstance(given, str)
            return (
                alike
                and len(given) == len(node.items)
                and all(_offers(*pair) for pair in zip(node.items, given, strict=True))
            )
        case Span():
            return _is_number(given)


def _series(node: Series, given: Any) -> Fitted:
    """Give each place of a list the part that it offers; parts called `none` are not recorded."""
    if not isinstance(given, list):
        return Fitted(left=_all_below(node))
    unused, fitted = list(given), Fitted()
    for item in node.items:
        part = next((value for value in unused if _offers(item, value)), MISSING)
        if part is not MISSING:
            unused.remove(part)
            fitted.add(_fit(item, part))
        else:
            fitted.add(_fit(item, "none"))
    fitted.distance += len(unused)
    return fitted


def _all_below(node: Node) -> list[str]:
    return [dimension.name for dimension in dimensions_of(node) if not dimension.conditions]


def _distance(ours: Any, given: Any) -> float:
    """How unlike two values are: from 0 to 1."""
    if given is MISSING:
        return 0.0
    if _is_number(ours) and _is_number(given):
        return 0.0 if ours == given else abs(ours - given) / (abs(ours) + abs(given))
    name = given.get("name") if isinstance(given, Mapping) else given
    return float(not (same_value(ours, name) or {ours, _hashable(name)} == {None, "none"}))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else MISSING
