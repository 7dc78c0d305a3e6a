"""The Python API: search, train, and what became of it. Wires the search to the record."""

from __future__ import annotations

import difflib
import json
import math
import os
import random
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gan_tune.catalogue import catalogue, dataset_of
from gan_tune.config import TrialConfig
from gan_tune.errors import (
    CheckpointError,
    Fault,
    GanTuneError,
    ModelNotFoundError,
    OutputError,
    SearchNotFoundError,
    SpaceError,
    TrackingError,
)
from gan_tune.gan import pictures
from gan_tune.gan.data import Dataset
from gan_tune.gan.export import draw
from gan_tune.gan.training import Report
from gan_tune.gan.training import train as train_reports
from gan_tune.metrics import Judge, build_judge
from gan_tune.space import RANGES, Dimension, SearchSpace, check_name
from gan_tune.space.ranges import word
from gan_tune.wording import closest

if TYPE_CHECKING:
    from gan_tune.search.champion import Champion
    from gan_tune.search.conductor import Conductor, Ending
    from gan_tune.search.jobs import Job, Result
    from gan_tune.search.storage import Storage
    from gan_tune.tracking.recorder import Recorder
    from gan_tune.tracking.history import SearchInfo
    from gan_tune.tracking.registry import Generator, ModelInfo, Registration

__all__ = [
    "DEFAULT_STORAGE",
    "Best",
    "Estimate",
    "SearchResult",
    "SearchStatus",
    "TrialStatus",
    "Watcher",
    "best",
    "estimate",
    "first_setting",
    "keep_report",
    "keep_trial",
    "load_generator",
    "load_result",
    "load_space",
    "models",
    "search",
    "searches",
    "status",
    "stored_trial",
    "train",
]

DEFAULT_STORAGE = "./gan_tune_runs"
RESULT = "result.json"
HEADING = "search.json"
"""What a command that begins to work on a search notes of it, for those who look on."""
RUNNING = "running"
"""Stands for the outcome of a trial that has none yet, and for the state of such a search."""
MEASURED_STEPS = 50
"""Steps of the first setting that an estimate times, after as many to warm up."""
GRID_SAMPLES = 64
GRID_SEED = 0


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

    @property
    def gain(self) -> float | None:
        """The champion's mean on the test split over the first setting's (None without both)."""
        mine = self.test.get(f"test.mean.{self.metric}")
        first = self.test.get(f"test.first.{self.metric}")
        return None if mine is None or not first else mine / first


class Watcher(Protocol):
    """Shows a search while it runs. All calls come from the caller's thread; none may block."""

    def stage(self, text: str) -> None: ...
    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None: ...
    def tick(self) -> None: ...
    def end(self) -> None: ...
    def trial_started(self, job: Job, *, resumed: bool) -> None: ...
    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None: ...
    def trial_ended(self, job: Job, ending: Ending) -> None: ...


class _Unwatched:
    def stage(self, text: str) -> None: ...
    def begin(self, conductor: Conductor, slots: int, resumed: int) -> None: ...
    def tick(self) -> None: ...
    def end(self) -> None: ...
    def trial_started(self, job: Job, *, resumed: bool) -> None: ...
    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None: ...
    def trial_ended(self, job: Job, ending: Ending) -> None: ...


def load_space(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, check_data: bool = True
) -> SearchSpace:
    """Load and check a space against all known parts.

    Raises:
        SpaceError: with every fault found.
    """
    return SearchSpace.load(source, catalogue(), overrides=overrides, check_data=check_data)


def search(
    space: SearchSpace | str | Path | Mapping[str, Any],
    *,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    fresh: bool = False,
    max_concurrent: int | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    model: str | None = None,
    watcher: Watcher | None = None,
) -> SearchResult:
    """Run a search, or go on with the unfinished one of that name; a finished one is returned.

    Args:
        space: a checked space, or what :func:`load_space` takes.
        name: of the search; default the space's.
        storage: folder or URI that holds searches; on a cluster every node must reach it.
        fresh: start a new search, `NAME-2` and so on, if there is one of that name.
        max_concurrent: at most so many trials at a time; default what the cluster holds.
        address: of a running Ray cluster; default RAY_ADDRESS, else Ray is started here.
        tracking_uri: of MLflow; default MLFLOW_TRACKING_URI, else `mlflow.db` in the working folder.
        experiment, model: names in MLflow; default the search's name and the space's.
        watcher: shows progress.

    Raises:
        GanTuneError: one line; nothing was started.
    """
    from gan_tune.search.lock import hold
    from gan_tune.search.storage import open_storage
    from gan_tune.tracking.store import connect

    if not isinstance(space, SearchSpace):
        space = load_space(space)
    watcher = watcher or _Unwatched()
    watcher.stage("checking MLflow and storage")
    uri = connect(tracking_uri)
    root = open_storage(storage)
    name = _free_name(root, name or space.name) if fresh else name or space.name
    home = root.below(name)
    with hold(_driver_folder(home, name)):
        done = _finished(home, space)
        if done is not None:
            return done
        names = (name, experiment or name, model or space.name)
        return _Search(space, home, uri, names, watcher).run(address, max_concurrent)


