"""The record of a search in a real MLflow: SQLite, and a server on loopback."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils import mlflow_tags
from torch import nn

from gan_tune.config import Objective
from gan_tune.errors import GanTuneError, SearchNotFoundError, TrackingError
from gan_tune.record import mlflow_internals
from gan_tune.record import mlflow_store as store
from gan_tune.record.ended_trials import ended_trials
from gan_tune.record.history import leaderboard, searches
from gan_tune.record.recorder import DatasetInfo, Recorder, connect
from gan_tune.record.requests import MAX_BYTES, batches, metric_value, param_text
from gan_tune.registry.publish import register_champion
from gan_tune.registry.pull import load_generator
from gan_tune.registry.versions import list_models
from gan_tune.service.running.earlier_searches import read_searches
from gan_tune.service.space_and_setting import load_space
from gan_tune.words.outcomes import OUTCOMES

OBJECTIVE = Objective(metric="frechet_distance", mode="min")
PARAMS = {"generator_optimizer.lr": 1e-4, "generator.hidden": [128, 256], "ema": None}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with MLflow's tables and nothing else: making one takes two seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def png(seed: int = 0, size: int = 32) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def opened(
    uri: str, search: str = "digits", tags: dict[str, str] | None = None, **options: Any
) -> Recorder:
    recorder = Recorder(
        uri, experiment=search, search=search, **{"system_metrics": False, **options}
    )
    recorder.open(
        space_text="name: digits\n",
        space_params={"budget.trials": 4},
        objective=OBJECTIVE,
        tags={"team": "gans"} | (tags or {}),
        dataset=DatasetInfo("digits", "abc123", "scikit-learn", {"train": 1197}),
    )
    return recorder


def start(recorder: Recorder, trial: str = "t0", **changes: Any) -> None:
    arguments: dict[str, Any] = {"setting": 0, "replicate": 0, "kind": "search", "params": PARAMS}
    recorder.trial_started(trial, **{**arguments, **changes})


def report(recorder: Recorder, trial: str, step: int, at: int = 0, **scalars: float) -> None:
    values = {"frechet_distance": 10.0 / step, **scalars}
    recorder.reported(trial, step, values, timestamp_ms=at or 1000 * step, grid=png(step))


def run_trial(recorder: Recorder, trial: str, outcome: str = "completed", **changes: Any) -> None:
    start(recorder, trial, **changes)
    for step in (10, 20):
        report(recorder, trial, step)
    recorder.trial_ended(trial, outcome, best={"frechet_distance": 0.5})


def runs(uri: str, search: str = "digits") -> dict[str, Run]:
    """Runs by trial; the parent under ''. Two runs of one trial are a failure."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(search)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    counts = Counter(run.data.tags.get("gan_tune.trial", "") for run in found)
    assert set(counts.values()) == {1}, counts
    return {run.data.tags.get("gan_tune.trial", ""): run for run in found}


def steps(uri: str, run: Run, key: str = "frechet_distance") -> list[int]:
    return [metric.step for metric in MlflowClient(uri).get_metric_history(run.info.run_id, key)]


def slider(uri: str, run: Run) -> list[str]:
    """The names MLflow's UI builds its slider from, without time and uuid."""
    files = MlflowClient(uri).list_artifacts(run.info.run_id, "images")
    names = [Path(file.path).name.split("+timestamp+")[0] for file in files]
    assert all(count == 2 for count in Counter(names).values())  # the picture and its thumbnail
    return sorted(set(names))


def test_pictures_are_stored_as_mlflow_itself_would(uri: str, tmp_path: Path) -> None:
    recorder = opened(uri)
    start(recorder)
    report(recorder, "t0", 10, at=1234)
    assert recorder.close() == 0
    client, ours = MlflowClient(uri), runs(uri)["t0"]
    made = client.create_run(ours.info.experiment_id)
    with PIL.Image.open(io.BytesIO(png(10))) as picture:
        client.log_image(made.info.run_id, picture, key="samples", step=10, timestamp=1234)

    def stored(run: Run) -> dict[str, tuple[str | None, tuple[int, int], bytes]]:
        folder = tmp_path / run.info.run_id
        folder.mkdir()
        found = {}
        for file in Path(client.download_artifacts(run.info.run_id, "images", folder)).iterdir():
            with PIL.Image.open(file) as image:
                name = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", file.name)
                exact = image.tobytes() if image.format == "PNG" else b""
                found[name] = (image.format, image.size, exact)
        return found

    theirs = client.get_run(made.info.run_id)
    assert stored(ours) == stored(theirs)
    tag = "mlflow.loggedImages"
    assert ours.data.tags[tag] == theirs.data.tags[tag]


