"""What was learnt from searches, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_tune.words.readable import plural
from gan_tune.words.terminal import console, print_line

if TYPE_CHECKING:
    from gan_tune.service import Learnt

__all__ = ["print_learnt"]


def print_learnt(learnt: Learnt) -> None:
    """What a file of experience holds, and how to use it."""
    out, experience = console(), learnt.experience
    tasks = plural(len(experience.tasks), "task")
    print_line(out, f"learnt from {plural(learnt.trials, 'trial')} on {tasks}")
    if learnt.left_out:
        print_line(out, f"left out, as unsound or of parts of your own: {learnt.left_out}")
    for family, entries in experience.portfolios.items():
        print_line(out, f"{family}: {plural(len(entries), 'setting')}")
    print_line(out, f"{learnt.path}: written; --set search.experience={learnt.path} uses it")
