"""The tree below `trial:`: plain values, ranges in place of them, and choices of sub-trees.

Node
├── Leaf       a plain value
├── Series     a list of nodes
├── Branch     a mapping of nodes; in the trial itself, a chooser's option may add fields to it
├── Span       a range of numbers
└── Chooser    one of several options, each with its own node
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gan_tune.space.ranges import Choice, Dimension, NumberRange, Scalar, same_value

__all__ = [
    "Branch",
    "Chooser",
    "Leaf",
    "Node",
    "Option",
    "Series",
    "Span",
    "dimensions_of",
    "settle",
    "under",
]


@dataclass(frozen=True)
class Leaf:
    """A plain value. ``name`` is its dotted place in the file, as in all nodes below."""

    name: str
    value: Scalar


@dataclass(frozen=True)
class Series:
    """A list."""

    name: str
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Branch:
    """A mapping. The items of the chosen option of ``spread``, a choice of branches, are added."""

    name: str
    items: Mapping[str, Node]
    spread: Chooser | None = None


@dataclass(frozen=True)
class Span:
    """A range of numbers."""

    name: str
    dimension: NumberRange


@dataclass(frozen=True)
class Option:
    """One option of a choice: its label for Optuna, and its node."""

    label: Scalar
    node: Node


@dataclass(frozen=True)
class Chooser:
    """A choice between options."""

    name: str
    dimension: Choice
    options: tuple[Option, ...]

    def option(self, label: Any) -> Option:
        """The option with that label, which must be one of the dimension's."""
        return next(option for option in self.options if same_value(option.label, label))


Node = Leaf | Series | Branch | Span | Chooser


def settle(
    node: Node,
    decide: Callable[[Dimension], Any],
    names: dict[str, str] | None = None,
    path: str = "",
) -> Any:
    """The plain value of a node after ``decide`` has chosen a value for each of its dimensions.

    ``names`` gets an entry dotted path in the result → name in the file, for each value.
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
    """All dimensions of a tree; a chooser comes before those below its options."""
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
