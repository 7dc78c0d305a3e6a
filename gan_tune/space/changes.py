"""The differences between two trees of plain values, leaf by leaf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gan_tune.config import flatten
from gan_tune.errors import Fault
from gan_tune.words.wording import shown

__all__ = ["changes"]

MOST_NAMED = 8


def changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Fault]:
    """A fault for each leaf that differs, at most :data:`MOST_NAMED`, and the number of the others.

    Both trees are compared as JSON.
    """
    before, after = _leaves(was), _leaves(now)
    differing = [
        Fault(path, _change(path, before, after))
        for path in dict.fromkeys([*before, *after])
        if path not in before or path not in after or before[path] != after[path]
    ]
    more = len(differing) - MOST_NAMED
    rest = [Fault("", f"and {more} more")] if more > 0 else []
    return [*differing[:MOST_NAMED], *rest]


def _leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    plain = flatten(json.loads(json.dumps(tree)))
    return {path: value for path, value in plain if value not in ([], {})}


def _change(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if path not in before:
        return f"was not given, is {shown(after[path])}"
    if path not in after:
        return f"was {shown(before[path])}, is not given"
    return f"was {shown(before[path])}, is {shown(after[path])}"
