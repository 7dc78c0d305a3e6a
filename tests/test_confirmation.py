"""Confirmation: who is trained again, who is dropped, who wins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gan_tune.searching.jobs import Setting
from gan_tune.searching.rules.confirmation import Confirmation, candidates


def setting(
    number: int, value: float | None, outcome: str | None = "completed", *replicates: float | None
) -> Setting:
    return Setting(number, outcome, value, 100, replicates)  # type: ignore[arg-type]


def confirm(values: dict[int, list[float | None]], mode: str = "min") -> Confirmation:
    """Drive a confirmation with a table: setting → values of its replicates."""
    confirmation = Confirmation(seeds=3, mode=mode)  # type: ignore[arg-type]
    confirmation.consider(list(values))
    while (chosen := confirmation.next()) is not None:
        number, replicate = chosen
        confirmation.record(number, replicate, values[number][replicate - 1])
    return confirmation


def test_candidates_are_the_best_that_ran_to_their_end_and_the_first() -> None:
    settings = [
        setting(0, 9.0),
        setting(1, 1.0, "pruned"),
        setting(2, 3.0),
        setting(3, 2.0),
        setting(4, 4.0),
        setting(5, 0.5, "diverged"),
    ]
    assert candidates(settings, top=2, mode="min") == [3, 2, 0]
    assert candidates(settings, top=2, mode="max") == [0, 4]
    assert candidates(settings[1:2], top=2, mode="min") == []


def test_settings_that_time_cut_off_count_like_those_that_ran_to_their_end() -> None:
    settings = [
        setting(0, 9.0),
        setting(1, 1.0, None),
        setting(2, 3.0),
        setting(3, None, None),
        setting(4, 0.5, "pruned"),
    ]
    assert candidates(settings, top=2, mode="min") == [1, 2, 0]
    assert candidates(settings[1:2], top=2, mode="min") == [1]


def test_if_no_setting_counts_the_best_of_those_that_were_pruned_may_stand_in() -> None:
    settings = [
        Setting(0, "pruned", 9.0, 20), Setting(1, "collapsed", 1.0, 100),
        Setting(2, "pruned", 3.0, 20), Setting(3, "pruned", None, 20),
        Setting(4, "diverged", 2.0, 20),
    ]  # fmt: skip
    assert candidates(settings, top=1, mode="min") == []
    assert candidates(settings, top=1, mode="min", pruned=True) == [2, 0]
    ended = [*settings, Setting(5, "completed", 8.0, 100)]
    assert candidates(ended, top=1, mode="min", pruned=True) == [5, 0]


def test_with_replicates_a_mean_of_fewer_is_placed_by_how_bad_it_may_be() -> None:
    """Setting 3 may be worse than its mean by 0.41 × 2.35 × √(1/2 − 1/3) = 0.39, 2 by 0.78."""
    settings = [
        setting(0, 6.0, "completed", 6.0, 6.0, 6.0),
        setting(1, 1.0, None),
        setting(2, 3.0, None, 3.0),
        setting(3, 2.0, None, 1.5, 2.5),
        setting(4, 0.5, "pruned", 0.5),
        setting(5, 0.5, "completed", 0.5, None),
    ]
    assert candidates(settings, top=9, mode="min", replicated=True) == [3, 2, 0]
    assert candidates(settings, top=2, mode="max", replicated=True) == [0, 2]
    assert candidates(settings[1:3], top=9, mode="min", replicated=True) == [2]
    assert candidates(settings[1:2], top=9, mode="min", replicated=True) == []


def test_rounds_go_through_all_settings_before_the_next_seed() -> None:
    confirmation = Confirmation(seeds=2, mode="min")
    confirmation.consider([4, 7])
    handed = [confirmation.next() for _ in range(5)]
    assert handed == [(4, 1), (7, 1), (4, 2), (7, 2), None]


def test_the_best_mean_wins_not_the_luckiest_seed() -> None:
    standings = confirm({1: [0.1, 5.0, 5.0], 2: [2.0, 2.1, 2.2], 0: [3.0, 3.1, 2.9]}).standings()
    assert standings[0].setting == 2
    assert standings[0].mean == pytest.approx(2.1)
    assert standings[0].spread == pytest.approx(0.1)
    assert standings[0].seeds == 3


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    ("values", "ranked"),
    [
        ({1: [4.1, 4.5, 4.3], 2: [3.9]}, [1, 2]),  # 3.9 may be luck
        ({1: [4.1, 4.5, 4.3], 2: [1.0]}, [2, 1]),  # clearly better than what they differ by
        ({1: [4.1, 4.5], 2: [3.9], 0: [4.0, 4.1, 4.2]}, [0, 1, 2]),
        ({1: [3.9, 4.7, 4.3], 0: [3.8]}, [1, 0]),
        ({1: [4.2], 2: [3.9], 0: [4.0, 4.1, 4.2]}, [2, 0, 1]),  # the first one's came before
    ],
)
def test_fewer_seeds_come_behind_unless_the_others_are_clearly_worse(
    values: dict[int, list[float]], ranked: list[int], mode: str
) -> None:
    sign = 1.0 if mode == "min" else -1.0
    confirmation = Confirmation(seeds=3, mode=mode)  # type: ignore[arg-type]
    confirmation.consider(list(values))
    for number, known in values.items():
        for replicate, value in enumerate(known, start=1):
            confirmation.record(number, replicate, sign * value)
    assert [row.setting for row in confirmation.standings()] == ranked


def test_the_mean_decides_against_a_first_setting_with_more_seeds() -> None:
    confirmation = Confirmation(seeds=3, mode="min")
    confirmation.consider([0, 1])
    confirmation.record(0, 1, 592.0)
    confirmation.record(1, 1, 75.0)
    confirmation.record(0, 2, 539.0)
    assert [row.setting for row in confirmation.standings()] == [1, 0]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_is_clearly_worse_is_dropped_early_but_never_the_first_setting(mode: str) -> None:
    sign = 1.0 if mode == "min" else -1.0
    table = {1: [1.0, 1.1, 1.05], 2: [50.0, 51.0, 50.5], 0: [80.0, 81.0, 79.0]}
    rows = {
        row.setting: row
        for row in confirm({k: [sign * v for v in vs] for k, vs in table.items()}, mode).standings()
    }
    assert rows[2].dropped
    assert rows[2].seeds < 3
    assert not rows[0].dropped
    assert rows[0].seeds == 3
    assert not rows[1].dropped


def test_settings_within_the_noise_are_not_dropped() -> None:
    rows = confirm({1: [1.0, 3.0, 2.0], 2: [2.0, 3.5, 2.5]}).standings()
    assert [row.seeds for row in rows] == [3, 3]


def test_a_seed_that_never_had_a_value_puts_its_setting_last() -> None:
    rows = confirm({1: [0.1, None, 0.1], 2: [5.0, 5.1, 5.2]}).standings()
    assert [row.setting for row in rows] == [2, 1]
    assert math.isinf(rows[1].mean)
    assert rows[1].dropped


def test_interrupted_replicates_are_handed_out_again_and_known_ones_are_not() -> None:
    confirmation = Confirmation(seeds=2, mode="min")
    confirmation.record(3, 1, 0.5)  # an earlier command's
    confirmation.consider([3])
    assert confirmation.next() == (3, 2)
    assert confirmation.next() is None
    confirmation.hand_back(3, 2)
    assert confirmation.next() == (3, 2)


def test_values_of_a_setting_that_was_displaced_are_kept() -> None:
    confirmation = Confirmation(seeds=1, mode="min")
    confirmation.consider([1])
    confirmation.record(1, 1, 5.0)
    confirmation.consider([2])
    assert confirmation.standings() == []
    confirmation.consider([2, 1])
    assert [row.setting for row in confirmation.standings()] == [1]


def test_what_is_missing_are_the_replicates_that_will_still_be_trained() -> None:
    confirmation = Confirmation(seeds=3, mode="min")
    for replicate, value in enumerate([1.0, 1.1], start=1):
        confirmation.record(1, replicate, value)
        confirmation.record(2, replicate, value + 50)
    assert [confirmation.missing(setting) for setting in (1, 2, 3)] == [1, 1, 3]
    confirmation.consider([1, 2, 3])
    assert [confirmation.missing(setting) for setting in (1, 2, 3)] == [1, 0, 3], "2 is dropped"
    assert confirmation.known() == [1, 2]


def test_what_is_to_begin_is_what_is_missing_but_for_what_runs() -> None:
    """Several of one setting may run at a time; what is handed back is to begin again."""
    confirmation = Confirmation(seeds=4, mode="min")
    confirmation.consider([1, 2])

    def counts() -> list[tuple[int, int]]:
        return [(confirmation.missing(s), confirmation.to_begin(s)) for s in (1, 2)]

    assert counts() == [(4, 4), (4, 4)]
    assert [confirmation.next() for _ in range(5)] == [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)]
    assert counts() == [(4, 1), (4, 2)]
    confirmation.record(1, 1, 3.0)
    assert counts() == [(3, 1), (4, 2)]
    confirmation.hand_back(1, 3)
    assert counts() == [(3, 2), (4, 2)]
    assert confirmation.next(only=2) == (2, 3)
    assert counts() == [(3, 2), (4, 1)]
    confirmation.record(1, 2, None)
    assert confirmation.missing(1) == 2, "of none other it is known that it is better"


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("seed", range(12))
def test_who_is_dropped_agrees_with_a_t_test_over_the_pooled_spread(seed: int, mode: str) -> None:
    """Settings of unlike means, spreads and numbers of seeds, the first setting among them."""
    rng = np.random.default_rng(seed)
    sign = 1.0 if mode == "min" else -1.0
    known = {
        setting: (sign * rng.normal(2.0 * rng.random(), 0.4, int(rng.integers(1, 5)))).tolist()
        for setting in (3, 0, 5, 8)
    }
    confirmation = Confirmation(seeds=4, mode=mode)  # type: ignore[arg-type]
    confirmation.consider(list(known))
    for setting, values in known.items():
        for replicate, value in enumerate(values, start=1):
            confirmation.record(setting, replicate, value)
    costs = {setting: sign * np.mean(values) for setting, values in known.items()}
    best = min(costs, key=lambda setting: costs[setting])
    squares = sum(((np.array(v) - np.mean(v)) ** 2).sum() for v in known.values())
    freedom = sum(len(v) - 1 for v in known.values())
    dropped = set()
    for setting, values in known.items():
        if setting in (best, 0) or freedom < 1:
            continue
        error = (squares / freedom * (1 / len(values) + 1 / len(known[best]))) ** 0.5
        if stats.t.sf((costs[setting] - costs[best]) / error, freedom) < 0.05:
            dropped.add(setting)
    rows = {row.setting: row for row in confirmation.standings()}
    assert {setting for setting, row in rows.items() if row.dropped} == dropped
    most = max((len(v) for s, v in known.items() if s not in dropped | {0}), default=0)
    behind = {s for s, v in known.items() if s not in dropped and len(v) < most}
    assert {setting for setting, row in rows.items() if row.behind} == behind
    ranked = sorted(known, key=lambda s: (s in dropped, s in behind, costs[s]))
    assert list(rows) == ranked
    for setting, row in rows.items():
        assert row.mean == pytest.approx(np.mean(known[setting]))
        spread = np.std(known[setting], ddof=1) if len(known[setting]) > 1 else math.nan
        assert row.spread == pytest.approx(spread, nan_ok=True)
