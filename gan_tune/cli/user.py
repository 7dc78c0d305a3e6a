"""Who runs the program, as the libraries ask it: a home folder and a name.

A container may run as a number without a name, a home folder or both. MLflow needs a home folder
when it is imported, and the name for its runs.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from gan_tune.errors import GanTuneError

__all__ = ["check_user"]


def check_user() -> None:
    """Check that this user has a home folder; one without a name gets one from its number.

    Raises:
        GanTuneError: there is no home folder.
    """
    try:
        Path.home()
    except RuntimeError:
        raise GanTuneError(
            f"HOME: must name a folder for caches: user {os.getuid()} has no home folder"
        ) from None
    try:
        getpass.getuser()
    except (KeyError, OSError):  # Python before 3.13 raises the first
        os.environ["USER"] = f"user-{os.getuid()}"
