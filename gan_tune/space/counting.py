"""How many distinct settings a space has, and all of them one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gan_tune.space.nodes import Branch, Chooser, Leaf, Node, Series, Span
from gan_tune.space.ranges import NumberRange, Scalar

__all__ = ["count_settings", "every_setting"]

Assignment = dict[str, Scalar]


def count_settings(node: Node, *, continuous: float = math.inf) -> float:
    """The number of distinct settings below a node.

    Settings are distinct if a range that exists in them has another value. A ``continuous`` range
    counts as so many values: with infinity the result is the number of all settings, with 0 that
    of the settings without a continuous range.
    """
    match node:
        case Leaf():
            return 1
        case Span():
            values = _values(node.dimension)
            return values if values < math.inf else continuous
        case Chooser():
            return sum(count_settings(one.node, continuous=continuous) for one in node.options)
        case Series() | Branch():
            below = _below(node)
            counts = [count_settings(part, continuous=continuous) for part in below]
            # Whole numbers that are too large for a real one cannot be multiplied with infinity.
            return 0 if 0 in counts else math.prod(map(float, counts))


def every_setting(node: Node) -> Iterator[Assignment]:
    """Every setting below a node that has finitely many: name of a dimension → value."""
    match node:
        case Leaf():
            yield {}
        case Span():
            dimension = node.dimension
            for i in range(int(_values(dimension))):
                yield {dimension.name: dimension.typed(dimension.low + i * (dimension.grid or 0))}
        case Chooser():
            for option in node.options:
                for below in every_setting(option.node):
                    yield {node.dimension.name: option.label, **below}
        case Series() | Branch():
            yield from _combined(_below(node))


def _below(node: Series | Branch) -> list[Node]:
    if isinstance(node, Series):
        return list(node.items)
    return [*node.items.values(), *([] if node.spread is None else [node.spread])]


def _values(dimension: NumberRange) -> float:
    """How many values a range has."""
    if dimension.low == dimension.high:
        return 1
    if dimension.grid is None:
        return math.inf
    return round((dimension.high - dimension.low) / dimension.grid) + 1


def _combined(nodes: Sequence[Node]) -> Iterator[Assignment]:
    """Every combination of the nodes' settings; made one by one, as there may be very many."""
    if not nodes:
        yield {}
        return
    for first in every_setting(nodes[0]):
        for rest in _combined(nodes[1:]):
            yield first | rest