class _Search:
    """One command's work on one search."""

    def __init__(
        self,
        space: SearchSpace,
        home: Storage,
        uri: str,
        names: tuple[str, str, str],
        watcher: Watcher,
    ) -> None:
        self.space, self.home, self.uri, self.watcher = space, home, uri, watcher
        self.name, self.experiment, self.model = names

    def run(self, address: str | None, max_concurrent: int | None) -> SearchResult:
        from gan_tune.search import cluster
        from gan_tune.search.conductor import Conductor
        from gan_tune.search.stopping import SCHEDULERS
        from gan_tune.search.study import Study
        from gan_tune.search.tuning import Shared, run

        space = self.space
        study = Study(_driver_folder(self.home, self.name) / "study.journal", space)
        config = space.sample(_LowEnds(), seed=0)  # the data are the same for every setting
        self.watcher.stage("loading data and preparing the metrics")
        self.dataset = dataset_of(config.data)
        judge = build_judge(self.dataset, "selection")
        with ExitStack() as stack:
            self.watcher.stage("starting Ray" if not address else f"joining Ray at {address}")
            stack.enter_context(cluster.connected(address, self.home))
            slots = cluster.slots(space.resources, max_concurrent)
            recorder = self._open_recorder(judge)
            stack.callback(recorder.close)
            resumed = study.proposed()
            self._bring_record_up_to_date(recorder, study)
            conductor = Conductor(
                study,
                self.home,
                SCHEDULERS[space.search.scheduler](
                    steps=space.budget.steps,
                    mode=space.objective.mode,
                    reduction=space.search.reduction,
                    grace=space.search.grace,
                ),
                observers=[_Recording(recorder, space.objective.metric), self.watcher],
                slots=slots,
            )
            shared = Shared(self.dataset, judge, self.home, space.resources)
            self.watcher.begin(conductor, slots, resumed)
            try:
                with _interruptible(conductor):
                    run(conductor, shared, slots=slots, tick=self.watcher.tick)
            finally:
                self.watcher.end()
            return self._conclude(conductor, judge, recorder)

    # ---------------------------------------------------------------- the record

    def _open_recorder(self, judge: Judge) -> Recorder:
        from gan_tune.tracking.events import DatasetInfo
        from gan_tune.tracking.recorder import Recorder

        space, data = self.space, self.dataset
        recorder = Recorder(self.uri, experiment=self.experiment, search=self.name)
        counts = {split: len(data.split(split)) for split in ("train", "selection", "test")}
        recorder.open(
            space_text=space.source,
            space_params=_space_params(space),
            objective=space.objective,
            tags={"gan_tune.metric_version": judge.versions[space.objective.metric]},
            dataset=DatasetInfo(data.name, data.digest, data.name, counts),
        )
        return recorder

    def _bring_record_up_to_date(self, recorder: Recorder, study: Any) -> None:
        """Record what an earlier command stored but could not record any more."""
        from gan_tune.search.conductor import Ending, read_reports

        recording = _Recording(recorder, self.space.objective.metric)
        for name in self.home.names("trials"):
            stored = self.home.read_json(f"trials/{name}/outcome.json")
            described = self.home.read_json(f"trials/{name}/trial.json")
            if stored is None or described is None:
                continue
            if recorder.recorded_outcome(name) == stored["outcome"]:
                continue
            job = study.job(described["setting"], described["replicate"])
            recording.trial_started(job, resumed=True)
            for result, grid in read_reports(self.home, name):
                recording.trial_reported(job, result, self.home.read(grid))
            recording.trial_ended(job, Ending(**stored))

    # ---------------------------------------------------------------- the end

    def _conclude(self, conductor: Conductor, judge: Judge, recorder: Recorder) -> SearchResult:
        from gan_tune.search.champion import choose_champion, leaderboard, measure_on_test

        finished = not conductor.stop_requested
        rows = [asdict(row) for row in leaderboard(conductor)]
        champion = choose_champion(conductor, self.dataset) if finished else None
        test: dict[str, float] = {}
        registration = grid = None
        if champion is not None:
            self.watcher.stage("measuring the champion on the test split")
            test = measure_on_test(
                conductor, champion, self.dataset, build_judge(self.dataset, "test")
            )
            grid = self._champion_grid(champion)
            self.home.write("champion.png", grid)
            self.watcher.stage("registering the champion")
            registration = self._register(champion, judge, recorder, test, grid)
        figures = {"champion.png": grid} if grid else {}
        recorder.finished(
            "completed" if finished else "interrupted",
            leaderboard=[_flat_row(row) for row in rows],
            figures=figures,
            metrics=_parent_metrics(champion, judge, test),
            tags={"gan_tune.finished": str(finished).lower()},
        )
        recorder.flush(timeout=120)
        result = self._result(conductor, finished, rows, champion, test, registration, recorder)
        self.home.write_json("leaderboard.json", rows)
        self.home.write_json(RESULT, asdict(result))
        # As a later call reads it back: tuples have become lists.
        return SearchResult(**self.home.read_json(RESULT))

    def _champion_grid(self, champion: Champion) -> bytes:
        latent = champion.job.config.generator.args["latent"]
        points = self.dataset.kind == "points"
        count = len(self.dataset.selection) if points else GRID_SAMPLES
        samples = draw(champion.generator, count, latent=latent, seed=GRID_SEED)
        show = pictures.scatter if points else pictures.grid
        return pictures.png(show(samples, self.dataset))

    def _register(
        self,
        champion: Champion,
        judge: Judge,
        recorder: Recorder,
        test: Mapping[str, float],
        grid: bytes,
    ) -> Registration:
        from gan_tune.tracking.registry import register_champion

        metric, mode = self.space.objective.metric, self.space.objective.mode
        recorder.flush(timeout=120)
        return register_champion(
            champion.generator,
            latent=champion.job.config.generator.args["latent"],
            model=self.model,
            run_id=recorder.run_id(champion.job.name),
            value=champion.mean,
            mode=mode,
            comparable=f"{judge.comparable(metric)}/{mode}/{self.dataset.digest}",
            tags={
                "gan_tune.search": self.name,
                "gan_tune.trial": champion.job.name,
                "gan_tune.objective": metric,
                "gan_tune.kind_of_data": self.dataset.kind,
                "gan_tune.confirmed_seeds": str(champion.seeds),
                **{f"gan_tune.{name}": f"{value:.6g}" for name, value in test.items()},
            },
            files={"champion.png": grid},
            uri=self.uri,
        )

    def _result(
        self,
        conductor: Conductor,
        finished: bool,
        rows: list[dict[str, Any]],
        champion: Champion | None,
        test: Mapping[str, float],
        registration: Registration | None,
        recorder: Recorder,
    ) -> SearchResult:
        outcomes: dict[str, int] = {}
        for row in rows:
            outcome = row["outcome"] or "interrupted"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        return SearchResult(
            name=self.name,
            finished=finished,
            metric=self.space.objective.metric,
            mode=self.space.objective.mode,
            trials=self.space.budget.trials,
            minutes=self.space.budget.minutes,
            outcomes=outcomes,
            rows=rows,
            champion=_champion_figures(champion),
            first_mean=champion.first_mean if champion else None,
            test=test,
            model=registration.name if registration else None,
            model_version=registration.version if registration else None,
            promoted=registration.promoted if registration else False,
            model_note=registration.reason if registration else "",
            grid=self.home.local_path("champion.png") if champion else None,
            tracking_uri=self.uri,
            experiment=self.experiment,
            run_id=recorder.parent_run_id,
            seconds=conductor.seconds_used,
            space_digest=self.space.digest,
        )


