"""Trials of earlier searches fitted into a space: which setting of the space is the same trial.

Unlike an entry of `start_from`, an earlier trial is complete: it has every field, defaults
included, and no penalties called `none`. So all settings that may make the trial are tried. One
fits if its config learns the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from gan_tune.config import BOTH, CollapseRule, DivergenceRule, Objective, Part, TrialConfig
from gan_tune.space.nodes import Branch, Chooser, Leaf, Node, Series, Span, dimensions_of
from gan_tune.space.ranges import Scalar, same

__all__ = ["Fit", "assignments", "what_learns"]

NOT_LEARNT: Mapping[str, Any] = {
    "seed": 0,
    "steps": 1,
    "evaluations": 1,
    "objective": Objective(),
    "measure": (),
    "patience": 0,
    "collapse": CollapseRule(),
    "divergence": DivergenceRule(),
    "deterministic": False,
}
"""Field of a trial config that says how long it trains and what is looked at, not how it learns →
a value like any other."""

READING = ("batch_size", "scale")
"""Arguments of `data` that say how training reads them; the others say where they are."""


@dataclass(frozen=True)
class Fit:
    """An earlier trial as a setting of a space: name of each dimension → value.

    ``shifted`` are the dimensions whose value was not on the grid of steps and has moved onto it.
    """

    assignment: Mapping[str, Scalar]
    shifted: tuple[str, ...]


def what_learns(config: TrialConfig) -> TrialConfig:
    """The config with one value for everything that does not affect learning.

    The data keep only how they are read: digests say which data they are.
    """
    reading = {key: value for key, value in config.data.args.items() if key in READING}
    return config.model_copy(update={**NOT_LEARNT, "data": Part(name="", args=reading)})


def assignments(root: Branch, tree: Mapping[str, Any]) -> Iterator[dict[str, Scalar]]:
    """Every way to decide the ranges of a space's ``root`` so that it may make a trial's ``tree``.

    Values lie within their ranges, but not always on their steps. The caller has to compare the
    fields that the space does not mention.
    """
    pairs = []
    for key, node in root.items.items():
        if key in NOT_LEARNT and not any(dimensions_of(node)):
            continue
        if key == "data":
            # Where they lie may differ.
            node = Branch(node.name, _only(READING, node.items if isinstance(node, Branch) else {}))
        one, other = BOTH.get(key, (key, key))
        if tree[one] != tree[other]:
            return
        pairs.append((node, tree[one]))
    for beside in _all(pairs):
        if root.spread is None:
            yield beside
            continue
        for option in root.spread.options:
            assert isinstance(option.node, Branch)
            for rest in assignments(option.node, tree):
                yield {root.spread.name: option.label, **beside, **rest}


def _only(keys: Sequence[str], items: Mapping[str, Node]) -> dict[str, Node]:
    return {key: node for key, node in items.items() if key in keys}


def _all(pairs: Sequence[tuple[Node, Any]]) -> Iterator[dict[str, Scalar]]:
    """Every way in which all nodes become the values given with them."""
    if not pairs:
        yield {}
        return
    (node, given), *others = pairs
    for first in _ways(node, given):
        for rest in _all(others):
            yield first | rest


def _ways(node: Node, given: Any) -> Iterator[dict[str, Scalar]]:
    """Every way in which a node becomes a value."""
    match node:
        case Leaf():
            name = given.get("name") if isinstance(given, Mapping) else given
            if same(node.value, name) or (node.value is None and name == "none"):
                yield {}
        case Span():
            anywhere = replace(node.dimension, step=None)
            if anywhere.broken_rule(given) is None:
                yield {node.name: anywhere.typed(given)}
        case Series():
            if isinstance(given, (list, tuple)):
                for places in combinations(range(len(node.items)), len(given)):
                    at = dict(zip(places, given, strict=True))
                    yield from _all([(n, at.get(i, "none")) for i, n in enumerate(node.items)])
        case Chooser():
            for option in node.options:
                for way in _ways(option.node, given):
                    yield {node.name: option.label, **way}
        case Branch():
            given = {"name": given} if isinstance(given, str) else given
            if isinstance(given, Mapping) and node.items.keys() <= given.keys():
                yield from _all([(item, given[key]) for key, item in node.items.items()])
