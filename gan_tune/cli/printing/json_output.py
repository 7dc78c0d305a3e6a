"""JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["print_json"]


def print_json(value: Any) -> None:
    """Plain values, for programs."""
    print(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    """Plain values for JSON, which knows no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value
