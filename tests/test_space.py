"""Search spaces: reading a file, finding all its faults, and sampling it."""

from __future__ import annotations

import copy
import json
import math
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from sqlalchemy import make_url
from toy_catalogue import Count, Positive, Share, toy_catalogue

from benchmarks import by_hand
from gan_tune import space as space_module
from gan_tune.config import (
    BLOCK_FIELDS,
    KEYS_FOR_BOTH,
    Objective,
    TrialConfig,
    block_fields,
    part_fields,
    signature_arguments,
)
from gan_tune.config.draft import MOST_PARTS
from gan_tune.errors import ConfigError, Fault, SpaceError
from gan_tune.space import RANGES, SearchSpace, check_name, json_schema, shipped_spaces
from gan_tune.space import reading as reading_module
from gan_tune.space.grammar import ELSEWHERE, MOST_OPTIONS
from gan_tune.space.loading import MOST_RANGES, MOST_TRIES
from gan_tune.space.overrides import apply_overrides
from gan_tune.space.space_file import SpaceFile
from gan_tune.space.yaml_text import parse, write, write_line

EXAMPLE = """\
name: fashion_mlp
objective: {metric: frechet_distance, mode: min}
budget: {trials: 64, steps: 6000, evaluations: 12, minutes: 60}
search: {sampler: tpe, scheduler: asha, seed: 0}
confirm: {top: 3, seeds: 3}
resources: {cpu: 1, gpu: 0}          # per trial; fractions of a GPU are fine

trial:
  data: {name: fashion_mnist, batch_size: 128}
  generator: {name: mlp, latent: 100, hidden: [128, 256], output: sigmoid}
  discriminator: {name: mlp, hidden: [256, 128]}
  loss: {choice: [non_saturating, least_squares, hinge]}
  generator_optimizer:
    choice:
      - {name: adam, lr: {log_uniform: [1e-5, 1e-2]}, beta1: {uniform: [0.0, 0.9]}}
      - {name: sgd,  lr: {log_uniform: [1e-4, 1e-1]}, momentum: {uniform: [0.0, 0.95]}}
  discriminator_optimizer: {name: adam, lr: {log_uniform: [1e-5, 1e-2]}, beta1: 0.5}
  gradient_clip:                     # or generator_gradient_clip / discriminator_gradient_clip
    choice: [none, {name: norm, max_norm: {log_uniform: [0.1, 10]}}]
  penalties: [{name: r1, weight: {log_uniform: [0.01, 10]}}]
  ema: 0.999

start_from:                          # tried first, e.g. a paper's own
  - loss: non_saturating
    generator_optimizer: {name: adam, lr: 2e-4, beta1: 0.5}
    gradient_clip: none
"""

PLAIN: dict[str, Any] = {
    "name": "plain",
    "budget": {"steps": 100},
    "trial": {
        "data": "fashion_mnist",
        "generator": "mlp",
        "discriminator": "mlp",
        "loss": "hinge",
        "generator_optimizer": "adam",
        "discriminator_optimizer": "adam",
    },
}

EITHER = {"choice": [True, False]}

RICH: dict[str, Any] = {
    **PLAIN,
    "trial": {
        "data": {"name": "fashion_mnist", "batch_size": {"int": [32, 128], "step": 32}},
        "generator": {
            "choice": [
                {
                    "label": "small",
                    "name": "mlp",
                    "latent": {"log_int": [2, 64]},
                    "hidden": {"choice": [[64], [64, {"int": [64, 128]}]]},
                },
                {"name": "mlp", "output": {"choice": ["tanh", "sigmoid"]}},
                {
                    "name": "conv",
                    "width": {"int": [32, 64]},
                    "attention": {"choice": [True, False]},
                },
                {"label": "plain", "name": "conv"},
            ]
        },
        "discriminator": {"name": "mlp", "dropout": {"uniform": [0, 0.5], "step": 0.1}},
        "loss": {"choice": ["hinge", "wasserstein"]},
        "penalties": {"choice": [[], [{"name": "r1", "weight": {"log_uniform": [0.1, 10]}}, "r1"]]},
        "generator_optimizer": {"choice": ["adam", {"name": "sgd", "lr": {"uniform": [0.1, 1]}}]},
        "discriminator_optimizer": {"name": {"choice": ["adam", "sgd"]}, "lr": 0.1},
        "gradient_clip": {"choice": [None, {"name": "norm", "max_norm": {"choice": [1, 10.0]}}]},
        "ema": {"choice": [0, {"label": "on", "uniform": [0.9, 0.999]}]},
        "collapse": {"variety": {"uniform": [0, 0.2]}},
        "choice": [
            {"d_steps": 1, "patience": {"int": [1, 3]}},
            {"label": "many", "d_steps": {"choice": [2, 5]}, "deterministic": True},
        ],
    },
}


