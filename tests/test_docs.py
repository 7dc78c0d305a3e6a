"""The README tells of everything there is, and nothing that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from gan_tune.catalogue import catalogue
from gan_tune.cli import app
from gan_tune.metrics import METRICS
from gan_tune.searching.jobs import Outcome
from gan_tune.space import RANGES, SAMPLERS, SCHEDULERS, shipped_spaces

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    assert f"gan-tune {name}" in README
    for parameter in COMMANDS[name].params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert f"`{option}" in README or f" {option}" in README, option


def test_no_command_is_documented_that_is_not_there() -> None:
    named = set(re.findall(r"(?:`|\$ |^)gan-tune ([a-z]+)", README, re.MULTILINE))
    assert named == set(COMMANDS)


@pytest.mark.parametrize("kind", ["loss", "penalty", "optimizer", "gradient_clip", "data"])
def test_every_part_is_named(kind: str) -> None:
    for name in catalogue().parts[kind]:
        assert f"`{name}`" in README, name


def test_metrics_samplers_ranges_and_outcomes_are_named() -> None:
    for name in [*METRICS, *SAMPLERS, *SCHEDULERS]:
        assert f"`{name}`" in README, name
    for name in RANGES:
        assert f"{name}:" in README, name
    for outcome in Outcome.__args__:  # type: ignore[attr-defined]
        assert f"| {outcome} |" in README


def test_the_space_file_shown_is_the_shipped_one() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    shipped = shipped_spaces()["digits"].read_text()
    assert any(block == shipped for block in shown)
    for block in shown:
        for document in block.split("\ndata:"):
            yaml.safe_load(document)


def test_pictures_and_files_that_are_named_are_there() -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    assert not re.search(r"@[A-Z_]+@", README), "a placeholder was left in the README"


def test_the_two_lines_stand_as_ci_runs_them() -> None:
    assert "pip install -e . && gan-tune search digits" in README
    line = 'pip install -e ".[test]" && pytest'
    assert line in README
    assert f"test_line='{line}'" in (ROOT / ".ci" / "run").read_text()
