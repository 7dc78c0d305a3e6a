"""What a trial's reports come to: the rules that end it, at their limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from gan_tune.config import CollapseRule, Objective
from gan_tune.gan.progress import Progress
from gan_tune.gan.symptoms import Vitals

RULE = CollapseRule(variety=0.25, after=0.5, reports=2)


def reported(
    *values: float,
    variety: Sequence[float] = (),
    distinct: Sequence[float] = (),
    rule: CollapseRule = RULE,
    mode: str = "min",
    patience: int = 0,
) -> Progress:
    """A training of 100 steps with a report every ten, until it ends."""
    objective = Objective.model_validate({"mode": mode})
    progress = Progress(objective, rule, steps=100, patience=patience)
    for i, value in enumerate(values):
        share = variety[i] if variety else 1.0
        found = distinct[i] if distinct else None
        vitals = Vitals(1.0, 1.0, 1.0, 1.0, 0.5, 0.5, value, distinct=found)
        progress.note(10 * (i + 1), value, vitals=vitals, variety=share, sound=True)
        if progress.outcome is not None:
            break
    return progress


@pytest.mark.parametrize(
    ("variety", "ended"),
    [
        ([0.2] * 10, 6),  # the steps before half of the training do not count, the 50th does
        ([0.25] * 10, None),  # exactly the least share is enough
        ([0.2, 0.2, 0.2, 0.2, 0.2, 0.3, 0.2, 0.3, 0.2, 0.3], None),  # never twice in a row
        ([0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.2, 0.2], 10),
    ],
)
def test_a_trial_collapses_when_its_variety_stays_below_the_share(
    variety: list[float], ended: int | None
) -> None:
    progress = reported(*[1.0] * 10, variety=variety)
    assert progress.outcome == ("completed" if ended is None else "collapsed")
    assert len(progress.history) == (ended or 10)


@pytest.mark.parametrize(
    ("distinct", "ended"),
    [
        ([0.3] * 10, 6),
        ([0.4] * 10, None),
        ([math.nan] * 10, None),
        ([0.3, 0.3, 0.3, 0.3, 0.3, 0.5, 0.3, 0.5, 0.3, 0.5], None),
    ],
)
def test_a_trial_collapses_when_too_few_of_its_samples_are_distinct(
    distinct: list[float], ended: int | None
) -> None:
    progress = reported(*[1.0] * 10, distinct=distinct)
    assert progress.outcome == ("completed" if ended is None else "collapsed")
    assert len(progress.history) == (ended or 10)


@pytest.mark.parametrize("rule", ["none", {"variety": 0}])
def test_a_rule_that_is_off_ends_no_trial(rule: str | dict[str, float]) -> None:
    off = CollapseRule.model_validate(rule)
    progress = reported(*[1.0] * 10, variety=[0.0] * 10, distinct=[0.0] * 10, rule=off)
    assert progress.outcome == "completed"
    assert off.is_off
    assert not RULE.is_off


@pytest.mark.parametrize(("mode", "sign"), [("min", 1.0), ("max", -1.0)])
def test_patience_ends_a_trial_after_so_many_reports_that_are_not_better(
    mode: str, sign: float
) -> None:
    values = [sign * v for v in (5.0, 4.0, 4.0, 3.0, 3.0, 6.0, 3.5, 1.0)]
    progress = reported(*values, mode=mode, patience=3)
    assert (progress.outcome, len(progress.history)) == ("completed", 7)
    assert (progress.best, progress.best_step) == (sign * 3.0, 40)
    assert reported(*values, mode=mode).outcome is None


def test_a_value_that_is_not_finite_ends_the_trial_and_is_not_the_best() -> None:
    progress = reported(2.0, math.nan, 1.0)
    assert (progress.outcome, progress.best, len(progress.history)) == ("diverged", 2.0, 2)
