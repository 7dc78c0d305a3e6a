"""A named part, and the kind of part that each field of a model holds.

Only a field's annotation declares the kind:

    generator_optimizer: Annotated[Part, PartKind("optimizer")]
    penalties: Annotated[tuple[Part, ...], PartKind("penalty")]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Part", "PartKind", "part_fields", "part_list_fields", "words_for_both"]


class Part(BaseModel):
    """A named building block with all its arguments resolved, defaults included."""

    model_config = ConfigDict(frozen=True)

    name: str
    args: Mapping[str, Any] = Field(default_factory=dict)

    def tree(self) -> dict[str, Any]:
        """The part in the form of a space file: its name together with its arguments."""
        return {"name": self.name, **self.args}


@dataclass(frozen=True)
class PartKind:
    """Annotation of a field: the kind of its part, by the catalogue's name.

    With ``for_both``, a tree may give the part once, under the name of its kind, for both
    networks.
    """

    name: str
    for_both: bool = False


@cache
def part_fields(model: type[BaseModel]) -> Mapping[str, str]:
    """Field of ``model`` → kind of its part."""
    fields = model.model_fields
    return MappingProxyType(
        {name: kind.name for name, kind in _kinds(model) if fields[name].annotation is Part}
    )


@cache
def part_list_fields(model: type[BaseModel]) -> Mapping[str, str]:
    """Field of ``model`` → kind of the parts in its list."""
    single = part_fields(model)
    return MappingProxyType({name: kind.name for name, kind in _kinds(model) if name not in single})


@cache
def words_for_both(model: type[BaseModel]) -> Mapping[str, tuple[str, str]]:
    """Word that gives a part for both networks → the two fields that it sets."""
    found: dict[str, list[str]] = {}
    for field, kind in _kinds(model):
        if kind.for_both:
            found.setdefault(kind.name, []).append(field)
    return MappingProxyType({word: (pair[0], pair[1]) for word, pair in found.items()})


def _kinds(model: type[BaseModel]) -> Iterator[tuple[str, PartKind]]:
    for field, info in model.model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, PartKind):
                yield field, mark
