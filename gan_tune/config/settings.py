"""A block of settings: a frozen, checked set of plain values with a default for each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.types import Strict

__all__ = ["Flag", "Number", "Settings", "Text", "Whole", "block_fields"]

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
"""Plain values without conversion: text is not a number, and `true` is not 1."""


class Settings(BaseModel):
    """A block of settings. It allows no unknown keys and no infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@cache
def block_fields(model: type[BaseModel]) -> Mapping[str, type[Settings]]:
    """Field of ``model`` → its block of settings (or list of such blocks)."""
    found = {name: _block_in(field.annotation) for name, field in model.model_fields.items()}
    return MappingProxyType({name: block for name, block in found.items() if block is not None})


def _block_in(annotation: Any) -> type[Settings] | None:
    item = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
    return item if inspect.isclass(item) and issubclass(item, Settings) else None
