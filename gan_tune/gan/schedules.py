"""Learning-rate schedules: pure functions of the step, so checkpoints hold none of their state.

Each returns the factor on the learning rate, in (0, 1], at a step counted from 0 in a training of
``steps`` steps. The rate first rises linearly over ``warm_up`` steps. Then it decays from the full
rate. The decay would end at step ``steps``, one past the last, so that no step has a rate of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

__all__ = ["LENGTH_DEPENDENT", "SCHEDULES", "constant", "cosine", "inverse_sqrt", "linear"]

Steps = Annotated[int, Field(ge=0)]
Start = Annotated[float, Field(ge=0, lt=1)]
End = Annotated[float, Field(ge=0, le=1)]
Time = Annotated[float, Field(gt=0)]


def _warm_up_factor(step: int, warm_up: int) -> float:
    """1/(w + 1), 2/(w + 1), ... for the first w steps, then 1."""
    return min(1.0, (step + 1) / (warm_up + 1))


def _progress(step: int, steps: int, *, warm_up: int, start: float) -> float:
    """Share of the decay that is done, in [0, 1)."""
    begin = max(warm_up, start * steps)
    return (step - begin) / (steps - begin) if step > begin else 0.0


def constant(step: int, steps: int, *, warm_up: Steps = 0) -> float:
    """1 after the warm-up."""
    return _warm_up_factor(step, warm_up)


def linear(
    step: int, steps: int, *, warm_up: Steps = 0, start: Start = 0.0, end: End = 0.0
) -> float:
    """From 1 down to ``end`` in a straight line.

    ``start`` is the share of the training before the decay begins (CycleGAN: 0.5).
    """
    p = _progress(step, steps, warm_up=warm_up, start=start)
    return _warm_up_factor(step, warm_up) * (1 - (1 - end) * p)


def cosine(
    step: int, steps: int, *, warm_up: Steps = 0, start: Start = 0.0, end: End = 0.0
) -> float:
    """From 1 down to ``end`` along half a cosine (Loshchilov and Hutter 2017, without restarts).

    ``start`` is the share of the training before the decay begins.
    """
    p = _progress(step, steps, warm_up=warm_up, start=start)
    return _warm_up_factor(step, warm_up) * (end + (1 - end) * 0.5 * (1 + math.cos(math.pi * p)))


def inverse_sqrt(step: int, steps: int, *, warm_up: Steps = 0, scale: Time = 1.0) -> float:
    """1/√(1 + t/scale), t the steps since the warm-up: the step sizes of the subgradient method.

    ``scale`` is a number of steps: after 3 · ``scale`` steps the rate is halved. With 1 it is the
    textbook's 1/√t for t = 1, 2, ...
    """
    t = max(0, step - warm_up)
    return _warm_up_factor(step, warm_up) * float((1 + t / scale) ** -0.5)


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
}

LENGTH_DEPENDENT = frozenset({"linear", "cosine"})
"""Schedules that depend on the total number of steps, so a longer run is another run from the
start."""
