"""The result of a search, as stored in `result.json`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_tune.config import Objective
from gan_tune.errors import GanTuneError, SearchNotFoundError, StorageError
from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.service.stored_findings import FINDINGS
from gan_tune.space import check_name
from gan_tune.storage.places import CHAMPION_PICTURE, DEFAULT_STORAGE, RESULT, look_in
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import as_stored
from gan_tune.storage.trial_name import setting_name
from gan_tune.storage.trial_records import EarlierSetting
from gan_tune.words.readable import clock, counted, number
from gan_tune.words.wording import there_are

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image
    from plotly.graph_objects import Figure

    from gan_tune.model.generator import Generator


WITHHELD = "--register-anyway registers it"
"""What the result says of the registration of a champion that is not to be registered."""
REMOVED = "its version was removed from the registry"
"""What it says where a person has done that."""


STORED_AS = {"trials": "most_trials", "importances": "mattered"}
"""Keys of `result.json` with another name here."""


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
        lineage: the settings with which it was trained before, oldest first. Empty if it is no fork
            of a population.
        home: the search's folder; None for a result that was not read from one. Not stored.
    """

    __pydantic_config__ = {"arbitrary_types_allowed": True}  # noqa: RUF012

    trial: str
    setting: int
    mean: float
    spread: float | None
    seeds: int
    confirmed: bool
    config: Mapping[str, Any]
    lineage: Sequence[EarlierSetting] = ()
    home: Storage | None = field(default=None, repr=False, compare=False)

    def generator(self, *, device: str = "cpu", own: Collection[str] = ()) -> Generator:
        """The champion's generator, from the search's folder: MLflow is not asked.

        ``own`` names the parts of your own (`MODULE:NAME`) that may be imported for it.

        Raises:
            CheckpointError: the weights are no longer there.
            DataError: the data, which decide the shape of a sample, are no longer there.
        """
        from gan_tune.service.generator_source import generator_of_trial
        from gan_tune.storage.trial_folder import TrialFolders

        home = _known(self.home, "the champion")
        folder = TrialFolders(home)[self.trial]
        return generator_of_trial(folder, f"trial {self.trial}", device, own)


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The result of a search. A notebook shows it as its leaderboard and the champion's picture.

    Attributes:
        name: of the search.
        finished: whether search and confirmation are complete (False: it was interrupted).
        metric, mode: the objective.
        most_trials, minutes: its budget; ``most_trials`` is None if only its time ended it.
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
        examination: what was found of the champion before it was registered, as
            `gan_tune.service.stored_findings.Examination`; empty without a champion, and in
            results of older versions.
        gpu_hours: its budget of them; None without one.
        waiting: what of it is not in MLflow yet, in words; empty if everything is. `gan-tune sync`
            delivers it.
        mattered: which parameters mattered, as
            `gan_tune.searching.study.insight.Importances`; empty in results of older versions that
            did not store it.
        at_equal_steps: `step`, and the values of `champion` and `first` up to it, of one trial each
            on the selection split. None if the first setting was not compared so.
        home: the search's folder; None for a result that was not read from one. Not stored.
        study: URL of the study's database; None: the study is in the folder. Not stored: it comes
            from the user, or from the space of a search that this process has run.
    """

    __pydantic_config__ = {"arbitrary_types_allowed": True}  # noqa: RUF012

    name: str
    finished: bool
    metric: str
    mode: Literal["min", "max"]
    most_trials: int | None
    minutes: int | float | None
    outcomes: Mapping[str, int]
    rows: Sequence[Row]
    champion: ChampionFigures | None
    first_mean: float | None
    test: Mapping[str, int | float]
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
    mattered: Mapping[str, Any] = field(default_factory=dict)
    examination: Mapping[str, Any] = field(default_factory=dict)
    at_equal_steps: Mapping[str, int | float] | None = None
    gpu_hours: int | float | None = None
    waiting: str = ""
    home: Storage | None = field(default=None, compare=False)
    study: str | None = field(default=None, compare=False)

    @property
    def objective(self) -> Objective:
        """What the search improves; of several objectives the first."""
        return Objective(metric=self.metric, mode=self.mode)

    @property
    def faults(self) -> Sequence[str]:
        """What speaks against the champion, a sentence each."""
        faults: Sequence[str] = self.examination.get("faults", ())
        return faults

    @property
    def is_withheld(self) -> bool:
        """Whether there is a champion that was not registered because of its faults."""
        return self.model is None and self.model_note == WITHHELD

    @property
    def is_removed(self) -> bool:
        """Whether there is a champion whose version was removed from the registry."""
        return self.model is None and self.model_note == REMOVED

    @property
    def gain(self) -> float | None:
        """The champion's mean on the test split, divided by the first setting's; None without both.

        Both are over as many seeds and steps. A gain is a value below 1 if less is better
        (``mode`` min), above 1 if more is better.
        """
        mean = self.test.get(f"test.mean.{self.metric}")
        mine = self.test.get(f"test.beside_first.{self.metric}", mean)
        first = self.test.get(f"test.first.{self.metric}")
        return None if mine is None or not first else mine / first

    # ---------------------------------------------------------------- for notebooks

    @property
    def trials(self) -> pandas.DataFrame:
        """A row for each setting, best first, by the setting's number: where it comes from, its
        outcome and values as in :class:`Row`, and a column for each value that the search decided.
        """
        from gan_tune.service.shown_result import trials_table

        return trials_table(self.rows)

    def history(self) -> Figure:
        """The value of each setting, in the order in which they were proposed."""
        return self._plot("history")

    def importances(self) -> Figure:
        """How much of what sets the best quarter of the settings apart falls to each parameter."""
        return self._plot("importances")

    def parallel(self) -> Figure:
        """Parallel coordinates: a line for each setting through all that the search decided."""
        return self._plot("parallel_coordinates")

    def show(
        self, count: int = 64, seed: int = 0, *, device: str = "cpu", own: Collection[str] = ()
    ) -> Image:
        """A picture of ``count`` samples of the champion: a grid, or points over the data.

        ``own`` names the parts of your own (`MODULE:NAME`) that may be imported for it.

        Raises:
            GanTuneError: there is no champion, or its generator cannot be loaded.
            ValueError: ``count`` < 1.
        """
        from gan_tune.service.shown_result import samples_picture

        if self.champion is None:
            why = "no trial was sound" if self.finished else "it was interrupted"
            raise GanTuneError(f"search {self.name} has no champion: {why}")
        generator = self.champion.generator(device=device, own=own)
        return samples_picture(generator, self.champion.config, count, seed)

    def _plot(self, name: str) -> Figure:
        from gan_tune.service.shown_result import plot

        home = _known(self.home, f"search {self.name}")
        return plot(self.name, self.metric, home, name, self.study)

    def _repr_html_(self) -> str:
        from gan_tune.service.shown_result import as_html

        png = self.home.read(CHAMPION_PICTURE) if self.home and self.champion else None
        return as_html(list(self._told()), self.rows, png)

    def _told(self) -> Iterator[str]:
        state = "finished" if self.finished else "was interrupted"
        yield f"search {self.name} {state} after {clock(self.seconds)}"
        yield f"settings: {counted(self.outcomes)}"
        champion = self.champion
        if champion is not None:
            spread = "" if champion.spread is None else f" ± {number(champion.spread)}"
            by = f"{champion.seeds} fresh seeds" if champion.seeds else "not confirmed"
            yield (
                f"champion: setting {setting_name(champion.setting)}, {self.metric} "
                f"{number(champion.mean)}{spread} ({by})"
            )
        if self.model is not None:
            yield f"registered: {self.model}/{self.model_version}"
        yield from self.faults

    def __repr__(self) -> str:
        state = "finished" if self.finished else "interrupted"
        value = f", champion {number(self.champion.mean)}" if self.champion else ""
        return f"<search {self.name}, {state}: {counted(self.outcomes)}; {self.metric}{value}>"

    # ---------------------------------------------------------------- as it is stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], home: Storage | None = None) -> SearchResult:
        """Read the content of `result.json` in ``home``, also of an older version.

        Raises:
            StorageError: it has other fields.
        """
        fields = {STORED_AS.get(key, key): value for key, value in stored.items()}
        rows, place = fields.get("rows"), RESULT if home is None else home.readable_path(RESULT)
        fields |= {"home": None, "study": None}
        if isinstance(rows, list):
            fields["rows"] = [Row.from_json(row, place) for row in rows]
        for name, kind in FINDINGS.items():
            if fields.get(name):
                as_stored(kind, fields[name], place)
        result = as_stored(cls, fields, place)
        champion = result.champion and replace(result.champion, home=home)
        if home is not None and result.grid is not None:  # the folder may have been moved
            result = replace(result, grid=home.readable_path(CHAMPION_PICTURE))
        return replace(result, champion=champion, home=home)

    def to_json(self) -> dict[str, Any]:
        """The content of `result.json`."""
        champion = asdict(replace(self.champion, home=None)) if self.champion else None
        if champion is not None:
            del champion["home"]
        fields: dict[str, Any] = asdict(replace(self, home=None, champion=None))
        fields["champion"] = champion
        del fields["home"], fields["study"]
        keys = {name: key for key, name in STORED_AS.items()}
        return {keys.get(name, name): value for name, value in fields.items()}


def _known(home: Storage | None, what: str) -> Storage:
    if home is None:
        raise GanTuneError(f"{what}: must be of a result that `load_result` has read")
    return home


def read_result(home: Storage) -> SearchResult | None:
    """The result in a search's folder; None if there is none yet.

    Raises:
        StorageError: it cannot be read.
    """
    stored = home.read_json(RESULT)
    if stored is not None and not isinstance(stored, dict):
        raise StorageError(f"storage: {home.readable_path(RESULT)} must hold a result")
    return None if stored is None else SearchResult.from_json(stored, home)


def load_result(
    name: str, storage: str | Path = DEFAULT_STORAGE, *, study: str | None = None
) -> SearchResult:
    """The stored result of a search.

    ``study`` is the URL of the database, where the search keeps its study in one; its plots need
    it.

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
    return replace(found, study=study)
