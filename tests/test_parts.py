"""What space files rely on: every part's arguments carry bounds that their defaults keep."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from gan_tune.config import Argument, TrialConfig
from gan_tune.parts.all_parts import catalogue
from gan_tune.space.space_file import Budget, Confirm, Resources, Search

BLOCKS = {"budget": Budget, "search": Search, "confirm": Confirm, "resources": Resources}
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


def numbers(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What an argument's schema says of each number in it, alone or in a list or an alternative."""
    if schema.get("type") in ("number", "integer"):
        yield schema
    items = schema.get("items")
    below = [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    for member in (*below, *([items] if isinstance(items, Mapping) else [])):
        yield from numbers(member)


NUMERIC = {
    name: argument for name, argument in ARGUMENTS.items() if any(numbers(argument.json_schema()))
}


@pytest.mark.parametrize("argument", NUMERIC.values(), ids=NUMERIC)
def test_every_number_in_an_argument_has_a_lower_bound(argument: Argument) -> None:
    for schema in numbers(argument.json_schema()):
        assert {"minimum", "exclusiveMinimum", "enum"} & schema.keys(), schema


def test_single_numbers_and_lists_of_them_are_among_those_with_bounds() -> None:
    assert {"optimizer adam lr", "generator mlp hidden", "sampler tpe startup"} <= NUMERIC.keys()
    assert "generator mlp activation" not in NUMERIC


DEFAULTS = Path(__file__).parent / "defaults.json"
"""What each argument is where a space leaves it out; an argument that must be given is not here."""


def defaults() -> dict[str, Any]:
    given = {name: a.default for name, a in ARGUMENTS.items() if not a.required}
    for kind, block in {"trial": TrialConfig, **BLOCKS}.items():
        for name, field in block.model_fields.items():
            if not field.is_required():
                given[f"{kind} {name}"] = field.get_default(call_default_factory=True)
    return {name: json.loads(TypeAdapter(Any).dump_json(value)) for name, value in given.items()}


def test_what_a_space_leaves_out_means_what_it_always_did() -> None:
    """Else a search of an older release would go on as another one: a new default is a decision."""
    assert defaults() == json.loads(DEFAULTS.read_text(encoding="utf-8"))


@pytest.mark.ci
def test_checking_shipped_networks_imports_nothing_that_takes_seconds() -> None:
    """PyTorch's compiler, which meta tensors bring along, and scikit-learn."""
    code = (
        "import sys; from gan_tune import service\n"
        "for name in ('digits', 'points', 'conv'): service.load_space(name, check_data=False)\n"
        "print(sorted({'torch._dynamo', 'sklearn'} & sys.modules.keys()))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", loaded.stdout + loaded.stderr
