"""A space as the commands load it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_tune import service
from gan_tune.words.terminal import busy

if TYPE_CHECKING:
    from gan_tune.space import SearchSpace


def load_checked(space: str, overrides: Sequence[str], *, data: bool = True) -> SearchSpace:
    """A checked space. Changes that nobody asked for are reported on stderr.

    Raises:
        SpaceError: with every fault found.
    """
    with busy(f"checking {space}"):
        checked = service.load_space(space, overrides, check_data=data)
    for warning in checked.warnings:
        print(f"warning: {space}: {warning}", file=sys.stderr)
    return checked
