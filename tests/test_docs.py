"""The README and the reference tell of everything there is, and nothing that is not."""

from __future__ import annotations

import importlib.util
import itertools
import math
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
import typer
import yaml
from pydantic import Field

import gan_tune
from gan_tune.cli import app
from gan_tune.config import Argument
from gan_tune.data.by_name import load_dataset
from gan_tune.gan import symptoms
from gan_tune.gan.networks import NETWORKS
from gan_tune.metrics import METRICS, metric_names
from gan_tune.parts.all_parts import catalogue
from gan_tune.parts.trial_data import TRAINING_ARGUMENTS
from gan_tune.space import RANGES, SearchSpace, shipped_spaces
from gan_tune.space.space_file import SpaceFile
from gan_tune.words.outcomes import OUTCOMES, UNSOUND

ROOT = Path(__file__).parent.parent


def _module_of_a_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


README = (ROOT / "README.md").read_text()
DOCS = {
    str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))
}
REFERENCE = "".join(
    text for page, text in DOCS.items() if page.startswith(("docs/reference/", "docs/how-to/"))
)
PAGES = {"README.md": README} | DOCS
generate = _module_of_a_file(ROOT / "docs" / "generate.py")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]

Table = list[list[str]]


def tables(page: str) -> dict[str, Table]:
    """The tables of a page: first word of the head → rows of cells."""
    found = {}
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        )
        assert head[0] not in found
        found[head[0]] = rows
    return found


def code(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def names(rows: Table) -> list[str]:
    return [code(row[0])[0] for row in rows]


def row_of(rows: Table, name: str) -> list[str]:
    (row,) = (row for row in rows if code(row[0]) == [name])
    return row


HAND_WRITTEN = re.sub(r"<!-- generated: .*?<!-- end -->\n", "", REFERENCE, flags=re.DOTALL)
TABLES = tables(HAND_WRITTEN)
REMEDIES = TABLES["trouble"]


# ---------------------------------------------------------------- commands


def test_the_metrics_in_a_message_that_is_shown_are_those_there_are() -> None:
    (told,) = re.findall(r"metric for digits must be one of (.*?);", REFERENCE)
    assert set(told.split(", ")) <= set(metric_names(load_dataset("digits")))


@pytest.mark.parametrize("page", PAGES)
def test_no_command_is_documented_that_is_not_there(page: str) -> None:
    blocks = re.findall(r"^```(?:bash|text)?\n.*?^```|`[^`\n]+`", PAGES[page], re.DOTALL | re.M)
    commands = re.findall(r"(?:`|\$ |^)gan-tune ([a-z]+)", "\n".join(blocks), re.MULTILINE)
    assert set(commands) <= set(COMMANDS)


# ---------------------------------------------------------------- generated tables


def test_the_generated_tables_are_those_of_the_code() -> None:
    stale = [str(path.relative_to(ROOT)) for path in generate.stale_pages(rewrite=False)]
    assert not stale, "run `python docs/generate.py`, and commit the pages with the code"


def test_each_table_stands_on_one_page() -> None:
    marked = re.findall(r"<!-- generated: (\w+) -->", "".join(DOCS.values()))
    assert sorted(marked) == sorted(generate.TABLES)


@pytest.mark.parametrize("kind", catalogue().parts)
def test_every_part_says_in_its_docstring_what_it_is(kind: str) -> None:
    assert set(catalogue().parts[kind]) - {"none"} <= set(generate.PARTS[kind])
    for name, part in generate.PARTS[kind].items():
        assert generate.meaning(part, ()), f"{kind} {name} has no docstring"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_what_it_means(name: str) -> None:
    assert METRICS[name].meaning


def test_costs_are_told_of_metrics_that_there_are() -> None:
    assert {name for row in TABLES["computed"] for name in code(row[0])} <= set(METRICS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a * b | c", r"a \* b \| c"),
        ("``weight`` is `w`", "`weight` is `w`"),
        (":func:`~.exploring.moved` and :class:`Seeds`", "`moved` and `Seeds`"),
    ],
)
def test_a_docstring_is_told_in_markdown(text: str, told: str) -> None:
    assert generate.prose(text) == told


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (Annotated[float, Field(ge=0, lt=0.5)], "≥ 0, < 0.5"),
        (Annotated[int, Field(ge=1, le=7)], "1 to 7"),
        (Annotated[float, Field(gt=0, le=1e30)], "> 0"),
        (Annotated[int, Field(ge=4)] | None, "≥ 4"),
        (Literal["a", "b"], "`a`, `b`"),
        (bool, ""),
        (
            Annotated[tuple[Annotated[int, Field(ge=1, le=9)], ...], Field(max_length=3)],
            "at most 3, each 1 to 9",
        ),
    ],
    ids=str,
)
def test_bounds_are_read_off_an_annotation(annotation: Any, told: str) -> None:
    assert generate.accepted(Argument("one", annotation, True).json_schema()) == told