class _Recording:
    """Hands what the conductor says to the recorder."""

    def __init__(self, recorder: Recorder, metric: str) -> None:
        self._recorder, self._metric = recorder, metric

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        self._recorder.trial_started(
            job.name,
            setting=job.setting,
            replicate=job.replicate,
            kind=job.kind,
            params=job.params,
        )

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        seconds = {
            "seconds.training": result.training_seconds,
            "seconds.evaluation": result.evaluation_seconds,
        }
        self._recorder.reported(
            job.name,
            result.step,
            {**result.scalars, **seconds},
            timestamp_ms=result.timestamp_ms,
            grid=grid,
        )

    def trial_ended(self, job: Job, ending: Ending) -> None:
        best = {} if ending.value is None else {self._metric: ending.value}
        self._recorder.trial_ended(job.name, ending.outcome, best=best, error=ending.error)


def train(
    config: TrialConfig | Mapping[str, Any],
    *,
    resume_from: Path | None = None,
    device: str = "cpu",
) -> Iterator[Report]:
    """Train one setting here and now, with no Ray: an iterator of reports.

    Raises:
        ConfigError: the config cannot be trained; all faults at once.
        DataError: its data are missing.
    """
    if not isinstance(config, TrialConfig):
        config = TrialConfig.from_tree(config, catalogue())
    dataset = dataset_of(config.data)
    judge = build_judge(dataset, "selection")
    return train_reports(config, dataset, judge, resume_from=resume_from, device=device)