def test_tags_for_mlflows_pages_are_named_as_in_mlflow() -> None:
    own = {
        mlflow_internals.PARENT_RUN: "PARENT_RUN_ID",
        mlflow_internals.HAS_IMAGES: "LOGGED_IMAGES",
        mlflow_internals.SOURCE_NAME: "SOURCE_NAME",
        mlflow_internals.SOURCE_TYPE: "SOURCE_TYPE",
        mlflow_internals.DATA_CONTEXT: "DATASET_CONTEXT",
        mlflow_internals.MODEL_VERSIONS: "MODEL_VERSIONS",
    }
    for tag, name in own.items():
        assert tag == getattr(mlflow_tags, f"MLFLOW_{name}")


def test_an_image_is_known_by_the_name_it_was_given() -> None:
    name = mlflow_internals.image_name("samples", 30, 1234)
    assert mlflow_internals.image_step("samples", f"{name}.png") == 30
    assert mlflow_internals.image_step("samples", "samples%step%30%timestamp%1%u.png") == 30
    for other in (f"{name}+compressed.webp", f".{name}.png.12ab34cd", f"old_{name}.png"):
        assert mlflow_internals.image_step("samples", other) is None


def test_a_trial_is_one_run_under_the_search(uri: str, tmp_path: Path) -> None:
    recorder = opened(uri)
    start(recorder, "t0", setting=3, replicate=1, kind="confirmation", tags={"worker": "w1"})
    report(recorder, "t0", 10, at=1234, g_loss=0.7)
    grid = tmp_path / "grid.png"
    grid.write_bytes(png(20))
    recorder.reported("t0", 20, {"frechet_distance": 0.5}, timestamp_ms=2345, grid=grid)
    recorder.trial_ended("t0", "completed", best={"frechet_distance": 0.5, "kid": math.inf})
    assert recorder.flush()
    assert recorder.run_id("t0") == runs(uri)["t0"].info.run_id
    assert recorder.close() == 0

    found = runs(uri)
    run, parent = found["t0"], found[""]
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id == recorder.parent_run_id
    expected = {
        "mlflow.runName": "t0",
        "gan_tune.search": "digits",
        "gan_tune.setting": "3",
        "gan_tune.replicate": "1",
        "gan_tune.trial": "t0",
        "gan_tune.kind": "confirmation",
        "gan_tune.outcome": "completed",
        "worker": "w1",
    }
    assert expected.items() <= run.data.tags.items()
    assert "gan_tune.code_version" in run.data.tags
    assert run.data.params == {
        "generator_optimizer.lr": "0.0001",
        "generator.hidden": "[128, 256]",
        "ema": "null",
    }
    history = MlflowClient(uri).get_metric_history(run.info.run_id, "frechet_distance")
    assert [(m.step, m.timestamp, m.value) for m in history] == [(10, 1234, 1.0), (20, 2345, 0.5)]
    assert run.data.metrics["best.frechet_distance"] == 0.5
    assert "best.kid" not in run.data.metrics
    assert slider(uri, run) == ["samples+step+10", "samples+step+20"]
    assert run.data.tags["mlflow.loggedImages"] == "True"
    assert run.info.end_time >= run.info.start_time


