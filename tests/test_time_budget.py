"""How the time of a search is divided: numbers in, numbers out."""

from __future__ import annotations

import math

import pytest

from gan_tune.searching.leading.time_budget import (
    CLOSING_SECONDS,
    SAFETY,
    Planned,
    TimeBudget,
    full_length,
    makespan,
)

QUARTER = TimeBudget(total=400.0, share=0.25, slots=2)
UNLIMITED = TimeBudget()


def test_without_a_limit_nothing_is_ever_late() -> None:
    planned = [Planned(10.0, 3, 3)]
    left = UNLIMITED.left(1e9)
    needed = UNLIMITED.needed_to_confirm(planned)
    assert (left, needed) == (math.inf, 0.0)
    assert not UNLIMITED.search_is_over(left, needed)
    assert not UNLIMITED.must_run_to_its_end(left, needed, 1e9)
    assert not UNLIMITED.is_last_call(left, needed, 1e9)
    assert UNLIMITED.allows_another(left, 1e9, seeds=3)
    assert TimeBudget(share=0.5).always_store_after(now=5.0, left=left) == math.inf


def test_minutes_become_seconds() -> None:
    assert TimeBudget.of(2, 0.5, 3) == TimeBudget(120.0, 0.5, 3)
    assert TimeBudget.of(None, 0.5, 3) == TimeBudget(math.inf, 0.5, 3)


@pytest.mark.parametrize(
    ("planned", "needed"),
    [
        ([], 100.0),
        ([Planned(0.0, 3, 3)], 100.0),  # no length is known: the whole share
        ([Planned(10.0, 2, 2)], SAFETY * 10.0),  # both slots at once
        ([Planned(10.0, 3, 1)], SAFETY * 20.0),  # a third one in a second round
        ([Planned(10.0, 2, 1), Planned(0.0, 0, 0)], SAFETY * 10.0),
        ([Planned(10.0, 2, 0)], 0.0),  # they all run
        ([Planned(60.0, 4, 4)], 100.0),  # never more than the share
        ([Planned(90.0, 4, 4)], SAFETY * 90.0),  # but one replicate must end in it
        ([Planned(90.0, 1, 1)], SAFETY * 90.0),
        ([Planned(110.0, 4, 4)], SAFETY * 100.0),
        ([Planned(130.0, 4, 4)], 100.0),  # it cannot; others may
    ],
)
def test_what_the_confirmation_needs(planned: list[Planned], needed: float) -> None:
    assert QUARTER.needed_to_confirm(planned) == needed
    assert TimeBudget(400.0, 0.0, 2).needed_to_confirm(planned) == 0.0


def test_a_trial_that_runs_may_come_to_its_next_report_before_the_confirmation() -> None:
    assert QUARTER.needed_to_confirm([Planned(60.0, 4, 4)], interval=7.0) == 107.0
    assert QUARTER.needed_to_confirm([Planned(10.0, 2, 2)], interval=7.0) == SAFETY * 10.0


def test_the_search_is_over_when_the_confirmation_needs_all_that_is_left() -> None:
    assert QUARTER.left(300.0) == 100.0
    assert QUARTER.search_is_over(100.0, 100.0)
    assert not QUARTER.search_is_over(100.1, 100.0)


@pytest.mark.parametrize(("left", "must"), [(140.0, True), (151.0, False)])
def test_a_trial_must_run_when_its_steps_fit_just_in(left: float, must: bool) -> None:
    """40 s with the safety are 50 s, beside the 100 s that the confirmation needs."""
    assert QUARTER.must_run_to_its_end(left, 100.0, 40.0) is must
    assert QUARTER.is_last_call(left, 100.0, 40.0) is must


@pytest.mark.parametrize(("left", "must"), [(240.0, True), (260.0, False)])
def test_a_trial_longer_than_the_time_may_wait_for_the_first_half(left: float, must: bool) -> None:
    assert QUARTER.must_run_to_its_end(left, 100.0, 1e6) is must


def test_another_setting_is_tried_if_it_can_be_confirmed_too() -> None:
    """Three seeds on two slots take two rounds, after the trial itself."""
    assert QUARTER.allows_another(SAFETY * 30.0 + 0.1, longest=10.0, seeds=3)
    assert not QUARTER.allows_another(SAFETY * 30.0, longest=10.0, seeds=3)


def test_weights_are_kept_from_just_before_the_search_can_end() -> None:
    """The quarter of 400 s, with its safety, is needed at most, and a report may come before."""
    kept = 1000.0 + 350.0 - SAFETY * 100.0 - CLOSING_SECONDS
    assert QUARTER.always_store_after(now=1000.0, left=350.0) == kept
    assert QUARTER.always_store_after(now=1000.0, left=350.0, interval=7.0) == kept - 7.0
    no_confirmation = TimeBudget(400.0, 0.0, 2)
    assert no_confirmation.always_store_after(0.0, 350.0, 7.0) == 350.0 - CLOSING_SECONDS


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_search_never_ends_before_the_weights_are_kept(slots: int, count: int) -> None:
    budget, interval = TimeBudget(400.0, 0.25, slots), 7.0
    kept = 350.0 - budget.always_store_after(0.0, 350.0, interval)
    for seconds in range(200):
        needed = budget.needed_to_confirm([Planned(float(seconds), count, count)], interval)
        assert needed <= kept - CLOSING_SECONDS


@pytest.mark.parametrize(
    ("seconds", "slots", "expected"),
    [([], 3, 0.0), ([5.0], 3, 5.0), ([1.0] * 12, 8, 2.0), ([3.0, 1.0, 1.0, 1.0], 2, 3.0)],
)
def test_tasks_go_to_the_slot_that_is_free_first(
    seconds: list[float], slots: int, expected: float
) -> None:
    assert makespan(seconds, slots) == expected


def test_a_full_trial_is_estimated_by_the_steps_done() -> None:
    assert full_length(10.0, steps=100, done=25) == 40.0
    assert full_length(0.0, steps=100, done=0) == 0.0