# ---------------------------------------------------------------- parts


def test_the_arguments_that_all_data_take_are_told() -> None:
    for argument in TRAINING_ARGUMENTS.values():
        assert f"`{argument.name}`" in REFERENCE
    assert f"`batch_size` ({TRAINING_ARGUMENTS['batch_size'].default};" in REFERENCE


# ---------------------------------------------------------------- ranges and outcomes


def test_the_reference_has_all_ranges() -> None:
    assert names(TABLES["range"]) == [*RANGES, "choice"]


def test_the_concepts_have_every_outcome_as_optuna_and_mlflow_hear_of_it() -> None:
    rows = {row[0]: row for row in tables(DOCS["docs/concepts.md"])["outcome"]}
    assert list(rows) == list(OUTCOMES)
    for name, meaning in OUTCOMES.items():
        _, when, optuna_hears, mlflow_shows = rows[name]
        assert when
        assert mlflow_shows == meaning.mlflow_status
        if name == "collapsed":
            assert optuna_hears == "the same", "as diverged, the row before"
        else:
            assert meaning.optuna_state in optuna_hears
            assert ("infeasible" in optuna_hears) == (name in UNSOUND)


# ---------------------------------------------------------------- symptoms, variables


def test_the_reference_has_every_symptom_with_its_threshold() -> None:
    thresholds = {
        "vanishing": [symptoms.VANISHING, symptoms.SILENT],
        "exploding": [symptoms.EXPLODING],
        "oscillating": [symptoms.SWINGS, symptoms.SWING, symptoms.NOISE, symptoms.SLIGHT],
        "dominated": [symptoms.DOMINATED],
        "mode_dropping": [symptoms.FAITHFUL, symptoms.CROWDED, symptoms.DROPPED_REPORTS],
        "repeating": [symptoms.REPEATED, symptoms.DROPPED_REPORTS],
    }
    assert names(TABLES["symptom"]) == list(symptoms.SYMPTOMS) == list(thresholds)
    for name, values in thresholds.items():
        _, when, remedy = row_of(TABLES["symptom"], name)
        assert {f"{value:g}" for value in values} <= set(
            re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", when)
        ), name
        assert code(remedy), f"nothing to try is said for {name}"


def test_the_reference_has_every_variable_of_the_environment() -> None:
    sources = Path(gan_tune.__file__).parent.rglob("*.py")
    used = {v for file in sources for v in re.findall(r"\bGAN_TUNE_[A-Z_]+", file.read_text())}
    told = set(names(TABLES["variable"]))
    assert used
    assert {name for name in told if name.startswith("GAN_TUNE")} == used


# ---------------------------------------------------------------- examples

BASE: dict[str, Any] = {
    "name": "example",
    "budget": {"minutes": 4, "steps": 1_000},
    "trial": {
        "data": {"name": "digits", "scale": "symmetric"},
        "generator": {"name": "mlp", "output": "tanh", "latent": {"int": [16, 64]}},
        "discriminator": "mlp",
        "loss": "hinge",
        "generator_optimizer": {"name": "adam", "lr": 1e-3},
        "discriminator_optimizer": {"name": "adam", "lr": 1e-3},
    },
}


def checked(lines: Iterable[str], tmp_path: Path) -> SearchSpace:
    """A small space with these lines put into its trial, or beside it if they belong there."""
    tree = {**BASE, "trial": {**BASE["trial"]}}
    for line in lines:
        for key, value in yaml.safe_load(line).items():
            (tree if key in SpaceFile.model_fields else tree["trial"])[key] = value
    file = tmp_path / "example.yaml"
    file.write_text(yaml.safe_dump(tree))
    return SearchSpace.load(file, catalogue())


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda row: row[0][:30])
def test_a_remedy_is_a_line_that_a_space_file_takes(remedy: list[str], tmp_path: Path) -> None:
    lines = code(remedy[1])
    assert lines
    assert not checked(lines, tmp_path).warnings


@pytest.mark.parametrize(
    "example",
    [
        block
        for block in re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
        if "name: digits\nobjective" not in block  # the shipped file, whole
    ],
)
def test_an_example_of_the_reference_is_sound(example: str, tmp_path: Path) -> None:
    assert not checked([example], tmp_path).warnings


def test_the_networks_and_data_of_ones_own_that_are_shown_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for page in PAGES.values():
        for name, block in re.findall(r"```python\n# (my_\w+\.py)(.*?)```", page, re.DOTALL):
            with (tmp_path / name).open("a") as module:
                module.write(f"#{block}")
    monkeypatch.syspath_prepend(tmp_path)
    own = [f"{role}: {{name: 'my_nets:{role.title()}', width: 32}}" for role in NETWORKS]
    (own_data,) = re.findall(r"```text\n(data: .*)\n```", REFERENCE)
    output = "generator: {name: mlp, output: linear}"
    assert not checked(own, tmp_path).warnings
    points = [own_data, output, "objective: {metric: energy_distance}"]
    assert not checked(points, tmp_path).warnings


