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
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from gan_tune.gan.checkpoint import FILE_NAME as CHECKPOINT
from gan_tune.gan.export import draw
from gan_tune.gan.training import Report
from gan_tune.gan.training import train as train_reports
from gan_tune.metrics import Judge, build_judge
from gan_tune.space import RANGES, Dimension, SearchSpace, check_name
from gan_tune.space.ranges import word
from gan_tune.wording import closest

if TYPE_CHECKING:
    from gan_tune.searching.champion import Champion
    from gan_tune.searching.conductor import Conductor, Ending
    from gan_tune.searching.jobs import Job, Result
    from gan_tune.searching.storage import Storage
    from gan_tune.tracking.history import SearchInfo
    from gan_tune.tracking.recorder import Recorder
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
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    check_data: bool = True,
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
        tracking_uri: of MLflow; default MLFLOW_TRACKING_URI, else `mlflow.db` in this folder.
        experiment, model: names in MLflow; default the search's name and the space's.
        watcher: shows progress.

    Raises:
        GanTuneError: one line; nothing was started.
    """
    from gan_tune.searching.lock import hold
    from gan_tune.searching.storage import open_storage
    from gan_tune.tracking.store import connect

    if not isinstance(space, SearchSpace):
        space = load_space(space)
    _check_names(name=name, experiment=experiment, model=model)
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
        from gan_tune.searching import cluster
        from gan_tune.searching.conductor import Conductor
        from gan_tune.searching.stopping import SCHEDULERS
        from gan_tune.searching.study import Study
        from gan_tune.searching.tuning import Shared, run

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
                limit=max_concurrent,
            )
            shared = Shared(self.dataset, judge, self.home, space.resources)
            self._note_heading(study.seconds_used)
            self.watcher.begin(conductor, slots, resumed)
            try:
                with _interruptible(conductor):
                    run(conductor, shared, slots=slots, tick=self.watcher.tick)
            finally:
                self.watcher.end()
            return self._conclude(conductor, judge, recorder)

    def _note_heading(self, seconds_before: float) -> None:
        """Note for :func:`status` what the trials' folders do not tell."""
        heading = {
            "metric": self.space.objective.metric,
            "mode": self.space.objective.mode,
            "trials": self.space.budget.trials,
            "minutes": self.space.budget.minutes,
            "experiment": self.experiment,
            "seconds_before": seconds_before,
            "started_ms": int(time.time() * 1000),
        }
        self.home.write_json(HEADING, heading)

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
        from gan_tune.searching.conductor import Ending, read_reports

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
        from gan_tune.searching.champion import choose_champion, leaderboard, measure_on_test

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

    try:
        return load(model, uri=tracking_uri)
    except ModelNotFoundError:
        name, known = _bare(model), _model_names(tracking_uri)
        if name in known:
            raise  # the message lists its versions
        raise ModelNotFoundError(f"no model named {name!r}; {_there_are(name, known)}") from None


