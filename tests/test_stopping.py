"""Stopping rules, driven by tables of curves."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import permutations
from statistics import median

import numpy as np
import pytest

from gan_tune.searching.rules.stopping import (
    SCHEDULERS,
    Asha,
    Median,
    Mode,
    NoStopping,
    StoppingRule,
)

STEPS = 900
REPORTS = range(50, STEPS + 1, 50)

Report = tuple[int, int, float | None]
Build = Callable[[int, Mode], StoppingRule]

RULES: dict[str, Build] = {
    **SCHEDULERS,
    "asha with brackets": lambda steps, mode: Asha(steps, mode, brackets=3),
    "asha with margin": lambda steps, mode: Asha(steps, mode, margin=0.1),
    "median with margin": lambda steps, mode: Median(steps, mode, margin=0.1, startup=2),
}
every_rule = pytest.mark.parametrize("build", RULES.values(), ids=RULES)
every_seed = pytest.mark.parametrize("seed", range(5))


def reports(seed: int, trials: int = 25) -> list[Report]:
    """The reports of trials that run several at a time, in the order in which they arrive.

    Values are bests so far, of both signs; some trials have none at first.
    """
    draw = random.Random(seed)
    curves = {}
    for trial in range(trials):
        costs = [draw.gauss(2, 3) - step / 300 for step in REPORTS]
        bests = list(np.minimum.accumulate(costs))
        late = draw.choice([0, 0, 0, 3])
        curves[trial] = [None] * late + [float(best) for best in bests[late:]]
    arrived: list[Report] = []
    running: dict[int, int] = {}
    waiting = list(curves)
    while waiting or running:
        while waiting and len(running) < 4:
            running[waiting.pop(0)] = 0
        trial = draw.choice(list(running))
        arrived.append((trial, REPORTS[running[trial]], curves[trial][running[trial]]))
        running[trial] += 1
        if running[trial] == len(REPORTS):
            del running[trial]
    return arrived


def play(rule: StoppingRule, table: Sequence[Report]) -> tuple[dict[int, int], list[Report]]:
    """Where each stopped trial was stopped, and the reports that were heard."""
    stopped: dict[int, int] = {}
    heard = []
    for trial, step, value in table:
        if trial in stopped:
            continue
        heard.append((trial, step, value))
        if rule.decide(trial, step, value):
            stopped[trial] = step
    return stopped, heard


# ---------------------------------------------------------------- what holds for every rule


@every_seed
@every_rule
def test_who_leads_is_never_stopped(build: Build, seed: int) -> None:
    """Of those that have come no further, or have had no value before."""
    rule = build(STEPS, "min")
    stopped, heard = play(rule, reports(seed))
    assert bool(stopped) != isinstance(rule, NoStopping)
    began: dict[int, int] = {}
    for trial, step, value in heard:
        if value is not None:
            began.setdefault(trial, step)
    for trial, step in stopped.items():
        now = heard.index(next(r for r in heard if r[:2] == (trial, step)))
        value = heard[now][2]
        others = [r for r in heard[:now] if r[2] is not None and r[0] != trial]
        rivals = [v for t, s, v in others if v is not None and s <= max(step, began[t])]
        assert value is None or value > min(rivals)


@every_seed
@every_rule
def test_nobody_is_stopped_at_the_last_step(build: Build, seed: int) -> None:
    table = [report for report in reports(seed) if report[1] == STEPS]
    assert play(build(STEPS, "min"), table)[0] == {}


@every_seed
@every_rule
def test_a_rule_made_anew_decides_as_the_old_one_would(build: Build, seed: int) -> None:
    """It is told what the study has: finite values only, step by step."""
    table = reports(seed)
    old = build(STEPS, "min")
    _, heard = play(old, table[: len(table) // 2])
    new = build(STEPS, "min")
    told = [report for report in heard if report[2] is not None]
    for trial, step, value in sorted(told, key=lambda report: (report[1], report[0])):
        new.decide(trial, step, value)
    draw = random.Random(seed)
    for _ in range(200):
        trial, step, value = draw.randrange(40), draw.choice(REPORTS), draw.gauss(1, 3)
        assert copy.deepcopy(new).decide(trial, step, value) == copy.deepcopy(old).decide(
            trial, step, value
        )


@every_seed
@every_rule
def test_a_report_heard_twice_changes_nothing(build: Build, seed: int) -> None:
    once, twice = build(STEPS, "min"), build(STEPS, "min")
    for trial, step, value in reports(seed):
        assert once.decide(trial, step, value) == twice.decide(trial, step, value)
        if value is not None:
            assert not twice.decide(trial, step, value - 100)


@every_seed
@every_rule
def test_more_is_better_mirrors_less_is_better(build: Build, seed: int) -> None:
    table = reports(seed)
    mirrored = [(trial, step, None if value is None else -value) for trial, step, value in table]
    assert play(build(STEPS, "min"), table)[0] == play(build(STEPS, "max"), mirrored)[0]


@every_seed
@every_rule
def test_the_unit_of_the_values_does_not_matter(build: Build, seed: int) -> None:
    table = reports(seed)
    scaled = [
        (trial, step, None if value is None else 1024 * value) for trial, step, value in table
    ]
    assert play(build(STEPS, "min"), table)[0] == play(build(STEPS, "min"), scaled)[0]


@every_rule
def test_equal_values_are_not_stopped(build: Build) -> None:
    table = [(trial, step, 1.0) for step in REPORTS for trial in range(20)]
    assert play(build(STEPS, "min"), table)[0] == {}


@every_rule
def test_a_trial_without_a_finite_value_is_no_measure_for_others(build: Build) -> None:
    rule = build(STEPS, "min")
    for trial in range(20):
        assert not rule.decide(trial, 450, None)


@pytest.mark.parametrize("name", ["asha", "median"])
@every_seed
def test_something_is_stopped(name: str, seed: int) -> None:
    stopped, _ = play(SCHEDULERS[name](STEPS, "min"), reports(seed))
    assert len(stopped) >= 5
    assert min(stopped.values()) >= (0.1 if name == "asha" else 0.15) * STEPS


def test_none_stops_nobody() -> None:
    assert play(NoStopping(), reports(0))[0] == {}


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_trial_without_a_finite_value_is_stopped_where_others_have_one(name: str) -> None:
    rule = SCHEDULERS[name](STEPS, "min")
    for trial in range(6):
        rule.decide(trial, 450, 1.0)
    assert rule.decide(8, 450, None)


@pytest.mark.parametrize("level", [4.0, -4.0])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_margin_is_a_share_of_the_threshold_whatever_its_sign(
    name: str, mode: Mode, level: float
) -> None:
    worse = 1 if mode == "min" else -1
    rule = SCHEDULERS[name](STEPS, mode, margin=0.25)
    for trial in range(9):
        rule.decide(trial, 450, level)
    assert not rule.decide(10, 450, level + worse * 0.99)
    assert rule.decide(11, 450, level + worse * 1.01)


# ---------------------------------------------------------------- successive halving


def asha(*, brackets: int = 1, mode: Mode = "min") -> Asha:
    return Asha(STEPS, mode, reduction=3, grace=1 / 9, brackets=brackets)


def test_rungs_grow_by_the_reduction_and_end_before_the_last_step() -> None:
    assert asha().brackets == (pytest.approx((100, 300)),)


def test_keeps_the_best_third_at_a_rung() -> None:
    rule = asha()
    # From bad to good, nobody is behind; from good to bad, only the best third stays.
    assert [rule.decide(t, 100, v) for t, v in enumerate([9, 8, 7, 6, 5])] == [False] * 5
    assert [rule.decide(t, 100, v) for t, v in enumerate([10, 11, 12], 10)] == [True] * 3


def test_nobody_is_stopped_before_the_first_rung_or_among_the_first() -> None:
    rule = asha()
    assert not any(rule.decide(t, 99, 1000.0 * t) for t in range(20))
    assert not any(rule.decide(t, 100, float(t)) for t in range(2))


@pytest.mark.parametrize("order", [*permutations([1.0, 1.0, 1.0, 2.0])])
def test_ties_are_kept_in_any_order(order: Sequence[float]) -> None:
    rule = asha()
    stopped = [value for trial, value in enumerate(order) if rule.decide(trial, 100, value)]
    assert set(stopped) <= {2.0}


def test_a_resumed_trial_enters_the_rung_it_has_reached() -> None:
    rule = asha()
    for trial in range(6):
        rule.decide(trial, 100, float(trial))
    assert not rule.decide(9, 350, 0.5)  # the first at rung 300
    assert rule.decide(10, 100, 4.0)  # rung 100 knows six, not seven: the third best of 3 is 5/3
    assert not rule.decide(11, 100, 1.5)


@pytest.mark.parametrize("wanted", [1, 2, 3, 8])
def test_a_bracket_begins_a_rung_later_than_the_one_before(wanted: int) -> None:
    rule = asha(brackets=wanted)
    expected = [[r for r in (100, 300) if r >= 100 * 3**s] for s in range(min(wanted, 3))]
    assert [pytest.approx(rungs) for rungs in expected] == list(rule.brackets)


@pytest.mark.parametrize("trials", [27, 100, 1000])
def test_brackets_share_the_budget_equally(trials: int) -> None:
    """Hyperband's counts: η^h/(h + 1) trials for h halvings."""
    rule = asha(brackets=3)
    weights = [9 / 3, 3 / 2, 1.0]
    counts = Counter(rule.bracket(trial) for trial in range(trials))
    for bracket, weight in enumerate(weights):
        assert counts[bracket] == pytest.approx(trials * weight / sum(weights), abs=2)


