"""The columns of a table: their names and types, as they go from the table to generated samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gan_tune.words.wording import shown

__all__ = ["TYPES", "Column", "columns_from_json", "columns_to_json"]

TYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("halffloat", "float", "double"),
)
"""Types of columns that hold numbers, by Arrow's names. A `bool` is 0 or 1."""


@dataclass(frozen=True)
class Column:
    """One column of a table: its name, and its type in the table, one of :data:`TYPES`."""

    name: str
    type: str

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"type must be one of {', '.join(TYPES)}: {shown(self.type)}")

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return "int" in self.type or self.type == "bool"


def columns_to_json(columns: Sequence[Column]) -> bytes:
    """Columns as a JSON file, which :func:`columns_from_json` reads back."""
    return json.dumps([asdict(column) for column in columns]).encode()


def columns_from_json(content: bytes) -> tuple[Column, ...]:
    """The columns of a JSON file.

    Raises:
        ValueError: the file holds anything else.
    """
    try:
        entries = json.loads(content)
    except RecursionError:
        raise ValueError("must be a list of columns: it is nested too deeply") from None
    if not isinstance(entries, list):
        raise ValueError(f"must be a list of columns: {type(entries).__name__}")
    columns = []
    for entry in entries:
        if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
            raise ValueError(f"must be columns with a name and a type: {str(entry)[:60]}")
        columns.append(Column(entry["name"], str(entry.get("type"))))
    return tuple(columns)
