"""The MLflow store: found, created by one process, followed where its folder is moved to."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import ViewType
from written_search import WrittenSearch

from gan_tune.errors import TrackingAwayError, TrackingError
from gan_tune.record import sqlite_store as store
from gan_tune.record.mlflow_store import connect
from gan_tune.registry.rights import try_rights


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


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
        ("postgresql://me:secret@127.0.0.1:9/runs", "Connection refused); check that the database"),
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
        with pytest.raises(TrackingAwayError, match="silent for 1 s"):
            connect(f"http://127.0.0.1:{port}")
        # Left to itself, MLflow would ask twice and wait 20 s each time.
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize(("status", "may_come_back"), [(503, True), (500, True), (404, False)])
def test_a_server_that_is_away_is_told_from_one_that_is_none(
    status: int, may_come_back: bool
) -> None:
    """A proxy answers for a server that restarts; nobody has to change the input then."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TrackingError, match=str(status)) as told:
            connect(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert isinstance(told.value, TrackingAwayError) is may_come_back


@pytest.mark.parametrize(
    ("uri", "exit_code"),
    [
        ("http://127.0.0.1:9", 1),
        ("postgresql://u:secret@127.0.0.1:9/x", 1),
        ("http://nowhere.invalid:9", 2),
    ],
)
def test_where_nothing_listens(uri: str, exit_code: int) -> None:
    with pytest.raises(TrackingError) as told:
        connect(uri)
    assert told.value.exit_code == exit_code
    assert "secret" not in str(told.value)


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
            connect(f"sqlite:///{path}")
    assert [file.name for file in tmp_path.iterdir()] == [".mlflow.db.lock"]
    assert connect(f"sqlite:///{path}") == f"sqlite:///{path}"
    assert {file.name.split("-")[0] for file in tmp_path.iterdir()} == {
        "mlflow.db",
        ".mlflow.db.lock",
    }
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_creation_that_fails_removes_nothing_of_others(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older version, which takes no lock, makes the store meanwhile; then the disk is full."""
    path = tmp_path / "mlflow.db"

    def beaten(uri: str) -> Any:
        shutil.copy(empty_store, path)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store, "client", beaten)
        with pytest.raises(TrackingError, match="cannot be created"):
            connect(f"sqlite:///{path}")
    assert path.read_bytes() == empty_store.read_bytes()


BEGIN = """
import sys
from mlflow import MlflowClient
from gan_tune.record.mlflow_store import connect
from gan_tune.record.search_run import open_experiment
uri = connect("sqlite:///" + sys.argv[1])
print(open_experiment(MlflowClient(uri), uri, sys.argv[2]))
"""


@pytest.mark.ci
@pytest.mark.parametrize("names", [("a", "a"), ("a", "b")], ids=["one name", "two names"])
def test_two_that_begin_at_once_in_a_fresh_folder_share_one_store(
    names: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "mlflow.db"
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN, str(path), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    told = [process.communicate(timeout=280) for process in begun]
    assert [process.returncode for process in begun] == [0, 0], told
    found = {
        e.name: e.experiment_id for e in MlflowClient(f"sqlite:///{path}").search_experiments()
    }
    assert found.keys() == {"Default", *names}
    assert [out.strip() for out, _ in told] == [found[name] for name in names]
    left = {file.name.split("-")[0] for file in path.parent.iterdir()}
    assert left == {"mlflow.db", ".mlflow.db.lock"}


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> WrittenSearch:
    """A search that is recorded in its project's folder, `before`."""
    (tmp_path / "before").mkdir()
    shutil.copy(empty_store, tmp_path / "before" / "mlflow.db")
    search = WrittenSearch(tmp_path / "before" / "runs")
    search.trial("0000")
    assert not search.delivered(f"sqlite:///{tmp_path}/before/mlflow.db")
    return search


def test_a_project_that_is_moved_keeps_its_record(project: WrittenSearch, tmp_path: Path) -> None:
    (tmp_path / "before").rename(tmp_path / "after")
    uri = connect(f"sqlite:///{tmp_path}/after/mlflow.db", create=False)
    moved = WrittenSearch(tmp_path / "after" / "runs")
    assert moved.lacks(uri) == []
    moved.trial("0001")
    assert not moved.delivered(uri)
    assert moved.lacks(uri) == []
    run = moved.runs(uri)["0000"]
    assert run.info.artifact_uri.startswith((tmp_path / "after" / "mlruns").as_uri())
    images = download_artifacts(run_id=run.info.run_id, artifact_path="images", tracking_uri=uri)
    assert len(list(Path(images).iterdir())) == 4
    assert not (tmp_path / "before").exists()


def test_an_experiment_without_runs_moves_with_its_store(
    project: WrittenSearch, tmp_path: Path
) -> None:
    """`gan-tune doctor` leaves one, and so does a search that ends before its first trial."""
    try_rights(f"sqlite:///{tmp_path}/before/mlflow.db")
    (tmp_path / "before").rename(tmp_path / "after")
    uri = connect(f"sqlite:///{tmp_path}/after/mlflow.db", create=False)
    there = MlflowClient(uri).search_experiments(view_type=ViewType.ALL)
    assert len(there) == 3
    for experiment in there:
        assert not experiment.artifact_location.startswith((tmp_path / "before").as_uri())


def test_a_store_without_its_files_says_so(project: WrittenSearch, tmp_path: Path) -> None:
    (tmp_path / "after").mkdir()
    for file in (tmp_path / "before").glob("mlflow.db*"):
        file.rename(tmp_path / "after" / file.name)
    uri = f"sqlite:///{tmp_path}/after/mlflow.db"
    assert connect(uri) == uri  # they are where they were
    shutil.rmtree(tmp_path / "before")
    with pytest.raises(TrackingError, match="was moved, and its files are missing") as told:
        connect(uri)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "before").exists()
