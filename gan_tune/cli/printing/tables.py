"""Tables of the settings that a search has tried."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from gan_tune.outgoing import outgoing_line
from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.storage.trial_name import setting_name
from gan_tune.words.outcomes import style
from gan_tune.words.readable import number, short_form
from gan_tune.words.tables import table

__all__ = ["leaderboard_table", "pareto_table"]


def leaderboard_table(found: Sequence[Row], metric: str, *, top: int = 10) -> Table:
    """The best settings of a search, ``found`` best first."""
    rows = table(
        "setting",
        "from",
        "confirmed",
        "search",
        "outcome",
        "settings",
        figures=("confirmed", "search"),
        wide=True,
        title=f"{metric}: confirmed mean ± spread (seeds), and the search's own value",
    )
    for row in found[:top]:
        outcome = row.outcome or "interrupted"
        rows.add_row(
            setting_name(row.setting),
            row.origin or "-",
            _confirmed(row),
            _searched(row),
            Text(outgoing_line(outcome), style=style(outcome)),
            short_form(row.changes),
        )
    return rows


def pareto_table(found: Sequence[Row], metric: str) -> Table | None:
    """The settings that no other beats in all objectives; None for a search of one objective."""
    front = [(row.value, row) for row in found if row.on_front and row.value is not None]
    if not front:
        return None
    front.sort(key=lambda pair: pair[0])
    metrics = [metric, *front[0][1].further]
    rows = table(
        "setting",
        *metrics,
        "settings",
        figures=metrics,
        wide=True,
        title=f"Pareto front; {metric} decides who is the champion",
    )
    for value, row in front:
        values = map(number, [value, *row.further.values()])
        rows.add_row(setting_name(row.setting), *values, short_form(row.changes))
    return rows


def _searched(row: Row) -> str:
    spread = "" if row.value_spread is None else f" ± {number(row.value_spread)}"
    return f"{number(row.value)}{spread}" + (f" ({row.value_seeds})" if row.value_seeds > 1 else "")


def _confirmed(row: Row) -> str:
    spread = "" if row.spread is None else f" ± {number(row.spread)}"
    return f"{number(row.mean)}{spread} ({row.seeds})" if row.seeds else "-"
