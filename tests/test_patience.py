"""Outages of storage and study: they are waited for, said in one line, and end in exit code 1."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from test_conductor import space
from tiny_search import TRIALS, space_tree

from benchmarks.servers import Postgres, postgres_programs
from benchmarks.servers import postgres as running_postgres
from gan_tune import service
from gan_tune.errors import GanTuneError, OutageError, SearchNotFoundError, StorageError
from gan_tune.searching.study.opening import open_study
from gan_tune.service.watcher import Watcher
from gan_tune.storage.lease import hold
from gan_tune.storage.patience import Outage, Patience, is_away
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders


def fails(times: int) -> Callable[[], str]:
    left = [times]

    def action() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise Outage("storage: cannot write x: no")
        return "done"

    return action


@pytest.mark.parametrize(
    ("text", "away"),
    [
        ('connection to server at "::1", port 5432 failed: Connection refused', True),
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  the database system is in recovery mode", True),
        ("FATAL:  sorry, too many clients already", True),
        ("could not connect to server: No route to host", True),
        ("Can't connect to MySQL server on '10.0.0.9' (timed out)", True),
        ("AWS Error NETWORK_CONNECTION during HeadObject: curlCode: 56, Recv failure", True),
        ("AWS Error UNKNOWN (HTTP status 503): Unable to parse, HTTP response code 503", True),
        ('FATAL:  password authentication failed for user "gans"', False),
        ("(::1) failed: Connection refused\n(127.0.0.1) failed: FATAL: password authentication "
         "failed", False),
        ('FATAL:  database "gans" does not exist', False),
        ("Access denied for user 'gans'@'10.0.0.1' (using password: YES)", False),
        ('could not translate host name "db" to address: Name or service not known', False),
        ("AWS Error NETWORK_CONNECTION: curlCode: 6, Could not resolve host", False),
    ],
)  # fmt: skip
def test_what_is_away_may_work_later_and_what_refuses_may_not(text: str, away: bool) -> None:
    assert is_away(text) == away


def test_an_outage_is_said_once_when_it_begins_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "gan_tune")
    patience = Patience(1, "storage: s3://b")
    assert patience(fails(3)) == "done"
    assert patience(fails(0)) == "done"
    begun, ended = (record.getMessage() for record in caplog.records)
    assert begun.startswith("storage: s3://b fails since ")
    assert begun.endswith("is tried again for 1 min: storage: cannot write x: no")
    assert ended.startswith("storage: s3://b works again after ")


def test_after_the_time_it_is_an_error_to_go_on_after_and_nothing_waits_again() -> None:
    patience = Patience(0.01, "storage")
    begun = time.monotonic()
    with pytest.raises(OutageError, match="the same command goes on with the search") as raised:
        patience(fails(10_000))
    assert raised.value.exit_code == 1
    assert 0.5 < time.monotonic() - begun < 5
    begun = time.monotonic()
    with pytest.raises(OutageError):
        patience(fails(10_000))
    assert time.monotonic() - begun < 0.1


def test_it_can_be_told_to_wait_no_longer() -> None:
    patience = Patience(10, "storage")
    patience.give_up()
    assert patience(fails(1)) == "done", "nothing fails yet, so nothing is given up"
    threading.Timer(0.3, patience.give_up).start()
    begun = time.monotonic()
    with pytest.raises(OutageError):
        patience(fails(10_000))
    assert time.monotonic() - begun < 10


def test_only_a_search_that_is_worked_on_can_be_asked_to_stop(tmp_path: Path) -> None:
    with pytest.raises(SearchNotFoundError, match="no search named 'x' in"):
        service.stop("x", tmp_path)
    home = open_storage(tmp_path).below("x").patient(1)
    with hold(home, "x"):  # it has no trial yet
        service.stop("x", tmp_path)
    assert home.read("stop.json") is not None
    home.delete("stop.json")
    home.write("search.json", b"{}")
    with pytest.raises(GanTuneError, match="x: no command works on it"):
        service.stop("x", tmp_path)
    assert home.read("stop.json") is None


@contextmanager
def small_disk(folder: Path, size: str = "64m") -> Iterator[Path]:
    """A file system of its own, which can be full and read-only."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if mount is None or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root and the right to do so")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def test_a_storage_that_is_read_only_for_a_while(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        plain = open_storage(disk)
        storage = pickle.loads(pickle.dumps(plain.patient(1))).below("search")
        remount(disk, "ro")
        with pytest.raises(StorageError, match="Read-only"):
            plain.write("x", b"1")
        threading.Timer(0.7, remount, (disk, "rw")).start()
        storage.write("x", b"1")
        assert plain.read("search/x") == b"1"
        assert storage.read("absent") is None


def test_a_study_on_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        study = open_study(disk / "study.journal", space(), patience=Patience(1, "the study"))
        study.ask()
        (disk / "large").write_bytes(b"x" * (256 * 1024 - os.statvfs(disk).f_bsize * 3))
        with suppress(OSError), (disk / "rest").open("wb", buffering=0) as rest:
            while True:
                rest.write(b"x" * 4096)
        threading.Timer(0.7, (disk / "large").unlink).start()
        for step in range(40):  # more than what is left of the last block
            study.report(0, step, 1.0)
            study.ask()
        again = open_study(disk / "study.journal", space())
        assert again.count() == 41
        assert len(list(again.reports())) == 40


@pytest.mark.ci
def test_a_search_whose_disk_is_full_for_a_while_fails_nothing(
    tmp_path: Path, local_ray: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gan_tune")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tree = space_tree(name="outage", confirm={"top": 1, "seeds": 1})
    with small_disk(tmp_path / "disk") as disk:
        watcher = Filling(disk)
        result = service.search(tree, storage=disk, tracking_uri=uri, watcher=watcher)
        assert result.finished
        assert sum(result.outcomes.values()) == TRIALS
        assert set(result.outcomes) <= {"completed", "pruned"}, result.outcomes
        home = open_storage(disk / "outage")
        steps = [TrialFolders(home)[f"{n:04d}"].report_steps() for n in range(TRIALS)]
        assert all(found == [10, 20, 30, 40][: len(found)] for found in steps)
    assert watcher.done
    assert caplog.text.count("fails since") >= 1


class Filling(Watcher):
    """Fills a disk for three seconds as soon as a trial has reported."""

    def __init__(self, disk: Path) -> None:
        self.disk, self.done = disk, False

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        if not self.done:
            self.done = True
            large = self.disk / "large"
            with suppress(OSError), large.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
            threading.Timer(3, large.unlink).start()


# -------------------------------------------------------------------- a database


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres(programs) as server:
        yield server


@pytest.mark.ci
def test_a_database_that_is_away_for_a_while(
    postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gan_tune")
    study = open_study(postgres.url, space(), patience=Patience(1, "the study"))
    study.ask()
    postgres.stop()
    threading.Timer(2, postgres.start).start()
    assert study.report(0, 20, 1.0)
    study.tell(0, "completed", 1.0)
    assert study.ask().setting == 1
    assert [s.outcome for s in study.settings()] == ["completed", None]
    ours = [record for record in caplog.records if record.name == "gan_tune"]
    assert ours[0].getMessage().startswith("the study fails since ")
    postgres.stop()
    study = None  # type: ignore[assignment]
    with pytest.raises(StorageError, match="cannot use"):
        open_study(postgres.url, space(), patience=Patience(10, "the study"))
    postgres.start()
    impatient = open_study(postgres.url, space(), patience=Patience(0.01, "the study"))
    postgres.stop()
    with pytest.raises(OutageError, match="the database does not answer"):
        impatient.ask()
    postgres.start()
