"""What events become in MLflow, with a store in memory that can break off at any call."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import PIL.Image
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.entities import PagedList

from gan_tune.record.events import Event, Reported, SearchFinished, TrialEnded, TrialStarted
from gan_tune.record.grids import GRIDS
from gan_tune.record.projection import Projection
from gan_tune.record.tags import Tag

PARENT = "run-0"


@dataclass
class StoredRun:
    """A run as MLflow keeps it: metrics by key with all their points, in the order written."""

    tags: dict[str, str]
    status: str = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


class Store:
    """The calls of an MLflow client that a projection makes, on dictionaries.

    ``break_at`` is the number of the call that fails, before its effect or (``too_late``) after it.
    """

    def __init__(self, break_at: int | None = None, *, too_late: bool = False) -> None:
        self.runs = {PARENT: StoredRun({Tag.KIND: "parent"})}
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

    def create_run(
        self, experiment_id: str, *, start_time: int, tags: dict[str, str], run_name: str
    ) -> Any:
        def create() -> Any:
            run_id = f"run-{len(self.runs)}"
            self.runs[run_id] = StoredRun(dict(tags))
            return self._shown(run_id)

        return self._call(create)

    def update_run(self, run_id: str, status: str) -> None:
        self._call(lambda: setattr(self.runs[run_id], "status", status))

    def set_terminated(self, run_id: str, status: str, time_ms: int) -> None:
        self._call(lambda: setattr(self.runs[run_id], "status", status))

    def delete_tag(self, run_id: str, key: str) -> None:
        self._call(lambda: self.runs[run_id].tags.pop(key))

    def log_batch(
        self, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag]
    ) -> None:
        def write() -> None:
            run = self.runs[run_id]
            for metric in metrics:
                run.metrics.setdefault(metric.key, []).append((metric.step, metric.value))
            for param in params:
                assert run.params.setdefault(param.key, param.value) == param.value
            run.tags |= {tag.key: tag.value for tag in tags}

        self._call(write)

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        points = self.runs[run_id].metrics.get(key, [])
        return cast(
            list[Any], self._call(lambda: [SimpleNamespace(step=step) for step, _ in points])
        )

    def list_artifacts(self, run_id: str, folder: str) -> list[Any]:
        files = self.runs[run_id].files
        found = [SimpleNamespace(path=file) for file in files if file.startswith(folder)]
        return cast(list[Any], self._call(lambda: found))

    def log_artifacts(self, run_id: str, folder: str, below: str = "") -> None:
        names = sorted(path.name for path in Path(folder).rglob("*") if path.is_file())

        def write() -> None:
            files = self.runs[run_id].files
            files += [path for name in names if (path := f"{below}/{name}") not in files]

        self._call(write)

    def search_runs(self, experiments: list[str], rule: str, **_: object) -> PagedList[Any]:
        def found() -> PagedList[Any]:
            children = [run_id for run_id, run in self.runs.items() if Tag.TRIAL in run.tags]
            wanted = [i for i in children if "status" not in rule or self._is_running(i)]
            return PagedList([self._shown(run_id) for run_id in wanted], None)

        return cast(PagedList[Any], self._call(found))

    def _is_running(self, run_id: str) -> bool:
        return self.runs[run_id].status == "RUNNING"

    def _shown(self, run_id: str) -> Any:
        run = self.runs[run_id]
        info = SimpleNamespace(run_id=run_id, status=run.status, artifact_uri="s3://bucket/x")
        data = SimpleNamespace(
            tags=dict(run.tags), params=dict(run.params), metrics=dict.fromkeys(run.metrics, 0.0)
        )
        return SimpleNamespace(info=info, data=data)

    def record(self) -> dict[str, StoredRun]:
        """A copy of the runs by trial, without what is random in the names of pictures."""
        named = {run.tags.get(Tag.TRIAL, ""): run for run in copy.deepcopy(self.runs).values()}
        for run in named.values():
            run.files = sorted(file.split("+timestamp+")[0] for file in run.files)
        assert len(named) == len(self.runs), "a trial has two runs"
        return named


def grid() -> bytes:
    file = io.BytesIO()
    PIL.Image.new("L", (8, 8)).save(file, "PNG")
    return file.getvalue()


def started(trial: str, **tags: str) -> TrialStarted:
    return TrialStarted(trial, 0, 0, "search", {"lr": 1e-3, "clip.#0": 1}, tags, 1)


def reported(trial: str, step: int, value: float) -> Reported:
    return Reported(trial, step, {"kid": value, "g_loss": -value}, step, grid())


HISTORY: Sequence[Event] = [
    started("a"),
    reported("a", 10, 5.0),
    started("b", **{Tag.PARENT: "a"}),
    reported("a", 20, 4.0),
    reported("b", 10, 7.0),
    TrialEnded("b", "failed", {}, "Boom\nTraceback", (), 5),
    TrialEnded("a", "interrupted", {"kid": 4.0}, None, ("oscillating",), 6),
    # It goes on; a param cannot change.
    TrialStarted("a", 0, 0, "search", {"lr": 0.5, "new": 2}, {}, 7),
    reported("a", 20, 4.5),  # told again
    reported("a", 30, 3.0),
    started("c"),
    TrialEnded("a", "completed", {"kid": 3.0}, None, (), 9),
    SearchFinished("completed", [{"trial": "a"}], {"champion.png": grid()}, {"x": 1.0}, {}, 10),
]


def projection_of(store: Store) -> Projection:
    return Projection(
        cast(MlflowClient, store),
        experiment_id="1",
        parent_run_id=PARENT,
        search="digits",
        code_version="1",
    )


def applied(store: Store, events: Sequence[Event]) -> dict[str, StoredRun]:
    """The record after events, one delivery after the other; one that breaks off is repeated."""
    projection = projection_of(store)
    for delivery in (events[start : start + 3] for start in range(0, len(events), 3)):
        try:
            projection.apply(delivery)
        except ConnectionError:
            projection.forget()
            projection.apply(delivery)
    return store.record()


def test_the_record_of_a_search() -> None:
    record = applied(Store(), HISTORY)
    assert {trial: run.status for trial, run in record.items()} == {
        "": "FINISHED",
        "a": "FINISHED",
        "b": "FAILED",
        "c": "KILLED",
    }
    a, b = record["a"], record["b"]
    assert a.metrics["kid"] == [(10, 5.0), (20, 4.0), (30, 3.0)]
    assert a.params == {"lr": "0.001", "clip._0": "1", "new": "2"}
    assert a.tags[Tag.OUTCOME] == "completed"
    assert Tag.SYMPTOMS not in a.tags  # they told of an end that was none
    assert [file for file in a.files if "+step+30" in file]
    assert all(file.startswith(f"images/{GRIDS}+step+") for file in a.files)
    assert (b.tags[Tag.ERROR], b.tags[Tag.PARENT]) == ("Boom", "a")
    assert record["c"].tags[Tag.OUTCOME] == "interrupted"
    assert record[""].metrics == {"x": [(0, 1.0)]}


def _without_repeats(record: dict[str, StoredRun]) -> dict[str, StoredRun]:
    """The latest of what is told at each end: MLflow shows the last point, and keeps them all."""
    for run in record.values():
        for key, points in run.metrics.items():
            if key.startswith("best.") or key == "x":
                run.metrics[key] = points[-1:]
    return record


@cache
def _unbroken() -> tuple[int, dict[str, StoredRun]]:
    """How many calls a record takes, and the record."""
    store = Store()
    record = _without_repeats(applied(store, HISTORY))
    return store.calls, record


@pytest.mark.parametrize("too_late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(1, _unbroken()[0] + 1))
def test_a_delivery_that_broke_off_is_repeated(call: int, too_late: bool) -> None:
    broken = Store(call, too_late=too_late)
    assert _without_repeats(applied(broken, HISTORY)) == _unbroken()[1]


def test_another_command_that_tells_all_again_adds_nothing() -> None:
    store = Store()
    applied(store, HISTORY)
    again = _without_repeats(applied(store, HISTORY))
    assert again == _unbroken()[1]


def test_an_event_of_a_trial_that_never_started_is_refused() -> None:
    with pytest.raises(KeyError, match="trial 'x' has no run: it was never started"):
        projection_of(Store()).apply([reported("x", 1, 1.0)])
