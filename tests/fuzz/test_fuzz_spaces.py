"""Space files and overrides that somebody has damaged: taken, or refused in words."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import lanes, refuses_or_takes
from hypothesis import strategies as st
from mutations import NUMBERS, ODD_TEXTS, VALUES, texts, trees

from gan_tune.parts.all_parts import catalogue
from gan_tune.service.optuna_stand_ins import Draws
from gan_tune.service.running.recording import space_params
from gan_tune.space import SearchSpace

SPACE = """\
name: small
objective: {metric: frechet_distance, mode: min}
budget: {trials: 4, steps: 20, evaluations: 2, minutes: 1.5}
search: {sampler: tpe, scheduler: {name: asha, grace: 0.2}, seed: 0}
confirm: {top: 1, seeds: 2}
resources: {cpu: 1, gpu: 0}
trial:
  data: {name: ring, batch_size: 16}
  generator: {name: mlp, latent: {int: [2, 8], step: 2}, hidden: [4], output: linear}
  discriminator: {name: mlp, hidden: [4]}
  loss: {choice: [hinge, least_squares]}
  penalties: [{choice: [none, {name: r1, weight: {log_uniform: [0.01, 10]}}]}]
  generator_optimizer: {name: adam, lr: 0.001}
  discriminator_optimizer: {name: sgd, lr: {uniform: [0.1, 1]}}
start_from:
  - {loss: hinge, penalties: [none], generator: {latent: 4}}
"""
TREE: dict[str, Any] = yaml.safe_load(SPACE)
KEYS = (
    *TREE, *TREE["trial"], *TREE["budget"], *TREE["search"], "choice", "label", "step", "prune_on",
    "study", "lookahead", "every", "measure", "gradient_clip", "seed", "precision", "ema",
)  # fmt: skip
PIECES = (
    *KEYS, *ODD_TEXTS, ": ", "{", "}", "[", "]", ",", "- ", "&a ", "*a", "<<: *a", "!!int ", "#",
    "!!bool ", "!!timestamp ", "!!python/name:os ", "? ", "|", ">", "%YAML 1.1\n---\n", "0x", "\t",
    "1e400",
)  # fmt: skip


def take(source: Any, *overrides: str) -> None:
    """Load a space as `validate`, and use it as `show` and `search` do."""
    space = SearchSpace.load(source, catalogue(), overrides=overrides, check_data=False)
    assert space.digest
    assert space_params(space)
    for dimension in space.dimensions():
        assert str(dimension)
        assert isinstance(dimension.condition, str)
    for seed in (0, 1):
        assert space.sample(Draws(seed), seed=seed).report_steps


def test_the_space_is_sound_before_it_is_damaged() -> None:
    take(TREE)


@lanes
def test_a_damaged_tree_of_a_space(examples: int) -> None:
    refuses_or_takes(examples, trees(TREE, KEYS), take)


@lanes
def test_a_damaged_text_of_a_space(examples: int, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"

    def from_file(text: str) -> None:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        take(file)

    refuses_or_takes(examples, st.one_of(texts(SPACE, PIECES), st.text()), from_file)


STEPS = st.one_of(
    st.sampled_from([*KEYS, *ODD_TEXTS, "0", "1", "adam", "r1", "-1", "99999"]), st.text()
)
PATHS = st.one_of(
    st.lists(STEPS, min_size=1, max_size=4).map(".".join),
    st.sampled_from(
        [f"{block}.{key}" for block in ("budget", "search", "confirm") for key in TREE[block]]
        + [f"trial.{key}" for key in KEYS]
        + ["trial.generator.latent", "trial.penalties.0.choice.1.weight", "start_from.0.loss"]
    ),
)


def written(value: Any) -> str:
    """A value as somebody writes it after `=`."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1 << 20)


WRITTEN = st.one_of(
    VALUES.map(written), st.sampled_from(PIECES), st.text(), st.sampled_from([*"=:{}[]", "1", "x"])
)
SETS = st.lists(st.tuples(PATHS, WRITTEN).map("=".join), min_size=1, max_size=3)


@lanes
def test_any_overrides(examples: int) -> None:
    refuses_or_takes(examples, SETS, lambda sets: take(TREE, *sets))


def _numbers(tree: Any, path: tuple[str, ...] = ()) -> list[str]:
    """The paths of all numbers in a tree, as `--set` names them."""
    if isinstance(tree, int | float):
        return [".".join(path)]
    if not isinstance(tree, dict | list):
        return []
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return [found for key, value in inside for found in _numbers(value, (*path, str(key)))]


NUMBER_TEXTS = st.one_of(
    NUMBERS.map(written),
    st.from_regex(r"[+-]?[0-9_]{1,12}(\.[0-9_]{0,8})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.from_regex(r"[+-]?0[xob][0-9a-fA-F_]{1,20}", fullmatch=True),
    st.sampled_from(
        ["1:30", "1:30:00", "190:20:30.15", ".inf", "-.Inf", ".NaN", "1e+3", ".5", "5.", "+.5e1",
         "\u0663", "\u00bd", "1,5", "5%", "1 000", "9" * 5_000, "1e99999", "- 1",
         "0." + "0" * 5_000 + "1",
         "!!int 1", "!!float 1", "~", "2026-12-02", "true", "''", "[1]", "{}", "1e-400"]
    ),
)  # fmt: skip


@lanes
def test_any_numbers(examples: int) -> None:
    one = st.tuples(st.sampled_from(_numbers(TREE)), NUMBER_TEXTS).map("=".join)
    sets = st.lists(one, min_size=1, max_size=2)
    refuses_or_takes(examples, sets, lambda sets: take(TREE, *sets))


@pytest.fixture(autouse=True, scope="module")
def _no_downloads(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A damaged name may be that of a set which is downloaded; here nothing is."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("cache")
    patch.setenv("GAN_TUNE_CACHE", str(folder))
    patch.setattr("gan_tune.data.locations._download", _refuse)
    yield
    patch.undo()
    shutil.rmtree(folder, ignore_errors=True)


def _refuse(*_: Any) -> None:
    raise OSError("no network")
