"""The time of GPUs that a search has used, and how long what is left of it lasts."""

from __future__ import annotations

import math
from collections.abc import Callable

from gan_tune.space import SearchSpace

__all__ = ["GpuMeter"]


class GpuMeter:
    """Measures how long trials hold GPUs. An hour of two trials on half a GPU each is a GPU hour.

    Args:
        space: with resolved resources if it has `budget.gpu_hours`.
        before: GPU seconds used by earlier commands.
        clock: seconds; only differences count.
    """

    def __init__(self, space: SearchSpace, before: float, clock: Callable[[], float]) -> None:
        hours = space.budget.gpu_hours
        self._clock, self._counted = clock, before
        self._share = 0.0 if hours is None else space.resources.gpus
        self._budget = 3600 * hours if hours is not None and self._share else math.inf
        self._held, self._since = 0.0, clock()

    def hold(self, trials: int) -> None:
        """So many trials hold their share from now on."""
        self._counted, self._since = self.used, self._clock()
        self._held = trials * self._share

    @property
    def used(self) -> float:
        """GPU seconds used by all commands so far; not counted without `budget.gpu_hours`."""
        return self._counted + self._held * (self._clock() - self._since)

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.used >= self._budget

    def lasts(self, slots: int) -> float:
        """Seconds that the whole budget lasts while all slots are used; infinite without one."""
        return self._of_all(self._budget, slots)

    def left(self, slots: int) -> float:
        """Seconds that the rest lasts while all slots are used; infinite without a budget."""
        return self._of_all(self._budget - self.used, slots)

    def _of_all(self, seconds: float, slots: int) -> float:
        return seconds / (slots * self._share) if self._share else math.inf
