"""A user's own part, named in a space file by its import path: `package.module:name`."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from gan_tune.words.wording import in_one_line

__all__ = ["import_by_path"]


def import_by_path(path: str) -> Any:
    """Import the object at a path such as `my_package.networks:Generator`.

    Modules are also searched in the working folder, which Python skips for an installed script such
    as `gan-tune`. It is searched last, so that a file there hides no installed module.

    Raises:
        LookupError: it cannot be imported; the text is the broken rule, with the reason.
    """
    module, _, name = path.partition(":")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything when imported
        raise LookupError(
            f"must be importable as package.module:name ({in_one_line(error)})"
        ) from error