class RandomSuggest:
    """Draws as Optuna's random sampler does, and notes what it drew."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.drawn: dict[str, Any] = {}

    def suggest_float(self, name, low, high, *, step=None, log=False):
        assert type(low) is type(high) is float
        if step is not None:
            value = min(high, low + step * self.random.randint(0, round((high - low) / step)))
        elif log:
            value = min(
                high, max(low, math.exp(self.random.uniform(math.log(low), math.log(high))))
            )
        else:
            value = self.random.uniform(low, high)
        return self._note(name, value)

    def suggest_int(self, name, low, high, *, step=1, log=False):
        assert type(low) is type(high) is type(step) is int
        return self._note(name, self.random.randrange(low, high + 1, step))

    def suggest_categorical(self, name, choices):
        return self._note(name, self.random.choice(choices))

    def _note(self, name, value):
        assert name not in self.drawn, "a dimension is asked for once"
        self.drawn[name] = value
        return value


def load(tree: Any, *overrides: str, **options: Any) -> SearchSpace:
    return SearchSpace.load(tree, toy_catalogue(), overrides=overrides, **options)


def faults_in(tree: Any, *overrides: str, **options: Any) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        load(tree, *overrides, **options)
    return str(caught.value).split("\n")


def with_trial(**fields: Any) -> dict[str, Any]:
    return {**PLAIN, "trial": {**PLAIN["trial"], **fields}}


def with_lr(value: Any) -> dict[str, Any]:
    return with_trial(generator_optimizer={"name": "adam", "lr": value})


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


# ---- the example of the design ------------------------------------------------------------------


def test_the_example_loads_with_all_its_blocks(example: Path) -> None:
    space = load(example)
    assert space.name == "fashion_mlp"
    assert (space.objective.metric, space.objective.mode) == ("frechet_distance", "min")
    assert (space.budget.trials, space.budget.steps, space.budget.minutes) == (64, 6000, 60)
    assert space.search.sampler.tree() == {"name": "tpe", "startup": 10, "joint": True}
    assert space.search.scheduler.tree() == {"name": "asha", "reduction": 3, "grace": 0.15}
    assert space.search.seed == 0
    assert (space.confirm.top, space.confirm.seeds) == (3, 3)
    assert (space.resources.cpu, space.resources.gpu) == (1, 0)
    assert space.source == EXAMPLE
    assert space.warnings == ()


def test_the_example_has_the_names_of_the_design(example: Path) -> None:
    found = {d.name: (str(d), d.condition) for d in load(example).dimensions()}
    adam, sgd = "generator_optimizer = adam", "generator_optimizer = sgd"
    assert found == {
        "loss": ("choice of non_saturating, least_squares, hinge", ""),
        "generator_optimizer": ("choice of adam, sgd", ""),
        "generator_optimizer.adam.lr": ("log_uniform 1e-05 to 0.01", adam),
        "generator_optimizer.adam.beta1": ("uniform 0.0 to 0.9", adam),
        "generator_optimizer.sgd.lr": ("log_uniform 0.0001 to 0.1", sgd),
        "generator_optimizer.sgd.momentum": ("uniform 0.0 to 0.95", sgd),
        "discriminator_optimizer.lr": ("log_uniform 1e-05 to 0.01", ""),
        "gradient_clip": ("choice of none, norm", ""),
        "gradient_clip.norm.max_norm": ("log_uniform 0.1 to 10.0", "gradient_clip = norm"),
        "penalties.0.weight": ("log_uniform 0.01 to 10.0", ""),
    }


def test_the_examples_first_setting_leaves_the_rest_to_be_sampled(example: Path) -> None:
    assert load(example).start_assignments() == [
        {
            "loss": "non_saturating",
            "generator_optimizer": "adam",
            "generator_optimizer.adam.lr": 2e-4,
            "generator_optimizer.adam.beta1": 0.5,
            "gradient_clip": "none",
        }
    ]


def test_a_dict_is_the_same_space_as_its_yaml(example: Path) -> None:
    from_file, from_dict = load(example), load(yaml.safe_load(EXAMPLE.replace("e-", ".0e-")))
    assert from_dict.trial == from_file.trial
    assert from_dict.file == from_file.file
    assert from_dict.digest == from_file.digest
    assert yaml.safe_load(from_dict.source)["name"] == "fashion_mlp"


def test_a_dict_may_hold_tuples_paths_and_numpy_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    tree = with_trial(
        data={"name": "image_folder", "root": Path("a/b"), "size": numpy.int64(8)},
        generator={"name": "mlp", "hidden": (8, 16)},
        ema=numpy.float64(0.5),
    )
    config = load(tree).config({}, seed=0)
    assert config.data.args["root"] == str(Path("a/b"))
    assert config.generator.args["hidden"] == (8, 16)
    assert (config.ema, type(config.ema)) == (0.5, float)


def test_loading_leaves_the_given_dict_alone() -> None:
    tree = copy.deepcopy(RICH)
    load(tree, "trial.loss=hinge", "trial.ema=0.5")
    assert tree == RICH


# ---- finding and reading a file -----------------------------------------------------------------


def test_the_shipped_spaces_are_found_by_bare_name(
    tmp_path: Path, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "search_spaces"
    folder.mkdir()
    (folder / "fashion.yaml").write_text(EXAMPLE, encoding="utf-8")
    monkeypatch.setattr(reading_module, "__file__", str(tmp_path / "pkg" / "space" / "x.py"))
    assert shipped_spaces() == {"fashion": folder / "fashion.yaml"}
    assert load("fashion").digest == load(example).digest
    assert faults_in("fasion") == [
        "fasion: no such search space; did you mean 'fashion'? shipped are fashion; "
        "a file of your own ends in .yaml"
    ]
    inside = tmp_path / "pkg" / "search_spaces"
    inside.mkdir(parents=True)
    assert shipped_spaces() == {}, "the wheel's own folder comes first"


MERGE_BOMB = b"a0: &a0 {x: 1}\n" + b"".join(
    b"a%d: &a%d {<<: [%s]}\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 9)
)
"""Four hundred bytes whose last mapping has nine to the eighth keys before double ones go."""


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file is empty; a search space is a mapping"),
        (b"# nothing\n", "the file is empty; a search space is a mapping"),
        (b"- 1\n- 2\n", "a search space must be a mapping: [1, 2]"),
        (b"text", "a search space must be a mapping: 'text'"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"a: [1\n", "line 2, column 1: not valid YAML: expected ',' or ']'"),
        (b"a: b: c\n", "line 1, column 5: not valid YAML: mapping values are not allowed here"),
        (b"a:\n\t- 1\n", "line 2, column 1: not valid YAML: found character '\\t' that cannot"),
        (b"a: !!python/name:os.system\n", "line 1, column 4: not valid YAML: could not determine"),
        (b"a: !mine 1\n", "line 1, column 4: not valid YAML: could not determine a constructor"),
        (b"a: *b\n", "line 1, column 4: not valid YAML: found undefined alias 'b'"),
        (
            b"a: 1\n---\nb: 2\n",
            "line 2, column 1: not valid YAML: expected a single document in the stream but found",
        ),
        (b"a: \x01\n", "not valid YAML: "),
        (b"{[1]: 2}\n", "line 1, column 2: not valid YAML: found unhashable key"),
        (b"1: 2\n", "keys must be text: 1"),
        (b"a: &a [*a]\n", "is nested too deeply"),
        (b"a: .nan\n", "a: must be a finite number: nan"),
        (
            b"a: !!binary aGk=\n",
            "a: must be text, a number, true, false, null, a list or a mapping",
        ),
        (b"[" * 1500, "is nested too deeply"),
        (b"name: x\nname: y\n", "line 2, column 1: the key is written twice: 'name'"),
        (
            b"a: &a {x: 1}\nb: {<<: *a, y: 1, y: 2}\n",
            "line 2, column 19: the key is written twice: 'y'",
        ),
        (b"a: !!bool foo\n", "line 1, column 4: not valid YAML: cannot be read as bool: 'foo'"),
        (b"a: !!int\n", "line 1, column 4: not valid YAML: cannot be read as int: ''"),
        (b"{a: !!int -, b: 1}\n", "line 1, column 5: not valid YAML: cannot be read as int: '-'"),
        (b"a: !!int _\n", "line 1, column 4: not valid YAML: cannot be read as int: '_'"),
        (b"a: !!float\n", "line 1, column 4: not valid YAML: cannot be read as float: ''"),
        (b"a: !!timestamp foo\n", "line 1, column 4: not valid YAML: failed to construct time"),
        (b"a: 0x" + b"f" * 5000, "a: must be a whole number of at most 64 bits: '0xfff"),
        (b"a: -" + b"9" * 4000, "a: must be a whole number of at most 64 bits: '-0x"),
        (b"a: " + b"9" * 5000, "line 1, column 4: not valid YAML: cannot be read as int: '999"),
        (
            b"\n".join(b"a%d: 1" % i for i in range(100_001)),
            "a mapping must have at most 1,000 keys",
        ),
        (b"a" * 100_000 + b": 1", "not valid YAML: "),
        (b"? " + b"a" * 100_000 + b"\n: 1", "keys must have at most 200 characters: 'aaaa"),
        (b"a: " + b"b" * 1_000_000, "a: must have at most 20,000 characters: 'bbbb"),
        (b"#" * 2_000_001, "must have at most 2,000,000 characters"),
        (MERGE_BOMB, "a mapping must have at most 1,000 keys"),
        (
            b"a: " + b"[" * 60 + b"]" * 60,
            "a.0.0.0.0.0.0.0....: is nested too deeply",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why_in_one_line(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    (line,) = faults_in(str(path))
    head, rest = line[: len(str(path))], line[len(str(path)) + 2 :]
    assert head == str(path)
    assert rest.startswith(fault) or fault in rest


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    pipe, device = tmp_path / "pipe.yaml", tmp_path / "zero.yaml"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        rule = "must be a regular file, not a pipe, socket or device"
        assert faults_in(path) == [f"{path}: {rule}"]


def test_links_that_lead_to_each_other_are_no_file(tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    (line,) = faults_in(loop)
    assert line == f"{loop}: cannot be read: Too many levels of symbolic links"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"penalties": [], "penalties.a": 1}, "penalties.a"),
        ({"penalties": [{"name": "r1", "weight": 1.0}], "penalties.9": 1}, "penalties.9"),
        ({"loss": "hinge", "loss.h": 1}, "loss.h"),
        ({"data.batch_size.x": 1}, "data.batch_size.x"),
    ],
)
def test_a_key_with_a_dot_is_unknown_whatever_stands_before_it(
    fields: dict[str, Any], key: str
) -> None:
    (line,) = faults_in(with_trial(**fields))
    assert f"{key}: no such key in a trial" in line


def test_of_very_many_faults_a_hundred_are_told() -> None:
    lines = faults_in(with_trial(**{f"key{i}": 1 for i in range(900)}))
    assert len(lines) == 101
    assert lines[-1].endswith("and 800 more")


def test_long_choices_of_numbers_are_checked_in_seconds() -> None:
    rates = {"choice": [round(1e-5 * (i + 1), 8) for i in range(1000)]}
    tree = with_trial(
        generator_optimizer={"name": "adam", "lr": rates},
        discriminator_optimizer={"name": "adam", "lr": rates},
    )
    began = time.process_time()
    load(tree)
    assert time.process_time() - began < 10


def test_every_double_key_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\na: 2\nb: {c: 1, c: 2}\n", encoding="utf-8")
    assert len(faults_in(path)) == 2


@pytest.mark.parametrize("list_on_top", [False, True])
def test_an_alias_bomb_is_refused_at_once(tmp_path: Path, list_on_top: bool) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    if list_on_top:
        lines = [f"- {line.split(': ')[1]}" for line in lines]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    started = time.process_time()
    assert any("must have at most 100000 values" in line for line in faults_in(path))
    assert time.process_time() - started < 5


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    text = yaml.safe_dump(PLAIN, sort_keys=False)
    text = text.replace("generator_optimizer: adam\n", "generator_optimizer: &a {name: adam}\n", 1)
    text = text.replace("discriminator_optimizer: adam", "discriminator_optimizer: {<<: *a, lr: 1}")
    path.write_text(text, encoding="utf-8")
    assert load(path).config({}, 0).discriminator_optimizer.args["lr"] == 1


def test_a_merged_mapping_may_be_merged_again() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, y: 3}\n"
    assert parse(text)["c"] == {"x": 2, "y": 3}


def test_an_anchor_may_be_given_again() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse("a: &a 1\nb: *a\nc: &a 2\nd: *a\n") == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert faults_in("no/such.yaml") == ["no/such.yaml: no such file"]
    assert faults_in("such.yml") == ["such.yml: no such file"]
    assert faults_in(tmp_path) == [
        f"{tmp_path}: is a folder, not a space file (gan-tune init writes one for data)"
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("12", 12),
        ("1_000", 1000),
        ("0x10", 16),
        ("0", 0),
        ("-3", -3),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("0o17", "0o17"),
        ("0b1", "0b1"),
        ("true", True),
        ("yes", True),
        ("Off", False),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("=", "="),
        ("", None),
        ("none", "none"),
        ("'1e-4'", "1e-4"),
        ("1e", "1e"),
        ("e5", "e5"),
    ],
)
def test_yaml_values_mean_what_they_look_like(written: str, read: Any) -> None:
    value = parse(f"a: {written}")["a"]
    assert value == read
    assert type(value) is type(read)


NASTY = (
    *("yes", "n", "ON", "010", "1e-4", ".5e3", "1:30", "2024-01-01", "0x1", "null", "~", "", "<<"),
    *("a: b", "- x", "#c", " lead", "trail ", "two\nlines", "tab\t", "é", "'", '"', "[", "=", "!x"),
    *(None, True, 0, -3, 1.5, 1e-5, 1e17, 1e300, [], {}, [[1], [{"a": [], "y": {}}]], "long " * 60),
)


@pytest.mark.parametrize("value", [*NASTY, list(NASTY), {"deep": {"list": list(NASTY)}}])
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    tree = {"key": value, "other": [value]}
    assert parse(write(tree)) == parse(write_line(tree)) == tree
    assert "\n" not in write_line(tree)


@pytest.mark.parametrize("tree", [PLAIN, RICH, parse(EXAMPLE)])
def test_what_is_written_means_the_same_in_yaml_1_1(tree: Any) -> None:
    assert yaml.safe_load(write(tree)) == yaml.safe_load(write_line(tree)) == tree
    assert write(tree) == yaml.safe_dump(tree, sort_keys=False)


# ---- the blocks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("name=", "name: must be text: None"),
        ("name=12", "name: must be text: 12"),
        ("name=''", "name: must be letters, digits, '_', '-' and '.', starting with a letter "),
        ("name=a/b", "name: must be letters, digits, '_', '-' and '.', starting with a letter "),
        ("name=..", "name: must be letters"),
        ("nam=x", "nam: no such key in a search space; did you mean 'name'?: 'x'"),
        ("choice=1", "choice: no such key in a search space, which takes name, "),
        ('trial.block={"a.b": 1}', "block.a.b: no such key in block, which takes both, generator"),
        ("budget=3", "budget: must be a mapping: 3"),
        ("budget={}", "budget.steps: must be given where budget.minutes is not"),
        ("budget.trials=0", "budget.trials: must be at least 1: 0"),
        ("budget.trials=1.5", "budget.trials: must be a whole number: 1.5"),
        ("budget.trials='3'", "budget.trials: must be a whole number: '3'"),
        ("budget.trials=true", "budget.trials: must be a whole number: True"),
        ("budget.steps=0", "budget.steps: must be at least 1: 0"),
        ("budget.evaluations=0", "budget.evaluations: must be at least 1: 0"),
        ("budget.minutes=0", "budget.minutes: must be above 0: 0"),
        ("budget.trails=3", "budget.trails: no such key in budget; did you mean 'trials'?: 3"),
        (
            "search.sampler=tpa",
            "search.sampler: sampler name must be one of tpe, random; did you mean 'tpe'?: 'tpa'",
        ),
        (
            "search.sampler={name: tpa}",
            "search.sampler.name: sampler name must be one of tpe, random; did you mean 'tpe'?: ",
        ),
        ("search.sampler=null", "search.sampler: must be a name, or a mapping with a name: None"),
        (
            "search.sampler={name: tpe, strtup: 3}",
            "search.sampler.strtup: no such key in tpe; did you mean 'startup'?: 3",
        ),
        ("search.sampler={name: tpe, startup: -1}", "search.sampler.startup: must be at least 0"),
        (
            "search.sampler={name: random, startup: 3}",
            "search.sampler.startup: no such key in random, which takes nothing: 3",
        ),
        ("search.scheduler=x", "search.scheduler: scheduler name must be one of asha, none: 'x'"),
        (
            "search.scheduler={name: asha, reduction: 1}",
            "search.scheduler.reduction: must be at least 2: 1",
        ),
        (
            "search.scheduler={name: asha, grace: 0}",
            "search.scheduler.grace: must be above 0: 0",
        ),
        (
            "search.scheduler={name: asha, grace: 1}",
            "search.scheduler.grace: must be below 1: 1",
        ),
        ("search.study=3", "search.study: must be text: 3"),
        ("search.study=here", "search.study: must be a URL, such as sqlite:////"),
        ("search.study='http://['", "search.study: must be a URL, such as sqlite:////"),
        ("search.seed=-1", "search.seed: must be at least 0: -1"),
        (
            "search.reduction=4",
            "search.reduction: has moved into the scheduler; write "
            "scheduler: {name: asha, reduction: ...}: 4",
        ),
        (
            "search.grace=0.1",
            "search.grace: has moved into the scheduler; write "
            "scheduler: {name: asha, grace: ...}: 0.1",
        ),
        ("confirm.top=-1", "confirm.top: must be at least 0: -1"),
        ("confirm.seeds=0", "confirm.seeds: must be at least 1: 0"),
        ("resources.cpu=0", "resources.cpu: must be at least 0.001: 0"),
        ("resources.cpu=1e-300", "resources.cpu: must be at least 0.001: 1e-300"),
        ("resources.gpu=1e-9", "resources.gpu: must be 0 or at least 0.001: 1e-09"),
        ("resources.gpu=-1", "resources.gpu: must be at least 0: -1"),
        (
            "resources.gpu=automatic",
            "resources.gpu: must be a finite number or 'auto': 'automatic'",
        ),
        ("resources.gpu=1.5", "resources.gpu: must be a whole number above 1, since only one GPU"),
        ("objective.mode=less", "objective.mode: must be 'min' or 'max': 'less'"),
        ("objective.metric=fid", "objective.metric: a metric of fashion_mnist must be one of "),
        ("objective.mode=max", "objective.mode: mode must be min: 'max'"),
        ("trial=3", "trial: must be a mapping: 3"),
        ("start_from=3", "start_from: must be a list: 3"),
        ("start_from=[3]", "start_from.0: must be a mapping: 3"),
        ("trial.seed=3", "seed: is derived from search.seed for each trial, and must not be"),
        ("trial.steps=3", "steps: belongs in budget, and must not be in trial: 3"),
        ("trial.evaluations=3", "evaluations: belongs in budget, and must not be in trial: 3"),
        ("trial.objective=x", "objective: belongs at the top of the file, and must not be in"),
        ("trial.label=x", "label: a label belongs to an option of a choice: 'x'"),
        ("trial.los=x", "los: no such key in a trial; did you mean 'loss'?: 'x'"),
    ],
)
def test_a_faulty_block_is_told_by_its_place(override: str, fault: str) -> None:
    (line,) = faults_in(PLAIN, override)
    assert line.startswith(fault)


@pytest.mark.parametrize("url", ["a://me:secret@host/db", "a://host/db?user=me&password=secret"])
def test_a_study_url_with_a_password_is_refused_and_not_shown(url: str) -> None:
    (line,) = faults_in({**PLAIN, "search": {"study": url}})
    assert line.startswith("search.study: must not hold a password")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("url", "in_memory"),
    [
        ("sqlite://", True),
        ("sqlite:///", True),
        ("sqlite:///:memory:", True),
        ("sqlite+pysqlite:///:memory:", True),
        ("sqlite:///file::memory:?cache=shared&uri=true", True),
        ("sqlite:///file:studies?mode=memory&uri=true", True),
        ("sqlite:///studies.db", False),
        ("sqlite:////data/studies.db?timeout=9", False),
        ("postgresql://me@host", False),
    ],
)
def test_a_study_in_memory_is_refused(url: str, in_memory: bool) -> None:
    database = make_url(url).database
    if url.startswith("sqlite") and "file:" not in url:
        assert (database in (None, "", ":memory:")) == in_memory, "as SQLAlchemy has it"
    tree = {**PLAIN, "search": {"study": url}}
    if in_memory:
        rule = (
            f"must outlive the command, such as sqlite:////data/studies.db; {url} is kept in memory"
        )
        assert faults_in(tree) == [f"search.study: {rule}"]
    else:
        assert load(tree).search.study == url


def test_a_set_reaches_into_a_part_that_is_given_by_its_name(example: Path) -> None:
    space = load(example, "search.scheduler.reduction=4", "search.sampler.startup=3")
    assert space.search.scheduler.tree() == {"name": "asha", "reduction": 4, "grace": 0.15}
    assert space.search.sampler.args["startup"] == 3


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("resources.gpu=0.25", 0.25),
        ("resources.gpu=auto", "auto"),
        ("resources.gpu=1", 1),
        ("resources.gpu=2", 2),
        ("resources.cpu=0.5", 0.5),
        ("confirm.top=0", 0),
        ("name=a.b-c_1", "a.b-c_1"),
    ],
)
def test_a_sound_block_is_taken(override: str, value: Any) -> None:
    found: Any = load(PLAIN, override).file
    for step in override.partition("=")[0].split("."):
        found = getattr(found, step)
    assert found == value


def test_blocks_left_out_have_defaults_and_the_needed_ones_are_asked_for() -> None:
    space = load(PLAIN)
    assert (space.budget.trials, space.budget.evaluations, space.budget.minutes) == (None, 10, None)
    assert space.budget.most_trials == 32
    assert (space.confirm.top, space.resources.cpu) == (3, 1)
    assert (space.search.sampler.name, space.search.scheduler.name) == ("tpe", "asha")
    assert faults_in({}) == [
        "name: is required",
        "budget: is required",
        "trial: is required",
    ]


def test_names_are_bounded() -> None:
    assert check_name("a" * 100) is None
    for name in ("a" * 101, "", ".", "-a", "a b", "ä", "a\n", "a/b", "a\\b"):
        assert check_name(name) is not None


# ---- ranges -------------------------------------------------------------------------------------


def test_a_list_of_parts_has_an_end_and_so_have_the_ranges() -> None:
    weighed = {"name": "r1", "weight": {"log_uniform": [0.01, 10]}}
    rule = f"penalties: must have at most {MOST_PARTS} entries: "
    assert faults_in(with_trial(penalties=[{"name": "r1"}] * (MOST_PARTS + 1)))[0].startswith(rule)
    either = {"choice": ["none", weighed]}
    begun = time.perf_counter()
    (line,) = faults_in(with_trial(penalties=[either] * 1001))  # minutes, if each were tried
    assert line == f"trial: must have at most {MOST_RANGES} ranges and choices, but has 2,002"
    assert time.perf_counter() - begun < 10


def test_an_override_is_repeated_in_short() -> None:
    """In a line that a person reads, however much was given."""
    for given in (f"search.seed={'9' * 5000}", f"{'x' * 5000}=1", "=" * 5000):
        (line,) = faults_in(PLAIN, given)
        assert len(line) < 1200  # a key and what it holds


def test_the_settings_that_a_check_tries_have_an_end() -> None:
    def parts(name: str, count: int) -> Any:
        return {"choice": [{"label": f"{i}", "name": name, "weight": 1 + i} for i in range(count)]}

    begun = time.perf_counter()
    (line,) = faults_in(with_trial(penalties=[parts("r1", 200), parts("r2", 200)]))
    rule = f"must have at most {MOST_TRIES:,} options and pairs of them that rules compare"
    assert line == f"trial: {rule}, but has {200 * 200 + 400:,}"
    assert time.perf_counter() - begun < 10  # minutes, if each were tried


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"uniform": [2, 1]}, "low <= high must hold, but got (low=2.0, high=1.0): [2, 1]"),
        ({"uniform": []}, "uniform must be a list of two numbers, low and high: []"),
        ({"uniform": [1]}, "uniform must be a list of two numbers, low and high: [1]"),
        ({"uniform": [1, 2, 3]}, "uniform must be a list of two numbers, low and high: [1, 2, 3]"),
        ({"uniform": 3}, "uniform must be a list of two numbers, low and high: 3"),
        (
            {"uniform": {"low": 1}},
            "uniform must be a list of two numbers, low and high: {'low': 1}",
        ),
        ({"uniform": ["1", 2]}, "the bounds of uniform must be numbers: ['1', 2]"),
        ({"uniform": [False, True]}, "the bounds of uniform must be numbers: [False, True]"),
        ({"uniform": [None, 1]}, "the bounds of uniform must be numbers: [None, 1]"),
        ({"int": [1, 2.5]}, "the bounds of int must be whole numbers: [1, 2.5]"),
        (
            {"log_uniform": [0, 1]},
            "low > 0 must hold for log_uniform, but got (low=0.0, high=1.0): [0, 1]",
        ),
        ({"log_int": [0, 9]}, "low > 0 must hold for log_int, but got (low=0, high=9): [0, 9]"),
        ({"uniform": [0.1, 1], "step": 0}, "step > 0 must hold: 0"),
        ({"uniform": [0.1, 1], "step": -0.1}, "step > 0 must hold: -0.1"),
        ({"uniform": [0.1, 1], "step": True}, "step must be a number: True"),
        ({"uniform": [0.1, 1], "step": None}, "step must be a number: None"),
        (
            {"uniform": [0.1, 1], "step": 0.4},
            "step must divide high - low, but got (low=0.1, high=1.0): 0.4",
        ),
        ({"uniform": [0.1, 1], "step": 5}, "step must divide high - low, but got "),
        ({"int": [1, 4], "step": 0.5}, "step must be a whole number: 0.5"),
        ({"log_uniform": [0.1, 1], "step": 0.1}, "step does not go with log_uniform: 0.1"),
        ({"log_int": [1, 8], "step": 1}, "step does not go with log_int: 1"),
        ({"choice": []}, "a choice must be a list of one or more options: []"),
        ({"choice": 0.1}, "a choice must be a list of one or more options: 0.1"),
        (
            {"choice": list(range(1, MOST_OPTIONS + 2))},
            "a choice must have at most 1000 options, but has 1001: [1, 2, ",
        ),
        ({"uniform": [0.1, 1], "step": 1e-320}, "step must divide high - low, but got "),
        ({"choice": {"a": 1}}, "a choice must be a list of one or more options: {'a': 1}"),
        ({"choice": [0.1, 0.1]}, "two options are called 0.1; give each a label of its own: 0.1"),
        ({"uniform": [0, 1], "int": [0, 1]}, "must be one range, not uniform and int at once: "),
        (
            {"log_unifrom": [0.1, 1]},
            "no range is called 'log_unifrom'; did you mean 'log_uniform'?: ",
        ),
        ({"choise": [0.1, 1]}, "no range is called 'choise'; did you mean 'choice'?: "),
    ],
)
def test_a_faulty_range_is_told_by_its_rule(value: Any, fault: str) -> None:
    (line,) = faults_in(with_lr(value))
    assert line.startswith(f"generator_optimizer.lr: {fault}")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (
            {"uniform": [0.1, 1], "stepp": 0.1},
            "generator_optimizer.lr.stepp: no such key in a range uniform; did you mean 'step'?: "
            "0.1",
        ),
        (
            {"choice": [0.1], "name": "adam"},
            "generator_optimizer.lr.name: no such key in a range choice, which takes choice: "
            "'adam'",
        ),
        (
            {"choice": [{"label": "a b", "uniform": [0.1, 1]}, 0.5]},
            "generator_optimizer.lr.#0.label: a label must be a word of letters, digits, '_' and "
            "'-': 'a b'",
        ),
    ],
)
def test_a_fault_beside_a_range_is_told_at_its_own_place(value: Any, fault: str) -> None:
    assert faults_in(with_lr(value)) == [fault]


@pytest.mark.parametrize("kind", RANGES)
def test_both_ends_are_in_a_range_and_may_be_one(kind: str) -> None:
    tree = with_trial(generator={"name": "mlp", "latent": {kind: [4, 4]}}, penalties=[])
    if not RANGES[kind].whole:
        tree = with_lr({kind: [4, 4]})
    (dimension,) = load(tree).dimensions()
    assert dimension.values == (4,)
    assert dimension.broken_rule(4) is None
    assert dimension.broken_rule(4.5) is not None


def test_two_options_of_one_name_need_a_label() -> None:
    options = [{"name": "adam"}, {"name": "adam", "lr": 0.1}]
    tree = with_trial(generator_optimizer={"choice": options})
    (line,) = faults_in(tree)
    assert line.startswith("generator_optimizer: two options are called adam; give each a label of")
    options[1]["label"] = "fast"
    space = load(tree)
    assert space.dimensions()[0].options == ("adam", "fast")
    config = space.config({"generator_optimizer": "fast"}, 0)
    assert config.generator_optimizer.args["lr"] == 0.1


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"name": "ring", "modes": {"int": [2, 8]}}, "data.modes"),
        ({"choice": ["ring", "fashion_mnist"]}, "data"),
        ({"name": {"choice": ["ring", "fashion_mnist"]}}, "data.name"),
    ],
)
def test_in_data_only_the_batch_size_may_be_a_range(data: Any, place: str) -> None:
    lines = faults_in(with_trial(data=data), "objective.metric=modes_covered", check_data=False)
    assert any(
        line.startswith(f"{place}: in data only batch_size may be a range: ") for line in lines
    )
    load(with_trial(data={"name": "fashion_mnist", "batch_size": {"choice": [8, 16]}}))


def test_data_cannot_stand_in_a_choice_of_fields() -> None:
    tree = with_trial(choice=[{"data": "ring"}, {"data": "fashion_mnist"}])
    del tree["trial"]["data"]
    lines = faults_in(tree)
    assert "choice.#0.data: data must not be in a choice: 'ring'" in lines


def test_a_field_stands_beside_a_choice_or_in_it() -> None:
    lines = faults_in(with_trial(choice=[{"loss": "wasserstein"}, 3]))
    assert "choice.#0.loss: is given both beside the choice and in it: 'wasserstein'" in lines
    assert "choice.3: must be a mapping of fields of a trial: 3" in lines


# ---- what the catalogue says --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (
            {"loss": {"choice": ["hinge", "hinje"]}},
            "loss: loss name must be one of non_saturating, least_squares, hinge, wasserstein; "
            "did you mean 'hinge'?: 'hinje'",
        ),
        (
            {"generator_optimizer": {"choice": [{"name": "adam"}, {"name": "sgd", "lr": -1}]}},
            "generator_optimizer.sgd.lr: must be above 0: -1",
        ),
        (
            {"generator_optimizer": {"choice": ["adam", "sgd"]}},
            "generator_optimizer: sgd needs lr",
        ),
        (
            {"generator_optimizer": {"choice": ["adam", {"name": "sgd"}]}},
            "generator_optimizer.sgd.lr: sgd needs lr",
        ),
        (
            {"generator_optimizer": {"name": "adam", "beta1": {"uniform": [0, 1]}}},
            "generator_optimizer.beta1: must be below 1: 1.0",
        ),
        (
            {"generator_optimizer": {"name": "adam", "lr": {"uniform": [0, 1]}}},
            "generator_optimizer.lr: must be above 0: 0.0",
        ),
        (
            {"generator": {"name": "mlp", "latent": {"uniform": [1, 8]}}},
            "generator.latent: must be a whole number: 1.0",
        ),
        (
            {"generator": {"name": "mlp", "hidden": [{"int": [0, 8]}, 4]}},
            "generator.hidden.0: must be at least 1: 0",
        ),
        (
            {"generator": {"name": "mlp", "hiddn": [{"int": [1, 8]}]}},
            "generator.hiddn: no such key in mlp; did you mean 'hidden'?: [1]",
        ),
        ({"d_steps": {"int": [1, 101]}}, "d_steps: must be at most 100: 101"),
        ({"collapse": {"variety": {"uniform": [0, 1]}}}, "collapse.variety: must be below 1: 1.0"),
        (
            {"collapse": {"varity": {"uniform": [0, 0.5]}}},
            "collapse.varity: no such key in collapse; did you mean 'variety'?: 0.0",
        ),
        (
            {"gradient_clip": {"choice": ["none", {"name": "norm", "max_norm": 0}]}},
            "gradient_clip.norm.max_norm: must be above 0: 0",
        ),
        (
            {"penalties": [{"choice": ["none", {"name": "r2"}]}]},
            "penalties.0.r2.name: penalty name must be one of none, r1, gradient_penalty: 'r2'",
        ),
        (
            {"generator": {"name": "mlp", "hidden": {"choice": [[8], [1, 2, 3, 4]]}}},
            "generator.hidden.#1: has more layers than the toy can build",
        ),
        (
            {"choice": [{"d_steps": 1}, {"d_steps": 0}]},
            "choice.#1.d_steps: must be at least 1: 0",
        ),
        ({"loss": "hing"}, "loss: loss name must be one of "),
        ({"data": {"name": "image_folder", "root": "missing"}}, "data.root: no such folder: "),
    ],
)
def test_every_option_and_end_is_tried_and_told_at_its_place(fields: Any, fault: str) -> None:
    (line,) = faults_in(with_trial(**fields))
    assert line.startswith(fault)


def test_a_fault_far_from_the_option_that_makes_it_names_the_option() -> None:
    ring = {"name": "ring", "batch_size": 8}
    generator = {"name": {"choice": ["mlp", "conv"]}}
    tree = {**with_trial(data=ring, generator=generator), "objective": {"metric": "modes_covered"}}
    (line,) = faults_in(tree)
    assert line == (
        "generator: makes pictures, but the data are points (with generator.name = conv)"
    )


def test_the_data_are_looked_at_only_when_asked() -> None:
    tree = with_trial(data={"name": "image_folder", "root": "missing"})
    space = load(tree, check_data=False)
    assert space.tree["trial"]["data"]["root"] == "missing"
    assert faults_in(tree) == ["data.root: no such folder: 'missing'"]


def test_all_faults_are_found_at_once_and_raised_once() -> None:
    tree = with_trial(
        loss={"choice": ["hinge", "hinje"]},
        generator={"name": "mlp", "hidden": {"choice": [[1], [1, 2, 3, 4]]}},
        discriminator={"name": "mlp", "norm": {"choice": ["none", "batch"]}},
        penalties=["r1"],
        generator_optimizer={"choice": [{"name": "adam", "lr": {"uniform": [1, 0]}}]},
        ema=2,
    )
    tree |= {"budget": {"steps": 0, "trails": 1}, "search": {"sampler": "tpx"}}
    assert sorted(line.split(": ")[0] for line in faults_in(tree)) == [
        "budget.steps",
        "budget.trails",
        "discriminator.norm",
        "ema",
        "generator.hidden.#1",
        "generator_optimizer.adam.lr",
        "loss",
        "search.sampler",
    ]


def test_a_fault_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(EXAMPLE.replace("hinge]", "hinje]"), encoding="utf-8")
    (line,) = faults_in(path)
    assert line.startswith(f"{path}: loss: loss name must be one of ")


def test_networks_are_not_built_again_for_what_does_not_change_them() -> None:
    catalogue = toy_catalogue()
    SearchSpace.load(RICH, catalogue)
    assert catalogue.build.calls <= 30  # type: ignore[attr-defined]


# ---- incompatibilities --------------------------------------------------------------------------

NORMS = {"name": "mlp", "norm": {"choice": ["none", "batch", "spectral"]}}
PENALTIES = {"choice": [[], [{"name": "r1", "weight": {"log_uniform": [0.1, 1]}}], ["r1"]]}


def nested(line: str) -> dict[str, Any]:
    """The fields that a message tells to write instead."""
    return yaml.safe_load("{" + line.split("nest them instead: ")[1] + "}")


def test_a_pair_that_can_be_sampled_is_refused_once_with_a_form_that_works() -> None:
    tree = with_trial(discriminator=NORMS, penalties=PENALTIES)
    (line,) = faults_in(tree)
    assert line.startswith(
        "discriminator.norm: batch does not go with penalties = #1: a penalty is on single "
        "samples, batch norm ties a batch together; nest them instead: choice: [{label: a, "
    )
    assert "\n" not in line
    instead = nested(line)
    rest = {k: v for k, v in tree["trial"].items() if k not in ("discriminator", "penalties")}
    space = load({**tree, "trial": {**rest, **instead}})
    seen = set()
    for seed in range(100):
        config = space.sample(RandomSuggest(seed), seed=seed)
        seen.add((config.discriminator.args["norm"], len(config.penalties)))
    assert seen == {("batch", 0), ("none", 0), ("none", 1), ("spectral", 0), ("spectral", 1)}


def test_a_pair_within_one_field_is_nested_there() -> None:
    generator = {
        "name": "conv",
        "width": {"int": [32, 128], "step": 32},
        "attention": {"choice": [True, False]},
    }
    (line,) = faults_in(with_trial(generator=generator))
    assert line.startswith(
        "generator.width: 128 does not go with generator.attention = true: attention over so many "
        "maps does not fit the memory; nest them instead: generator: {choice: [{label: a, "
    )
    load(with_trial(**nested(line)))


def test_a_pair_below_options_is_nested_and_loads() -> None:
    discriminator = {"choice": [{"label": "x", **NORMS}, {"label": "y", "name": "conv"}]}
    tree = with_trial(discriminator=discriminator, penalties=PENALTIES)
    (line,) = faults_in(tree)
    rest = {k: v for k, v in tree["trial"].items() if k not in ("discriminator", "penalties")}
    load({**tree, "trial": {**rest, **nested(line)}})


def test_an_option_that_clashes_with_a_fixed_value_is_named_alone() -> None:
    (line,) = faults_in(with_trial(discriminator=NORMS, penalties=["r1"]))
    assert line == (
        "discriminator.norm: batch does not go with penalties = r1: a penalty is on single "
        "samples, batch norm ties a batch together"
    )


def test_fixed_values_that_clash_are_told_as_in_a_config() -> None:
    fixed = {"name": "mlp", "norm": "batch"}
    (line,) = faults_in(with_trial(discriminator=fixed, penalties=["r1"]))
    assert line.startswith(
        "discriminator.norm: batch does not go with penalties = r1: a penalty is"
    )


def test_the_nested_form_is_accepted() -> None:
    tree = with_trial(
        choice=[
            {"label": "batch", "discriminator": {"name": "mlp", "norm": "batch"}, "penalties": []},
            {"label": "penalty", "discriminator": "mlp", "penalties": ["r1"]},
        ]
    )
    del tree["trial"]["discriminator"]
    space = load(tree)
    assert [d.name for d in space.dimensions()] == ["choice"]
    assert space.config({"choice": "batch"}, 0).penalties == ()


# ---- sampling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", [RICH, yaml.safe_load(EXAMPLE.replace("e-", ".0e-"))])
def test_whatever_is_sampled_is_a_valid_trial_that_goes_round(tree: Any) -> None:
    space = load(tree)
    names = {dimension.name for dimension in space.dimensions()}
    seen: set[str] = set()
    for seed in range(150):
        suggest = RandomSuggest(seed)
        config = space.sample(suggest, seed=seed)
        seen |= set(suggest.drawn)
        assert config.seed == seed
        assert config.steps == space.budget.steps
        again = json.loads(json.dumps(config.tree()))
        assert TrialConfig.from_tree(again, toy_catalogue()) == config
        assert space.config(suggest.drawn, seed) == config
        assert space.config(json.loads(json.dumps(suggest.drawn)), seed) == config
    assert seen == names, "every dimension was met"


def test_the_ends_of_every_range_are_valid_values() -> None:
    for dimension in load(RICH).dimensions():
        assert all(dimension.broken_rule(value) is None for value in dimension.values)


def test_sampling_is_fast() -> None:
    space = load(RICH)
    started = time.process_time()
    for seed in range(100):
        space.sample(RandomSuggest(seed), seed=seed)
    assert (time.process_time() - started) / 100 < 0.005


def test_loading_twice_gives_the_same_space() -> None:
    one, other = load(RICH), load(copy.deepcopy(RICH))
    assert one.digest == other.digest
    assert one.dimensions() == other.dimensions()
    assert one.sample(RandomSuggest(3), seed=1) == other.sample(RandomSuggest(3), seed=1)


def test_an_assignment_is_checked_against_the_ranges(example: Path) -> None:
    space = load(example)
    with pytest.raises(ConfigError) as caught:
        space.config(
            {
                "loss": "hing",
                "generator_optimizer": "sgd",
                "generator_optimizer.sgd.lr": 1.0,
                "generator_optimizer.sgd.momentum": "0.1",
                "discriminator_optimizer.lr": 1e-3,
                "gradient_clip": "none",
                "penalties.0.wight": 1.0,
            },
            seed=0,
        )
    assert str(caught.value).split("\n") == [
        "loss: must be one of non_saturating, least_squares, hinge; did you mean 'hinge'?: 'hing'",
        "generator_optimizer.sgd.lr: must lie between 0.0001 and 0.1: 1.0",
        "generator_optimizer.sgd.momentum: must be a number: '0.1'",
        "penalties.0.weight: is not given, but must be: log_uniform 0.01 to 10.0",
        "penalties.0.wight: the space has no such range; did you mean 'penalties.0.weight'?",
    ]


def test_choosers_complete_the_params_and_never_contradict_them() -> None:
    space = load(RICH)
    for seed in range(60):
        suggest = RandomSuggest(seed)
        params = space.sample(suggest, seed=seed).params()
        choosers = space.choosers(suggest.drawn)
        assert {name: params[name] for name in choosers if name in params} == {
            name: value for name, value in choosers.items() if name in params
        }
        assert choosers["generator"] == suggest.drawn["generator"]
        assert "choice" in choosers
    drawn = {"ema": "on", "ema.on": 0.95, "loss": "hinge"}
    assert "ema" not in space.choosers(drawn)
    assert space.choosers(drawn)["loss"] == "hinge"


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("budget.trials=5", True),
        ("budget.minutes=5", True),
        ("name=other", True),
        ("resources.cpu=2", True),
        ("resources.gpu=auto", True),
        ("resources.gpu=0.5", True),
        ("budget.steps=5", False),
        ("budget.evaluations=5", False),
        ("search.seed=5", False),
        ("search.sampler=random", False),
        ("search.study=sqlite:///x.db", True),
        ("search.sampler={name: tpe}", True),
        ("search.sampler={name: tpe, startup: 10}", True),
        ("search.sampler={name: tpe, startup: 11}", False),
        ("search.scheduler=none", False),
        ("confirm.top=1", False),
        ("objective.metric=kernel_distance", False),
        ("trial.ema=0.5", False),
        ("trial.loss.choice.0=wasserstein", False),
        ("start_from=[]", False),
    ],
)
def test_the_digest_names_what_decides_a_search(example: Path, override: str, same: bool) -> None:
    changed = load(example, override, *(["start_from=[]"] if "loss" in override else []))
    assert (changed.digest == load(example).digest) is same


JUNK = (
    None, True, -1, 0, 1.5, 10**30, "", "x", "mlp", "a.b", [], [[]], {}, {"": 1}, {"name": None},
    {"name": {"choice": []}}, {"choice": None}, {"choice": [{}, {}]}, {"choice": [[], [{}]]},
    {"label": "x"}, {"uniform": [0, 1]}, {"int": [1, 2], "choice": [1]}, {"label": []},
    {"choice": [{"label": "x", "choice": [1, {"label": "y", "int": [0, 1]}]}]},
    {"log_uniform": [1e-300, 1e300]}, ["r1"], {"name": ["x"]}, {"choice": [True, 1]},
)  # fmt: skip


def places(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in inner:
        found.append((*above, key))
        if isinstance(value, (dict, list)):
            found += places(value, (*above, key))
    return found


def test_whatever_stands_in_a_file_is_taken_or_refused_in_words() -> None:
    rng = random.Random(0)
    whole = {**RICH, "start_from": [{"generator": {"name": "conv", "width": 32}, "d_steps": 5}]}
    where = places(whole)
    for _ in range(50):
        tree = copy.deepcopy(whole)
        for _ in range(rng.choice([1, 1, 2, 4])):
            *above, last = rng.choice(where)
            here: Any = tree
            try:
                for step in above:
                    here = here[step]
                here[last] = copy.deepcopy(rng.choice(JUNK))
            except (KeyError, IndexError, TypeError):
                continue  # an earlier change took the place away
        faults: tuple[Fault, ...] = ()
        try:
            load(tree).sample(RandomSuggest(0), seed=0)
        except SpaceError as error:
            faults = error.faults
        assert all(fault.rule and "\n" not in str(fault) for fault in faults)


# ---- overrides ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("trial.data.batch_size=64", "trial.data.batch_size", 64),
        ("budget.trials=3", "budget.trials", 3),
        ("confirm.top=0", "confirm.top", 0),
        ("trial.discriminator_optimizer.lr=1e-4", "trial.discriminator_optimizer.lr", 1e-4),
        ("trial.loss=hinge", "trial.loss", "hinge"),
        ("trial.loss={choice: [hinge]}", "trial.loss", {"choice": ["hinge"]}),
        ("trial.generator.hidden.1=64", "trial.generator.hidden", [128, 64]),
        ("trial.generator.hidden=[8]", "trial.generator.hidden", [8]),
        ("trial.penalties.0.weight.log_uniform.1=5", "trial.penalties.0.weight.log_uniform.1", 5),
        ("trial.collapse.variety=0", "trial.collapse.variety", 0),
        ("trial.generator_optimizer.choice.1.lr=0.1", "trial.generator_optimizer.choice.1.lr", 0.1),
        ("trial.generator_optimizer.sgd.lr=0.1", "trial.generator_optimizer.choice.1.lr", 0.1),
        ("start_from.0.loss=hinge", "start_from.0.loss", "hinge"),
        ("trial.patience=2", "trial.patience", 2),
    ],
)
def test_set_overrides_any_leaf_or_subtree(
    example: Path, override: str, path: str, value: Any
) -> None:
    here: Any = load(example, override).tree
    for step in path.split("."):
        here = here[int(step)] if isinstance(here, list) else here[step]
    assert here == value


def _another(block: type[Any], leaf: str) -> Any:
    """A value that a leaf of a block may have, and that is not its default."""
    default = block.model_fields[leaf].default
    needed = {"steps": 1} if "steps" in block.model_fields else {}
    for value in (0.25, 2, 1, "geometric", "max", "sqlite:////x.db"):
        try:
            sound = getattr(block.model_validate({**needed, leaf: value}), leaf)
        except ValueError:
            continue
        if sound != default:
            return value
    raise AssertionError(leaf)


TRIAL_LEAVES = [
    (name, leaf)
    for name, block in BLOCK_FIELDS.items()
    if name not in ELSEWHERE
    for leaf in block.model_fields
]


@pytest.mark.parametrize(("name", "leaf"), TRIAL_LEAVES)
def test_set_makes_any_block_of_a_trial_that_is_left_out(name: str, leaf: str) -> None:
    value = _another(BLOCK_FIELDS[name], leaf)
    space = load(PLAIN, f"trial.{name}.{leaf}={value}")
    assert space.tree["trial"][name] == {leaf: value}
    assert getattr(getattr(space.config({}, 0), name), leaf) == value
    ranged = load(PLAIN, f"trial.{name}.{leaf}={{choice: [{value}]}}")
    assert [dimension.name for dimension in ranged.dimensions()] == [f"{name}.{leaf}"]


@pytest.mark.parametrize(("name", "leaf"), TRIAL_LEAVES)
def test_a_misspelt_leaf_of_a_block_is_told_at_its_place(name: str, leaf: str) -> None:
    (line,) = faults_in(PLAIN, f"trial.{name}.{leaf}x=1")
    assert line == f"{name}.{leaf}x: no such key in {name}; did you mean {leaf!r}?: 1"


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        (name, leaf)
        for name, block in block_fields(SpaceFile).items()
        for leaf in block.model_fields
        if leaf not in part_fields(block) and leaf != "prune_on"
    ],
)
def test_set_makes_any_block_of_a_file_that_is_left_out(name: str, leaf: str) -> None:
    value = _another(block_fields(SpaceFile)[name], leaf)
    tree, _, faults = apply_overrides({"name": "x"}, [f"{name}.{leaf}={value}"])
    assert not faults
    assert tree == {"name": "x", name: {leaf: value}}


def test_set_goes_below_a_part_given_by_its_name_alone() -> None:
    space = load(PLAIN, "trial.generator.latent=5")
    assert space.tree["trial"]["generator"] == {"name": "mlp", "latent": 5}


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("trial.data", "must be PATH=VALUE, such as trial.data.batch_size=64"),
        ("=3", "must be PATH=VALUE, such as trial.data.batch_size=64"),
        ("trial.ema=[1", "not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("trial.ema=.nan", "must be a finite number"),
        ("trail.ema=1", "the space has no trail; did you mean 'trial'?"),
        ("trial.dat.batch_size=1", "the space has no trial.dat; did you mean 'data'?"),
        ("trial.zzz.x=1", "the space has no trial.zzz; there are data, generator, discriminator, "),
        ("trial.ema.x=1", "trial.ema is a plain value, with nothing below it"),
        ("trial.generator.hidden.2=1", "trial.generator.hidden is a list of 2, numbered from 0"),
        ("trial.generator.hidden.x=1", "trial.generator.hidden is a list of 2, numbered from 0"),
        ("trial.generator.hidden.¹=1", "trial.generator.hidden is a list of 2, numbered from 0"),
        ("loss={a: 1, a: 2}", "the key is written twice: 'a'"),
        (".budget.trials=3", "must be PATH=VALUE"),
        ("budget..trials=3", "must be PATH=VALUE"),
        ("trial.objective.mode=max", "the space has no trial.objective; there are data, "),
        (f"trial.patience=1{'0' * 400}", "must be a whole number of at most 64 bits"),
        ("trial.generator_optimizer.lr=1", "the space has no trial.generator_optimizer.lr; there"),
        ("trial.generator_optimizer.adm.lr=1", "the space has no trial.generator_optimizer.adm"),
    ],
)
def test_a_faulty_set_is_told(example: Path, override: str, fault: str) -> None:
    (line,) = faults_in(example, override)
    assert line.startswith(f"{example}: --set {override}: {fault}")


# ---- first settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "assignment"),
    [
        ({}, {}),
        ({"loss": "hinge"}, {"loss": "hinge"}),
        ({"loss": {"name": "hinge"}}, {"loss": "hinge"}),
        ({"data": "fashion_mnist"}, {}),
        ({"data": {"batch_size": 64}}, {"data.batch_size": 64}),
        ({"data": {"batch_size": 64.0}}, {"data.batch_size": 64}),
        ({"generator": "small"}, {"generator": "small"}),
        ({"generator": {"label": "plain"}}, {"generator": "plain"}),
        (
            {"generator": {"label": "small", "latent": 8}},
            {"generator": "small", "generator.small.latent": 8},
        ),
        (
            {"generator": {"name": "mlp", "latent": 8}},
            {"generator": "small", "generator.small.latent": 8},
        ),
        (
            {"generator": {"name": "mlp", "hidden": [64]}},
            {"generator": "small", "generator.small.hidden": "#0"},
        ),
        (
            {"generator": {"name": "mlp", "hidden": [64, 100]}},
            {
                "generator": "small",
                "generator.small.hidden": "#1",
                "generator.small.hidden.#1.1": 100,
            },
        ),
        (
            {"generator": {"name": "mlp", "output": "tanh"}},
            {"generator": "mlp", "generator.mlp.output": "tanh"},
        ),
        (
            {"generator": {"name": "conv", "attention": True}},
            {"generator": "conv", "generator.conv.attention": True},
        ),
        ({"gradient_clip": "none"}, {"gradient_clip": None}),
        (
            {"gradient_clip": {"name": "norm", "max_norm": 10}},
            {"gradient_clip": "norm", "gradient_clip.norm.max_norm": 10.0},
        ),
        ({"penalties": []}, {"penalties": "#0"}),
        (
            {"penalties": [{"name": "r1", "weight": 1}, "r1"]},
            {"penalties": "#1", "penalties.#1.0.weight": 1.0},
        ),
        ({"ema": 0}, {"ema": 0}),
        ({"ema": 0.95}, {"ema": "on", "ema.on": 0.95}),
        ({"discriminator": {"dropout": 0.3}}, {"discriminator.dropout": 0.3}),
        ({"d_steps": 5}, {"choice": "many", "choice.many.d_steps": 5}),
        ({"choice": "many"}, {"choice": "many"}),
        ({"patience": 2}, {"choice": "#0", "choice.#0.patience": 2}),
        ({"discriminator_optimizer": "sgd"}, {"discriminator_optimizer.name": "sgd"}),
        ({"collapse": {"reports": 2}}, {}),
        ({"discriminator": {"norm": "none"}}, {}),
        (
            {"generator_optimizer": {"name": "adam", "beta2": 0.999}},
            {"generator_optimizer": "adam"},
        ),
    ],
)
def test_a_first_setting_becomes_an_assignment(entry: Any, assignment: Any) -> None:
    space = load({**RICH, "start_from": [entry]})
    assert space.start_assignments() == [assignment]
    assert space.warnings == ()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            {"loss": "hing"},
            "loss: must be one of hinge, wasserstein; did you mean 'hinge'?: 'hing'",
        ),
        ({"loss": "least_squares"}, "loss: must be one of hinge, wasserstein: 'least_squares'"),
        ({"data": {"batch_size": 16}}, "data.batch_size: must lie between 32 and 128: 16"),
        ({"data": {"batch_size": 40}}, "data.batch_size: must be 32 plus a multiple of 32: 40"),
        ({"data": {"batch_size": True}}, "data.batch_size: must be a number: True"),
        ({"data": {"batch_size": 64.5}}, "data.batch_size: must be a whole number: 64.5"),
        ({"data": "ring"}, "data.name: contradicts trial, where it is fashion_mnist: 'ring'"),
        ({"data": 3}, "data: must be a mapping, as in trial: 3"),
        (
            {"generator": {"label": "small", "latent": 100}},
            "generator.latent: must lie between 2 and 64: 100",
        ),
        (
            {"generator": {"label": "smal"}},
            "generator: must be one of small, mlp, conv, plain; did you mean 'small'?: ",
        ),
        ({"penalties": [1, 2, 3]}, "penalties: must be one of #0, #1: [1, 2, 3]"),
        ({"ema": 0.5}, "ema: must be one of 0, on: 0.5"),
        (
            {"discriminator": {"norm": "batch"}},
            "discriminator.norm: is not in trial, where it",
        ),
        (
            {"discriminator": {"nrm": 1}},
            "discriminator.nrm: no such key in mlp; did you mean",
        ),
        ({"d_steps": 9}, "d_steps: "),
        ({"choice": "few"}, "choice: must be one of #0, many: 'few'"),
        ({"los": "hinge"}, "los: no such key in a trial; did you mean 'loss'?: 'hinge'"),
        ({"seed": 3}, "seed: is derived from search.seed for each trial, and must not be in"),
        ({"steps": 3}, "steps: belongs in budget, and must not be in start_from: 3"),
        ({"collapse": {"variety": 0.3}}, "collapse.variety: must lie between 0.0 and 0.2: 0.3"),
    ],
)
def test_a_first_setting_outside_the_space_is_refused(entry: Any, fault: str) -> None:
    lines = faults_in({**RICH, "start_from": [{}, entry]})
    assert [line.startswith(f"start_from.1.{fault}") for line in lines] == [True], lines


def test_a_first_setting_loses_what_a_set_decides(example: Path) -> None:
    space = load(
        example,
        "trial.loss=hinge",
        "trial.generator_optimizer.adam.lr={log_uniform: [1e-3, 1e-2]}",
    )
    assert space.warnings == (
        "start_from.0.loss: left out, since --set trial.loss decides it",
        "start_from.0.generator_optimizer.lr: left out, since --set "
        "trial.generator_optimizer.adam.lr decides it",
    )
    assert space.start_assignments() == [
        {
            "generator_optimizer": "adam",
            "generator_optimizer.adam.beta1": 0.5,
            "gradient_clip": "none",
        }
    ]


def test_a_set_of_another_part_drops_the_arguments_of_the_first_settings_part(
    example: Path,
) -> None:
    space = load(example, "trial.generator_optimizer={name: sgd, lr: {uniform: [1e-5, 1]}}")
    assert "generator_optimizer.lr" not in space.start_assignments()[0]
    assert len(space.warnings) == 1


def test_a_set_that_agrees_warns_of_nothing(example: Path) -> None:
    space = load(example, "trial.gradient_clip=none")
    assert space.warnings == ()
    assert "gradient_clip" not in space.start_assignments()[0]


def test_a_set_elsewhere_excuses_nothing(example: Path) -> None:
    tree = yaml.safe_load(EXAMPLE.replace("e-", ".0e-"))
    tree["start_from"][0]["loss"] = "wasserstein"
    assert len(faults_in(tree, "trial.ema=0.5", "budget.trials=3")) == 1


def test_every_first_setting_can_be_completed() -> None:
    space = load({**RICH, "start_from": [{"ema": 0.95, "penalties": []}]})
    (start,) = space.start_assignments()
    draws = {d.name: start.get(d.name, d.values[0]) for d in space.dimensions()}
    config = space.config(draws, seed=0)
    assert (config.ema, config.penalties) == (0.95, ())


# ---- JSON Schema --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema(toy_catalogue())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


@pytest.mark.parametrize(
    "tree",
    [
        PLAIN,
        RICH,
        parse(EXAMPLE),
        with_trial(generator={"name": "mine:Net", "latent": {"int": [1, 2]}}),
        with_trial(gradient_clip=None, penalties=[{"choice": ["none", {"name": "r1"}]}]),
        with_trial(choice=[{"label": "a", "ema": 0.5}, {"ema": {"uniform": [0, 0.5]}}]),
    ],
)
def test_the_schema_accepts_what_loads(
    tree: Any, validator: jsonschema.Draft202012Validator
) -> None:
    load(tree, check_data=False)
    assert [error.message for error in validator.iter_errors(tree)] == []


@pytest.mark.parametrize(
    "override",
    [
        "nam=x",
        "budget.trails=3",
        "budget.trials=0",
        "search.sampler=tpx",
        "search.sampler=null",
        "search.sampler=my:own",
        "search.sampler={choice: [tpe, random]}",
        "search.sampler={name: tpe, startup: {int: [1, 2]}}",
        "search.scheduler={name: asha, reduction: 1}",
        "search.scheduler={name: asha, label: x}",
        "search.scheduler={reduction: 3}",
        "search.grace=0.2",
        "trial.los=hinge",
        "trial.loss=hing",
        "trial.loss={choice: []}",
        "trial.loss={choice: [hing]}",
        "trial.generator.hiden=[1]",
        "trial.generator.latent=x",
        "trial.generator.latent={uniform: [1, 2]}",
        "trial.generator.latent={int: [1]}",
        "trial.generator.latent={int: [1, 2], stp: 1}",
        "trial.generator.hidden=[{int: [1, 2.5]}]",
        "trial.generator_optimizer=[]",
        "trial.generator_optimizer={name: adam, lr: {log_unifrom: [1, 2]}}",
        "trial.generator_optimizer={choice: [{name: adam, lrr: 1}]}",
        "trial.data.batch_size={uniform: [1, 2]}",
        "trial.data={choice: [ring]}",
        "trial.data={name: ring, modes: {int: [1, 2]}}",
        "trial.collapse.varity=1",
        "trial.ema=x",
        "trial.seed=1",
        "start_from=[{los: hinge}]",
    ],
)
def test_the_schema_refuses_what_does_not_load(
    override: str, validator: jsonschema.Draft202012Validator
) -> None:
    tree, _, faults = apply_overrides(PLAIN, [override])
    assert not faults
    assert list(validator.iter_errors(tree))
    assert faults_in(tree)


@pytest.mark.parametrize(("name", "leaf"), TRIAL_LEAVES)
def test_the_schema_takes_a_range_at_every_leaf_of_a_block(
    name: str, leaf: str, validator: jsonschema.Draft202012Validator
) -> None:
    value = _another(BLOCK_FIELDS[name], leaf)
    for written in (value, {"choice": [value]}):
        assert validator.is_valid(with_trial(**{name: {leaf: written}}))
    assert not validator.is_valid(with_trial(**{name: {f"{leaf}x": value}}))


def test_the_schema_describes_its_blocks(validator: jsonschema.Draft202012Validator) -> None:
    schema = validator.schema
    assert all(block.get("description") for block in schema["properties"].values())
    for block in ("Budget", "Search", "Confirm", "Resources", "Objective"):
        properties = schema["$defs"][block]["properties"]
        assert all(field.get("description") for field in properties.values())


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_schema_accepts_every_shipped_space(name: str) -> None:
    from gan_tune.parts.all_parts import catalogue

    schema = json_schema(catalogue())
    tree = reading_module.read_space(name).tree
    errors = jsonschema.Draft202012Validator(schema).iter_errors(tree)
    assert [error.message for error in errors] == []
    assert tree["name"] == name


# ---- digests ------------------------------------------------------------------------------------

DIGESTS = {
    "conv": ("cdb1bf6031e8985c", "fd15ee3375942511"),
    "digits": ("d2230e36b5d03c6d", "176116bcdc926451"),
    "mlp": ("4cde583e8471af20", "873b842cb19dc1b4"),
    "points": ("6c14a0d31af2385a", "e292b6cacc99db28"),
    "sparse_autoencoder": ("0e106e8e1ea8427a", "50e5ee754f0eadfa"),
    "zeroth_order": ("3976415042819fba", "19c13b198c0637c9"),
}
"""Shipped space → digest of the space and of its config with all low ends, at version 0.1."""

BEFORE: dict[str, dict[str, Any]] = {"mlp": {"matmul_precision": "medium"}}
"""Shipped space → fields of its trial at version 0.1, which had no `precision`."""

LENGTHS: dict[str, tuple[dict[str, int], dict[str, float]]] = {
    "conv": ({"steps": 1000, "evaluations": 5}, {"top": 1, "seeds": 3}),
    "digits": ({"steps": 2000, "evaluations": 10}, {"top": 3, "seeds": 3}),
    "mlp": ({"steps": 14000, "evaluations": 10}, {"top": 1, "seeds": 2, "share": 0.6}),
    "points": ({"steps": 3000, "evaluations": 10}, {"top": 1, "seeds": 3}),
    "sparse_autoencoder": ({"steps": 5000, "evaluations": 10}, {"top": 2, "seeds": 3}),
    "zeroth_order": ({"steps": 200, "evaluations": 5}, {"top": 1, "seeds": 3}),
}
"""Shipped space → its budget and its confirmation at version 0.1."""


@pytest.mark.parametrize("name", DIGESTS)
def test_a_search_begun_with_version_0_1_goes_on(name: str) -> None:
    from gan_tune.parts.all_parts import catalogue

    tree = reading_module.read_space(name).tree
    tree["trial"].pop("precision", None)
    tree["trial"] |= BEFORE.get(name, {})
    tree["budget"], tree["confirm"] = LENGTHS[name]
    tree["start_from"] += reading_module.read_space(by_hand.FILE).tree.get(name, [])
    space = SearchSpace.load(tree, catalogue(), check_data=False)
    low_ends = {dimension.name: dimension.values[0] for dimension in space.dimensions()}
    asked: dict[str, Any] = {}

    class LowEnds:
        def suggest_float(self, name: str, low: float, high: float, **_: Any) -> float:
            return asked.setdefault(name, low)

        def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
            return asked.setdefault(name, low)

        def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
            return asked.setdefault(name, choices[0])

    config = space.sample(LowEnds(), seed=0)
    assert asked.items() <= low_ends.items()
    assert (space.digest, config.digest()) == DIGESTS[name]


# ---- the module ---------------------------------------------------------------------------------


def test_the_module_offers_what_it_names() -> None:
    names: Sequence[str] = space_module.__all__
    assert list(names) == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(space_module, name) for name in names)


def test_spaces_and_configs_need_no_heavy_import() -> None:
    code = (
        "import sys, gan_tune.space, gan_tune.config\n"
        "print([m for m in ('torch', 'ray', 'optuna', 'mlflow', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- a word for both networks, and the words for one -------------------------------------------

WORDS = {
    "gradient": ["backprop", "differences"],
    "gradient_clip": ["none", "norm"],
    "schedule": ["constant", "linear"],
}
"""A word for both networks, with two parts that the toy catalogue has or is given here."""


def two_worded(word: str, **fields: Any) -> SearchSpace:
    """A space that decides both networks' fields, each for itself."""
    toy = toy_catalogue()
    catalogue = replace(
        toy,
        parts={
            **toy.parts,
            "gradient": {"backprop": {}, "differences": {}},
            "gradient_clip": {"none": {}, "norm": {}},
            "schedule": {"constant": {}, "linear": {}},
        },
    )
    one, other = (f"{network}_{word}" for network in ("generator", "discriminator"))
    choice = {"choice": WORDS[word]}
    return SearchSpace.load(with_trial(**{one: choice, other: choice}) | fields, catalogue)


