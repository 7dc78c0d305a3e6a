"""The objective of a search."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from gan_tune.config.settings import Settings

__all__ = ["Objective"]


class Objective(Settings):
    """The metric a search improves, measured on the selection split."""

    metric: str = Field("frechet_distance", description="Name of a metric of the selection split.")
    mode: Literal["min", "max"] = Field("min", description="Whether less or more is better.")

    def cost(self, value: float) -> float:
        """The value as a cost: less is always better. :meth:`value` is the inverse."""
        return value if self.mode == "min" else -value

    def value(self, cost: float) -> float:
        """The value that has this cost."""
        return self.cost(cost)

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better than ``than``."""
        return self.cost(value) < self.cost(than)

    @property
    def direction(self) -> str:
        """Which values are better, in words."""
        return "less is better" if self.mode == "min" else "more is better"

    @property
    def worst(self) -> float:
        """The value that is worse than all finite ones: +inf or -inf."""
        return self.value(math.inf)
