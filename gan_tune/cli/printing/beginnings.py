"""Data that a search begins from, printed: what was seen, what is proposed, where it is written."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.words.terminal import console, print_line

if TYPE_CHECKING:
    from gan_tune.service import Beginning
    from gan_tune.starting.proposal import Proposal

__all__ = ["print_beginning", "print_proposal"]

WIDTH = 100


def print_beginning(beginning: Beginning, *, dry_run: bool) -> None:
    """What was seen of the data and what is proposed; ``dry_run``: nothing is begun."""
    _print_paragraph(beginning.told)
    if not (beginning.goes_on or dry_run):
        print_line(console(), f"the space: {beginning.space_file}")


def print_proposal(file: Path, proposal: Proposal) -> None:
    """What was seen of the data and what is proposed, and the file with it."""
    _print_paragraph(proposal.paragraph)
    print_line(console(), f"{file}: written; gan-tune search {file} begins")


def _print_paragraph(text: str) -> None:
    for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False):
        print_line(console(), line)
