"""The nested form of a space: incompatible settings become options of one choice."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan_tune.space.ranges import Choice, Dimension, Scalar, same_value
from gan_tune.space.yaml_text import write_line

__all__ = ["Cause", "nested_form"]


@dataclass(frozen=True)
class Cause:
    """A dimension whose value ``bad`` takes part in a clash; its values ``good`` do not."""

    dimension: Dimension
    bad: Scalar
    good: tuple[Scalar, ...]


def nested_form(raw: Mapping[str, Any], causes: Sequence[Cause]) -> str:
    """One line of YAML that replaces the fields of ``causes`` in `trial` and avoids their clash.

    It has one option for each cause. In that option, the cause has its good values and all earlier
    causes have their bad value.
    """
    fields = list(dict.fromkeys(str(cause.dimension.place[0]) for cause in causes))
    options = [_option(raw, fields, causes, turn) for turn in range(len(causes))]
    if len(fields) == 1 and fields[0] != "choice":
        field = fields[0]
        only = [_labelled(option[field], turn) for turn, option in enumerate(options)]
        return _without_braces({field: {"choice": only}})
    return _without_braces(
        {"choice": [_labelled(option, turn) for turn, option in enumerate(options)]}
    )


def _option(
    raw: Mapping[str, Any], fields: Sequence[str], causes: Sequence[Cause], turn: int
) -> dict[str, Any]:
    # Deeper dimensions are narrowed first, so that the option numbers above stay valid.
    narrowed = copy.deepcopy({field: raw[field] for field in fields})
    chosen = [
        (cause.dimension, cause.good if i == turn else (cause.bad,))
        for i, cause in enumerate(causes[: turn + 1])
        if i == turn or isinstance(cause.dimension, Choice)  # a range has other bad values
    ]
    for dimension, values in sorted(chosen, key=lambda pair: -len(pair[0].place)):
        _narrow(narrowed, dimension, values)
    return narrowed


def _narrow(tree: dict[str, Any], dimension: Dimension, values: Sequence[Scalar]) -> None:
    """Keep only some values of a dimension."""
    *above, last = dimension.place
    here: Any = tree
    for step in above:
        here = here[step]
    if not isinstance(dimension, Choice):
        here[last] = values[0]
        return
    spreads = last == "choice"
    options = here["choice"] if spreads else here[last]["choice"]
    kept = [
        option
        for option, label in zip(options, dimension.options, strict=True)
        if any(same_value(label, value) for value in values)
    ]
    if spreads:
        here["choice"] = kept
    elif len(kept) == 1:
        here[last] = _without_label(kept[0])
    else:
        here[last] = {"choice": kept}


def _without_label(option: Any) -> Any:
    if not isinstance(option, dict):
        return option
    return {key: value for key, value in option.items() if key != "label"}


def _labelled(option: Any, turn: int) -> Any:
    return {"label": "abcdefgh"[turn], **option} if isinstance(option, dict) else option


def _without_braces(tree: Any) -> str:
    return write_line(tree).removeprefix("{").removesuffix("}")
