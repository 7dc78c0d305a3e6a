"""Who waits, who is held, who must go on: without a search around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
from conftest import trial_tree

from gan_tune.config import Objective, TrialConfig
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.leading.waiting_room import WaitingRoom
from gan_tune.searching.rules.stopping import NoStopping
from gan_tune.storage.trial_name import Kind, TrialName

CONFIG = TrialConfig.from_tree(trial_tree() | {"steps": 100, "evaluations": 5}, catalogue())


class Rule(NoStopping):
    """Cannot judge the settings ``open``, stops the settings ``bad``, has two rungs."""

    def __init__(self, *, open: Sequence[int] = (), bad: Sequence[int] = ()) -> None:
        self.open, self.bad = set(open), set(bad)

    def rungs(self, trial: int) -> Sequence[float]:
        return (10.0, 30.0)

    def undecided(self, trial: int) -> bool:
        return trial in self.open

    def behind(self, trial: int) -> bool:
        return trial in self.bad


def job(setting: int, replicate: int = 0, kind: Kind = "search") -> Job:
    return Job(str(TrialName(setting, replicate, kind)), setting, replicate, CONFIG, kind=kind)


def at_rung(setting: int, step: int, value: float | None) -> RunningTrial:
    return RunningTrial(job(setting), {step}, watched=value, undecided=True)


def room(
    rule: Rule,
    *trials: RunningTrial,
    mode: Literal["min", "max"] = "min",
    jobs: Sequence[Job] = (),
) -> WaitingRoom:
    made = WaitingRoom(rule, Objective(mode=mode), jobs)
    for trial in trials:
        made.pause(trial)
    return made


def never(trial: RunningTrial) -> bool:
    return False


def test_who_has_not_run_yet_goes_first_in_order() -> None:
    waiting = room(Rule(open=[3]), at_rung(3, 20, 1.0), jobs=[job(1), job(2)])
    waiting.put_first(job(1, 1))
    assert [each.name for each in waiting.jobs] == ["0001-seed-1", "0001", "0002", "0003"]
    for name in ("0001-seed-1", "0001", "0002"):
        following = waiting.next(never)
        assert following is not None
        assert following.name == name
        assert waiting.leave(name) is None
    assert waiting.next(never) is None, "the last one is held"


@pytest.mark.parametrize(("mode", "best"), [("min", 1), ("max", 2)])
def test_of_the_held_the_most_advanced_and_then_the_best_goes_on(
    mode: Literal["min", "max"], best: int
) -> None:
    trials = [at_rung(1, 40, 5.0), at_rung(2, 40, 6.0), at_rung(3, 20, 0.0), at_rung(4, 40, None)]
    waiting = room(Rule(open=[1, 2, 3, 4]), *trials, mode=mode)
    assert waiting.next(never) is None
    asked: list[int] = []
    chosen = waiting.next(lambda trial: asked.append(trial.job.setting) or True)  # type: ignore[func-returns-value]
    assert chosen is not None
    assert asked == [chosen.setting] == [best]
    assert waiting.best() == chosen


def test_who_can_be_judged_is_held_no_longer() -> None:
    rule = Rule(open=[1, 2], bad=[1])
    waiting = room(rule, at_rung(1, 20, 5.0), at_rung(2, 20, 6.0))
    assert waiting.stopped() == []
    rule.open.clear()
    assert [trial.job.setting for trial in waiting.stopped()] == [1]
    left = waiting.leave("0001")
    assert left is not None
    assert left.step == 20
    following = waiting.next(never)
    assert following is not None
    assert following.setting == 2


def test_a_trial_waits_for_those_who_may_run_or_are_better() -> None:
    mine = at_rung(5, 40, 2.0)
    empty = room(Rule())
    assert empty.has_to_wait(mine, may_begin_another=True)
    assert not empty.has_to_wait(mine, may_begin_another=False)
    held = Rule(open=[1])
    for other, waits in ((at_rung(1, 40, 1.0), True), (at_rung(1, 40, 3.0), False)):
        assert room(held, other).has_to_wait(mine, may_begin_another=False) is waits
    assert room(Rule(), jobs=[job(1)]).has_to_wait(mine, may_begin_another=False)


def test_trials_may_wait_at_the_first_report_from_each_rung_on() -> None:
    waiting = room(Rule())
    assert waiting.pause_steps(job(1)) == (20, 40)
    for other in (job(1, 1), job(1, 2, "confirmation")):
        assert waiting.pause_steps(other) == ()


def test_a_trial_is_undecided_only_when_it_has_just_reached_a_rung() -> None:
    waiting = room(Rule(open=[0, 1]))
    assert waiting.is_undecided(job(1), 0, 20)
    assert not waiting.is_undecided(job(1), 40, 60), "it has passed both rungs"
    assert not waiting.is_undecided(job(2), 0, 20), "the rule can judge it"
    assert waiting.is_undecided(job(0), 0, 20), "the first setting is judged like others"
    assert not waiting.is_undecided(job(1, 1), 0, 20), "later replicates are judged seed by seed"
