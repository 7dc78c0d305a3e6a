"""Prints documents as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_tune.outgoing import HIDDEN, is_secret, masked
from gan_tune.words.terminal import terminal_may_close

if TYPE_CHECKING:
    from gan_tune.cli.documents.shapes import Document

__all__ = ["print_document"]


def print_document(document: Document, *, in_one_line: bool = False) -> None:
    """Print a document; JSON escapes what is not ASCII."""
    plain = _fit(document.model_dump(mode="json"))
    with terminal_may_close():
        print(json.dumps(plain, indent=None if in_one_line else 2), flush=True)


def _fit(value: Any) -> Any:
    """Plain values for JSON, which knows no NaN, without secrets."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: HIDDEN if is_secret(str(key)) else _fit(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fit(inner) for inner in value]
    return value
