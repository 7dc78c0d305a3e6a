"""The benchmark on recorded curves: the surrogate, the simulated clock, and its sides."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import pytest
from optuna.samplers import BaseSampler

from benchmarks import curves, record_curves, recorded_tasks
from benchmarks import surrogate as benchmark
from benchmarks.curves import (
    SURROGATES,
    Curve,
    Forest,
    Nearest,
    diverging,
    fidelity,
    load_space,
    random_setting,
    read_curves,
)
from benchmarks.surrogate import (
    SIDES,
    Plan,
    RandomSearch,
    best_by,
    compared,
    divergence,
    simulate,
    steps_to,
)
from gan_tune.space import SearchSpace

SPACE = load_space()
RECORDED = [curve for curve in read_curves()[1] if curve.replicate == 0]
TABLE = Nearest(SPACE.dimensions(), RECORDED)
FULL = SPACE.budget.steps
PLAN = Plan(budget=6 * FULL, workers=2)


def test_the_recording_is_of_the_space_and_as_large_as_it_says() -> None:
    head, recorded = read_curves()
    assert head["space"] == {key: SPACE.tree[key] for key in head["space"]}
    assert len(RECORDED) >= 500
    for curve in recorded:
        assert len(curve.steps) == len(curve.values) == len(curve.variety) == len(curve.logits)
        assert (curve.values[-1] is None) == (curve.outcome == "diverged")
        assert None not in curve.values[:-1]
        SPACE.config(curve.params, seed=0)


def test_a_recorded_setting_is_its_own_nearest_and_distances_are_a_metric() -> None:
    apart = np.array([TABLE.distances(curve.params) for curve in RECORDED[:40]])[:, :40]
    assert (apart.argmin(axis=1) == np.arange(40)).all()
    np.testing.assert_allclose(apart, apart.T, atol=1e-12)


def test_a_distance_is_euclidean_and_another_option_counts_one() -> None:
    """By hand: half a decade of four, another loss, and an optimizer whose own ranges drop out."""
    here = dict(next(c.params for c in RECORDED if c.params["generator_optimizer"] == "adam"))
    here |= {"loss": "hinge", "generator_optimizer.adam.lr": 1e-3}
    table = Nearest(SPACE.dimensions(), [dataclasses.replace(RECORDED[0], params=here)])
    rate = here | {"generator_optimizer.adam.lr": 1e-3 * 10**0.5}
    assert table.distances(rate) == pytest.approx(0.5 / 4)
    assert table.distances(rate | {"loss": "least_squares"}) == pytest.approx((1 + 0.125**2) ** 0.5)
    other = {k: v for k, v in here.items() if not k.startswith("generator_optimizer")}
    other |= {
        "generator_optimizer": "sgd",
        "generator_optimizer.sgd.lr": 1.0,
        "generator_optimizer.sgd.momentum": 0.9,
    }
    assert table.distances(other) == pytest.approx(1.0)


@pytest.mark.parametrize("name", SIDES)
def test_each_side_spends_the_budget_on_curves_of_the_table(name: str) -> None:
    events = SIDES[name](TABLE, PLAN, 1)
    spent = [event.spent for event in events]
    assert spent == sorted(spent)
    assert spent[-2] < PLAN.budget <= spent[-1] < PLAN.budget + FULL
    values = {value for curve in RECORDED for value in curve.values}
    assert {event.value for event in events} <= values
    again = SIDES[name](TABLE, PLAN, 1)
    assert events == again, "a seed decides a search"


def test_random_search_trains_each_setting_to_its_end() -> None:
    events = simulate(RandomSearch(TABLE, SPACE, seed=0), budget=PLAN.budget, workers=1)
    random = np.random.default_rng(0)
    expected = [v for _ in range(20) for v in TABLE.curve(random_setting(SPACE, random)).values]
    assert [event.value for event in events] == expected[: len(events)]


def test_best_values_and_steps_to_them_agree() -> None:
    runs = compared(TABLE, PLAN, 3)
    for events in runs.values():
        final = best_by(events, inf)
        first = steps_to(events, final)
        assert best_by(events, first) == final < best_by(events, first - 1)
        assert steps_to(events, -1.0) == inf


def test_a_stricter_limit_lets_as_many_settings_diverge_as_asked() -> None:
    even = np.ones(len(RECORDED))
    stricter, limit, share = diverging(RECORDED, even, 0.4)
    assert share == pytest.approx(0.4, abs=0.5 / len(RECORDED))
    assert np.mean([c.outcome == "diverged" for c in stricter]) == pytest.approx(share)
    for before, after in zip(RECORDED, stricter, strict=True):
        calm = [peak is not None and peak < limit for peak in before.logits]
        assert all(calm[: len(after.steps) - 1])
        assert (after.values[-1] is None) == (after.outcome == "diverged")
    with pytest.raises(ValueError, match=r"diverge, but got 0\.0%"):
        diverging(RECORDED, even, 0.0)


def test_no_trial_reports_again_after_it_diverged() -> None:
    stricter, _, _ = diverging(RECORDED, np.ones(len(RECORDED)), 0.5)
    plan = Plan(budget=inf, workers=2, trials=12)
    found = divergence(Nearest(SPACE.dimensions(), stricter), plan, 0)
    assert found.diverged > 0
    assert found.late == 0


def test_collapsed_trials_end_as_in_training() -> None:
    """Variety under a tenth at two reports in a row, after 30 % of the steps."""
    poor = dataclasses.replace(
        next(curve for curve in RECORDED if curve.outcome == "completed"),
        variety=[0.0, 0.0, 0.0, 0.5, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0],
    )
    plan = Plan(budget=inf, workers=1, trials=2, overrides=("search.scheduler=none",))
    events, ended = benchmark.gan_tune_search(Nearest(SPACE.dimensions(), [poor]), plan, 0)
    assert [outcome for outcome, _ in ended] == ["collapsed", "collapsed"]
    assert len([event for event in events if event.trial == "0001"]) == 8


def short_space(overrides: tuple[str, ...] = ()) -> object:
    return load_space(("budget.steps=20", "budget.evaluations=2", *overrides))


def test_a_recording_goes_on_and_mends_what_was_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record_curves, "load_space", short_space)
    path = tmp_path / "curves.jsonl"
    assert record_curves.begin(path) == set()
    drawn = record_curves.sobol(2)
    assert record_curves.sobol(8)[:2] == drawn, "more settings go on with the same sequence"
    one: Curve = record_curves.recorded(1, 0, drawn[1])
    assert one.steps[-1] == 20 or one.outcome == "diverged"
    with path.open("a") as file:
        file.write(json.dumps(dataclasses.asdict(one)) + "\n" + '{"setting": 2, "repl')
    assert record_curves.begin(path) == {(1, 0)}
    assert curves.read_curves(path)[1] == [one]
    assert record_curves.recorded(1, 0, drawn[1]).values == one.values
    monkeypatch.setattr(record_curves, "load_space", load_space)
    with pytest.raises(SystemExit) as refused:
        record_curves.begin(path)
    assert refused.value.code == 2
    assert "must be of the space" in capsys.readouterr().err


def test_a_forest_passes_through_what_it_was_fitted_to() -> None:
    """Extremely randomised trees grow until each leaf holds one setting (Geurts et al. 2006)."""
    forest = Forest(SPACE.dimensions(), RECORDED[:60])
    for curve in RECORDED[:60]:
        told = forest.curve(curve.params)
        assert told.outcome == curve.outcome
        assert told.best == pytest.approx(curve.best)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.ci if n == "forest" else ()) for n in SURROGATES]
)
def test_surrogates_foretell_better_than_chance(name: str) -> None:
    found = fidelity(SURROGATES[name], SPACE.dimensions(), RECORDED)
    assert found.rank > 0.2
    assert found.agreed > 0.8


# ---------------------------------------------------------------- recorded tasks


@pytest.mark.ci
def test_recorded_tasks_are_searched_with_experience_of_other_things() -> None:
    space, starts = recorded_tasks.task_space("digits"), recorded_tasks.experience_for("digits")
    assert [start.origin for start in starts] == [f"experience {i}" for i in range(1, 9)]
    forest = Forest(space.dimensions(), recorded_tasks.curves_of("digits"))
    source = partial(recorded_tasks.task_space, "digits")
    plan = Plan(4.0 * space.steps, workers=1, starts=starts, space=source)
    runs = [recorded_tasks.four_sides(forest, plan, seed) for seed in (0, 1)]
    task, rank, *ratios, best_with, best_without, _, _ = recorded_tasks.steps_row(
        "digits", 0.8, runs, plan.budget
    )
    assert (task, rank, len(ratios)) == ("digits", "0.80", 2)
    assert float(best_with) < float(best_without), "its first trials are known to be good"


def test_a_forest_sampler_proposes_settings_of_the_space_near_good_ones(tmp_path: Path) -> None:
    space = recorded_tasks.task_space("digits")
    forest = Forest(space.dimensions(), recorded_tasks.curves_of("digits"))
    proposed = []

    def sampler(space: SearchSpace, proposal: int) -> BaseSampler:
        proposed.append(proposal)
        return recorded_tasks.forest_sampler(space, proposal, local=0.5)

    plan = Plan(
        budget=14.0 * space.steps,
        workers=1,
        trials=14,
        overrides=("search.scheduler=none",),
        space=partial(recorded_tasks.task_space, "digits"),
        sampler=sampler,
    )
    events, ended = benchmark.gan_tune_search(forest, plan, 0)
    assert sorted(set(proposed)) == list(range(14))
    bests = [curve.best for _, curve in ended]
    assert len(bests) == 14
    assert min(bests[11:]) < np.median(bests[:10])
    assert best_by(events, inf) == min(bests)
