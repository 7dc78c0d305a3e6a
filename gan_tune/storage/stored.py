"""Reads what is stored as JSON by the types of a dataclass; what does not fit is one line."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gan_tune.errors import StorageError
from gan_tune.outgoing import outgoing_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from gan_tune.storage.storage import Storage

__all__ = ["as_stored", "read_stored"]

Stored = TypeVar("Stored")


def read_stored(home: Storage, path: str, kind: type[Stored]) -> Stored | None:
    """What a JSON file holds; None if it does not exist.

    Fields that are unknown, as those of a newer version, are ignored. A field that may hold whole
    numbers is annotated `int | float`: pydantic would make floats of them.

    Raises:
        StorageError: the file cannot be read, is no JSON, or has other fields; names the first.
    """
    stored = home.read_json(path)
    return None if stored is None else as_stored(kind, stored, home.readable_path(path))


def as_stored(kind: type[Stored], stored: Any, place: str) -> Stored:
    """Plain values as a dataclass; ``place`` names them in messages.

    Raises:
        StorageError: they do not fit.
    """
    from pydantic import ValidationError

    try:
        return cast(Stored, _adapter(cast(Any, kind)).validate_python(stored))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "its content"
        rule = outgoing_line(first["msg"])
        raise StorageError(
            f"storage: {place} must hold the fields of a {kind.__name__}, but {where}: {rule}, "
            f"not {first['input']!r:.60}"
        ) from None


@lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
