"""Prints the commands that a user may want to run next.

Passwords are masked, since output may end up in log files.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gan_tune.storage.places import DEFAULT_STORAGE
from gan_tune.words.terminal import say
from gan_tune.words.wording import masked

if TYPE_CHECKING:
    from gan_tune.service import SearchResult

__all__ = ["print_how_to_continue", "print_links", "print_next_steps", "print_own_links"]


def print_next_steps(result: SearchResult, storage: str, tracking_uri: str | None) -> None:
    """The commands that show and use what a search has found."""
    record = f" --tracking-uri {shlex.quote(masked(tracking_uri))}" if tracking_uri else ""
    kept = "" if storage == DEFAULT_STORAGE else f" --storage {shlex.quote(masked(storage))}"
    say("\nnext:")
    if result.waiting:
        say(f"  gan-tune sync {result.name}{kept}{record}")
    if result.model:
        which = result.model if result.promoted else f"{result.model}/{result.model_version}"
        say(f"  gan-tune generate {which} -n 64 --out samples.png{record}")
    if result.champion:
        say(f"  gan-tune best {result.name}{kept}{record}")
    say(f"  gan-tune report {result.name}{kept}")
    say(f"  gan-tune ui{record}")


def print_how_to_continue(name: str | None) -> None:
    """Print the command that continues a search: the same one, but --name NAME replaces --fresh."""
    words = sys.argv[1:]
    if "--fresh" in words and name is not None:
        words = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if "--name" not in (before, word) and not word.startswith(("--name=", "--fresh"))
        ]
        words += ["--name", name]
    say(f"to continue: {shlex.join(['gan-tune', *map(masked, words)])}")


def print_links(links: Mapping[str, str]) -> None:
    """Where MLflow's pages are, by what they show."""
    for what, link in links.items():
        say(f"{what}: {masked(link)}")


def print_own_links(links: Mapping[str, str]) -> None:
    """As :func:`print_links`, of the server in this process: with the token, and not logged."""
    for what, link in links.items():
        print(f"{what}: {link}")
    print("(Ctrl-C ends it)", flush=True)