@pytest.mark.parametrize("word", KEYS_FOR_BOTH)
@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("own_first", [True, False])
def test_the_word_for_one_network_says_more_than_the_word_for_both(
    word: str, network: str, own_first: bool
) -> None:
    both, own = WORDS[word]
    entries = [(f"{network}_{word}", own), (word, both)]
    entry = dict(entries if own_first else reversed(entries))
    (start,) = two_worded(word, start_from=[entry]).start_assignments()
    expected = dict.fromkeys(KEYS_FOR_BOTH[word], both) | {f"{network}_{word}": own}
    assert start == expected


def test_every_word_for_both_networks_is_tested() -> None:
    assert WORDS.keys() == KEYS_FOR_BOTH.keys()


# ---- lists of every form, in the schema and in a space -----------------------------------------


def lists(
    *,
    widths: tuple[Count, ...] = (8,),
    skips: tuple[Count, ...] | None = None,
    betas: tuple[Share, Share] = (0.5, 0.9),
    rates: tuple[Positive, ...] | Positive = 1.0,
) -> None: ...


@pytest.mark.parametrize(
    ("argument", "sound"),
    [
        ("widths: [1, {int: [2, 4]}]", True),
        ("widths: [{log_int: [2, 4]}, {int: [2, 4], step: 2}]", True),
        ("widths: [{choice: [2, 4]}]", True),
        ("widths: [{uniform: [2, 4]}]", False),
        ("widths: {int: [2, 4]}", False),
        ("skips: null", True),
        ("skips: [3, 1]", True),
        ("skips: [3, {int: [1, 4]}]", True),
        ("skips: [3, {choice: [{int: [1, 2]}, 4]}]", True),
        ("skips: [3, {uniform: [1, 4]}]", False),
        ("skips: [3, x]", False),
        ("betas: [0.5, {uniform: [0.9, 0.99]}]", True),
        ("betas: [{uniform: [0, 0.5]}, 0.9]", True),
        ("betas: [{uniform: [0, 0.5]}, x]", False),
        ("rates: {log_uniform: [0.1, 1]}", True),
        ("rates: [{log_uniform: [0.1, 1]}, 2]", True),
        ("rates: [x]", False),
        ("rates: {choice: [[1, {uniform: [1, 2]}], 3]}", True),
    ],
)
def test_a_list_of_any_form_may_hold_ranges_in_schema_and_space_alike(
    argument: str, sound: bool
) -> None:
    toy = toy_catalogue()
    generators = {**toy.parts["generator"], "lists": signature_arguments(lists)}
    catalogue = replace(toy, parts={**toy.parts, "generator": generators})
    tree = with_trial(generator={"name": "lists", **yaml.safe_load(argument)})
    found = list(jsonschema.Draft202012Validator(json_schema(catalogue)).iter_errors(tree))
    assert (not found) == sound
    if sound:
        space = SearchSpace.load(tree, catalogue)
        assert ("int" in argument or "choice" in argument or "uniform" in argument) == bool(
            space.dimensions()
        )
    else:
        with pytest.raises(SpaceError):
            SearchSpace.load(tree, catalogue)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"generator_optimizer": {"name": "adam"}}, None),
        ({"generator_optimizer": {"name": "adam", "beta2": 0.999}}, None),
        (
            {"generator_optimizer": {"name": "adam", "beta2": 0.9}},
            "generator_optimizer.beta2: is not in trial, where it",
        ),
        (
            {"generator_optimizer": {"name": "adam", "beta": 0.9}},
            "generator_optimizer.beta: no such key in adam; did you mean 'beta",
        ),
        (
            {"generator_optimizer": {"name": "sgd", "lr": 0.1}},
            "generator_optimizer.name: contradicts trial, where it is adam: 'sgd'",
        ),
        ({"generator_optimizer": "sgd"}, "generator_optimizer: contradicts trial, where it is"),
    ],
)
def test_a_first_setting_may_say_more_of_a_part_that_trial_only_names(
    entry: Any, fault: str | None
) -> None:
    """What trial leaves out is at its default; a first setting may say so, but nothing else."""
    tree = {**PLAIN, "start_from": [entry]}
    if fault is None:
        assert load(tree).start_assignments() == [{}]
    else:
        (line,) = faults_in(tree)
        assert line.startswith(f"start_from.0.{fault}")


@pytest.mark.parametrize(
    ("right", "given", "faults"),
    [
        ("min", "min", []),
        ("max", "max", []),
        ("min", "max", ["objective.mode: mode must be min: 'max'"]),
        ("max", "min", ["objective.mode: mode must be max: 'min'"]),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_wrong_mode_is_told_at_the_mode_and_a_wrong_metric_at_the_metric(
    right: str, given: str, faults: list[str], known: bool
) -> None:
    """Of metrics of which less is better, and of which more is."""

    def check(objective: Objective, data: Any) -> str | None:
        if objective.metric != "frechet_distance":
            return "no such metric"
        return None if objective.mode == right else f"mode must be {right}"

    catalogue = replace(toy_catalogue(), check_objective=check)
    metric = "frechet_distance" if known else "unknown"
    tree = {**PLAIN, "objective": {"metric": metric, "mode": given}}
    expected = faults if known else ["objective.metric: no such metric: 'unknown'"]
    if expected:
        with pytest.raises(SpaceError) as caught:
            SearchSpace.load(tree, catalogue)
        assert str(caught.value).split("\n") == expected
    else:
        assert SearchSpace.load(tree, catalogue).objective.mode == given
