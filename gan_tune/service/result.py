"""What a search has come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_tune.errors import SearchNotFoundError
from gan_tune.space import check_name
from gan_tune.storage.places import DEFAULT_STORAGE, RESULT, look_in
from gan_tune.words.wording import there_are


@dataclass(frozen=True)
class SearchResult:
    """What a search has come to; also the content of its `result.json`.

    Attributes:
        name: of the search.
        finished: whether budget and confirmation are through (False: it was interrupted).
        metric, mode: the objective.
        trials, minutes: the budget it was run with.
        outcomes: number of settings by outcome.
        rows: the leaderboard, best first, each as a mapping.
        champion: figures of the champion, None where no trial was sound.
        first_mean: the first setting's confirmed mean on the selection split.
        test: figures of the test split.
        model, model_version, promoted, model_note: what was registered, and why (not) as champion.
        grid: path of the champion's picture.
        tracking_uri, experiment, run_id: where the record is.
        seconds: wall time spent on the search by all commands.
        space_digest: of the space that was searched.
        importances: which parameters mattered, as
            `gan_tune.searching.study.insight.Importances`; empty in results of versions that did
            not tell.
    """

    name: str
    finished: bool
    metric: str
    mode: str
    trials: int
    minutes: float | None
    outcomes: Mapping[str, int]
    rows: Sequence[Mapping[str, Any]]
    champion: Mapping[str, Any] | None
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
    def gain(self) -> float | None:
        """The champion's mean on the test split over the first setting's (None without both).

        Below 1 is a gain where less is better (``mode`` min), above 1 where more is.
        """
        mine = self.test.get(f"test.mean.{self.metric}")
        first = self.test.get(f"test.first.{self.metric}")
        return None if mine is None or not first else mine / first


def load_result(name: str, storage: str | Path = DEFAULT_STORAGE) -> SearchResult:
    """The stored result of a search.

    Raises:
        SearchNotFoundError: no search of that name has come to a result; lists those that have.
    """
    root = look_in(storage)
    stored = root.below(name).read_json(RESULT) if check_name(name) is None else None
    if stored is None:
        there = [n for n in root.names() if root.below(n).read(RESULT) is not None]
        raise SearchNotFoundError(
            f"no result of a search {name!r} in {storage}; {there_are(name, there)}"
        )
    return SearchResult(**stored)
