"""A copy of a tree with plain values only."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_tune.errors import Fault
from gan_tune.words.wording import shown

__all__ = ["PlainCopy"]

MOST_VALUES = 100_000
DEEPEST = 50
MOST_BITS = 64
LONGEST_KEY, LONGEST_TEXT = 200, 20_000
"""Characters at most."""
MOST_KEYS = 1_000
"""Largest number of keys of a mapping: what is similar is sought for each that does not exist."""
MANY_KEYS = f"a mapping must have at most {MOST_KEYS:,} keys"
PLACES_SHOWN = 8
"""Steps of a place that are named where a tree is nested too deeply."""


@dataclass
class PlainCopy:
    """Copies trees, and adds to ``faults`` each value that is not plain."""

    faults: list[Fault] = field(default_factory=list)
    values: int = 0

    def copy(self, value: Any, path: str = "", depth: int = 0) -> Any:
        """A copy of dicts, lists, text, numbers, booleans and None; ``path`` is its place."""
        self.values += 1
        if self.values > MOST_VALUES or depth > DEEPEST:
            # Reported once: aliases may repeat a tree endlessly.
            big = (
                f"must have at most {MOST_VALUES} values"
                if depth <= DEEPEST
                else "is nested too deeply"
            )
            if not any(fault.rule == big for fault in self.faults):
                steps = path.split(".")
                place = ".".join([*steps[:PLACES_SHOWN], *(["..."] * (len(steps) > PLACES_SHOWN))])
                self.faults.append(Fault(place, big))
            return None
        if isinstance(value, Mapping):
            return self._mapping(value, path, depth)
        if isinstance(value, (list, tuple)):
            below = f"{path}." if path else ""
            return [self.copy(inner, f"{below}{i}", depth + 1) for i, inner in enumerate(value)]
        return self._scalar(value, path)

    def _mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
        if len(value) > MOST_KEYS:
            self.faults.append(Fault(path, MANY_KEYS, f"{len(value):,}"))
            return {}
        copied = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                self.faults.append(Fault(path, "keys must be text", shown(key)))
                continue
            if len(key) > LONGEST_KEY:
                rule = f"keys must have at most {LONGEST_KEY} characters"
                self.faults.append(Fault(path, rule, shown(key)))
                continue
            copied[key] = self.copy(inner, f"{path}.{key}" if path else key, depth + 1)
        return copied

    def _scalar(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, (str, Path)):
            text = str(value)
            if len(text) > LONGEST_TEXT:
                rule = f"must have at most {LONGEST_TEXT:,} characters"
                self.faults.append(Fault(path, rule, shown(text)))
                return ""
            return text
        if isinstance(value, numbers.Integral):
            whole = int(value)
            if whole.bit_length() > MOST_BITS:
                rule = f"must be a whole number of at most {MOST_BITS} bits"
                self.faults.append(Fault(path, rule, shown(hex(whole))))
                return 0
            return whole
        if isinstance(value, numbers.Real):
            if not math.isfinite(value):
                self.faults.append(Fault(path, "must be a finite number", shown(value)))
            return float(value)
        rule = "must be text, a number, true, false, null, a list or a mapping"
        self.faults.append(Fault(path, rule, shown(value)))
        return None
