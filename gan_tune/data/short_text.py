"""What a message repeats of a data file: in short, since a file may hold names without end."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gan_tune.words.wording import in_one_line

__all__ = ["TOLD_LETTERS", "listed", "short", "told", "without_addresses"]

LETTERS = 60
TOLD_LETTERS = 200
_ADDRESS = re.compile(r" (object )?at 0x[0-9a-fA-F]+")


def short(text: object, most: int = LETTERS) -> str:
    """A text with at most so many letters; quoted where it would not be seen as a name."""
    plain = str(text)
    if not plain or plain.strip() != plain or not plain.isprintable():
        plain = repr(plain)
    return plain if len(plain) <= most else f"{plain[: most - 3]}..."


def listed(names: Sequence[object], count: int, most: int = LETTERS) -> str:
    """The first ``count`` names, each with at most so many letters, and how many more there are."""
    more = [f"and {len(names) - count:,} more"] if len(names) > count else []
    return ", ".join([*(short(name, most) for name in names[:count]), *more])


def told(error: BaseException) -> str:
    """What a library says of a damaged file, in short, without places in memory."""
    return short(without_addresses(in_one_line(error)), TOLD_LETTERS)


def without_addresses(text: str) -> str:
    """A text in which no object is named by its place in memory."""
    return _ADDRESS.sub("", text)