def test_the_parent_holds_the_search(uri: str, tmp_path: Path) -> None:
    recorder = opened(uri)
    run_trial(recorder, "t0")
    recorder.finished(
        "completed",
        leaderboard=[{"trial": "t0", "value": 0.5}, {"trial": "t1", "note": "pruned"}],
        figures={"champion.png": png(), "plots/history.png": png(1), "gone.png": tmp_path / "no"},
        metrics={"test.frechet_distance": 0.6},
        tags={"gan_tune.champion": "t0"},
    )
    assert recorder.close() == 0
    parent = runs(uri)[""]
    client = MlflowClient(uri)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["test.frechet_distance"] == 0.6
    assert parent.data.params == {"budget.trials": "4"}
    assert parent.data.tags["team"] == "gans"
    assert parent.data.tags["gan_tune.champion"] == "t0"
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"space.yaml", "champion.png", "plots", "leaderboard.csv", "leaderboard.json"}
    table = Path(client.download_artifacts(parent.info.run_id, "leaderboard.csv")).read_text()
    assert table.splitlines() == ["trial,value,note", "t0,0.5,", "t1,,pruned"]
    (given,) = parent.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("digits", "abc123")
    # Whoever opens the store from another folder must find the files.
    assert parent.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_status_follows_the_outcome(uri: str, outcome: str) -> None:
    recorder = opened(uri)
    start(recorder)
    recorder.trial_ended("t0", outcome, error="Boom\nTraceback", symptoms=("oscillating", "x"))
    assert recorder.close() == 0
    run = runs(uri)["t0"]
    assert run.info.status == OUTCOMES[outcome].mlflow_status
    assert run.data.tags["gan_tune.outcome"] == outcome
    assert run.data.tags["gan_tune.error"] == "Boom"
    assert run.data.tags["gan_tune.symptoms"] == "oscillating, x"


def test_an_unknown_outcome_is_refused(uri: str) -> None:
    recorder = opened(uri)
    with pytest.raises(ValueError, match=r"outcome must be one of completed, .*: 'done'"):
        recorder.trial_ended("t0", "done")
    recorder.close()
    with pytest.raises(RuntimeError, match="not open"):
        start(recorder)


@pytest.mark.parametrize("outcome", ["completed", "interrupted"])
def test_nothing_is_left_running(uri: str, outcome: str) -> None:
    recorder = opened(uri)
    run_trial(recorder, "t0")
    start(recorder, "t1")
    recorder.finished(outcome)
    assert recorder.close() == 0
    found = runs(uri)
    assert found["t0"].info.status == "FINISHED"
    assert found["t1"].info.status == "KILLED"
    assert found["t1"].data.tags["gan_tune.outcome"] == "interrupted"
    assert found[""].info.status == OUTCOMES[outcome].mlflow_status


def test_a_search_that_goes_on_keeps_its_runs(uri: str) -> None:
    first = opened(uri)
    run_trial(first, "t0")
    start(first, "t1")
    report(first, "t1", 10)
    report(first, "t1", 20, g_loss=1.0)
    first.trial_ended("t1", "interrupted", best={"frechet_distance": 0.5})
    first.finished("interrupted")
    first.close()
    before = {trial: run.info.run_id for trial, run in runs(uri).items()}

    second = opened(uri)
    start(second, "t1")
    start(second, "t2")
    second.flush()
    resumed = runs(uri)
    assert resumed["t1"].info.status == resumed[""].info.status == "RUNNING"
    assert "gan_tune.outcome" not in resumed["t1"].data.tags
    report(second, "t1", 20, at=99_999, g_loss=2.0)  # told again, at another time
    report(second, "t1", 30)
    report(second, "t1", 30)
    second.trial_ended("t1", "completed", best={"frechet_distance": 0.25})
    second.trial_ended("t2", "pruned")
    second.finished("completed")
    assert second.close() == 0

    found = runs(uri)
    assert second.recorded_outcome("t0") == "completed"
    assert second.recorded_outcome("t1") == "interrupted"
    assert second.recorded_outcome("t2") is None
    assert before.items() <= {trial: run.info.run_id for trial, run in found.items()}.items()
    assert steps(uri, found["t1"]) == [10, 20, 30]
    assert steps(uri, found["t1"], "g_loss") == [20]
    assert slider(uri, found["t1"]) == [f"samples+step+{step}" for step in (10, 20, 30)]
    assert found["t1"].data.metrics["best.frechet_distance"] == 0.25
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_a_killed_driver_leaves_runs_that_are_found_again(uri: str) -> None:
    first = opened(uri)
    start(first)
    report(first, "t0", 10)
    first.flush()  # and then nothing: neither an end nor close()
    second = opened(uri)
    start(second, params={**PARAMS, "ema": 0.9, "new": 1})
    report(second, "t0", 10, at=5)
    second.finished("interrupted")
    assert second.close() == 0
    run = runs(uri)["t0"]
    assert steps(uri, run) == [10]
    assert slider(uri, run) == ["samples+step+10"]
    assert run.data.params["ema"] == "null"  # a param cannot change
    assert run.data.params["new"] == "1"
    first.close()


