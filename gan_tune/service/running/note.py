"""The notes that a command writes at its beginning: `search.json` and `plan.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from gan_tune.config import Objective
from gan_tune.storage.places import SEARCH_NOTE
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored


@dataclass(frozen=True)
class SearchNote:
    """Facts about a search for read-only commands, which are not in the trials' folders.

    Attributes:
        metric, mode: the objective.
        trials, minutes: the budget; ``trials`` is None if only time ends the search, ``minutes``
            without a time limit.
        experiment: name in MLflow.
        seconds_before: wall time spent by earlier commands.
        started_ms: when this command began its trials, in milliseconds since 1970; None in a note
            of an older version.
        metric_versions: the versions of all metrics when the search began; None if 0.2.0 or an
            older version began it.
    """

    metric: str
    mode: Literal["min", "max"]
    trials: int | None
    minutes: int | float | None
    experiment: str = ""
    seconds_before: float = 0.0
    started_ms: int | None = None
    metric_versions: Mapping[str, str] | None = None

    @property
    def objective(self) -> Objective:
        """What the search improves; of several objectives the first."""
        return Objective(metric=self.metric, mode=self.mode)

    def write(self, home: Storage) -> None:
        """Write the note into a search's folder."""
        home.write_json(SEARCH_NOTE, asdict(self))


@dataclass(frozen=True)
class PlanNote:
    """What the first command decided and foresaw: the content of `plan.json`.

    Attributes:
        steps: the length that it chose; None if the space gives one.
        settings: how many settings it foresaw; None if it did not time the workers.
        step_seconds, evaluation_seconds: as it measured them; a search that began from data has
            timed its steps here, not on the workers.
        slots, minutes: for which it planned.
    """

    steps: int | None = None
    settings: int | None = None
    step_seconds: float | None = None
    evaluation_seconds: float | None = None
    slots: int | None = None
    minutes: int | float | None = None


def read_note(home: Storage) -> SearchNote | None:
    """The note in a search's folder; None if there is none.

    Raises:
        StorageError: it cannot be read.
    """
    return read_stored(home, SEARCH_NOTE, SearchNote)
