"""Spaces of few distinct settings: each is tried once, and then the search is over."""

from __future__ import annotations

from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

import pytest
from test_conductor import Worker, space, steady

from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.rules.stopping import Asha
from gan_tune.searching.study.samplers import SAMPLERS
from gan_tune.space import SearchSpace
from gan_tune.space.counting import count_settings, every_setting

FEW = {
    "generator_optimizer": {
        "choice": [
            {"name": "adam", "lr": {"choice": [1e-3, 1e-2]}, "beta1": {"choice": [0.0, 0.5]}},
            {"name": "sgd", "lr": 1e-2},
        ]
    },
    "loss": {"choice": ["non_saturating", "hinge"]},
}
"""Ten settings: (2 · 2 + 1) · 2."""


FIXED = {"generator_optimizer": {"name": "adam", "lr": 1e-3}}


def few(ranges: dict[str, Any] = FEW, **changes: Any) -> dict[str, Any]:
    return {"trial": space().tree["trial"] | ranges, "start_from": []} | changes


def assignments(worker: Worker) -> list[dict[str, Any]]:
    return [worker.study.assignment(n) for n in range(worker.study.proposed())]


def distinct(given: list[dict[str, Any]]) -> int:
    return len({tuple(sorted(one.items())) for one in given})


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "cmaes"])
@pytest.mark.parametrize("budget", [{"trials": 25, "steps": 100}, {"minutes": 60, "steps": 100}])
def test_each_setting_is_tried_once_and_then_the_search_ends(
    tmp_path: Path, sampler: str, budget: dict[str, Any]
) -> None:
    changes = few(search={"sampler": sampler}, budget=budget | {"evaluations": 5})
    worker = Worker(tmp_path, **changes)
    worker.run(steady)
    tried = assignments(worker)
    assert len(tried) == distinct(tried) == 10 == worker.space.distinct_settings
    assert worker.study.is_exhausted()
    assert [s.number for s in worker.study.settings()] == list(range(10))
    assert len([name for name in worker.log.started if "confirm" not in name]) == 10
    assert any("confirm" in name for name in worker.log.started)


@pytest.mark.parametrize("reports", [1, 7, 23, 40])
def test_none_is_tried_again_after_a_kill(tmp_path: Path, reports: int) -> None:
    changes = few(search={"sampler": "random"}, budget={"trials": 25, "steps": 100})
    Worker(tmp_path, **changes).run(steady, reports=reports)
    again = Worker(tmp_path, **changes)
    again.run(steady)
    assert len(assignments(again)) == distinct(assignments(again)) == 10


def test_two_settings_with_three_seeds_are_six_trials(tmp_path: Path) -> None:
    ranges = {"generator_optimizer": {"name": "adam", "lr": {"choice": [1e-3, 1e-2]}}}
    worker = Worker(tmp_path, **few(ranges, search={"seeds": 3}, confirm={"top": 0}))
    worker.run(steady)
    assert sorted(worker.log.started) == [
        "0000", "0000-seed-1", "0000-seed-2", "0001", "0001-seed-1", "0001-seed-2",
    ]  # fmt: skip
    assert any(w.startswith("budget.trials: the space has fewer") for w in worker.space.warnings)


def test_an_option_without_numbers_comes_once_among_infinitely_many(tmp_path: Path) -> None:
    ranges = FIXED | {
        "gradient_clip": {"choice": ["none", {"name": "norm", "max_norm": {"uniform": [1, 9]}}]},
    }
    worker = Worker(tmp_path, **few(ranges, search={"sampler": "random"}, confirm={"top": 0}))
    worker.run(steady)
    chosen = [one["gradient_clip"] for one in assignments(worker)]
    assert (chosen.count("none"), len(chosen)) == (1, 6)
    assert not worker.study.is_exhausted()


def test_settings_are_counted_and_listed() -> None:
    def loaded(**ranges: Any) -> SearchSpace:
        return SearchSpace.load(space().tree | few(FIXED | ranges), catalogue())

    for made, count in (
        (loaded(**FEW), 10),
        (loaded(), 1),
        (loaded(ema={"uniform": [0.5, 0.9], "step": 0.1}, d_steps={"int": [1, 3]}), 15),
        (loaded(ema={"uniform": [0.5, 0.5]}, d_steps={"log_int": [2, 5]}), 4),
    ):
        every = list(every_setting(made.trial))
        assert made.distinct_settings == len(every) == distinct(every) == count
        assert all(made.config(one, seed=0) for one in every)
    endless = loaded(ema={"uniform": [0.5, 0.9]}, loss={"choice": ["hinge", "wasserstein"]})
    assert (endless.distinct_settings, count_settings(endless.trial, continuous=0)) == (inf, 0)
    steps = {"uniform": [0.0, 1.0], "step": 1e-9}
    many = loaded(penalties=[{"name": "r1", "weight": steps}] * 30, ema={"uniform": [0.5, 0.9]})
    assert many.distinct_settings == inf, "and nothing overflows"
    huge = loaded(d_steps={"int": [1, 100]}, block={"both": {"int": [1, 10**6]}})
    assert len(list(islice(every_setting(huge.trial), 5))) == 5, "one after the other"


def test_a_search_that_only_time_ends_goes_on_to_its_end(tmp_path: Path) -> None:
    """Far more than the 32 settings that a search without a time has."""
    budget = {"minutes": 8, "steps": 100, "evaluations": 5}
    worker = Worker(tmp_path, rule=Asha(100, "min"), budget=budget)
    worker.run(steady)
    assert worker.study.proposed() > 40
    assert worker.conductor.seconds_used > 0.95 * 8 * 60
