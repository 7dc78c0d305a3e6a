"""The note that a command writes at its beginning for read-only commands: `search.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gan_tune.config import Objective
from gan_tune.storage.places import HEADING
from gan_tune.storage.storage import Storage


@dataclass(frozen=True)
class SearchNote:
    """Facts about a search that are not in the trials' folders.

    Attributes:
        metric, mode: the objective.
        trials, minutes: the budget; ``minutes`` is None without a time limit.
        experiment: name in MLflow.
        seconds_before: wall time spent by earlier commands.
        started_ms: when this command began its trials, in milliseconds since 1970; None in a note
            of an older version.
    """

    metric: str
    mode: Literal["min", "max"]
    trials: int
    minutes: float | None
    experiment: str = ""
    seconds_before: float = 0.0
    started_ms: int | None = None

    @property
    def objective(self) -> Objective:
        """What the search improves; of several objectives the first."""
        return Objective(metric=self.metric, mode=self.mode)

    def write(self, home: Storage) -> None:
        """Write the note into a search's folder."""
        home.write_json(HEADING, asdict(self))


def read_note(home: Storage) -> SearchNote | None:
    """The note in a search's folder; None if there is none."""
    stored: Mapping[str, Any] | None = home.read_json(HEADING)
    return SearchNote(**stored) if stored else None
