"""One line of a search's leaderboard; also its form in `leaderboard.json` and `result.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["Row"]

NOT_TOLD: Mapping[str, Any] = MappingProxyType(
    {"value_spread": None, "value_seeds": 1, "further": {}, "on_front": False}
)
"""Defaults for fields that older versions did not write."""


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard: a setting, how it ended and how good it is.

    Attributes:
        setting: its number.
        outcome: how it ended; None for a setting that was interrupted or still runs.
        value: the best value of the search's own trial, or the mean of its replicates' best values.
        value_spread, value_seeds: the sample deviation and the number of those replicates.
        mean, spread, seeds: of the confirmation with fresh seeds; None, None and 0 without one.
        steps: steps trained.
        further: values of the objectives after the first, for a setting that ran to its end.
        on_front: whether no other setting is better in all objectives at once.
        changes: the values that the search decided, by dimension.
    """

    setting: int
    outcome: str | None
    value: float | None
    value_spread: float | None
    value_seeds: int
    mean: float | None
    spread: float | None
    seeds: int
    steps: int
    further: Mapping[str, float]
    on_front: bool
    changes: Mapping[str, object]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Row:
        """Read a stored row, also one of an older version."""
        return cls(**{**NOT_TOLD, **stored})

    def to_json(self) -> dict[str, Any]:
        """The row in its stored form."""
        return asdict(self)