@pytest.mark.ci
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    """The search first, though the page shows before how its generator is pulled."""
    pull, search = re.findall(r"```python\n(import gan_tune.*?)```", README, re.DOTALL)
    unhurried = search.replace('"budget.steps=500"', '"budget.steps=500", "budget.minutes=20"')
    assert unhurried != search, "on a busy machine, digits' own minutes leave no time to confirm"
    script = f"{unhurried}\n{pull}\nprint(tuple(samples.shape))"
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-c", script]
    shown = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    gain, *reports, shape = shown.stdout.strip().splitlines()
    assert all(math.isfinite(float(figure)) for figure in gain.split())
    steps = [int(report.split()[0]) for report in reports]
    assert steps
    assert steps == [50 * (i + 1) for i in range(len(steps))], "it may collapse, but skips nothing"
    assert shape == "(64, 1, 8, 8)"


def test_the_space_file_shown_is_the_shipped_one() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", DOCS["docs/reference/space-file.md"], re.DOTALL)
    assert shipped_spaces()["digits"].read_text() in shown


def test_the_data_lines_of_the_readme_are_yaml() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines():
        assert set(yaml.safe_load(line)) == {"data"}


def test_the_results_have_every_shipped_search() -> None:
    section = DOCS["docs/results.md"].partition("## The shipped searches\n")[2]
    rows = tables(section.partition("\n- **The first setting**")[0])["space"]
    assert sorted(names(rows)) == sorted(shipped_spaces())
    assert set(names(tables(README)["space"])) <= set(names(rows))


@pytest.mark.parametrize(
    "page",
    [f"docs/tutorial/own-{what}.md" for what in ("pictures", "points", "table")],
    ids=str,
)
def test_a_tutorials_space_file_is_sound(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its script makes the data, then its file is checked as a user would."""
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"```python\n# make_\w+\.py\n(.*?)```", DOCS[page], re.DOTALL)
    (space,) = re.findall(r"```yaml\n(.*?)```", DOCS[page], re.DOTALL)
    subprocess.run([sys.executable, "-c", script], check=True)
    Path("space.yaml").write_text(space)
    checked_space = SearchSpace.load(Path("space.yaml"), catalogue())
    assert not checked_space.warnings


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES)
def test_pages_pictures_and_places_that_are_linked_are_there(page: str) -> None:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", PAGES[page]):
        file, _, place = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if place:
            assert place in anchors(path.read_text()), target
    assert not re.search(r"@[A-Z_]+@", PAGES[page]), f"a placeholder was left in {page}"


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


# ---------------------------------------------------------------- architecture


def test_the_tree_has_every_room_and_no_others() -> None:
    (tree,) = re.findall(r"```text\ngan_tune/\n(.*?)```", DOCS["docs/architecture.md"], re.DOTALL)
    package = Path(gan_tune.__file__).parent
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"^  (\w+)/? ", tree, re.MULTILINE))
    for name in re.findall(r"^ +(\w+)/ ", tree, re.MULTILINE):
        assert list(package.rglob(f"{name}/__init__.py")), f"there is no room {name}"


def test_what_lives_where_is_there() -> None:
    rows = tables(DOCS["docs/architecture.md"])["subject"]
    missing = [file for _, cell in rows for file in code(cell) if not (ROOT / file).is_file()]
    assert not missing


# ---------------------------------------------------------------- installing


def test_the_two_lines_stand_as_ci_runs_them() -> None:
    assert "pip install -e . && gan-tune search digits" in README
    line = 'pip install -e ".[test]" && pytest'
    assert line in README
    assert f"test_line='{line}'" in (ROOT / ".ci" / "run").read_text()


def test_advice_to_install_is_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())}
    sources = [path.read_text() for path in (ROOT / "gan_tune").rglob("*.py")]
    advised = {given for text in sources for given in re.findall(r"pip install '([^'{]+)'", text)}
    assert "mlflow" in {re.split(r"\W", given)[0] for given in advised}
    assert advised <= asked


def test_every_page_that_the_package_names_exists() -> None:
    """Messages and docstrings name pages by their path from the root of the repository."""
    named = {
        (str(path.relative_to(ROOT)), page.rstrip("."))
        for path in sorted((ROOT / "gan_tune").rglob("*"))
        if path.suffix in (".py", ".pyi", ".jinja")
        for page in re.findall(r"\bdocs/[\w./-]+", path.read_text())
    }
    assert named
    assert [(path, page) for path, page in sorted(named) if not (ROOT / page).exists()] == []