def models(tracking_uri: str | None = None) -> list[ModelInfo]:
    """The registered generators, by name; none where there is no record yet.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from gan_tune.tracking.registry import list_models

    try:
        return list_models(tracking_uri)
    except TrackingError:
        if _asked_for(tracking_uri):
            raise
        return []


def load_result(name: str, storage: str | Path = DEFAULT_STORAGE) -> SearchResult:
    """The stored result of a search.

    Raises:
        SearchNotFoundError: no search of that name has come to a result; lists those that have.
    """
    root = _look_in(storage)
    stored = root.below(name).read_json(RESULT) if check_name(name) is None else None
    if stored is None:
        there = [n for n in root.names() if root.below(n).read(RESULT) is not None]
        raise SearchNotFoundError(
            f"no result of a search {name!r} in {storage}; {_there_are(name, there)}"
        )
    return SearchResult(**stored)


# ---------------------------------------------------------------- one setting


def first_setting(
    space: SearchSpace, given: Sequence[str] = (), *, seed: int | None = None
) -> TrialConfig:
    """One setting of a space: its first `start_from`, and what is ``given`` goes before that.

    Args:
        space: a checked space.
        given: `NAME=VALUE` texts, each a dimension by its name in :meth:`SearchSpace.dimensions`.
        seed: the trial's. What is left open is then drawn at random by it; without one it takes
            the first option and the low end of its range (and the trial's seed is 0).

    Raises:
        SpaceError: no such dimension, or a value outside its range; all faults at once.
    """
    known = {dimension.name: dimension for dimension in space.dimensions()}
    decided: dict[str, Any] = dict(space.starts[0]) if space.starts else {}
    faults: list[Fault] = []
    asked: list[str] = []
    for text in given:
        name, equals, written = text.partition("=")
        if not equals or name not in known:
            faults.append(Fault(f"--setting {text}", _no_such_dimension(name, equals, known)))
            continue
        decided[name] = _value_of(known[name], written)
        asked.append(name)
        rule = known[name].broken_rule(decided[name])
        if rule is not None:
            faults.append(Fault(f"--setting {text}", rule))
    if faults:
        raise SpaceError(faults, space.name)
    rest = _LowEnds() if seed is None else _Draws(seed)
    choice = _Decided(decided, rest)
    config = space.sample(choice, seed=seed or 0)
    idle = [name for name in asked if name not in choice.used]
    if idle:
        rules = [f"is there only where {known[name].condition}" for name in idle]
        raise SpaceError(
            [Fault(f"--setting {n}", rule) for n, rule in zip(idle, rules, strict=True)], space.name
        )
    return config


def keep_trial(config: TrialConfig, folder: Path) -> None:
    """Begin a trial's folder, laid out as those of a search.

    Raises:
        OutputError: the folder holds something.
        StorageError: it cannot be written.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(
            f"{folder}: must be a new or empty folder; a trial in it goes on with --resume {folder}"
        )
    _look_in(folder).write_json("trial.json", {"config": config.tree()})


def keep_report(report: Report, folder: Path) -> None:
    """Write a report's picture, checkpoint and figures into a trial's folder.

    Raises:
        StorageError: it cannot be written.
    """
    trial = _look_in(folder)
    trial.write(f"grids/{report.step}.png", pictures.png(report.grid))
    trial.write(CHECKPOINT, report.checkpoint())
    left_out = ("grid", "_state")
    figures = {k: v for k, v in vars(report).items() if k not in left_out}
    trial.write_json(f"reports/{report.step}.json", figures)


def stored_trial(folder: Path) -> TrialConfig:
    """The config of the trial that a folder holds.

    Raises:
        CheckpointError: the folder holds no trial.
        ConfigError: its config cannot be trained here.
    """
    try:
        tree = json.loads((folder / "trial.json").read_text())["config"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{folder}: must be the --out folder of an earlier gan-tune train"
        ) from None
    return TrialConfig.from_tree(tree, catalogue())


# ---------------------------------------------------------------- looking on


@dataclass(frozen=True)
class TrialStatus:
    """How a trial stands; ``outcome`` is `running` where it has none, ``steps`` its full length.

    ``step`` is the last report's, None where only MLflow knows the trial.
    """

    name: str
    kind: str
    outcome: str
    value: float | None
    step: int | None
    steps: int | None


@dataclass(frozen=True)
class SearchStatus:
    """How a search stands.

    Attributes:
        name: of the search.
        state: `running`, `interrupted` or `finished`.
        holder: which process works on it, empty for none.
        metric, mode: the objective.
        trials: settings to try by the budget, None where that is not known.
        minutes: the time budget, None without one.
        seconds: wall time spent by all commands, None where that is not known.
        rows: its trials, best first.
        where: the folder or MLflow experiment this was read from.
    """

    name: str
    state: str
    holder: str
    metric: str
    mode: str
    trials: int | None
    minutes: float | None
    seconds: float | None
    rows: Sequence[TrialStatus]
    where: str

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of settings by outcome."""
        return dict(Counter(row.outcome for row in self.rows if row.kind == "search"))

    @property
    def confirmations(self) -> int:
        """Number of confirming trials that have ended."""
        ended = (row for row in self.rows if row.kind == "confirmation")
        return sum(row.outcome not in (RUNNING, "interrupted") for row in ended)

    @property
    def best(self) -> float | None:
        """The best value so far, of search and confirmation alike."""
        return self.rows[0].value if self.rows else None


def status(
    name: str, storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> SearchStatus:
    """How a search stands, whether or not a command works on it now. Reads only.

    The search's folder is asked first, then MLflow.

    Raises:
        SearchNotFoundError: neither knows it; the message lists those there are.
    """
    root = _look_in(storage)
    if name in _search_names(root):
        return _folder_status(root, name)
    recorded = {info.name: info for info in _recorded_searches(tracking_uri)}
    if name not in recorded:
        known = [*_search_names(root), *recorded]
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage} or MLflow; {_there_are(name, known)}"
        )
    return _recorded_status(recorded[name], tracking_uri)


def searches(
    storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> list[SearchStatus]:
    """All searches of a storage, and those that only MLflow knows. Reads only."""
    root = _look_in(storage)
    here = _search_names(root)
    elsewhere = [info for info in _recorded_searches(tracking_uri) if info.name not in here]
    return [
        *(_folder_status(root, name) for name in here),
        *(_recorded_status(info, tracking_uri) for info in elsewhere),
    ]


@dataclass(frozen=True)
class Best:
    """The champion of a search, or a registered version of a model.

    Attributes:
        search: the search that found it, None where the model does not say.
        trial: the trial that trained it.
        model, version: what was registered, None where nothing was.
        alias_holder: whether that version is the model's champion, None where that is not known.
        metric, mode: the objective.
        value: mean on the selection split.
        spread: sample deviation over the seeds, None for fewer than two.
        seeds: how many fresh seeds confirmed it, 0: none did.
        first_mean: the same mean of the search's first setting.
        test: figures of the test split.
        decided: what the search decided, by dimension; empty where only MLflow knows the trial.
        config: the trial config, as a tree, or as MLflow's dotted params.
    """

    search: str | None
    trial: str | None
    model: str | None
    version: int | None
    alias_holder: bool | None
    metric: str | None
    mode: str | None
    value: float | None
    spread: float | None
    seeds: int
    first_mean: float | None
    test: Mapping[str, float]
    decided: Mapping[str, Any]
    config: Mapping[str, Any]


def best(
    name: str, storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> Best:
    """The best that a search has found (`NAME`), or a model's version (`NAME@alias`, `NAME/3`).

    Raises:
        SearchNotFoundError: no search or model of that name, or the search has no champion yet.
        ModelNotFoundError: the model has no such version or alias.
    """
    root = _look_in(storage)
    if check_name(name) is None and root.below(name).read(RESULT) is not None:
        return _best_of(load_result(name, storage))
    known = _model_names(tracking_uri)
    if _bare(name) in known:
        return _best_of_model(load_generator(name, tracking_uri=tracking_uri), tracking_uri)
    here = _search_names(root)
    if name in here:
        raise SearchNotFoundError(
            f"search {name!r} has no champion yet; see gan-tune status {name}"
        )
    there = [*here, *known]
    raise SearchNotFoundError(f"no search or model named {name!r}; {_there_are(name, there)}")


# ---------------------------------------------------------------- how long it would take


@dataclass(frozen=True)
class Estimate:
    """What a search would take, measured on its first setting.

    Attributes:
        trials, steps, evaluations: the budget.
        confirmations: trials that confirm, at most.
        slots: trials at a time that were assumed.
        step_seconds, evaluation_seconds: measured, one trial alone on this machine.
    """

    trials: int
    steps: int
    evaluations: int
    confirmations: int
    slots: int
    step_seconds: float
    evaluation_seconds: float

    @property
    def trial_seconds(self) -> float:
        """One full trial."""
        return self.steps * self.step_seconds + self.evaluations * self.evaluation_seconds

    @property
    def seconds(self) -> float:
        """All trials at full length, so many at a time: more than pruning leaves."""
        rounds = -(-self.trials // self.slots) + -(-self.confirmations // self.slots)
        return rounds * self.trial_seconds


def estimate(space: SearchSpace, *, max_concurrent: int | None = None) -> Estimate:
    """Train a few steps of the first setting here, and multiply. Starts and writes nothing.

    As many trials at a time are assumed as this machine's cores (and GPUs) hold, and at most
    ``max_concurrent``.
    """
    import torch

    gpu = space.resources.gpu > 0 and torch.cuda.is_available()
    config = first_setting(space).model_copy(
        update={"steps": 2 * MEASURED_STEPS, "evaluations": 2, "patience": 0}
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(space.resources.cpu)))  # as a worker does
    try:
        *_, measured = train(config, device="cuda" if gpu else "cpu")
    finally:
        torch.set_num_threads(threads)
    confirm = space.confirm
    return Estimate(
        trials=space.budget.trials,
        steps=space.budget.steps,
        evaluations=min(space.budget.evaluations, space.budget.steps),
        confirmations=(confirm.top + 1) * confirm.seeds if confirm.top else 0,
        slots=min(_slots_here(space), max_concurrent or sys.maxsize),
        step_seconds=measured.training_seconds / MEASURED_STEPS,
        evaluation_seconds=measured.evaluation_seconds,
    )


def _slots_here(space: SearchSpace) -> int:
    import torch

    fitting = int((os.cpu_count() or 1) / space.resources.cpu)
    if space.resources.gpu:
        fitting = min(fitting, int(torch.cuda.device_count() / space.resources.gpu))
    return max(1, fitting)


# ---------------------------------------------------------------- behind the functions above


class _LowEnds:
    """Stands in for an Optuna trial: the first option, the low end of every range."""

    def suggest_float(self, name: str, low: float, high: float, **rest: Any) -> float:
        return low

    def suggest_int(self, name: str, low: int, high: int, **rest: Any) -> int:
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[0]


class _Draws:
    """Stands in for an Optuna trial: independent draws."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None:
            return low + step * self._random.randint(0, int((high - low) / step + 1e-6))
        if log:
            return math.exp(self._random.uniform(math.log(low), math.log(high)))
        return self._random.uniform(low, high)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        if log:
            return round(self.suggest_float(name, low, high, log=True))
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)


