"""The arguments of a part, read off its signature."""

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
    """One argument of a part: what it accepts, and its default (`required` if it has none)."""

    name: str
    annotation: Any
    required: bool
    default: Any = None

    def check(self, value: Any) -> Any:
        """The value in the argument's own type.

        Raises:
            pydantic.ValidationError: the value does not fit the annotation.
        """
        adapter = _adapter(self.annotation)
        if not is_json(value):
            return adapter.validate_python(value, strict=True)
        # Through JSON, so that strict means: no number out of text, but a tuple out of a list.
        return adapter.validate_json(json.dumps(value), strict=True)

    def example(self) -> Any:
        """Some value that fits; None if none of a few simple values does."""
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
    """A part's arguments, read off its signature: the keyword-only ones of our own parts.

    For a user's part, give ``skip``: all parameters after the first ``skip`` count. Bounds in an
    annotation (`Annotated[float, Gt(0)]`) are enforced. An argument without an annotation takes
    anything.
    """
    target = part.__init__ if inspect.isclass(part) else part
    try:
        hints = get_type_hints(target, include_extras=True)
    except Exception:  # text that is evaluated: of types there for a type checker only, or no type
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
        return TypeAdapter(annotation)  # a model or dataclass brings its own config
    except PydanticSchemaGenerationError:
        return TypeAdapter(Any)
