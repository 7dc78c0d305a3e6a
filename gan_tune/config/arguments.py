"""The arguments of a part, read from its signature."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import (
    ConfigDict,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

__all__ = ["Argument", "is_json", "signature_arguments"]


@dataclass(frozen=True)
class Argument:
    """One argument of a part: its allowed values, and its default (`required` if it has none)."""

    name: str
    annotation: Any
    required: bool
    default: Any = None

    def check(self, value: Any) -> Any:
        """The value, converted to the argument's type.

        Raises:
            pydantic.ValidationError: the value does not fit the annotation.
        """
        adapter = _adapter(self.annotation)
        if not is_json(value):
            return adapter.validate_python(value, strict=True)
        # Through JSON, so that a list becomes a tuple, but strict mode refuses text as number.
        return adapter.validate_json(json.dumps(value), strict=True)

    def example(self) -> Any:
        """A simple value that is allowed; None if none of the tried values is."""
        for value in (0.5, 1, 2, "x", [1], True):
            try:
                return self.check(value)
            except ValidationError:
                continue
        return None

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the argument's values."""
        return {**_adapter(self.annotation).json_schema()}


def signature_arguments(
    part: Callable[..., Any], *, skip: int | None = None
) -> dict[str, Argument]:
    """A part's arguments, read from its signature: the keyword-only ones of gan-tune's parts.

    For a user's part, ``skip`` is given: all parameters after the first ``skip`` count. Bounds in
    an annotation (`Annotated[float, Gt(0)]`) are enforced. An argument without an annotation
    accepts any value.
    """
    target = part.__init__ if inspect.isclass(part) else part
    try:
        hints = get_type_hints(target, include_extras=True)
    except Exception:  # an annotation as text may name a type that exists only for type checkers
        hints = {}
    parameters = list(inspect.signature(part).parameters.values())
    if skip is not None:
        chosen = [
            p for p in parameters[skip:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
    else:
        chosen = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return {
        p.name: Argument(
            name=p.name,
            annotation=hints.get(p.name, Any),
            required=p.default is p.empty,
            default=None if p.default is p.empty else p.default,
        )
        for p in chosen
    }


def is_json(value: Any) -> bool:
    """Whether a value can be recorded as JSON."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


_ADAPTERS: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    # Keyed by identity (an annotation need not be hashable); the entry keeps the annotation alive.
    entry = _ADAPTERS.get(id(annotation))
    if entry is None:
        entry = (annotation, _new_adapter(annotation))
        _ADAPTERS[id(annotation)] = entry
    return entry[1]


def _new_adapter(annotation: Any) -> TypeAdapter[Any]:
    plain = ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True)
    try:
        return TypeAdapter(annotation, config=plain)
    except PydanticUserError:
        return TypeAdapter(annotation)  # a model or dataclass has its own config
    except PydanticSchemaGenerationError:
        return TypeAdapter(Any)
