"""The spool: what MLflow is to show of a search and what its trials' folders do not hold.

It is two small files in the search's folder, written before MLflow is asked for anything. With the
trials' folders they are all that the record is made from, so it can be made again at any time, and
in any MLflow store.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gan_tune.storage.places import RECORD_ENDING, RECORD_ENTRY
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored
from gan_tune.words.outcomes import Outcome

__all__ = ["DatasetInfo", "SearchEnding", "SearchEntry", "Spool"]


@dataclass(frozen=True)
class DatasetInfo:
    """The data of a search. ``source`` is a path, URL or word; ``profile`` has e.g. counts."""

    name: str
    digest: str
    source: str
    profile: Mapping[str, object] = field(default_factory=dict)
    context: str = "training"


@dataclass(frozen=True)
class SearchEntry:
    """What the search's run shows from its beginning; also the content of `record/search.json`.

    Attributes:
        search: its name, which is that of its folder.
        experiment: name in MLflow.
        metric, mode: the first objective.
        code_version: of the command that wrote this.
        space_text: the space file.
        params, tags: of the search's run.
        dataset: the data; None: not shown.
        uri: the store to which its last command delivered, without a password.
        owner: a random name that tells this search from others of its name.
        began_before: whether an older version began the search, so that a run without an owner is
            its own.
        searched: what the search decides: name of the dimension → key of a trial's param.
    """

    search: str
    experiment: str
    metric: str
    mode: Literal["min", "max"]
    code_version: str
    space_text: str = field(repr=False)
    params: Mapping[str, Any] = field(repr=False)
    tags: Mapping[str, str] = field(repr=False)
    dataset: DatasetInfo | None = None
    uri: str = ""
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    began_before: bool = False
    searched: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class EndingChampion:
    """What a search's run tells of its champion; nothing is set where there is none.

    Attributes:
        trial, setting: the trial that trained it, and its setting.
        mean, spread, seeds: over its fresh seeds, of which there are 0 if it was not confirmed.
        model: the name under which it is registered; None: it is not.
    """

    trial: str | None = None
    setting: int | None = None
    mean: int | float | None = None
    spread: int | float | None = None
    seeds: int = 0
    model: str | None = None


@dataclass(frozen=True)
class SearchEnding:
    """How a command on a search ended; also the content of `record/ending.json`.

    Attributes:
        outcome: `completed` or `interrupted`.
        time_ms: when, in milliseconds since 1970.
        leaderboard: its rows, each by column.
        files: of the search's run: name in MLflow → place in the search's folder.
        metrics, tags: of the search's run.
        champion: what the run's description tells of the champion.
    """

    outcome: Outcome
    time_ms: int
    leaderboard: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    files: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    champion: EndingChampion = EndingChampion()


class Spool:
    """The spool of a search, in its folder.

    Every method raises StorageError if the folder cannot be used or a file is damaged.

    Args:
        home: the storage rooted at the search's folder.
    """

    def __init__(self, home: Storage) -> None:
        self._home = home

    def entry(self) -> SearchEntry | None:
        """The search's entry; None if no command of this version has begun it."""
        return read_stored(self._home, RECORD_ENTRY, SearchEntry)

    def write_entry(self, entry: SearchEntry) -> None:
        """Write the entry. The search has not ended any more."""
        self._home.write_json(RECORD_ENTRY, asdict(entry))
        self._home.delete(RECORD_ENDING)

    def ending(self) -> SearchEnding | None:
        """How the last command ended; None if it was killed, or works still."""
        return read_stored(self._home, RECORD_ENDING, SearchEnding)

    def write_ending(self, ending: SearchEnding) -> None:
        """Write how this command ends."""
        self._home.write_json(RECORD_ENDING, asdict(ending))