def test_large_trials_are_split_into_requests(uri: str) -> None:
    recorder = opened(uri)
    params = {f"p{i}": "x" * 7000 if i < 3 else i for i in range(250)} | {"clip.#0.max": 1.0}
    start(recorder, params=params)
    scalars = {f"metric {i}": float(i) for i in range(2300)}
    recorder.reported("t0", 1, scalars, timestamp_ms=1, grid=None)
    recorder.trial_ended("t0", "completed", error="y" * 20_000)
    assert recorder.close() == 0
    run = runs(uri)["t0"]
    assert len(run.data.params) == 251
    assert len(run.data.params["p0"]) == 6000
    assert run.data.params["clip._0.max"] == "1.0"
    assert {key: run.data.metrics[key] for key in scalars} == scalars


def test_batches_keep_mlflows_limits_and_lose_nothing() -> None:
    entities = [
        *(Metric(f"m{i}", 1.0, 0, 0) for i in range(2500)),
        *(Param(f"p{i}", "é" * 6000) for i in range(250)),
        *(RunTag(f"t{i}", "y" * 8000) for i in range(250)),
    ]
    made = list(batches(entities))
    assert [entity for batch in made for entity in batch] == entities
    for batch in made:
        kinds = Counter(map(type, batch))
        assert kinds[Metric] <= 1000
        assert max(kinds[Param], kinds[RunTag]) <= 100
        assert len(batch) <= 1000
        assert sum(len(f"{e.key}{e.value}".encode()) for e in batch) <= MAX_BYTES


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_recorded_as_nan(uri: str, value: float) -> None:
    assert math.isnan(metric_value(value))
    recorder = opened(uri)
    start(recorder)
    recorder.reported("t0", 1, {"g_loss": value}, timestamp_ms=1)
    recorder.close()
    assert math.isnan(runs(uri)["t0"].data.metrics["g_loss"])


def test_params_read_as_in_a_space_file() -> None:
    values = [None, True, 1e-4, "adam", [128, 256], {"a": 1}]
    assert [param_text(value) for value in values] == [
        "null",
        "true",
        "0.0001",
        "adam",
        "[128, 256]",
        '{"a": 1}',
    ]


