"""How many settings a search of a space can judge in its time, in numbers and words."""

from __future__ import annotations

from gan_tune.searching.leading.conductor import time_budget
from gan_tune.searching.leading.foresight import (
    ENOUGH_SETTINGS,
    FEW_SETTINGS,
    Course,
    Foresight,
    Pace,
    foresee,
)
from gan_tune.space import SearchSpace

__all__ = ["foresee_settings", "too_few"]


def foresee_settings(space: SearchSpace, pace: Pace, slots: int) -> Foresight:
    """What a search of a space with `minutes` can do; chooses the length if it is open."""
    steps = None if space.has_open_length and space.planned_steps is None else space.steps
    return foresee(time_budget(space, slots), Course.of(space), pace, steps=steps)


def too_few(space: SearchSpace, foreseen: Foresight) -> str | None:
    """What to change if too few settings can be judged; None if there are enough."""
    wanted = min(FEW_SETTINGS, space.distinct_settings, space.budget.most_trials)
    if foreseen.settings >= wanted:
        return None
    shorter = int(foreseen.steps * foreseen.settings / ENOUGH_SETTINGS)
    steps = "" if space.has_open_length else f", or shorter trials (--set budget.steps={shorter})"
    return (
        f"only about {foreseen.settings} settings can be judged, and with fewer than "
        f"{FEW_SETTINGS} a search finds little: give it about --minutes {foreseen.minutes:.2g}"
        f"{steps}, more cores, or networks with fewer weights"
    )
