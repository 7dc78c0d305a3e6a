"""What a search has taught: compared at one step, agreeing with plain counting."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import optuna
import pytest
from toy_study import add, random_study

from gan_tune.searching.study.insight import (
    BEST_SHARE,
    FEWEST,
    Insight,
)

ENDS = ("completed", "pruned", "completed", "diverged", "collapsed", "failed", None)


def searched(
    count: int = 70, *, direction: str = "minimize", warp: Any = lambda cost: cost
) -> tuple[optuna.Study, list[dict[str, Any]]]:
    """A study in which the rate alone matters, but for its conditional penalty; and its settings.

    All report at 10 and 20; completed ones at 30, too, where all are equal.
    """
    study, settings = random_study(direction), []
    sign = 1 if direction == "minimize" else -1
    for i in range(count):
        rate = float(np.random.default_rng(i).uniform(1e-4, 1e-2))
        end = ENDS[i % len(ENDS)]
        cost = warp(abs(math.log(rate / 1e-3)))
        curve = {10: sign * (cost + 1), 20: sign * cost}
        if end == "completed":
            curve[30] = sign * -9.0
        settings.append({**add(study, end, curve, rate=rate), "end": end, "cost": cost})
    return study, settings


def compared(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [s for s in settings if s["end"] in ("completed", "pruned", None)]


def test_settings_are_compared_at_the_first_rung() -> None:
    study = random_study()
    add(study, "completed", {10: 5.0, 20: 4.0, 30: 1.0})
    add(study, "completed", {10: 3.0})  # its own patience ended it
    add(study, "pruned", {10: 7.0, 20: 6.0})
    add(study, "pruned", {10: 9.0, 20: 8.0, 30: 7.0})
    add(study, None, {10: 2.0})  # has not come so far
    add(study, None, {10: 2.5, 20: 2.25, 30: 2.0})
    add(study, "diverged", {10: 0.0, 20: 0.0})
    add(study, "collapsed", {10: 0.0})
    add(study, "failed", {10: 0.0, 20: 0.0})
    add(study, "pruned", {})
    assert Insight(study).step == 20
    assert [trial.value for trial in Insight(study).common.trials] == [4.0, 3.0, 6.0, 8.0, 2.25]
    found = Insight(study).importances
    assert (found.step, found.settings, found.left_out, found.shares) == (20, 5, 2, {})


def test_of_a_population_the_members_that_began_from_scratch_are_compared() -> None:
    """A fork reports only after the step at which the first member was replaced."""
    study = random_study()
    add(study, "completed", {10: 5.0, 20: 4.0, 30: 1.0})
    add(study, "pruned", {10: 7.0})
    add(study, "pruned", {20: 3.0})
    add(study, "completed", {20: 3.0, 30: 2.0})
    assert [trial.value for trial in Insight(study).common.trials] == [5.0, 7.0]


def test_without_pruning_the_last_step_counts() -> None:
    study = random_study("maximize")
    assert (Insight(study).step, Insight(study).common.trials) == (0, [])
    add(study, "completed", {10: 1.0, 20: 3.0})
    add(study, "completed", {10: 2.0, 20: 2.0})
    assert Insight(study).step == 20
    assert [trial.value for trial in Insight(study).common.trials] == [3.0, 2.0]


def test_what_decides_everything_has_nearly_all_the_importance() -> None:
    found = Insight(searched()[0]).importances
    assert next(iter(found.shares)) == "rate"
    assert found.shares["rate"] > 0.7
    assert list(found.shares.values()) == sorted(found.shares.values(), reverse=True)
    assert math.fsum(found.shares.values()) == pytest.approx(1)
    assert (found.step, found.settings, found.left_out) == (20, 40, 20)


@pytest.mark.parametrize(
    "changes",
    [{"direction": "maximize"}, {"warp": lambda cost: math.exp(3 * cost)}],
    ids=["mirrored", "warped"],
)
def test_only_the_order_of_the_values_counts(changes: dict[str, Any]) -> None:
    assert Insight(searched(**changes)[0]).importances.shares == pytest.approx(
        Insight(searched()[0]).importances.shares
    )


def test_unsound_settings_change_the_count_alone() -> None:
    study, _ = searched()
    before = Insight(study).importances
    for _ in range(30):
        add(study, "diverged", {10: -1.0, 20: -1.0}, loss="wasserstein")
    after = Insight(study).importances
    assert after.shares == before.shares
    assert (after.settings, after.left_out) == (before.settings, before.left_out + 30)


@pytest.mark.parametrize("count", [FEWEST - 1, FEWEST])
def test_importances_take_enough_settings(count: int) -> None:
    study = random_study()
    for i in range(count):
        add(study, "completed", {10: float(i)})
    assert (
        bool(Insight(study).importances.shares) == bool(Insight(study).regions) == (count == FEWEST)
    )


def test_where_all_are_equal_nothing_matters() -> None:
    study = random_study()
    for _ in range(30):
        add(study, "completed", {10: 1.0})
    assert Insight(study).importances.shares == {}


def test_what_hardly_any_of_the_best_have_is_not_weighed() -> None:
    study = random_study()
    for i in range(40):
        best = i < 10
        weighed = "r1" if i < 2 or i > 20 else "none"
        add(study, "completed", {10: 1.0 + i / 100 if best else 9.0}, penalty=weighed)
    assert "penalty.r1.weight" not in Insight(study).importances.shares
    assert "penalty" in Insight(study).importances.shares


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_regions_agree_with_plain_sorting(direction: str) -> None:
    study, settings = searched(direction=direction)
    rows = compared(settings)
    best = sorted(rows, key=lambda s: s["cost"])[: math.ceil(BEST_SHARE * len(rows))]
    regions = {region.name: region for region in Insight(study).regions}
    assert set(regions) == {"loss", "rate", "penalty", "penalty.r1.weight", "idle", "alone"}
    rates = [s["rate"] for s in best]
    assert regions["rate"].whole == (1e-4, 1e-2)
    assert regions["rate"].best == (min(rates), max(rates))
    assert regions["rate"].settings == len(best) == 10
    for name in ("loss", "penalty", "alone"):
        for extent, group in ((regions[name].whole, rows), (regions[name].best, best)):
            counts = Counter(s[name] for s in group)
            assert isinstance(extent, dict)
            assert extent == {option: counts[option] / len(group) for option in extent}
            assert math.fsum(extent.values()) == pytest.approx(1)
    weights = [s["penalty.r1.weight"] for s in best if s["penalty"] == "r1"]
    assert regions["penalty.r1.weight"].settings == len(weights)
    assert regions["penalty.r1.weight"].best == (min(weights), max(weights))


def test_a_parameter_that_none_of_the_best_has_has_no_best_region() -> None:
    study = random_study()
    for i in range(FEWEST):
        add(study, "completed", {10: float(i)}, penalty="none" if i < 10 else "r1")
    (weight,) = (r for r in Insight(study).regions if r.name == "penalty.r1.weight")
    assert (weight.whole, weight.best, weight.settings) == ((0.0, 1.0), None, 0)


def test_outcomes_are_counted_by_every_option() -> None:
    study, settings = searched()
    choices = Insight(study).choices
    assert [(c.name, c.option) for c in choices] == [
        ("loss", "hinge"), ("loss", "wasserstein"),
        ("penalty", "none"), ("penalty", "r1"), ("penalty", "dragan"),
    ]  # fmt: skip
    for choice in choices:
        ended = [s["end"] for s in settings if s["end"] and s[choice.name] == choice.option]
        assert choice.outcomes == Counter(ended)
        assert choice.settings == len(ended)


def test_an_option_that_none_has_taken_is_told() -> None:
    study = random_study()
    add(study, "diverged", {10: 1.0}, loss="hinge", penalty="none")
    choices = {(c.name, c.option): c.outcomes for c in Insight(study).choices}
    assert choices["loss", "hinge"] == {"diverged": 1}
    assert choices["loss", "wasserstein"] == choices["penalty", "r1"] == {}


def test_a_setting_without_a_choice_has_not_chosen_null() -> None:
    study = random_study()
    for chosen in (True, False):
        trial = study.ask()
        if chosen:
            trial.suggest_categorical("schedule", [None, "linear"])
        trial.set_user_attr("outcome", "completed")
        study.tell(trial, 1.0)
    assert sum(choice.settings for choice in Insight(study).choices) == 1


def test_a_pair_is_two_that_vary_together() -> None:
    study = random_study()
    for i in range(40):
        # The weight decides all; beside it, its own choice says nothing.
        params = {"penalty": "r1", "penalty.r1.weight": i / 40} if i % 2 else {"penalty": "none"}
        add(study, "completed", {10: i / 40 if i % 2 else 9.0}, **params)
    ranked = list(Insight(study).importances.shares)
    assert ranked[0] == "penalty.r1.weight"
    pair = Insight(study).pair
    assert pair is not None
    assert pair[0] == "penalty.r1.weight"
    assert pair[1] not in ("penalty", "alone")
    assert Insight(random_study()).pair is None
