"""The terminal: prints lines, and shows a status while the user waits.

Whatever a line says (names of files, tags of a record) is printed as :mod:`gan_tune.outgoing` lets
it out: without secrets and control characters.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gan_tune.outgoing import outgoing, outgoing_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

__all__ = ["busy", "complain", "console", "print_line", "say", "terminal_may_close"]


@contextmanager
def terminal_may_close() -> Iterator[None]:
    """Let a line be lost whose terminal is closed just now: SIGHUP, which follows, says what to do.

    Whatever is printed after it goes nowhere, see `service/running/ctrl_c.py`.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def console() -> Console:
    """Standard output; text is printed unchanged, and a pipe is wide enough for a table."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(width=width, markup=False, highlight=False, emoji=False)


def print_line(out: Console, line: str) -> None:
    """Print a line without breaks, so that paths and commands can be copied."""
    out.print(outgoing_line(line), soft_wrap=True)


def say(text: object) -> None:
    """Print a line, or several, to standard output."""
    print(outgoing(str(text)), flush=True)


def complain(line: str) -> None:
    """Print a line to standard error."""
    print(outgoing_line(line), file=sys.stderr)


def busy(text: str) -> Status:
    """Show the present activity, on a terminal only; it disappears afterwards."""
    from rich.console import Console

    return Console(stderr=True, markup=False).status(outgoing_line(text))
