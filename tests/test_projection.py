"""What a search's folder becomes in MLflow: with a store in memory that breaks off at any call."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.entities import PagedList
from written_search import PARAMS, WrittenSearch

from gan_tune.record import projection as projection_file
from gan_tune.record.mlflow_grids import GRIDS
from gan_tune.record.mlflow_internals import NOTE
from gan_tune.record.projection import Projection
from gan_tune.record.tags import Tag


@dataclass
class StoredRun:
    """A run as MLflow keeps it: metrics by key with all their points, in the order written."""

    tags: dict[str, str]
    status: str = "RUNNING"
    end_time: int = 0
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


class Store:
    """The calls of an MLflow client that a projection makes, on dictionaries.

    ``break_at`` is the number of the call that fails, before its effect or (``too_late``) after it.
    """

    def __init__(self, break_at: int | None = None, *, too_late: bool = False) -> None:
        self.runs: dict[str, StoredRun] = {}
        self.calls = 0
        self._break_at, self._too_late = break_at, too_late

    def _call(self, effect: Callable[[], Any]) -> Any:
        self.calls += 1
        breaks = self.calls == self._break_at
        if breaks and not self._too_late:
            raise ConnectionError("no answer")
        result = effect()
        if breaks:
            raise ConnectionError("no answer")
        return result

    def get_experiment_by_name(self, name: str) -> Any:
        found = SimpleNamespace(
            experiment_id="1", lifecycle_stage="active", artifact_location="mlflow-artifacts:/1"
        )
        return self._call(lambda: found)

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        self._call(lambda: None)

    def get_run(self, run_id: str) -> Any:
        return self._call(lambda: self._shown(run_id))

    def log_text(self, run_id: str, text: str, name: str) -> None:
        self._call(lambda: self.runs[run_id].files.append(name))

    def log_inputs(self, run_id: str, inputs: list[Any]) -> None:
        self._call(lambda: None)

    def delete_run(self, run_id: str) -> None:
        self._call(lambda: self.runs.pop(run_id))

    def create_run(
        self, experiment_id: str, *, tags: dict[str, str], run_name: str, start_time: int = 0
    ) -> Any:
        def create() -> Any:
            run_id = f"run-{self.calls}"
            self.runs[run_id] = StoredRun(dict(tags))
            return self._shown(run_id)

        return self._call(create)

    def update_run(self, run_id: str, status: str) -> None:
        self._call(lambda: setattr(self.runs[run_id], "status", status))

    def set_terminated(self, run_id: str, status: str, time_ms: int) -> None:
        def end() -> None:
            self.runs[run_id].status, self.runs[run_id].end_time = status, time_ms

        self._call(end)

    def delete_tag(self, run_id: str, key: str) -> None:
        self._call(lambda: self.runs[run_id].tags.pop(key))

    def log_batch(
        self, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag]
    ) -> None:
        def write() -> None:
            run = self.runs[run_id]
            for metric in metrics:
                point = (metric.step, metric.value, metric.timestamp)
                points = run.metrics.setdefault(metric.key, [])
                points += [point] if point not in points else []  # as the SQL store does it
            for param in params:
                assert run.params.setdefault(param.key, param.value) == param.value
            run.tags |= {tag.key: tag.value for tag in tags}

        self._call(write)

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        points = self.runs[run_id].metrics.get(key, [])
        return cast(
            list[Any], self._call(lambda: [SimpleNamespace(step=step) for step, *_ in points])
        )

    def list_artifacts(self, run_id: str, folder: str) -> list[Any]:
        files = self.runs[run_id].files
        found = [SimpleNamespace(path=file) for file in files if file.startswith(folder)]
        return cast(list[Any], self._call(lambda: found))

    def log_artifacts(self, run_id: str, folder: str, below: str = "") -> None:
        names = sorted(path.name for path in Path(folder).rglob("*") if path.is_file())

        def write() -> None:
            files = self.runs[run_id].files
            paths = [f"{below}/{name}".lstrip("/") for name in names]
            files += [path for path in paths if path not in files]

        self._call(write)

    def search_runs(self, experiments: list[str], rule: str, **_: object) -> PagedList[Any]:
        """Rules are `tags.KEY = 'VALUE' and ...`. Nothing was ever deleted."""
        wanted = dict(re.findall(r"tags\.`([^`]+)` = '([^']*)'", rule))
        assert wanted

        def found() -> PagedList[Any]:
            fit = [i for i, run in self.runs.items() if wanted.items() <= run.tags.items()]
            return PagedList([self._shown(i) for i in fit if "run_view_type" not in _], None)

        return cast(PagedList[Any], self._call(found))

    def _shown(self, run_id: str) -> Any:
        run = self.runs[run_id]
        info = SimpleNamespace(
            run_id=run_id,
            experiment_id="1",
            status=run.status,
            artifact_uri="s3://bucket/x",
            start_time=0,
            end_time=run.end_time,
        )
        data = SimpleNamespace(
            tags=dict(run.tags), params=dict(run.params), metrics=dict.fromkeys(run.metrics, 0.0)
        )
        return SimpleNamespace(info=info, data=data)

    def record(self) -> dict[str, StoredRun]:
        """A copy of the runs by trial, without what is random in the names of pictures."""
        named = {run.tags.get(Tag.TRIAL, ""): run for run in copy.deepcopy(self.runs).values()}
        for run in named.values():
            run.files = sorted({file.split("+timestamp+")[0] for file in run.files})
            for random in ("mlflow.parentRunId", Tag.OWNER, Tag.DESCRIBED):
                run.tags.pop(random, None)
            if NOTE in run.tags:
                run.tags[NOTE] = re.sub(r"run-\d+", "RUN", run.tags[NOTE])
        assert len(named) == len(self.runs), "a trial has two runs"
        return named


def written(folder: Path, phase: int) -> WrittenSearch:
    """A search after its first command (0), which was killed, or after its second one (1)."""
    search = WrittenSearch(folder)
    search.start("0000")
    search.report("0000", 10, frechet_distance=5.0)
    search.start("0001", lineage=[{"trial": "0000", "until": 10, "config": {}}])
    search.report("0001", 10, frechet_distance=7.0)
    search.end("0001", "failed", error="Boom\nTraceback")
    search.report("0000", 20, frechet_distance=4.0)
    if phase:  # it goes on; a param cannot change
        search.start("0000", params={**PARAMS, "ema": 0.5, "new": 2})
        search.report("0000", 20, at=77, frechet_distance=4.0)  # trained again
        search.report("0000", 30, frechet_distance=3.0)
        search.end("0000", "completed")
        search.start("0002")
        search.home.write("champion.png", b"png")
        search.finish(
            files={"champion.png": "champion.png"}, metrics={"x": 1.0}, leaderboard=[{"trial": "a"}]
        )
    return search


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> tuple[WrittenSearch, WrittenSearch]:
    """The search after its first command, which was killed, and after its second one."""
    folder = tmp_path_factory.mktemp("search")
    first = written(folder / "first", 0)
    shutil.copytree(folder / "first", folder / "second")
    return first, written(folder / "second", 1)


def projection(search: WrittenSearch) -> Projection:
    return Projection("sqlite:///unused.db", search.home, search.entry)


def delivered(store: Store, search: WrittenSearch) -> None:
    """The calls that a delivery makes; one that breaks off is repeated, as a delivery does it."""
    made, ending = projection(search), search.spool.ending()

    def persist(call: Callable[[], Any], trial: str | None = None) -> Any:
        try:
            return call()
        except ConnectionError:
            if trial is not None:
                made.forget(trial)
            return call()

    persist(lambda: made.open(ending, goes_on=False))
    for _ in range(3):
        for trial in made.trials():
            if persist(lambda: made.write_figures(trial, runs=False), trial):  # noqa: B023
                persist(lambda: made.write_rest(trial, runs=False), trial)  # noqa: B023
        if not persist(lambda: made.finish(ending)):
            return
    raise AssertionError("it is never complete")


Connected = Callable[[Store], Store]
Commands = tuple[WrittenSearch, WrittenSearch]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Connected:
    """Lets projections use a store."""
    monkeypatch.setattr(projection_file, "connect", lambda uri: uri)

    def use(store: Store) -> Store:
        monkeypatch.setattr(projection_file, "client", lambda uri: store)
        return store

    return use


def test_the_record_of_a_search(connected: Connected, commands: Commands) -> None:
    store = connected(Store())
    for search in commands:
        delivered(store, search)
    record = store.record()
    assert {trial: run.status for trial, run in record.items()} == {
        "": "FINISHED",
        "0000": "FINISHED",
        "0001": "FAILED",
        "0002": "KILLED",
    }
    first, fork = record["0000"], record["0001"]
    values = [(step, value) for step, value, _ in first.metrics["frechet_distance"]]
    assert values == [(10, 5.0), (20, 4.0), (30, 3.0)]
    assert first.params["ema"] == "null"
    assert first.params["new"] == "2"
    assert first.tags[Tag.OUTCOME] == "completed"
    assert [file for file in first.files if "+step+30" in file]
    assert all(file.startswith(f"images/{GRIDS}+step+") for file in first.files)
    assert (fork.tags[Tag.ERROR], fork.tags[Tag.PARENT]) == ("Boom", "0000")
    assert record["0002"].tags[Tag.OUTCOME] == "interrupted"
    assert record[""].metrics == {"x": [(0, 1.0, 9_000_000)]}
    assert "champion.png" in record[""].files


def _timeless(record: dict[str, StoredRun]) -> dict[str, StoredRun]:
    """Without the time at which a trial without reports is said to have ended."""
    record["0002"].end_time = 0
    return record


@pytest.mark.parametrize("too_late", [False, True], ids=["before", "after"])
def test_a_delivery_that_broke_off_at_any_call_is_repeated(
    too_late: bool, connected: Connected, commands: Commands
) -> None:
    unbroken = connected(Store())
    for search in commands:
        delivered(unbroken, search)
    expected = _timeless(unbroken.record())
    for call in range(1, unbroken.calls + 1):
        store = connected(Store(call, too_late=too_late))
        for search in commands:
            delivered(store, search)
        assert _timeless(store.record()) == expected, call


def test_a_run_that_was_created_after_its_answer_was_given_up_is_deleted(
    connected: Connected, commands: Commands
) -> None:
    store = connected(Store())
    search = commands[1]
    delivered(store, search)
    expected = store.record()
    for run_id in [*store.runs]:
        store.runs[f"{run_id}-double"] = StoredRun(dict(store.runs[run_id].tags))
    delivered(store, search)
    assert store.record() == expected