class _Decided:
    """Stands in for an Optuna trial: what is given, and the rest from another one."""

    def __init__(self, given: Mapping[str, Any], rest: _LowEnds | _Draws) -> None:
        self._given, self._rest = given, rest
        self.used: set[str] = set()

    def suggest_float(self, name: str, low: float, high: float, **rest: Any) -> float:
        return float(self._pick(name, lambda: self._rest.suggest_float(name, low, high, **rest)))

    def suggest_int(self, name: str, low: int, high: int, **rest: Any) -> int:
        return int(self._pick(name, lambda: self._rest.suggest_int(name, low, high, **rest)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._pick(name, lambda: self._rest.suggest_categorical(name, choices))

    def _pick(self, name: str, otherwise: Callable[[], Any]) -> Any:
        self.used.add(name)
        return self._given[name] if name in self._given else otherwise()


def _no_such_dimension(name: str, equals: str, known: Iterable[str]) -> str:
    if not equals:
        return "must be NAME=VALUE, such as loss=hinge"
    near = closest(name, known)
    hint = f"did you mean {near!r}?" if near else "gan-tune show lists them"
    return f"the space has no such range; {hint}"


def _value_of(dimension: Dimension, written: str) -> Any:
    """What was written, in the dimension's own type where it is of that type."""
    if dimension.kind == "choice":
        return {word(option): option for option in dimension.options}.get(written, written)
    try:
        number = float(written)
    except ValueError:
        return written
    if not math.isfinite(number):
        return written
    return int(number) if RANGES[dimension.kind].whole and number.is_integer() else number


def _check_names(**names: str | None) -> None:
    for what, name in names.items():
        rule = None if name is None else check_name(name)
        if rule is not None:
            raise GanTuneError(f"{what}: {rule}: {name!r}")


def _look_in(storage: str | Path) -> Storage:
    """The storage as it is: nothing is made, nothing is tried."""
    from gan_tune.searching.storage import Storage

    text = str(storage)
    return Storage(text if "://" in text else Path(text).expanduser().resolve().as_uri())


def _there_are(name: str, known: Iterable[str]) -> str:
    """`there are: ...`, what is most alike first."""

    def unlike(other: str) -> float:
        return -difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()

    return f"there are: {', '.join(sorted(sorted(set(known)), key=unlike)) or 'none'}"


def _search_names(root: Storage) -> list[str]:
    """The searches in a storage that have come as far as a trial."""
    return [name for name in root.names() if {HEADING, RESULT} & set(root.below(name).names())]


def _recorded_searches(tracking_uri: str | None) -> list[SearchInfo]:
    """The searches that MLflow knows; none where it has no record."""
    from gan_tune.tracking import history
    from gan_tune.tracking.store import connect

    try:
        return history.searches(connect(tracking_uri, create=False))
    except TrackingError:
        if _asked_for(tracking_uri):
            raise
        return []


def _asked_for(tracking_uri: str | None) -> bool:
    """Whether somebody said where the record is; else it is no fault that there is none yet."""
    return bool(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"))


def _bare(model: str) -> str:
    """The name in `NAME@alias` or `NAME/3`."""
    return re.split("[@/]", model.removeprefix("models:/"))[0]


def _model_names(tracking_uri: str | None) -> list[str]:
    return [model.name for model in models(tracking_uri)]


def _folder_status(root: Storage, name: str) -> SearchStatus:
    home = root.below(name)
    result = home.read_json(RESULT)
    heading = home.read_json(HEADING) or result
    holder = _holder(_driver_folder(home, name))
    trials = [_trial_status(home, trial, alive=bool(holder)) for trial in home.names("trials")]
    finished = result is not None and result["finished"]
    spent = [_seconds_so_far(home, heading, bool(holder)), result["seconds"] if result else None]
    return SearchStatus(
        name=name,
        state=RUNNING if holder else "finished" if finished else "interrupted",
        holder=holder,
        metric=heading["metric"],
        mode=heading["mode"],
        trials=heading["trials"],
        minutes=heading["minutes"],
        seconds=max((seconds for seconds in spent if seconds is not None), default=None),
        rows=_best_first(trials, heading["mode"]),
        where=home.local_path("").rstrip("/"),
    )


def _trial_status(home: Storage, name: str, *, alive: bool) -> TrialStatus:
    ending = home.read_json(f"trials/{name}/outcome.json")
    steps = [int(n.removesuffix(".json")) for n in home.names(f"trials/{name}/reports")]
    described = home.read_json(f"trials/{name}/trial.json") or {"config": {}}
    if ending is None:
        last = home.read_json(f"trials/{name}/reports/{max(steps)}.json") if steps else {}
        outcome, value = RUNNING if alive else "interrupted", (last or {}).get("best")
    else:
        outcome, value = ending["outcome"], ending["value"]
    return TrialStatus(
        name=name,
        kind="confirmation" if "-confirm-" in name else "search",
        outcome=outcome,
        value=value,
        step=max(steps, default=0),
        steps=described["config"].get("steps"),
    )


def _seconds_so_far(home: Storage, heading: Mapping[str, Any], alive: bool) -> float | None:
    """Wall time spent so far: up to now, or up to the last report of a command that has died."""
    if "started_ms" not in heading:
        return None
    end = time.time() * 1000 if alive else heading["started_ms"]
    for trial in [] if alive else home.names("trials"):
        steps = [int(n.removesuffix(".json")) for n in home.names(f"trials/{trial}/reports")]
        last = home.read_json(f"trials/{trial}/reports/{max(steps)}.json") if steps else None
        end = max(end, last["timestamp_ms"]) if last else end
    return float(heading["seconds_before"] + (end - heading["started_ms"]) / 1000)


def _holder(folder: Path) -> str:
    """Who works on a search, empty for nobody; on another machine one can only take its word."""
    import psutil

    path = folder / "search.lock"
    try:
        written = path.stat().st_mtime
        match = re.fullmatch(r"process (\d+) on (.+)", path.read_text().strip())
    except OSError:
        return ""
    if match is None:
        return ""
    if match[2] != socket.gethostname():
        return match[0]
    try:
        # A process that is younger than the lock has but the dead one's number.
        return match[0] if psutil.Process(int(match[1])).create_time() <= written + 1 else ""
    except psutil.Error:
        return ""


def _best_first(rows: Iterable[TrialStatus], mode: str) -> list[TrialStatus]:
    sign = 1.0 if mode == "min" else -1.0

    def place(row: TrialStatus) -> tuple[bool, float]:
        sound = row.outcome not in ("diverged", "collapsed", "failed")
        return not sound, math.inf if row.value is None else sign * row.value

    return sorted(rows, key=place)


def _recorded_status(info: SearchInfo, tracking_uri: str | None) -> SearchStatus:
    from gan_tune.tracking import history
    from gan_tune.tracking.store import connect

    uri = connect(tracking_uri, create=False)
    rows = [
        TrialStatus(t.trial, t.kind, t.outcome, t.value, None, int(t.params["steps"]))
        for t in history.leaderboard(uri, info.name, experiment=info.experiment)
    ]
    states = {RUNNING: RUNNING, "completed": "finished"}
    spent = None if info.ended is None else (info.ended - info.started).total_seconds()
    return SearchStatus(
        name=info.name,
        state=states.get(info.outcome, "interrupted"),
        holder="",
        metric=info.objective.metric,
        mode=info.objective.mode,
        trials=None,
        minutes=None,
        seconds=spent,
        rows=rows,
        where=f"MLflow experiment {info.experiment}",
    )


def _best_of(result: SearchResult) -> Best:
    champion = result.champion
    if champion is None:
        why = "no trial was sound" if result.finished else "it was interrupted"
        raise SearchNotFoundError(
            f"search {result.name!r} has no champion ({why}); see gan-tune status {result.name}"
        )
    rows = {row["setting"]: row for row in result.rows}
    return Best(
        search=result.name,
        trial=champion["trial"],
        model=result.model,
        version=result.model_version,
        alias_holder=result.promoted if result.model else None,
        metric=result.metric,
        mode=result.mode,
        value=champion["mean"],
        spread=champion["spread"],
        seeds=champion["seeds"],
        first_mean=result.first_mean,
        test=result.test,
        decided=rows[champion["setting"]]["changes"],
        config=champion["config"],
    )


def _best_of_model(generator: Generator, tracking_uri: str | None) -> Best:
    from gan_tune.tracking import history
    from gan_tune.tracking.store import connect

    tags = {key.removeprefix("gan_tune."): value for key, value in generator.tags.items()}
    search, trial = tags.get("search"), tags.get("trial")
    params: Mapping[str, Any] = {}
    if search is not None:
        rows = history.leaderboard(connect(tracking_uri, create=False), search)
        params = next((row.params for row in rows if row.trial == trial), {})
    holder = {model.name: model.version for model in models(tracking_uri)}[generator.name]
    return Best(
        search=search,
        trial=trial,
        model=generator.name,
        version=generator.version,
        alias_holder=holder == generator.version,
        metric=tags.get("objective"),
        mode=tags.get("mode"),
        value=float(tags["value"]) if "value" in tags else None,
        spread=None,
        seeds=int(tags.get("confirmed_seeds", 0)),
        first_mean=None,
        test={key: float(value) for key, value in tags.items() if key.startswith("test.")},
        decided={},
        config=params,
    )


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
        from gan_tune.searching.study import CHANGED_SPACE

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