def load_generator(model: str, *, tracking_uri: str | None = None) -> Generator:
    """Pull a registered generator: `NAME` (its champion), `NAME@ALIAS` or `NAME/VERSION`.

    Raises:
        ModelNotFoundError: there is none; the message lists those there are.
        TrackingError: MLflow does not answer.
    """
    from gan_tune.tracking.registry import load_generator as load

    return load(model, uri=tracking_uri)


def load_result(name: str, storage: str | Path = DEFAULT_STORAGE) -> SearchResult:
    """The stored result of a search.

    Raises:
        SearchNotFoundError: no search of that name has come to a result; lists those that have.
    """
    from gan_tune.search.storage import Storage, open_storage

    root: Storage = open_storage(storage)
    stored = root.below(name).read_json(RESULT)
    if stored is None:
        there = [n for n in root.names() if root.below(n).read(RESULT) is not None]
        raise SearchNotFoundError(
            f"no result of a search {name!r} in {storage}; there are: {', '.join(there) or 'none'}"
        )
    return SearchResult(**stored)


class _LowEnds:
    """Stands in for an Optuna trial: the first option, the low end of every range."""

    def suggest_float(self, name: str, low: float, high: float, **rest: Any) -> float:
        return low

    def suggest_int(self, name: str, low: int, high: int, **rest: Any) -> int:
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[0]


def _space_params(space: SearchSpace) -> dict[str, Any]:
    blocks = {"budget": space.budget, "search": space.search, "confirm": space.confirm}
    return {
        f"{block}.{key}": value
        for block, model in (*blocks.items(), ("resources", space.resources))
        for key, value in model.model_dump().items()
    }


def _flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in row.items() if key != "changes"}
    return plain | dict(row["changes"])


def _parent_metrics(
    champion: Champion | None, judge: Judge, test: Mapping[str, float]
) -> dict[str, float]:
    figures = {f"selection.floor.{name}": value for name, value in judge.floor.items()}
    if champion is not None:
        figures["champion.mean"] = champion.mean
        if champion.first_mean is not None:
            figures["first.mean"] = champion.first_mean
    return figures | dict(test)


def _champion_figures(champion: Champion | None) -> dict[str, Any] | None:
    if champion is None:
        return None
    return {
        "trial": champion.job.name,
        "setting": champion.job.setting,
        "mean": champion.mean,
        "spread": champion.spread if champion.seeds > 1 else None,
        "seeds": champion.seeds,
        "confirmed": champion.confirmed,
        "config": champion.job.config.tree(),
    }


def _finished(home: Storage, space: SearchSpace) -> SearchResult | None:
    """The stored result, unless the search was interrupted or its budget has been extended."""
    stored = home.read_json(RESULT)
    if stored is None or not stored["finished"]:
        return None
    result = SearchResult(**stored)
    if result.space_digest != space.digest:
        from gan_tune.search.study import CHANGED_SPACE

        raise SpaceError([CHANGED_SPACE], source=result.name)
    minutes, before = space.budget.minutes, result.minutes
    more_time = before is not None and (minutes is None or minutes > before)
    return None if space.budget.trials > result.trials or more_time else result


def _free_name(root: Storage, name: str) -> str:
    taken = set(root.names())
    candidates = (name if i == 1 else f"{name}-{i}" for i in range(1, 10_000))
    return next(c for c in candidates if c not in taken)


def _driver_folder(home: Storage, name: str) -> Path:
    """Where the lock and the journal lie: beside the trials, or here if those are behind a URI."""
    return home.folder or Path(DEFAULT_STORAGE).resolve() / name


@contextmanager
def _interruptible(conductor: Conductor) -> Iterator[None]:
    """Ctrl-C (or SIGTERM) once asks the search to end; a second time leaves at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: Any) -> None:
        if conductor.stop_requested:
            os._exit(130)
        conductor.stop_requested = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
