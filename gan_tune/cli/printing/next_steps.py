"""What to do next, as commands to copy.

Passwords are masked: what is printed stays in the logs of jobs.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from gan_tune.storage.places import DEFAULT_STORAGE
from gan_tune.words.wording import masked

if TYPE_CHECKING:
    from gan_tune.service import SearchResult

__all__ = ["print_address", "print_how_to_continue", "print_next_steps"]


def print_next_steps(result: SearchResult, storage: str, tracking_uri: str | None) -> None:
    """The commands that show and use what a search has found."""
    record = f" --tracking-uri {shlex.quote(masked(tracking_uri))}" if tracking_uri else ""
    kept = "" if storage == DEFAULT_STORAGE else f" --storage {shlex.quote(masked(storage))}"
    print("\nnext:")
    if result.model:
        which = result.model if result.promoted else f"{result.model}/{result.model_version}"
        print(f"  gan-tune generate {which} -n 64 --out samples.png{record}")
    if result.champion:
        print(f"  gan-tune best {result.name}{kept}{record}")
    print(f"  gan-tune report {result.name}{kept}")
    print(f"  gan-tune ui{record}")


def print_how_to_continue(name: str | None) -> None:
    """The same command; but after --fresh with the new search's own name, once it has one."""
    words = sys.argv[1:]
    if "--fresh" in words and name is not None:
        words = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if "--name" not in (before, word) and not word.startswith(("--name=", "--fresh"))
        ]
        words += ["--name", name]
    print(f"to go on: {shlex.join(['gan-tune', *map(masked, words)])}", flush=True)


def print_address(uri: str) -> None:
    """Where MLflow's pages are."""
    print(f"MLflow: {masked(uri)}")
