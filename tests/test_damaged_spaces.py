"""Space files and overrides that once ended in a traceback, or took for ever: each kind once."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from gan_tune.errors import ConfigError, SpaceError
from gan_tune.parts.all_parts import catalogue
from gan_tune.service.optuna_stand_ins import Draws
from gan_tune.space import SearchSpace
from gan_tune.space.yaml_text import MOST_ENTRIES

PLAIN: dict[str, Any] = {
    "name": "plain",
    "budget": {"trials": 4, "steps": 20},
    "trial": {
        "data": {"name": "ring", "batch_size": 16},
        "generator": {"name": "mlp", "latent": 4, "hidden": [4], "output": "linear"},
        "discriminator": {"name": "mlp", "hidden": [4]},
        "loss": {"choice": ["hinge", "least_squares"]},
        "penalties": [{"choice": ["none", {"name": "r1", "weight": {"uniform": [1, 2]}}]}],
        "generator_optimizer": {"name": "adam", "lr": 1e-3},
        "discriminator_optimizer": {"name": "adam", "lr": 1e-3},
    },
    "start_from": [{"loss": "hinge"}],
}


def faults(source: Any, *overrides: str) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        SearchSpace.load(source, catalogue(), overrides=overrides)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("search.scheduler=ashaa", "search.scheduler: scheduler name must be one of .*'asha'"),
        ("search.scheduler={name: asha, grace: foo}", "search.scheduler.grace: must be a number"),
        ("search.scheduler={name: asha, gracee: 0.1}", "search.scheduler.gracee: .*'grace'"),
        ("search.scheduler={name: {a: 1}}", "search.scheduler: must be a name, or a mapping with"),
        ("search.scheduler={name: pbt, population: x}", "search.scheduler.population: must be a"),
        ("search.sampler={name: cmaes, pruned: 3}", "search.sampler.pruned: must be true or false"),
        (
            "start_from.0.penalties=[{a: 1}]",
            "start_from.0.penalties.0.a: is not in trial, where it",
        ),
        ("start_from.².loss=hinge", "--set start_from.².loss=hinge: start_from is a list of 1"),
        ("trial.d_steps={int: [1, 1" + "0" * 400 + "]}", "--set .*: must be a whole number of at"),
        ("trial.d_steps={int: [1, 9223372036854775807]}", "d_steps: the bounds of int must lie"),
        ("trial.weight_clip={uniform: [0, 1], step: 1e-20}", "weight_clip: step must be at least"),
        ("trial.ema={uniform: [-1.7e308, 1.7e308]}", "ema: high - low must be finite"),
        ("search.seed=9223372036854775808", "search.seed: must be at most 9223372036854775807: "),
        ("search.seed=-1", "search.seed: must be at least 0: -1"),
        ("search.studdy=a://u:SECRET@h", r"search.studdy: no such key .*: 'a://u:\*\*\*@h'"),
        ("search.study=a://h/db?passwd=SECRET", "search.study: must not hold a password"),
        ("trial.data={name: npz, token: SECRET}", "data.token: no such key in npz"),
    ],
)
def test_a_faulty_override_is_told_once_at_its_place(override: str, fault: str) -> None:
    told = faults(PLAIN, override)
    assert any(re.match(fault, line) for line in told), told
    assert "SECRET" not in "\n".join(told)


@pytest.mark.parametrize("key", ["trials", "steps", "evaluations", "minutes"])
@pytest.mark.parametrize("value", [2**63 - 1, 1e300, 10**400])
def test_every_budget_has_an_upper_bound(key: str, value: float) -> None:
    (line,) = faults({**PLAIN, "budget": {**PLAIN["budget"], key: value}})
    assert line.startswith(f"budget.{key}: must be ")


def test_a_block_that_the_space_lacks_can_be_set() -> None:
    space = SearchSpace.load(PLAIN, catalogue(), overrides=["trial.lookahead.every=100"])
    assert space.sample(Draws(0), seed=0).lookahead.every == 100


def test_a_list_without_end_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(f"name: long\ntrial: {{ema: {{choice: [{'0.5, ' * 200_000}0.5]}}}}\n")
    begun = time.process_time()
    (line,) = faults(file)
    assert f"a list must have at most {MOST_ENTRIES:,} entries" in line
    assert "line 2, column" in line
    assert time.process_time() - begun < 10, "the whole list takes a minute"


def test_aliases_that_unfold_for_ever_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "laugh.yaml"
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    file.write_text("\n".join(["a0: &a0 [x]", *levels, "name: *a11"]))
    assert any("must have at most 100000 values" in line for line in faults(file))


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, "1"])
def test_a_seed_is_refused_in_the_same_words_everywhere(seed: Any) -> None:
    from gan_tune.service import generate, look

    for refused in (
        lambda: generate("none", "none.png", seed=seed),
        lambda: look("none", "none", seed=seed),
    ):
        with pytest.raises(
            ConfigError, match=r"seed: must be a whole number from 0 to 922337203685"
        ):
            refused()
