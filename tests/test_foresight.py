"""How many settings a search can judge in its time, foreseen and then run on a clock of its own."""

from __future__ import annotations

import heapq
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_conductor import space

from gan_tune.searching.jobs import FIRST_SETTING, Job
from gan_tune.searching.leading.conductor import Conductor, time_budget
from gan_tune.searching.leading.foresight import (
    ENOUGH_SETTINGS,
    FEW_SETTINGS,
    Course,
    Foresight,
    Pace,
    foresee,
)
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import stopping_rule
from gan_tune.searching.study.opening import open_study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result

STEP, EVALUATION = 0.005, 0.2
TEN_MINUTES = {
    "budget": {"evaluations": 10, "minutes": 10},
    "confirm": {"top": 1, "seeds": 2, "share": 0.25},
    "search": {"scheduler": "asha", "sampler": "random"},
}


def foreseen(searched: SearchSpace, pace: Pace, slots: int) -> Foresight:
    steps = None if searched.has_open_length else searched.steps
    return foresee(time_budget(searched, slots), Course.of(searched), pace, steps=steps)


class Simulation:
    """A search on a clock of its own: reports of all slots in the order of their time."""

    def __init__(self, folder: Path, searched: SearchSpace, pace: Pace, slots: int) -> None:
        self.now, self.pace, self.slots = 0.0, pace, slots
        self.trials = TrialFolders(storage := open_storage(folder))
        study, rule = open_study(folder / "study.journal", searched), stopping_rule(searched)
        resumed = resume_search(study, self.trials, rule)
        clock = lambda: self.now  # noqa: E731
        self.conductor = Conductor(study, storage, rule, resumed, slots=slots, clock=clock)
        self.seconds: dict[str, float] = {}  # trial → time on its slot
        self.reached: dict[str, int] = {}
        self.best: dict[str, float] = {}

    def run(self, *, first: float) -> None:
        """Run to the end; settings come to values at random, the first one to ``first``."""
        rng = np.random.default_rng(0)
        ends: dict[int, float] = {FIRST_SETTING: first}
        waiting: list[tuple[float, str, Job]] = []
        while True:
            while len(waiting) < self.slots and isinstance(job := self.conductor.next_job(), Job):
                ends.setdefault(job.setting, float(rng.lognormal(2, 1)))
                heapq.heappush(waiting, (self.now + self._until_report(job), job.name, job))
            if not waiting:
                return
            self.now, name, job = heapq.heappop(waiting)
            step = self._next_step(job)
            value = ends[job.setting] * (1 + 3 * (1 - step / job.config.steps))
            value *= float(rng.lognormal(0, 0.1))
            self.reached[name] = step
            self.seconds[name] = self.seconds.get(name, 0.0) + self._until_report(job)
            seconds = self._until_report(job) - self.pace.evaluation
            outcome = "completed" if step == job.config.steps else None
            best = min(value, self.best.get(name, value))
            self.best[name] = best
            heard = Result(step, {}, value, best, outcome, 0, training_seconds=seconds)
            heard = replace(heard, evaluation_seconds=self.pace.evaluation)
            self.trials[name].write_report(heard)
            if not self.conductor.reported(name, heard):
                heapq.heappush(waiting, (self.now + self._until_report(job), name, job))

    def _next_step(self, job: Job) -> int:
        return next(s for s in job.config.report_steps if s > self.reached.get(job.name, 0))

    def _until_report(self, job: Job) -> float:
        steps = job.config.steps / len(job.config.report_steps)
        return steps * self.pace.step + self.pace.evaluation

    def judged(self) -> int:
        """The settings with a report at a tenth of the full length or later."""
        tenth = self.conductor.space.steps / 10
        return sum("confirm" not in name and step >= tenth for name, step in self.reached.items())

    def share(self) -> float:
        """The share of the slots' time for first setting and confirmation."""
        spent = [s for name, s in self.seconds.items() if "confirm" in name or name == "0000"]
        return sum(spent) / (60 * (self.conductor.space.budget.minutes or 0) * self.slots)


def simulated(
    folder: Path, searched: SearchSpace, pace: Pace, slots: int, *, first: float = 50.0
) -> Simulation:
    plan = foreseen(searched, pace, slots)
    ran = Simulation(folder, searched.with_length(plan.steps), pace, slots)
    ran.run(first=first)
    return ran


MACHINES = [
    pytest.param(speed, slots, marks=[] if (speed, slots) == (1, 2) else pytest.mark.ci)
    for speed in (1 / 3, 1, 10)
    for slots in (1, 2, 4)
]


@pytest.mark.parametrize(("speed", "slots"), MACHINES)
def test_the_same_file_is_sensible_on_slow_and_fast_machines(
    tmp_path: Path, speed: float, slots: int
) -> None:
    pace = Pace(STEP / speed, EVALUATION / speed)
    searched = space(**TEN_MINUTES)
    ran = simulated(tmp_path, searched, pace, slots)
    assert foreseen(searched, pace, slots).settings >= ENOUGH_SETTINGS
    assert ran.judged() >= ENOUGH_SETTINGS
    assert 0.9 * 600 <= ran.now <= 1.02 * 600
    assert ran.share() <= 0.3
    assert ran.conductor.standings()[0].seeds == 2


@pytest.mark.parametrize("first", [1e-3, 50.0], ids=["the best", "bad"])
@pytest.mark.parametrize(
    "confirm", [{}, {"top": 1, "seeds": 3}, {"top": 2, "seeds": 2, "share": 0.25}], ids=str
)
@pytest.mark.ci
def test_first_setting_and_confirmation_take_at_most_three_tenths(
    tmp_path: Path, confirm: dict[str, Any], first: float
) -> None:
    """Also by default, and though the first setting runs to its end where it is the best."""
    for slots in (1, 2):
        searched = space(**TEN_MINUTES | {"confirm": confirm})
        ran = simulated(tmp_path / str(slots), searched, Pace(STEP, 0.1), slots, first=first)
        assert ran.share() <= 0.3
        assert ran.judged() >= ENOUGH_SETTINGS
        assert ran.conductor.standings()


def test_a_length_that_is_given_stays_and_too_few_settings_are_foreseen() -> None:
    long = {"budget": {"evaluations": 10, "minutes": 10, "steps": 30_000}}
    searched = space(**TEN_MINUTES | long)
    plan = foreseen(searched, Pace(0.01, 0.2), 1)
    assert plan.steps == 30_000
    assert plan.settings < FEW_SETTINGS
    enough = {"budget": {"evaluations": 10, "minutes": 1.01 * plan.minutes, "steps": 30_000}}
    assert foreseen(space(**TEN_MINUTES | enough), Pace(0.01, 0.2), 1).settings >= ENOUGH_SETTINGS


def test_all_members_of_a_population_have_time_for_their_full_length() -> None:
    bred = {"search": {"scheduler": {"name": "pbt", "population": 6}}}
    searched = space(**TEN_MINUTES | bred)
    pace = Pace(STEP, EVALUATION)
    plan = foreseen(searched, pace, 2)
    assert plan.settings >= 6
    assert 6 * pace.full(plan.steps, 10) <= 2 * 600
