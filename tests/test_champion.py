"""Who may become the champion, in which order."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from gan_tune.config import Objective
from gan_tune.searching.rules.champion import contenders
from gan_tune.searching.rules.confirmation import Standing
from gan_tune.searching.study.study import Setting

Mode = Literal["min", "max"]


def standing(setting: int, mean: float, *, seeds: int = 2, behind: bool = False) -> Standing:
    values: dict[int, float | None] = dict.fromkeys(range(1, seeds + 1), mean)
    return Standing(setting, values, mean, 0.5, dropped=False, behind=behind)


def completed(*values: float) -> list[Setting]:
    return [Setting(number, "completed", value, 100) for number, value in enumerate(values)]


def order(
    standings: list[Standing], settings: list[Setting], mode: Mode = "min"
) -> list[tuple[int, bool]]:
    objective = Objective(metric="frechet_distance", mode=mode)
    found = contenders(standings, settings, objective, replicated=False)
    return [(contender.setting, contender.confirmed) for contender in found]


@pytest.mark.parametrize(("mode", "sign"), [("min", 1.0), ("max", -1.0)])
def test_confirmed_means_decide_and_unconfirmed_values_come_after_them(
    mode: Mode, sign: float
) -> None:
    standings = [standing(1, sign * 5.0), standing(0, sign * 4.0)]
    settings = completed(sign * 9.0, sign * 1.0, sign * 2.0)
    found = order(standings, settings, mode)
    assert found[:2] == [(0, True), (1, True)]
    assert found[2:] == [(1, False), (2, False), (0, False)]


def test_fewer_seeds_come_behind_more_even_with_a_better_mean() -> None:
    standings = [standing(1, 5.0), standing(2, 4.0, seeds=1, behind=True)]
    assert order(standings, completed(9.0, 1.0, 2.0))[:2] == [(1, True), (2, True)]


def test_the_first_setting_confirmed_alone_has_beaten_nobody() -> None:
    assert order([standing(0, 4.0)], completed(9.0, 1.0)) == [(1, False), (0, False)]
    assert order([standing(0, 4.0)], completed(1.0, 9.0))[0] == (0, True), "it is the best anyway"


def test_an_infinitely_bad_mean_is_no_contender() -> None:
    standings = [standing(1, 5.0), standing(2, math.inf)]
    assert (2, True) not in order(standings, completed(9.0, 1.0, 2.0))


def test_settings_that_did_not_run_to_their_end_are_no_contenders() -> None:
    settings = [
        Setting(0, "completed", 9.0, 100),
        Setting(1, "pruned", 1.0, 50),
        Setting(2, "diverged", 0.5, 50),
        Setting(3, "failed", None, 0),
    ]
    assert order([], settings) == [(0, False)]
    assert order([], settings[1:]) == []
