"""A store that does not answer, or refuses the user: told once, and tried again with pauses."""

from __future__ import annotations

import logging

from gan_tune.record.mlflow_client import lacks_rights, reason_of
from gan_tune.words.wording import masked

__all__ = ["Outage"]

logger = logging.getLogger("gan_tune")

LONGEST_PAUSE = 30.0
"""Seconds between two tries while a search goes on."""

LAST_PAUSE = 1.0
"""The same when the search has ended and its user waits."""


class Outage:
    """The failures of calls to one store since the last that succeeded.

    Attributes:
        reason: what the last one was; empty without one.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._failures = 0
        self._told: set[str] = set()
        self.reason = ""

    def begin(self, error: Exception, *, ends: bool) -> float:
        """Note a failure; returns how many seconds to wait before the next try.

        A warning comes with the second one: a single connection that breaks is no news.
        ``ends``: whether the search has ended.
        """
        self._failures += 1
        self.reason = reason_of(error)
        forbidden = lacks_rights(error)
        kind = "refuses" if forbidden else "does not answer"
        if self._failures > 1 and kind not in self._told:
            self._told.add(kind)
            logger.warning(
                "MLflow at %s %s; the search goes on and its record waits: %s%s",
                masked(self._uri),
                kind,
                self.reason,
                "; check the user's name and password" if forbidden else "",
            )
        return min(LAST_PAUSE if ends else LONGEST_PAUSE, 2.0 ** min(10, self._failures - 1))

    def hurry(self) -> None:
        """The next try comes soon."""
        self._failures = min(self._failures, 1)

    def end(self) -> bool:
        """Note a success; returns whether a warning had told of failures before."""
        told = bool(self._told)
        if told:
            logger.warning("MLflow at %s answers again", masked(self._uri))
        self._failures, self.reason = 0, ""
        self._told.clear()
        return told
