"""Learning-rate schedules: every entry of SCHEDULES, and agreement with torch's."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR

from gan_tune.config import signature_arguments
from gan_tune.gan.schedules import LENGTH_DEPENDENT, SCHEDULES, cosine, inverse_sqrt, linear

STEPS = 40
KNOBS = {"start": 0.5, "end": 0.1, "scale": 10.0}


def variants() -> list[tuple[str, dict[str, float]]]:
    """Each schedule by default, and with each of its knobs off the default."""
    return [
        (name, knobs)
        for name, schedule in SCHEDULES.items()
        for knobs in [{}, *({k: v} for k, v in KNOBS.items() if k in signature_arguments(schedule))]
    ]


@pytest.mark.parametrize("warm_up", [0, 1, 7, STEPS - 1, STEPS, 2 * STEPS])
@pytest.mark.parametrize(("name", "knobs"), variants())
def test_climbs_to_the_full_rate_and_only_falls_from_there(
    name: str, knobs: dict[str, float], warm_up: int
) -> None:
    factors = [SCHEDULES[name](t, STEPS, warm_up=warm_up, **knobs) for t in range(STEPS)]
    assert all(0 < factor <= 1 for factor in factors)
    climb, fall = factors[: warm_up + 1], factors[warm_up:]
    assert climb == pytest.approx([(t + 1) / (warm_up + 1) for t in range(len(climb))])
    assert all(later <= earlier for earlier, later in pairwise(fall))
    assert not fall or fall[0] == 1


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2])
def test_the_shortest_trainings_start_at_the_full_rate(name: str, steps: int) -> None:
    assert SCHEDULES[name](0, steps) == 1


@pytest.mark.parametrize("schedule", [linear, cosine])
@pytest.mark.parametrize("end", [0.0, 0.3, 1.0])
def test_the_end_is_met_one_past_the_last_step(schedule: object, end: float) -> None:
    assert schedule(STEPS, STEPS, end=end) == pytest.approx(end)  # type: ignore[operator]


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_the_decay_may_start_late(schedule: object) -> None:
    late = [schedule(t, STEPS, start=0.5) for t in range(STEPS)]  # type: ignore[operator]
    half = [schedule(t, STEPS // 2) for t in range(STEPS // 2)]  # type: ignore[operator]
    assert late == pytest.approx([1.0] * (STEPS // 2) + half)


@pytest.mark.parametrize(
    ("mine", "torchs"),
    [
        (linear, lambda o: LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=STEPS)),
        (cosine, lambda o: CosineAnnealingLR(o, T_max=STEPS, eta_min=0.1)),
    ],
)
def test_agrees_with_torch(mine: object, torchs: object) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torchs(optimizer)  # type: ignore[operator]
    for step in range(STEPS):
        rate = optimizer.param_groups[0]["lr"]
        assert mine(step, STEPS, end=0.1) == pytest.approx(rate)  # type: ignore[operator]
        optimizer.step()
        scheduler.step()


def test_the_inverse_root_is_the_textbooks() -> None:
    for t in range(1, STEPS + 1):
        assert inverse_sqrt(t - 1, STEPS) == pytest.approx(1 / math.sqrt(t))
    assert inverse_sqrt(300, STEPS, scale=100) == pytest.approx(0.5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_goes_by_the_length_is_declared(name: str) -> None:
    short, long = ([SCHEDULES[name](t, steps) for t in range(40)] for steps in (50, 500))
    assert (short != long) == (name in LENGTH_DEPENDENT)


def plain(
    name: str, t: int, *, warm_up: int, start: float = 0.0, end: float = 0.0, scale: float = 1.0
) -> float:
    """The factor at step t by the definitions, told case by case."""
    if t < warm_up:
        return (t + 1) / (warm_up + 1)
    if name == "inverse_sqrt":
        return 1 / math.sqrt(1 + (t - warm_up) / scale)
    begin = max(float(warm_up), start * STEPS)
    if name == "constant" or t <= begin:
        return 1.0
    p = (t - begin) / (STEPS - begin)
    return (
        1 - (1 - end) * p if name == "linear" else end + (1 - end) * math.cos(p * math.pi / 2) ** 2
    )


@pytest.mark.parametrize("warm_up", [0, 3, 17, 33, STEPS])
@pytest.mark.parametrize("name", SCHEDULES)
def test_all_knobs_together_give_the_plain_formula(name: str, warm_up: int) -> None:
    """The later of both begins the decay: the end of the warm-up, or the share at the full rate."""
    knobs = {"start": (0.0, 0.3, 0.775), "end": (0.0, 0.2, 1.0), "scale": (1.0, 7.0)}
    taken = {k: v for k, v in knobs.items() if k in signature_arguments(SCHEDULES[name])}
    for values in itertools.product(*taken.values()):
        given = dict(zip(taken, values, strict=True))
        found = [SCHEDULES[name](t, STEPS, warm_up=warm_up, **given) for t in range(STEPS)]
        expected = [plain(name, t, warm_up=warm_up, **given) for t in range(STEPS)]
        assert found == pytest.approx(expected), given
