"""The lowest cost of each trial up to each step, for rules that compare with all other trials."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

__all__ = ["BestByStep"]


class BestByStep:
    """A table with a row for each trial and a column for each step at which one had a value.

    A comparison reads one column, whatever the number of reports before that step.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._rows: dict[int, int] = {}
        self._table = np.full((8, 0), np.inf)

    def note(self, trial: int, step: int, cost: float) -> None:
        """Note a trial's cost at a step."""
        column = bisect_left(self._steps, step)
        if self._steps[column : column + 1] != [step]:
            before = self._table[:, column - 1] if column else np.inf
            self._table = np.insert(self._table, column, before, axis=1)
            self._steps.insert(column, step)
        row = self._rows.setdefault(trial, len(self._rows))
        if row == len(self._table):
            self._table = np.vstack([self._table, np.full_like(self._table, np.inf)])
        bests = self._table[row, column:]
        np.minimum(bests, cost, out=bests)

    def others(self, trial: int, step: int) -> NDArray[np.float64]:
        """The lowest costs of all other trials that have a value up to a step."""
        column = bisect_right(self._steps, step) - 1
        if column < 0:
            return np.empty(0)
        bests = self._table[: len(self._rows), column]
        known = np.isfinite(bests)
        if trial in self._rows:
            known[self._rows[trial]] = False
        found: NDArray[np.float64] = bests[known]
        return found
