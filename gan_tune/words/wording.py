"""How faults are worded: one plain sentence, and the closest valid name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from gan_tune.errors import Fault
from gan_tune.outgoing import masked, outgoing

__all__ = [
    "argument_faults",
    "did_you_mean",
    "faults_of",
    "first_line",
    "in_one_line",
    "last_line",
    "masked",
    "must_be_one_of",
    "shown",
    "there_are",
    "unknown_key",
]

RULES: Mapping[str, str] = MappingProxyType(
    {
        "bool_type": "must be true or false",
        "dict_type": "must be a mapping",
        "finite_number": "must be a finite number",
        "float_type": "must be a number",
        "greater_than": "must be above {gt}",
        "greater_than_equal": "must be at least {ge}",
        "int_from_float": "must be a whole number",
        "int_type": "must be a whole number",
        "less_than": "must be below {lt}",
        "less_than_equal": "must be at most {le}",
        "list_type": "must be a list",
        "literal_error": "must be {expected}",
        "mapping_type": "must be a mapping",
        "missing": "is required",
        "model_attributes_type": "must be a mapping",
        "model_type": "must be a mapping",
        "none_required": "must be null",
        "string_type": "must be text",
        "too_long": "must have at most {max_length} entries",
        "too_short": "must have at least {min_length} entries",
        "tuple_type": "must be a list",
        "value_error": "{error}",
    }
)
"""Pydantic's error type → the rule in gan-tune's words."""


def first_line(text: object) -> str:
    """The first line of a text or of an error's message; empty if that is empty."""
    return _text(text).strip().split("\n")[0]


def last_line(text: object) -> str:
    """The last line of a text, or of what an error says; empty where that is empty."""
    return _text(text).strip().split("\n")[-1]


def _text(text: object) -> str:
    try:
        return str(text)
    except Exception:  # an error of a user's own class may fail to say what it is
        return f"its text cannot be made ({type(text).__name__}.__str__ fails)"


def in_one_line(error: BaseException) -> str:
    """An error's type and the first line of its text: `KeyError: 'seed'`."""
    text = first_line(error)
    return outgoing(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def faults_of(
    error: ValidationError, path: str = "", *, model: type[BaseModel] | None = None
) -> list[Fault]:
    """Pydantic's errors as faults; ``model`` gives the closest valid name for a misspelt key."""
    faults = []
    for entry in error.errors():
        place = ".".join([path, *map(str, entry["loc"])]).strip(".")
        if entry["type"] == "extra_forbidden" and model is not None:
            *above, key = entry["loc"]
            valid = list(_model_at(model, above).model_fields)
            where = ".".join([path, *map(str, above)]).strip(".")
            owner = where or "a search space"
            faults.append(unknown_key(key, valid, entry["input"], where, owner))
        elif entry["type"] == "missing":
            faults.append(Fault(place, _rule(entry)))
        else:
            faults.append(Fault(place, _rule(entry), shown(entry["input"])))
    return faults


def argument_faults(error: ValidationError, path: str, value: Any) -> list[Fault]:
    """Faults of one argument; the members of a union are joined with `or`."""
    rules: dict[str, list[str]] = {}
    inputs: dict[str, Any] = {}
    entries = error.errors()
    for entry in entries:
        if entry["type"] == "too_short" and any(
            other["loc"][: len(entry["loc"])] == entry["loc"] != other["loc"] for other in entries
        ):
            continue  # pydantic does not count the entries that are wrong
        place, inner = path, value
        for step in entry["loc"]:
            # Pydantic also puts the names of a union's members into the place: left out.
            if _leads_on(inner, step):
                place, inner = f"{place}.{step}", inner[step]
        rules.setdefault(place, []).append(_rule(entry))
        inputs[place] = inner
    return [
        Fault(place, " or ".join(dict.fromkeys(each)).replace(" or must be ", " or "), shown(given))
        for (place, each), given in zip(rules.items(), inputs.values(), strict=True)
    ]


def _leads_on(value: Any, step: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, Mapping) and step in value


def _rule(entry: Any) -> str:
    rule = RULES.get(entry["type"])
    if rule is not None:
        return rule.format(**{key: _figure(value) for key, value in entry.get("ctx", {}).items()})
    message: str = entry["msg"]
    return (message[:1].lower() + message[1:]).replace("input should", "must")


def _figure(value: Any) -> Any:
    """A bound as it is written: a whole number with all its digits."""
    return f"{value:g}" if isinstance(value, float) else value


def _model_at(model: type[BaseModel], place: Sequence[Any]) -> type[BaseModel]:
    for step in place:
        inner = model.model_fields[step].annotation
        if not (inspect.isclass(inner) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """The end of a rule that a name breaks, `; did you mean ...?`; empty if no name is close."""
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def there_are(name: str, known: Iterable[str]) -> str:
    """`there are: ...` for a name that does not exist, the most similar names first."""

    def unlike(other: str) -> float:
        return -difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()

    return f"there are: {', '.join(sorted(sorted(set(known)), key=unlike)) or 'none'}"


def must_be_one_of(what: str, name: str, valid: Iterable[str]) -> str:
    """The rule that a name breaks, with the nearest valid one."""
    valid = list(valid)
    return f"{what} must be one of {', '.join(valid)}{did_you_mean(name, valid)}"


def unknown_key(
    key: Any, valid: Iterable[str], value: Any, path: str = "", owner: str = "a trial"
) -> Fault:
    """The fault of a key that ``owner`` does not allow, with the nearest valid one."""
    valid = list(valid)
    hint = did_you_mean(str(key), valid) or f", which takes {', '.join(valid) or 'nothing'}"
    return Fault(
        f"{path}.{key}" if path else str(key), f"no such key in {owner}{hint}", shown(value)
    )


def shown(value: Any) -> str:
    """A value in the form for messages: its repr, shortened if it is long."""
    text = masked(repr(value))
    return text if len(text) <= 120 else f"{text[:117]}..."
