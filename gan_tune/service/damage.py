"""What of a search cannot be read by a command that shows it."""

from __future__ import annotations

import logging

from gan_tune.errors import StorageError

__all__ = ["Damage"]

logger = logging.getLogger("gan_tune")


class Damage:
    """The trials whose files cannot be read: a warning names each once, and the rest is shown.

    Attributes:
        trials: their names, and why.
    """

    def __init__(self) -> None:
        self.trials: dict[str, str] = {}

    def __call__(self, trial: str, error: StorageError) -> None:
        """A trial's files cannot be read."""
        if trial not in self.trials:
            logger.warning("the files of trial %s are left out: %s", trial, error)
        self.trials.setdefault(trial, str(error))