def test_what_mlflow_refuses_is_left_out_alone(
    uri: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    recorder = opened(uri)
    start(recorder)
    report(recorder, "never started", 1)
    recorder.reported("t0", 1, {"g_loss": 1.0}, timestamp_ms=-5)  # MLflow takes no such time
    (tmp_path / "broken.png").write_bytes(b"no picture")
    recorder.reported("t0", 2, {"g_loss": 1.0}, timestamp_ms=2, grid=tmp_path / "broken.png")
    recorder.trial_ended("t0", "completed")
    with caplog.at_level(logging.WARNING, "gan_tune"):
        undelivered = recorder.close()
    run = runs(uri)["t0"]
    assert (run.info.status, steps(uri, run, "g_loss")) == ("FINISHED", [2])
    assert undelivered == recorder.undelivered == 2
    assert "never started" in caplog.text
    assert "a sample grid is missing" in caplog.text
    assert "2 events of search 'digits' did not reach MLflow" in caplog.text


def test_a_deleted_experiment_is_restored(uri: str) -> None:
    recorder = opened(uri)
    run_trial(recorder, "t0")
    recorder.finished("completed")
    recorder.close()
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    again = opened(uri)
    assert again.parent_run_id == recorder.parent_run_id
    again.close()


def test_history_reads_the_record_back(uri: str) -> None:
    recorder = opened(uri, "o'neill")
    for number, outcome in enumerate(OUTCOMES):
        start(recorder, f"t{number}", setting=number)
        recorder.trial_ended(f"t{number}", outcome, best={"frechet_distance": 9.0 - number})
    start(recorder, "t9", setting=9)
    recorder.flush()
    (info,) = searches(uri)
    assert (info.name, info.experiment, info.outcome) == ("o'neill", "o'neill", "running")
    assert info.counts == {**dict.fromkeys(OUTCOMES, 1), "running": 1}
    assert info.best == 4.0  # of the interrupted trial: the collapsed and failed ones do not count
    assert info.ended is None
    recorder.finished("completed")
    recorder.close()
    (info,) = searches(uri)
    assert info.outcome == "completed"
    assert info.ended is not None
    rows = leaderboard(uri, "o'neill")
    assert [row.trial for row in rows] == ["t5", "t1", "t0", "t9", "t4", "t3", "t2"]
    assert rows[0].params["generator_optimizer.lr"] == "0.0001"
    with pytest.raises(SearchNotFoundError, match=r"no search named 'x' in .*: o'neill$"):
        leaderboard(uri, "x")


def test_what_ended_trials_came_to_is_read_back(uri: str) -> None:
    recorder = opened(uri, tags={"gan_tune.metric_version": "v1"})
    for number, outcome in enumerate(OUTCOMES):
        run_trial(recorder, f"t{number}", outcome)
    run_trial(recorder, "confirming", kind="confirmation", replicate=1)
    run_trial(recorder, "another seed", replicate=1)
    run_trial(recorder, "a fork", tags={"gan_tune.parent": "t0"})
    start(recorder, "curve")
    for step, value in ((30, 4.0), (10, math.nan), (20, 5.0), (40, 6.0), (50, math.nan)):
        report(recorder, "curve", step, frechet_distance=value)
    recorder.trial_ended("curve", "diverged")
    start(recorder, "running")
    recorder.flush()
    found = ended_trials(uri, "digits")
    assert (found.objective, found.metric_version) == (OBJECTIVE, "v1")
    assert found.data == {"abc123"}
    names = {trial.name: trial.outcome for trial in found.trials}
    told = {name: name for name in ("completed", "pruned", "diverged", "collapsed")}
    told["interrupted"] = "pruned"
    expected = {f"t{n}": told[name] for n, name in enumerate(OUTCOMES) if name in told}
    assert names == expected | {"curve": "diverged"}
    last = next(trial for trial in found.trials if trial.name == "curve")
    assert list(last.curve.items()) == [(20, 5.0), (30, 4.0), (40, 4.0)]
    assert last.reached == 50
    assert last.params["generator.hidden"] == "[128, 256]"
    recorder.close()


def test_a_search_without_an_ended_trial_warms_nothing(uri: str) -> None:
    recorder = opened(uri)
    run_trial(recorder, "t0", "failed")
    recorder.close()
    with pytest.raises(GanTuneError, match="warm start: digits: must hold a trial that has comple"):
        read_searches(["digits"], load_space("digits"), uri)


def test_system_metrics_stop_with_the_search(uri: str) -> None:
    recorder = opened(uri, system_metrics=True)
    recorder.finished("completed")
    assert recorder.close() == 0
    assert runs(uri)[""].info.status == "FINISHED"


# Finding the store


def test_connect_defaults_to_a_file_in_the_working_folder(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingError, match="no such file"):
        connect(create=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    assert connect() == f"sqlite:///{tmp_path}/mlflow.db"
    shutil.copy(empty_store, tmp_path / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert connect() == f"sqlite:///{tmp_path}/other.db"
    assert connect("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("runs.db", "a file is written sqlite:///runs.db"),
        ("file:///tmp/mlruns", "given up stores of plain files"),
        ("sqlite:///:memory:", "sqlite:///FILE.db"),
        ("sqlite:////proc/no/mlflow.db", "cannot be written"),
        ("gopher://there:70", "gopher://there:70"),
        ("http://me:secret@127.0.0.1:9", "http://me:***@127.0.0.1:9 does not answer"),
        ("http://127.0.0.1:9", "Connection refused); start the server"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_in_one_line(given: str, says: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        connect(given)
    assert time.monotonic() - begun < 10
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, but long enough to be looked into\n" * 9)
    with pytest.raises(TrackingError, match="cannot be written"):
        connect(f"sqlite:///{tmp_path}/notes.db")


def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_tune.record.mlflow_store.PATIENCE", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        begun = time.monotonic()
        with pytest.raises(TrackingError, match="silent for 1 s"):
            connect(f"http://127.0.0.1:{port}")
        # Left to itself, MLflow would ask twice and wait 20 s each time.
        assert time.monotonic() - begun < 15


# A server


class Server:
    """`mlflow server` on loopback, which can be killed and started again."""

    def __init__(self, folder: Path, store: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        shutil.copy(store, folder / "server.db")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "files")]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **quiet},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())

    def freeze(self) -> None:
        """It takes requests, as the system does that for it, and never answers."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def serving(folder: Path, store: Path) -> Iterator[Server]:
    made = Server(folder, store)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    """The file's own; whoever kills it starts it again."""
    with serving(tmp_path_factory.mktemp("server"), empty_store) as made:
        yield made


@pytest.fixture
def mortal_server(tmp_path: Path, empty_store: Path) -> Iterator[Server]:
    """A test's own, to be killed."""
    with serving(tmp_path, empty_store) as made:
        yield made


def test_a_search_is_recorded_by_a_server(server: Server) -> None:
    recorder = opened(connect(server.uri), "served")
    start(recorder)
    report(recorder, "t0", 10, g_loss=math.inf)
    report(recorder, "t0", 20)
    recorder.trial_ended("t0", "completed", best={"frechet_distance": 0.5})
    recorder.finished("completed", figures={"champion.png": png()}, leaderboard=[{"trial": "t0"}])
    assert recorder.close() == 0
    run = runs(server.uri, "served")["t0"]
    assert steps(server.uri, run) == [10, 20]
    assert math.isnan(run.data.metrics["g_loss"])
    assert slider(server.uri, run) == ["samples+step+10", "samples+step+20"]
    assert [row.value for row in leaderboard(server.uri, "served")] == [0.5]


def test_a_champion_travels_through_a_server(server: Server) -> None:
    recorder = opened(server.uri, "champions")
    run_trial(recorder, "t0")
    recorder.flush()
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
    made = register_champion(
        module,
        latent=4,
        model="served",
        run_id=recorder.run_id("t0"),
        value=0.5,
        mode="min",
        comparable="frechet_distance/digits",
        files={"champion.png": png()},
        uri=server.uri,
    )
    recorder.close()
    assert (made.version, made.promoted) == (1, True)
    z = torch.randn(3, 4)
    with torch.inference_mode():
        assert torch.equal(load_generator("served", uri=server.uri)(z), module(z))
    assert [model.name for model in list_models(server.uri)] == ["served"]


def test_a_search_outlives_its_server(
    mortal_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server = mortal_server
    caplog.set_level(logging.WARNING, "gan_tune")
    recorder = opened(server.uri, "outlives")
    start(recorder)
    report(recorder, "t0", 10)
    assert recorder.flush()
    server.freeze()
    begun = time.monotonic()
    report(recorder, "t0", 20)
    recorder.trial_ended("t0", "completed")
    run_trial(recorder, "t1")
    assert time.monotonic() - begun < 10, "a single answer that is waited for takes 20 s"
    server.kill()
    assert not recorder.flush(timeout=2)
    assert recorder.undelivered == 6
    assert caplog.text.count("does not answer") == 1
    server.start()
    recorder.finished("completed")
    assert recorder.flush(timeout=30)
    assert recorder.close() == 0
    found = runs(server.uri, "outlives")
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    for trial in ("t0", "t1"):
        assert steps(server.uri, found[trial]) == [10, 20]
        assert slider(server.uri, found[trial]) == ["samples+step+10", "samples+step+20"]


def test_close_tells_what_a_dead_server_did_not_get(
    mortal_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = opened(mortal_server.uri, "lost")
    mortal_server.kill()
    run_trial(recorder, "t0")
    begun = time.monotonic()
    assert recorder.close(timeout=1) == 4
    assert time.monotonic() - begun < 15, "by itself it would wait for 30 s"
    assert "4 events of search 'lost' did not reach MLflow" in caplog.text


def test_a_store_that_cannot_be_made_whole_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills while the store is created: the next command starts from nothing."""
    path = tmp_path / "mlflow.db"

    def full(uri: str) -> Any:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store, "client", full)
        with pytest.raises(TrackingError, match="cannot be created"):
            store.connect(f"sqlite:///{path}")
    assert list(tmp_path.iterdir()) == []
    assert store.connect(f"sqlite:///{path}") == f"sqlite:///{path}"
    assert {file.name.split("-")[0] for file in tmp_path.glob("*mlflow*")} == {"mlflow.db"}
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
