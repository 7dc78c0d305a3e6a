"""Fits trials of earlier searches into a space: finds the setting of the space that equals a trial.

An entry of `start_from` may be partial. An earlier trial is complete: it has every field, including
defaults, and no penalties called `none`. So all settings that may yield the trial are tried. A
setting fits if its config learns in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from gan_tune.config import (
    KEYS_FOR_BOTH,
    CollapseRule,
    DivergenceRule,
    Objective,
    Part,
    TrialConfig,
)
from gan_tune.space.nodes import Branch, Chooser, Leaf, Node, Series, Span, dimensions_of
from gan_tune.space.ranges import Scalar, same_value

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
"""Field of a trial config that does not affect learning, such as its length and its metrics →
a placeholder value."""

READING = ("batch_size", "scale")
"""Arguments of `data` for how training reads the data; the others say where the data are."""


@dataclass(frozen=True)
class Fit:
    """An earlier trial as a setting of a space: name of each dimension → value.

    ``shifted`` are the dimensions whose value was not on the grid of steps and was moved to it.
    """

    assignment: Mapping[str, Scalar]
    shifted: tuple[str, ...]


def what_learns(config: TrialConfig) -> TrialConfig:
    """The config with the same fixed values for all that does not affect learning.

    Of the data's arguments only those for reading are kept: digests identify the data.
    """
    reading = {key: value for key, value in config.data.args.items() if key in READING}
    return config.model_copy(update={**NOT_LEARNT, "data": Part(name="", args=reading)})


def assignments(root: Branch, tree: Mapping[str, Any]) -> Iterator[dict[str, Scalar]]:
    """All assignments of a space's ranges with which its ``root`` may yield a trial's ``tree``.

    Values lie within their ranges, but not always on their grids. The caller must compare the
    fields that the space does not mention.
    """
    pairs = []
    for key, node in root.items.items():
        if key in NOT_LEARNT and not any(dimensions_of(node)):
            continue
        if key == "data":
            # The place of the data may differ.
            node = Branch(node.name, _only(READING, node.items if isinstance(node, Branch) else {}))
        one, other = KEYS_FOR_BOTH.get(key, (key, key))
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
    """All assignments with which every node yields the value given with it."""
    if not pairs:
        yield {}
        return
    (node, given), *others = pairs
    for first in _ways(node, given):
        for rest in _all(others):
            yield first | rest


def _ways(node: Node, given: Any) -> Iterator[dict[str, Scalar]]:
    """All assignments with which a node yields a value."""
    match node:
        case Leaf():
            name = given.get("name") if isinstance(given, Mapping) else given
            if same_value(node.value, name) or (node.value is None and name == "none"):
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
