"""`budget.gpu_hours`: what trials may take of GPUs, over all commands of a search."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from test_conductor import Worker, space, steady

from gan_tune.errors import SpaceError
from gan_tune.searching.leading.gpu_meter import GpuMeter

SECONDS = 24.0


def budget(seconds: float = SECONDS, **more: Any) -> dict[str, Any]:
    return {"trials": 1000, "steps": 100, "evaluations": 5, "gpu_hours": seconds / 3600, **more}


def worker(folder: Path, seconds: float = SECONDS, *, slots: int = 2, **more: Any) -> Worker:
    """Each slot holds half a GPU; each report takes a second of all of them."""
    given = budget(seconds, **more)
    how = {"confirm": {"top": 1, "seeds": 1, "share": 0.4}, "resources": {"cpu": 1, "gpu": 0.5}}
    return Worker(folder, slots=slots, budget=given, **how)


def test_a_search_ends_in_order_when_its_gpu_hours_are_used(tmp_path: Path) -> None:
    ran = worker(tmp_path, 15.0, slots=1)
    ran.run(steady)
    assert ran.conductor.running == []
    used = 3600 * ran.conductor.time.gpu_hours_used
    assert 9.0 < used <= 15.0 + 0.5, "to the report at which it ends"
    assert ran.now == pytest.approx(2 * used, abs=2)  # a slot holds half a GPU
    assert ran.conductor.standings()[0].seeds > 0, "some of it is kept for the confirmation"
    assert ran.study.proposed() < 20


def test_more_gpu_hours_continue_a_search_and_all_commands_count(tmp_path: Path) -> None:
    first = worker(tmp_path)
    first.run(steady)
    first.conductor.interrupt_all()
    used, proposed = first.conductor.time.gpu_hours_used, first.study.proposed()
    same = worker(tmp_path)
    assert same.conductor.time.gpu_hours_used == pytest.approx(used)
    more = worker(tmp_path, 2 * SECONDS)
    more.run(steady)
    assert more.study.proposed() > proposed
    assert 3600 * more.conductor.time.gpu_hours_used > 1.3 * SECONDS


def test_whichever_limit_comes_first_ends_it(tmp_path: Path) -> None:
    short = worker(tmp_path, minutes=0.2)
    short.run(steady)
    assert short.now <= 12 + 6
    assert not short.conductor.time.has_spent_its_gpus


def test_a_meter_counts_what_is_held_and_how_long_the_rest_lasts() -> None:
    now = [0.0]
    given = space(budget=budget(100), resources={"cpu": 1, "gpu": 0.5})
    meter = GpuMeter(given, 10.0, lambda: now[0])
    assert (meter.lasts(4), meter.left(4)) == (50.0, 45.0)
    now[0] = 7.0
    assert meter.used == 10.0
    meter.hold(3)
    now[0] = 17.0
    assert meter.used == 25.0
    meter.hold(0)
    now[0] = 99.0
    assert meter.used == 25.0
    assert not meter.is_spent
    unlimited = GpuMeter(space(resources={"cpu": 1, "gpu": 1}), 0.0, lambda: now[0])
    unlimited.hold(5)
    now[0] = 1e6
    assert (unlimited.used, unlimited.left(1), unlimited.is_spent) == (0.0, math.inf, False)


def test_gpu_hours_that_bound_nothing_are_refused() -> None:
    with pytest.raises(
        SpaceError, match=r"budget\.gpu_hours: must be left out where resources\.gpu is 0"
    ):
        space(budget=budget(), resources={"cpu": 1, "gpu": 0})
    with pytest.raises(SpaceError, match=r"budget\.gpu_hours: must be above 0"):
        space(budget=budget(0), resources={"cpu": 1, "gpu": 1})


def test_trials_that_wait_for_a_worker_use_no_gpu_hours(tmp_path: Path) -> None:
    """As where all nodes with GPUs were taken away."""
    ran = worker(tmp_path)
    time = ran.conductor.time
    time.hold(2)
    ran.now += 4
    assert 3600 * time.gpu_hours_used == pytest.approx(4)
    time.place(0)
    ran.now += 3600
    assert 3600 * time.gpu_hours_used == pytest.approx(4)
    time.place(1)
    ran.now += 4
    assert 3600 * time.gpu_hours_used == pytest.approx(6)
