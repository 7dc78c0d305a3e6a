"""Which watcher shows a search."""

from __future__ import annotations

import sys

from rich.console import Console

from gan_tune.watching.board_watcher import BoardWatcher
from gan_tune.watching.live_view import LiveView
from gan_tune.watching.plain_lines import PlainLines

__all__ = ["search_watcher"]


def search_watcher(console: Console) -> BoardWatcher:
    """What shows a search on standard output: a live view if that is a terminal."""
    live = sys.stdout.isatty() and not console.is_dumb_terminal
    return LiveView(console) if live else PlainLines()
