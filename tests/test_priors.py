"""Priors of ranges: what is refused, how often they lead, and where they lead to."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest
from test_warm_start import space

from gan_tune.errors import SpaceError
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.priors import around_priors, share_of_priors
from gan_tune.space import NumberRange, SearchSpace


def with_rate(rate: dict[str, Any]) -> SearchSpace:
    return space({"generator_optimizer": {"name": "adam", "lr": rate}})


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (
            {"log_uniform": [1e-4, 1e-2], "prior": 2.0},
            "prior must lie in its range, from 0.0001 to 0.01: 2.0",
        ),
        ({"log_uniform": [1e-4, 1e-2], "prior": "x"}, "prior must be a number: 'x'"),
        ({"uniform": [0.0, 1.0], "prior": True}, "prior must be a number: True"),
    ],
)
def test_a_prior_outside_its_range_is_refused_in_one_line(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(SpaceError) as raised:
        with_rate(given)
    assert str(raised.value) == f"generator_optimizer.lr: {rule}"


def test_a_whole_number_s_prior_is_whole() -> None:
    with pytest.raises(SpaceError, match=r"prior must be a whole number: 8\.5"):
        space(
            {"generator": {"name": "mlp", "latent": {"int": [4, 16], "prior": 8.5}, "hidden": [8]}}
        )


def test_the_share_of_priors_starts_at_one_and_fades() -> None:
    shares = [share_of_priors(proposal) for proposal in range(60)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert shares[10] == 0.5
    assert shares[-1] < 0.02


RANGES = [
    NumberRange(name="log", place=(), kind="log_uniform", low=1e-5, high=1e-2, prior=2e-3),
    NumberRange(name="end", place=(), kind="uniform", low=0.0, high=0.9, prior=0.0),
    NumberRange(name="grid", place=(), kind="uniform", low=0.0, high=0.9, step=0.1, prior=0.5),
    NumberRange(name="whole", place=(), kind="int", low=4, high=64, step=4, prior=32),
    NumberRange(name="whole log", place=(), kind="log_int", low=16, high=512, prior=128),
    NumberRange(name="point", place=(), kind="uniform", low=0.3, high=0.3, prior=0.3),
]


@pytest.mark.parametrize("dimension", RANGES, ids=lambda dimension: dimension.name)
def test_draws_lie_in_the_range_and_around_the_prior(dimension: NumberRange) -> None:
    drawn = [
        found[dimension.name]
        for seed in range(400)
        if (found := around_priors([dimension], search_seed=seed, proposal=0))
    ]
    assert len(drawn) == 400
    assert all(dimension.broken_rule(value) is None for value in drawn)
    third = (float(dimension.high) - float(dimension.low)) / 3
    near = dimension.prior is not None and not dimension.log
    if near:
        assert abs(median(drawn) - dimension.prior) <= third  # type: ignore[type-var, operator]
    elif dimension.log and dimension.prior is not None:
        assert dimension.prior / 3 <= median(drawn) <= dimension.prior * 3  # type: ignore[type-var, operator]


def test_priors_lead_at_first_and_change_nothing_where_there_are_none(tmp_path: Path) -> None:
    believed = with_rate({"log_uniform": [1e-6, 1e-1], "prior": 1e-3})
    plain = with_rate({"log_uniform": [1e-6, 1e-1]})
    study, other = open_study(tmp_path / "a", believed), open_study(tmp_path / "b", plain)
    jobs, others = [study.ask() for _ in range(30)], [other.ask() for _ in range(30)]
    led = [job.setting for job in jobs if job.origin == "prior"]
    assert led[:3] == [0, 1, 2]
    assert 6 <= len(led) <= 25
    assert {job.origin for job in others} == {"sampled"}
    assert around_priors(plain.dimensions(), search_seed=0, proposal=0) == {}
    same = [i for i in range(10) if i not in led]  # random draws, before the sampler has learnt
    assert [jobs[i].config for i in same] == [others[i].config for i in same]


def test_a_proposal_around_priors_is_the_same_when_a_search_is_resumed(tmp_path: Path) -> None:
    believed = with_rate({"log_uniform": [1e-6, 1e-1], "prior": 1e-3})
    whole = open_study(tmp_path / "a", believed)
    jobs = [whole.ask() for _ in range(6)]
    resumed = [open_study(tmp_path / "b", believed).ask() for _ in range(6)]
    assert [job.config for job in jobs] == [job.config for job in resumed]
