"""The texts in a plain tree, such as a space file's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["texts_in"]


def texts_in(tree: Any) -> Iterator[str]:
    """All texts among the values of a tree of mappings and lists; keys are left out."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, (Mapping, list)):
        for value in tree.values() if isinstance(tree, Mapping) else tree:
            yield from texts_in(value)
