"""A space as the commands load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gan_tune import service
from gan_tune.words.terminal import busy, complain

if TYPE_CHECKING:
    from gan_tune.space import SearchSpace


def with_short_options(given: Sequence[str] | None, short: Mapping[str, float | None]) -> list[str]:
    """All overrides of a space: those of `--set`, then those that have an option of their own.

    Args:
        given: the words after `--set`.
        short: place in the space → value; None: the option was not given.
    """
    return [*(given or []), *(f"{at}={to}" for at, to in short.items() if to is not None)]


def load_checked(space: str, overrides: Sequence[str], *, data: bool = True) -> SearchSpace:
    """Load and check a space; print its warnings to stderr.

    Raises:
        SpaceError: with every fault found.
    """
    with busy(f"checking {space}"):
        checked = service.load_space(space, overrides, check_data=data)
    print_warnings(checked, space)
    return checked


def print_warnings(checked: SearchSpace, given: str) -> None:
    """Print a space's warnings to stderr; ``given`` is what the user named."""
    for warning in checked.warnings:
        complain(f"warning: {given}: {warning}")
