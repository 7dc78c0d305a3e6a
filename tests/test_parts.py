"""What space files rely on: every part's arguments carry bounds that their defaults keep."""

from __future__ import annotations

from typing import Any

import pytest

from gan_tune.config import Argument
from gan_tune.parts.catalogue import catalogue

ARGUMENTS = {
    f"{kind} {name} {argument.name}": argument
    for kind, parts in catalogue().parts.items()
    for name, arguments in parts.items()
    for argument in arguments.values()
}

NUMBERS = {
    name: argument
    for name, argument in ARGUMENTS.items()
    if argument.json_schema().get("type") in ("number", "integer")
}


@pytest.mark.parametrize("argument", ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_argument_is_annotated_and_its_default_fits(argument: Argument) -> None:
    assert argument.annotation is not Any
    if not argument.required:
        assert argument.check(argument.default) == argument.default


@pytest.mark.parametrize("argument", NUMBERS.values(), ids=NUMBERS)
def test_a_number_has_bounds(argument: Argument) -> None:
    assert {"minimum", "exclusiveMinimum", "enum"} & argument.json_schema().keys()
