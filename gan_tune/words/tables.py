"""Tables on the screen: how they look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import JustifyMethod
from rich.table import Table

from gan_tune.outgoing import outgoing_line

__all__ = ["table"]


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
    made = _Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=wide)
    if title:
        made.title, made.title_justify, made.title_style = outgoing_line(title), "left", "italic"
    for column in columns[:-1]:
        justify: JustifyMethod = "right" if column in figures else "left"
        made.add_column(outgoing_line(column), justify=justify, no_wrap=True)
    made.add_column(
        outgoing_line(columns[-1]),
        justify="right" if columns[-1] in figures else "left",
        ratio=1 if wide else None,
        no_wrap=cut,
        overflow="ellipsis" if cut else "fold",
    )
    return made


class _Table(Table):
    """A table whose cells leave the process as :func:`outgoing_line` lets them."""

    def add_row(self, *cells: Any, **how: Any) -> None:
        """Add a row; text that is no renderable is made safe."""
        super().add_row(*(outgoing_line(c) if isinstance(c, str) else c for c in cells), **how)
