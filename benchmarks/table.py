"""Tables in Markdown, and what a figure says beside the one asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Asked", "table"]


class Asked(NamedTuple):
    """Two cells: the limit asked for, and whether a figure keeps it."""

    limit: str
    verdict: str

    @classmethod
    def at_least(cls, limit: float, figure: float) -> Asked:
        """A figure that must not be smaller."""
        return cls(f"≥ {limit:g}", "reached" if figure >= limit else "short")

    @classmethod
    def at_most(cls, limit: float, figure: float) -> Asked:
        """A figure that must not be larger."""
        return cls(f"≤ {limit:g}", "reached" if figure <= limit else "short")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("|  |", "| |")
