"""One line of a search's leaderboard; also its form in `leaderboard.json` and `result.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from gan_tune.config import Objective
from gan_tune.storage.stored import as_stored

__all__ = ["Row", "best_by_origin"]

NOT_TOLD: Mapping[str, Any] = MappingProxyType(
    {"value_spread": None, "value_seeds": 1, "further": {}, "on_front": False, "origin": ""}
)
"""Defaults for fields that older versions did not write."""


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard: a setting, how it ended and how good it is.

    Attributes:
        setting: its number.
        origin: where it comes from, such as `start 1`, `experience 3`, `sampled`; empty in results
            of older versions.
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
    origin: str
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
    def from_json(cls, stored: Any, place: str = "the leaderboard") -> Row:
        """Read a stored row, also one of an older version.

        Raises:
            StorageError: it has other fields; ``place`` names it.
        """
        return as_stored(cls, {**NOT_TOLD, **stored} if isinstance(stored, dict) else stored, place)

    def to_json(self) -> dict[str, Any]:
        """The row in its stored form."""
        return asdict(self)


def best_by_origin(rows: Sequence[Row], objective: Objective) -> dict[str, Row]:
    """The best setting of each kind of origin, by the search's own value: `start`, `experience`,
    `sampled` and so on, in the order in which they were tried.

    Settings without a finite value count for nothing.
    """
    best: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: row.setting):
        kind = row.origin.rstrip("0123456789").strip()
        if row.value is None or not kind:
            continue
        leading = best.get(kind)
        if leading is None or objective.cost(row.value) < objective.cost(leading.value or 0.0):
            best[kind] = row
    return best
