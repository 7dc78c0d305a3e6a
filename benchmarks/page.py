"""The page of ratios: blocks between markers that the command writes, and prose that stays.

A block stands between ``<!-- measured: NAME -->`` and ``<!-- end -->``. It says on what machine and
by which command its figures were measured.
"""

from __future__ import annotations

import re
from pathlib import Path

from gan_tune.atomic_file import write_whole

__all__ = ["PAGE", "blocks", "write_block"]

PAGE = Path(__file__).parents[1] / "docs" / "ratios.md"

_BLOCK = re.compile(r"(<!-- measured: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def blocks(text: str) -> dict[str, str]:
    """Name → what stands between its markers."""
    return {match[2]: match[3] for match in _BLOCK.finditer(text)}


def write_block(path: Path, name: str, body: str) -> None:
    """Put a block's new text in place of the old one.

    Raises:
        ValueError: the page has no such block.
    """
    text = path.read_text()
    if name not in blocks(text):
        raise ValueError(f"{path}: must have the block `<!-- measured: {name} -->`")

    def renewed(match: re.Match[str]) -> str:
        return f"{match[1]}{body}\n{match[4]}" if match[2] == name else match[0]

    write_whole(path, _BLOCK.sub(renewed, text).encode())
