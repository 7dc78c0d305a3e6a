"""Files that can be read to their end: not pipes or devices, which may wait or never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["real_path", "why_not_regular"]


def why_not_regular(path: Path) -> str:
    """Why a file cannot be read to its end; empty for a regular file, or if there is none.

    A link counts as what it leads to.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""  # whoever opens it says why
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return ""
    return "must be a regular file, not a pipe, socket or device"


def real_path(path: str | Path) -> Path:
    """The absolute path without links; of links that lead to each other, the path itself.

    `Path.resolve` raises a RuntimeError for those (until Python 3.13).
    """
    return Path(os.path.realpath(path))
