"""Names of trials: `0007` for a setting, `0007-seed-1` and `0007-confirm-2` for its replicates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "TrialName", "is_confirmation", "is_trial_name", "setting_name"]

Kind = Literal["search", "confirmation"]
"""Which part of the search a trial belongs to."""

_WORDS: dict[Kind, str] = {"search": "seed", "confirmation": "confirm"}
_PATTERN = re.compile(r"(\d{4,9})(?:-(seed|confirm)-(\d{1,9}))?", re.ASCII)


@dataclass(frozen=True)
class TrialName:
    """The parts of a trial's name: its setting, its replicate and its kind.

    ``str()`` builds the name. Replicate 0 is the setting's own trial and has no suffix.
    """

    setting: int
    replicate: int = 0
    kind: Kind = "search"

    def __str__(self) -> str:
        suffix = f"-{_WORDS[self.kind]}-{self.replicate}" if self.replicate else ""
        return setting_name(self.setting) + suffix

    @classmethod
    def parse(cls, name: str) -> TrialName:
        """Read a name.

        Raises:
            ValueError: it is not the name of a trial.
        """
        match = _PATTERN.fullmatch(name)
        if match is None:
            raise ValueError(f"must be SETTING, SETTING-seed-N or SETTING-confirm-N: {name!r}")
        kind: Kind = "confirmation" if match[2] == _WORDS["confirmation"] else "search"
        return cls(int(match[1]), int(match[3] or 0), kind)


def setting_name(setting: int) -> str:
    """A setting's number as shown everywhere: at least four digits.

    It is also the name of the setting's first trial.
    """
    return f"{setting:04d}"


def is_trial_name(text: str) -> bool:
    """Whether :meth:`TrialName.parse` can read a text."""
    return _PATTERN.fullmatch(text) is not None


def is_confirmation(name: str) -> bool:
    """Whether a name is that of a confirming trial; accepts any text."""
    return f"-{_WORDS['confirmation']}-" in name