def test_trials_are_compared_within_their_bracket() -> None:
    rule = asha(brackets=2)
    mine = [t for t in range(40) if rule.bracket(t) == 0]
    others = [t for t in range(40) if rule.bracket(t) == 1]
    for trial in others:
        assert not rule.decide(trial, 100, 0.0), "before the first rung of its bracket"
        rule.decide(trial, 300, 0.0)
    assert not any(rule.decide(trial, 100, 9.0) for trial in mine)


# ---------------------------------------------------------------- the median rule


@every_seed
def test_the_median_is_that_of_the_others_bests_by_the_same_step(seed: int) -> None:
    rule = Median(STEPS, "min", grace=0.2, startup=3)
    heard: list[tuple[int, int, float]] = []
    for trial, step, value in reports(seed):
        bests = [
            min(values)
            for other in {t for t, _, _ in heard} - {trial}
            if (values := [v for t, s, v in heard if t == other and s <= step])
        ]
        due = 0.2 * STEPS <= step < STEPS and len(bests) >= 3
        expected = due and (value is None or value > median(bests))
        assert rule.decide(trial, step, value) == expected
        if value is not None and step < STEPS:
            heard.append((trial, step, value))


def test_the_median_rule_halves_once_not_at_each_report() -> None:
    """Where the order of trials is clear from the start, about half of them run to their end."""
    draw = random.Random(0)
    levels = [draw.random() for _ in range(200)]
    table = [(trial, step, level) for trial, level in enumerate(levels) for step in REPORTS]
    stopped, _ = play(Median(STEPS, "min"), table)
    assert 80 <= len(stopped) <= 120


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("name", ["asha", "median"])
def test_without_a_margin_who_is_worse_by_a_hair_is_stopped(name: str, mode: Mode) -> None:
    """By default there is none: the last of them is worse than all others by a thousandth."""
    sign = 1 if mode == "min" else -1
    rule = SCHEDULERS[name](STEPS, mode)
    for trial in range(8):
        rule.decide(trial, STEPS // 2, sign * 1.0)
    assert rule.decide(8, STEPS // 2, sign * 1.001)
    assert not rule.decide(9, STEPS // 2, sign * 1.0)


def test_by_default_one_in_three_goes_on_at_a_tenth_and_at_three_tenths() -> None:
    rule = Asha(STEPS, "min")
    assert [pytest.approx(rungs) for rungs in rule.brackets] == [(0.1 * STEPS, 0.3 * STEPS)]
    for trial in range(2):
        assert not rule.decide(trial, STEPS // 10, float(trial))
        assert rule.undecided(trial)
    assert rule.decide(2, STEPS // 10, 2.0)
    assert [rule.undecided(trial) for trial in range(3)] == [False] * 3
    assert [rule.behind(trial) for trial in range(3)] == [False, True, True]


def test_by_default_the_median_rule_compares_with_five_others_from_15_percent_on() -> None:
    for others, step, stopped in ((4, 450, False), (5, 450, True), (5, 134, False), (5, 135, True)):
        rule = Median(STEPS, "min")
        for trial in range(others):
            rule.decide(trial, step, 1.0)
        assert rule.decide(9, step, 2.0) == stopped, (others, step)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_rule_foresees_the_share_that_trials_are_trained_for(name: str) -> None:
    share, ends = SCHEDULERS[name](1_000, "min").expected(range(100, 1_001, 100))
    assert 0 < ends <= 1
    assert ends <= share <= 1


def test_asha_foresees_that_one_in_three_goes_on_at_each_rung() -> None:
    """Rungs at 100 and 300 of 1,000 steps; at a rung between reports, the next one counts."""
    asha = Asha(1_000, "min")
    assert asha.expected(range(100, 1_001, 100)) == pytest.approx((0.1 + 0.2 / 3 + 0.7 / 9, 1 / 9))
    assert asha.expected(range(200, 1_001, 200)) == pytest.approx((0.2 + 0.2 / 3 + 0.6 / 9, 1 / 9))
    several = Asha(1_000, "min", brackets=3).expected(range(100, 1_001, 100))
    assert several.share > asha.expected(range(100, 1_001, 100)).share
