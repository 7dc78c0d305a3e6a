"""The terminal: prints lines, and shows a status while the user waits."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

__all__ = ["busy", "console", "print_line"]


def console() -> Console:
    """Standard output; text is printed unchanged, and a pipe is wide enough for a table."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(width=width, markup=False, highlight=False, emoji=False)


def print_line(out: Console, line: str) -> None:
    """Print a line without breaks, so that paths and commands can be copied."""
    out.print(line, soft_wrap=True)


def busy(text: str) -> Status:
    """Show the present activity, on a terminal only; it disappears afterwards."""
    from rich.console import Console

    return Console(stderr=True, markup=False).status(text)
