"""Converts a tree of plain values to a checked model, field by field.

The annotations define a model's fields (:mod:`gan_tune.config.parts`). The catalogue has the parts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from gan_tune.config.arguments import Argument
from gan_tune.config.parts import Part, part_fields, part_list_fields, words_for_both
from gan_tune.errors import Fault
from gan_tune.words.wording import faults_of, shown, unknown_key

__all__ = ["Draft", "PartSource", "as_written", "draft", "field_of"]

MOST_PARTS = 32
"""Entries of a list of parts: each one's ranges are checked beside all others."""

Model = TypeVar("Model", bound=BaseModel)


class PartSource(Protocol):
    """Has all parts by kind and name; implemented by :class:`gan_tune.config.Catalogue`."""

    def arguments(self, kind: str, name: str) -> Mapping[str, Argument]:
        """Arguments of a part; KeyError with the broken rule if there is no such part."""

    def resolve(self, kind: str, given: Any, path: str, faults: list[Fault]) -> Any:
        """A part with every argument checked; faults are appended to ``faults``."""

    def stand_in(self, kind: str) -> Part | None:
        """A valid part of a kind, used in place of a faulty one; None if there is none."""


@dataclass(frozen=True)
class Draft(Generic[Model]):
    """A model under check: ``broken`` fields hold stand-ins, the others the given values.

    ``config`` is None if a field has no stand-in.
    """

    config: Model | None
    faults: tuple[Fault, ...]
    broken: frozenset[str]


def draft(
    model: type[Model],
    tree: Mapping[str, Any],
    parts: PartSource,
    *,
    stand_ins: Mapping[str, Any],
) -> Draft[Model]:
    """Resolve a tree field by field. A faulty field gets a stand-in.

    So a faulty field does not hide the faults of the others. ``parts`` has the stand-ins of parts,
    ``stand_ins`` has those of the other fields without a default.
    """
    faults: list[Fault] = []
    fields = _spread(model, tree, faults)
    names = [*model.model_fields, *words_for_both(model)]
    faults += [unknown_key(key, names, fields[key]) for key in fields if key not in names]
    known = {key: value for key, value in fields.items() if key in model.model_fields}
    for name, kind in part_fields(model).items():
        if name in known:
            known[name] = parts.resolve(kind, known[name], name, faults)
    for name, kind in part_list_fields(model).items():
        known[name] = _resolve_list(kind, known.get(name), name, parts, faults)
    sound = partial(_with_stand_ins, model, known, parts, stand_ins)
    broken = {field_of(fault) for fault in faults}
    try:
        config: Model | None = model.model_validate(sound(broken))
    except ValidationError as error:
        late = faults_of(error, model=model)
        faults += [fault for fault in late if field_of(fault) not in broken]
        broken = {field_of(fault) for fault in faults}
        config = _mended(model, sound(broken))
    return Draft(config, tuple(as_written(model, faults, tree)), frozenset(broken))


def field_of(fault: Fault) -> str:
    """The field of the model that has the fault."""
    return fault.path.split(".")[0]


def as_written(
    model: type[BaseModel], faults: Iterable[Fault], tree: Mapping[str, Any]
) -> list[Fault]:
    """The faults, each once, at their places in the tree.

    The faults of a part given for both networks are placed at the word for both.
    """
    word_of = {
        name: word
        for word, names in words_for_both(model).items()
        if word in tree
        for name in names
        if name not in tree
    }
    written = []
    for fault in faults:
        head, *rest = fault.path.split(".")
        written.append(replace(fault, path=".".join([word_of.get(head, head), *rest])))
    return list(dict.fromkeys(written))


def _mended(model: type[Model], fields: Mapping[str, Any]) -> Model | None:
    try:
        return model.model_validate(fields)
    except ValidationError:
        return None  # a kind without any part that could be a stand-in


def _with_stand_ins(
    model: type[BaseModel],
    fields: Mapping[str, Any],
    parts: PartSource,
    stand_ins: Mapping[str, Any],
    broken: Collection[str],
) -> dict[str, Any]:
    """The valid fields, and stand-ins for the faulty ones that have no default."""
    sound = {key: value for key, value in fields.items() if key not in broken}
    sound |= {key: value for key, value in stand_ins.items() if key in broken}
    for name, kind in part_fields(model).items():
        if name in broken and model.model_fields[name].is_required():
            part = parts.stand_in(kind)
            sound |= {name: part} if part else {}
    return sound


def _spread(model: type[BaseModel], tree: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """The tree with each part given for both networks copied to each of them."""
    fields = dict(tree)
    for word, names in words_for_both(model).items():
        if word not in fields:
            continue
        both = fields.pop(word)
        for name in names:
            if name in fields:
                faults.append(
                    Fault(name, f"cannot be given together with {word}", shown(fields[name]))
                )
            else:
                fields[name] = both
    return fields


def _resolve_list(
    kind: str, given: Any, name: str, parts: PartSource, faults: list[Fault]
) -> tuple[Any, ...]:
    """The parts of a list; those called `none` are left out."""
    if given is None:
        return ()
    if not isinstance(given, (list, tuple)):
        faults.append(Fault(name, "must be a list", shown(given)))
        return ()
    if len(given) > MOST_PARTS:
        faults.append(Fault(name, f"must have at most {MOST_PARTS} entries", shown(given)))
        return ()
    resolved = [parts.resolve(kind, entry, f"{name}.{i}", faults) for i, entry in enumerate(given)]
    return tuple(part for part in resolved if part is not None and part.name != "none")
