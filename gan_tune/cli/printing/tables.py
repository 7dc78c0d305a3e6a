"""Tables on the screen: how they look, and those of the settings that a search has tried."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.storage.trial_name import setting_name
from gan_tune.words.outcomes import style
from gan_tune.words.readable import number, short_form

__all__ = ["leaderboard", "pareto_front", "table"]


def table(
    *columns: str,
    figures: Sequence[str] = (),
    wide: bool = False,
    cut: bool = False,
    title: str = "",
) -> Table:
    """A table without lines, its ``figures`` to the right.

    Where it is ``wide`` its last column takes all that is left. What does not fit there goes on
    below, or with ``cut`` ends in an ellipsis.
    """
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=wide)
    if title:
        made.title, made.title_justify, made.title_style = title, "left", "italic"
    for column in columns[:-1]:
        justify: JustifyMethod = "right" if column in figures else "left"
        made.add_column(column, justify=justify, no_wrap=True)
    made.add_column(
        columns[-1],
        justify="right" if columns[-1] in figures else "left",
        ratio=1 if wide else None,
        no_wrap=cut,
        overflow="ellipsis" if cut else "fold",
    )
    return made


def leaderboard(found: Sequence[Row], metric: str, *, top: int = 10) -> Table:
    """The best settings of a search, ``found`` best first."""
    rows = table(
        "setting",
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
            _confirmed(row),
            _searched(row),
            Text(outcome, style=style(outcome)),
            short_form(row.changes),
        )
    return rows


def pareto_front(found: Sequence[Row], metric: str) -> Table | None:
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
