"""What `gan-tune doctor` has checked, printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from gan_tune.words.tables import table
from gan_tune.words.terminal import console

if TYPE_CHECKING:
    from gan_tune.service import Check

__all__ = ["print_checks"]


def print_checks(checks: Sequence[Check]) -> None:
    """A table of checks: what, where, ok or not, and what to do."""
    rows = table("check", "", "where", "found", wide=True)
    for check in checks:
        sign = Text("ok", style="green") if check.ok else Text("no", style="bold red")
        rows.add_row(check.what, sign, check.where, check.text)
    console().print(rows)
