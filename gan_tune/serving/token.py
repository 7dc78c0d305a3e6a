"""The token that each request to a server must show."""

from __future__ import annotations

import os
import re
import secrets

from gan_tune.errors import GanTuneError

__all__ = ["token_of"]


def token_of(variable: str) -> str:
    """The token in a variable of the environment, or a new one.

    Raises:
        GanTuneError: it is too short, or has characters that a header cannot have.
    """
    token = os.environ.get(variable) or secrets.token_urlsafe(24)
    if not re.fullmatch(r"[\w.~+/=-]{8,}", token):
        raise GanTuneError(f"{variable} must have at least 8 letters, digits or .~+/=-_")
    return token
