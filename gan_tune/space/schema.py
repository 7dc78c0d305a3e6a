"""JSON Schema of a search-space file, for editors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gan_tune.config import (
    BLOCK_FIELDS,
    KEYS_FOR_BOTH,
    PART_FIELDS,
    PART_LIST_FIELDS,
    Argument,
    Catalogue,
    TrialConfig,
)
from gan_tune.space.grammar import ELSEWHERE
from gan_tune.space.ranges import RANGES
from gan_tune.space.space_file import SEARCH_PARTS, SpaceFile

__all__ = ["json_schema"]

Schema = dict[str, Any]

LABEL: Schema = {"type": "string", "description": "What an option of a choice is called"}
OWN_PART = ".+:.+"
"""A user's own part, by its import path."""
WITHOUT_RANGES = ("data", *SEARCH_PARTS)
"""Kinds of parts that are not searched (except the `batch_size` of data)."""


def json_schema(catalogue: Catalogue) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a space file, with all parts of a catalogue."""
    schema = SpaceFile.model_json_schema()
    definitions: Schema = schema.pop("$defs", {})
    definitions |= {f"range.{kind}": _range(kind) for kind in RANGES}
    for kind in catalogue.parts:
        _define_kind(kind, catalogue, definitions)
    _define_trial(definitions)
    properties = schema["properties"]
    properties["trial"] = {**_ref("trial"), "description": properties["trial"]["description"]}
    properties["start_from"] |= {"items": _ref("start")}
    several = properties["objective"]
    properties["objective"] = {
        "anyOf": [
            _ref("Objective"),
            {"type": "array", "items": _ref("Objective"), "minItems": 1},
        ],
        "description": several["description"],
    }
    search = definitions["Search"]["properties"]
    for kind in SEARCH_PARTS:
        default = search[kind]["default"]["name"]
        search[kind] = {
            **_ref(kind),
            "description": search[kind]["description"],
            "default": default,
        }
    forms = [{"const": "none"}, {"type": "integer", "minimum": 0}, {"type": "string"}]
    uses = search["experience"]
    search["experience"] = {
        "anyOf": [*forms, {"type": "null"}, _ref("ExperienceUse")],
        "description": uses["description"],
        "default": uses["default"]["first"],
    }
    del definitions["Part"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "gan-tune search space",
        "$defs": definitions,
    }


def _define_trial(definitions: Schema) -> None:
    trial = TrialConfig.model_json_schema()
    definitions |= {key: value for key, value in trial["$defs"].items() if key != "Part"}
    for name, block in BLOCK_FIELDS.items():
        if name not in ELSEWHERE:
            _loosen(block.__name__, definitions)
    for name, kind in PART_LIST_FIELDS.items():
        parts = {"type": "array", "items": _ref(kind)}
        definitions[name] = {"anyOf": [parts, _choice_of(name)]}
    fields: Schema = {}
    for name, schema in trial["properties"].items():
        if name in PART_FIELDS:
            fields[name] = _ref(PART_FIELDS[name])
        elif name in PART_LIST_FIELDS:
            fields[name] = _ref(name)
        elif name not in ELSEWHERE:
            fields[name] = schema if "$ref" in schema else _or_range(schema, name, definitions)
    for name, block in BLOCK_FIELDS.items():
        if block.none is not None and name in fields:
            fields[name] = {"anyOf": [fields[name], {"const": "none"}]}
    for word in KEYS_FOR_BOTH:
        text = f"The {word.replace('_', ' ')} of both networks"
        fields[word] = {**_ref(word), "description": text}
    several = {**fields, "label": LABEL, "choice": _choices(_ref("fields"))}
    required = [name for name in trial["required"] if name in fields]
    definitions["fields"] = _mapping({k: v for k, v in several.items() if k != "data"})
    definitions["trial"] = {
        **_mapping({key: value for key, value in several.items() if key != "label"}),
        "anyOf": [{"required": ["choice", "data"]}, {"required": required}],
    }
    names = [*fields, "choice"]
    definitions["start"] = {"type": "object", "propertyNames": {"enum": sorted(set(names))}}


def _define_kind(kind: str, catalogue: Catalogue, definitions: Schema) -> None:
    """The definition of a place for a part of that kind."""
    parts = catalogue.parts[kind]
    names: Schema = {"enum": list(parts)}
    if kind not in SEARCH_PARTS:
        names = {"anyOf": [names, {"type": "string", "pattern": OWN_PART}]}
    forms = [
        {**names, "description": f"Name of a part: {', '.join(parts)}"},
        *(_part(kind, name, arguments, definitions) for name, arguments in parts.items()),
    ]
    if "none" in parts:
        forms.append({"type": "null"})
    if kind not in SEARCH_PARTS:
        forms.append(_open_part({"type": "string", "pattern": OWN_PART}))
    if kind not in WITHOUT_RANGES:
        forms += [_open_part(_mapping({"choice": _choices(names)}, ["choice"])), _choice_of(kind)]
    definitions[kind] = {"anyOf": forms}


def _part(kind: str, name: str, arguments: Mapping[str, Argument], definitions: Schema) -> Schema:
    fields: Schema = {"name": {"const": name}}
    if kind not in SEARCH_PARTS:
        fields["label"] = LABEL
    for argument in arguments.values():
        place = f"{kind}.{name}.{argument.name}"
        schema = _argument_schema(argument)
        if kind in WITHOUT_RANGES and argument.name != "batch_size":
            fields[argument.name] = schema
        else:
            fields[argument.name] = _or_range(schema, place, definitions)
    required = [argument.name for argument in arguments.values() if argument.required]
    return _mapping(fields, ["name", *required])


def _argument_schema(argument: Argument) -> Schema:
    schema = argument.json_schema()
    if "$defs" in schema:
        return {}  # its references would not resolve here
    if not argument.required and isinstance(argument.default, (str, int, float, type(None))):
        schema = {**schema, "default": argument.default}
    return schema


def _loosen(name: str, definitions: Schema) -> None:
    """Allow ranges in place of the values of a settings block."""
    properties = definitions[name]["properties"]
    for key, schema in properties.items():
        properties[key] = _or_range(schema, f"{name}.{key}", definitions)


def _or_range(schema: Schema, place: str, definitions: Schema) -> Schema:
    """A reference to a place for a value or a range of such values."""
    forms = [_with_ranged_items(schema, place, definitions)]
    kinds = set(_types(schema))
    if not kinds or "number" in kinds:
        forms += [_ref(f"range.{kind}") for kind in RANGES]
    elif "integer" in kinds:
        forms += [_ref(f"range.{kind}") for kind, meaning in RANGES.items() if meaning.whole]
    definitions[place] = {"anyOf": [*forms, _choice_of(place)]}
    notes: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    return {**_ref(place), **notes}


def _with_ranged_items(schema: Schema, place: str, definitions: Schema) -> Schema:
    """The same schema, but each entry of a list may also be a range."""
    members = schema.get("anyOf")
    if members is not None:
        loose = [_with_ranged_items(member, place, definitions) for member in members]
        return {**schema, "anyOf": loose}
    if "prefixItems" in schema:
        items = [
            _or_range(item, f"{place}.{i}", definitions)
            for i, item in enumerate(schema["prefixItems"])
        ]
        return {**schema, "prefixItems": items}
    if isinstance(schema.get("items"), dict):
        return {**schema, "items": _or_range(schema["items"], f"{place}.i", definitions)}
    return schema


def _types(schema: Schema) -> Iterable[str]:
    for member in schema.get("anyOf", [schema]):
        if "type" in member:
            yield member["type"]


def _range(kind: str) -> Schema:
    bound = {"type": "integer" if RANGES[kind].whole else "number"}
    fields: Schema = {
        kind: {"type": "array", "items": bound, "minItems": 2, "maxItems": 2},
        "label": LABEL,
    }
    fields["prior"] = {**bound, "description": "A value that you believe to be good"}
    if not RANGES[kind].log:
        fields["step"] = {**bound, "exclusiveMinimum": 0}
    return {
        **_mapping(fields, [kind]),
        "description": f"{kind}: [low, high], both included",
    }


def _choice_of(place: str) -> Schema:
    return _mapping({"choice": _choices(_ref(place)), "label": LABEL}, ["choice"])


def _choices(options: Schema) -> Schema:
    return {
        "type": "array",
        "items": options,
        "minItems": 1,
        "description": "One of these options, which may hold ranges of their own",
    }


def _open_part(name: Schema) -> Schema:
    return {"type": "object", "properties": {"name": name}, "required": ["name"]}


def _mapping(properties: Schema, required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _ref(place: str) -> Schema:
    return {"$ref": f"#/$defs/{place}"}
