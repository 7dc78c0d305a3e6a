"""Converts a trial to dotted paths and texts, the form of the record, and back."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from gan_tune.config.draft import PartSource
from gan_tune.config.parts import part_fields, part_list_fields
from gan_tune.config.settings import block_fields
from gan_tune.errors import ConfigError, Fault
from gan_tune.words.wording import shown

__all__ = ["flatten", "recorded_tree"]


def flatten(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of a tree of plain values with their dotted paths; a plain list is one leaf."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list)) for v in value):
        for i, inner in enumerate(value):
            yield from flatten(inner, f"{path}.{i}")
    else:
        # A plain list (layer widths) reads best as one value.
        yield path, value


def recorded_tree(
    model: type[BaseModel], params: Mapping[str, str], parts: PartSource
) -> dict[str, Any]:
    """The tree of a model, read from the texts that :func:`flatten` made.

    Other texts are ignored. A field without a record is left out.

    Raises:
        ConfigError: the record has a part that ``parts`` does not have.
    """
    tree: dict[str, Any] = {}
    kinds, lists, blocks = part_fields(model), part_list_fields(model), block_fields(model)
    for name in model.model_fields:
        if name in kinds:
            if f"{name}.name" in params:
                tree[name] = _part(params, name, kinds[name], parts)
        elif name in lists:
            tree[name] = _part_list(params, name, lists[name], parts)
        elif name in blocks:
            tree[name] = _keys(params, name, blocks[name].model_fields)
        elif name in params:
            tree[name] = _value(params, name)
    return tree


def _part_list(
    params: Mapping[str, str], name: str, kind: str, parts: PartSource
) -> list[dict[str, Any]]:
    places = itertools.takewhile(
        lambda place: f"{place}.name" in params, map(f"{name}.{{}}".format, itertools.count())
    )
    return [_part(params, place, kind, parts) for place in places]


def _part(params: Mapping[str, str], place: str, kind: str, parts: PartSource) -> dict[str, Any]:
    name = params[f"{place}.name"]
    try:
        arguments = parts.arguments(kind, name)
    except KeyError as error:
        raise ConfigError([Fault(f"{place}.name", str(error.args[0]), shown(name))]) from None
    return {"name": name, **_keys(params, place, arguments)}


def _keys(params: Mapping[str, str], place: str, keys: Iterable[str]) -> dict[str, Any]:
    """The keys of a mapping that are recorded, with their values."""
    paths = {key: f"{place}.{key}" for key in keys}
    return {
        key: _value(params, path)
        for key, path in paths.items()
        if path in params or any(name.startswith(f"{path}.") for name in params)
    }


def _value(params: Mapping[str, str], path: str) -> Any:
    """The value that :func:`flatten` recorded at a path, or in leaves below it."""
    if path in params:
        try:
            return json.loads(params[path])
        except (ValueError, RecursionError):
            return params[path]  # a string is recorded unchanged
    steps = {name[len(path) + 1 :].split(".")[0] for name in params if name.startswith(f"{path}.")}
    below = {step: _value(params, f"{path}.{step}") for step in steps}
    if all(re.fullmatch(r"\d{1,4}", step, re.ASCII) for step in steps):
        return [below[step] for step in sorted(below, key=int)]
    return below
