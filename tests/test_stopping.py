"""Stopping rules, driven by tables of curves."""

from __future__ import annotations

import pytest

from gan_tune.searching.stopping import SCHEDULERS, Asha
from gan_tune.space import SCHEDULERS as SCHEDULER_NAMES


def rule(**changes: object) -> Asha:
    return Asha(**({"steps": 900, "mode": "min", "reduction": 3, "grace": 1 / 9} | changes))  # type: ignore[arg-type]


def test_rungs_grow_by_the_reduction_and_end_before_the_last_step() -> None:
    assert rule().rungs == pytest.approx([100, 300])
    assert Asha(steps=100, mode="min", grace=1.0).rungs == []


@pytest.mark.parametrize("mode", ["min", "max"])
def test_keeps_the_best_third_at_a_rung(mode: str) -> None:
    sign = 1 if mode == "min" else -1
    asha = rule(mode=mode)
    # From bad to good, nobody is behind; from good to bad, only the best third stays.
    assert [asha.decide(t, 100, sign * v) for t, v in enumerate([9, 8, 7, 6, 5])] == [False] * 5
    assert [asha.decide(t, 100, sign * v) for t, v in enumerate([10, 11, 12], 10)] == [True] * 3


def test_nobody_is_stopped_before_the_first_rung_or_among_the_first() -> None:
    asha = rule()
    assert not any(asha.decide(t, 99, 1000.0 * t) for t in range(20))
    assert not any(asha.decide(t, 100, float(t)) for t in range(2))


def test_a_report_heard_twice_changes_nothing() -> None:
    asha, once = rule(), rule()
    values = [5.0, 3.0, 4.0, 6.0]
    first = [asha.decide(t, 100, v) for t, v in enumerate(values)]
    assert not any(asha.decide(t, 100, 99.0) for t in range(4))
    assert first == [once.decide(t, 100, v) for t, v in enumerate(values)]
    assert asha.decide(7, 100, 5.5) == once.decide(7, 100, 5.5)


def test_a_resumed_trial_enters_the_rung_it_has_reached() -> None:
    asha = rule()
    for trial in range(6):
        asha.decide(trial, 100, float(trial))
    assert not asha.decide(9, 350, 0.5)  # rung 300, where it is the first
    assert 9 not in asha._values[asha.rungs[0]]


def test_a_trial_without_a_finite_value_is_stopped_at_a_rung() -> None:
    asha = rule()
    for trial in range(4):
        asha.decide(trial, 100, 1.0)
    assert asha.decide(8, 100, None)


def test_equal_values_are_not_stopped() -> None:
    asha = rule()
    assert not any(asha.decide(trial, 100, 1.0) for trial in range(12))


def test_every_scheduler_of_a_space_file_is_built_here() -> None:
    assert SCHEDULERS.keys() == SCHEDULER_NAMES.keys()
    for build in SCHEDULERS.values():
        assert build(steps=10, mode="min", reduction=3, grace=0.2).decide(0, 1, 1.0) is False
