"""The result of a search, as stored in `result.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_tune.config import Objective
from gan_tune.errors import SearchNotFoundError
from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.space import check_name
from gan_tune.storage.places import DEFAULT_STORAGE, RESULT, look_in
from gan_tune.words.wording import there_are

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage


@dataclass(frozen=True)
class ChampionFigures:
    """The champion of a search, in figures.

    Attributes:
        trial, setting: the trial that trained it, and its setting.
        mean: mean on the selection split over the fresh seeds, or the search's own value.
        spread: sample deviation over the seeds; None for fewer than two.
        seeds: how many fresh seeds confirmed it; 0: not confirmed.
        confirmed: whether it was confirmed.
        config: the trial config, as a tree.
        lineage: the settings with which it was trained before, oldest first, each with `trial`,
            `until` (the last step) and `config`. Empty if it is no fork of a population.
    """

    trial: str
    setting: int
    mean: float
    spread: float | None
    seeds: int
    confirmed: bool
    config: Mapping[str, Any]
    lineage: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        name: of the search.
        finished: whether search and confirmation are complete (False: it was interrupted).
        metric, mode: the objective.
        trials, minutes: its budget.
        outcomes: number of settings by outcome.
        rows: the leaderboard, best first.
        champion: figures of the champion; None if no trial was sound.
        first_mean: the first setting's confirmed mean on the selection split.
        test: figures on the test split.
        model, model_version, promoted, model_note: the registered model, whether it became the
            champion, and why.
        grid: path of the champion's picture.
        tracking_uri, experiment, run_id: the place of the record.
        seconds: wall time spent on the search by all commands.
        space_digest: of the space that was searched.
        importances: which parameters mattered, as
            `gan_tune.searching.study.insight.Importances`; empty in results of older versions that
            did not store it.
    """

    name: str
    finished: bool
    metric: str
    mode: Literal["min", "max"]
    trials: int
    minutes: float | None
    outcomes: Mapping[str, int]
    rows: Sequence[Row]
    champion: ChampionFigures | None
    first_mean: float | None
    test: Mapping[str, float]
    model: str | None
    model_version: int | None
    promoted: bool
    model_note: str
    grid: str | None
    tracking_uri: str
    experiment: str
    run_id: str | None
    seconds: float
    space_digest: str
    importances: Mapping[str, Any] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        """What the search improves; of several objectives the first."""
        return Objective(metric=self.metric, mode=self.mode)

    @property
    def gain(self) -> float | None:
        """The champion's mean on the test split, divided by the first setting's; None without both.

        A gain is a value below 1 if less is better (``mode`` min), above 1 if more is better.
        """
        mine = self.test.get(f"test.mean.{self.metric}")
        first = self.test.get(f"test.first.{self.metric}")
        return None if mine is None or not first else mine / first

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SearchResult:
        """Read the content of `result.json`, also of an older version."""
        champion = stored["champion"]
        typed = {
            "rows": [Row.from_json(row) for row in stored["rows"]],
            "champion": None if champion is None else ChampionFigures(**champion),
        }
        return cls(**{**stored, **typed})

    def to_json(self) -> dict[str, Any]:
        """The content of `result.json`."""
        return asdict(self)


def read_result(home: Storage) -> SearchResult | None:
    """The result in a search's folder; None if there is none yet.

    Raises:
        StorageError: it cannot be read.
    """
    stored = home.read_json(RESULT)
    return None if stored is None else SearchResult.from_json(stored)


def load_result(name: str, storage: str | Path = DEFAULT_STORAGE) -> SearchResult:
    """The stored result of a search.

    Raises:
        SearchNotFoundError: no search of that name has a result; lists those that have one.
    """
    root = look_in(storage)
    found = read_result(root.below(name)) if check_name(name) is None else None
    if found is None:
        there = [n for n in root.names() if root.below(n).read(RESULT) is not None]
        raise SearchNotFoundError(
            f"no result of a search {name!r} in {storage}; {there_are(name, there)}"
        )
    return found
