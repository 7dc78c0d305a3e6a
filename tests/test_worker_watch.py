"""Trials that wait for a worker are told from those that have one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from written_search import WrittenSearch

from gan_tune.errors import SearchLostError, StorageError
from gan_tune.searching.on_ray.worker_watch import LOOK_SECONDS, REST_SECONDS, WorkerWatch
from gan_tune.service.running.note import SearchNote
from gan_tune.service.status_from_folder import folder_status
from gan_tune.storage.lease import hold, holder_of
from gan_tune.storage.places import RUNNING_TRIALS
from gan_tune.storage.running_trials import note_running_trials, running_trials
from gan_tune.storage.storage import Storage, open_storage


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "runs").below("search").patient(1)


def trials(**states: str) -> list[Any]:
    """Trials of Tune by name, with their states."""
    return [SimpleNamespace(name=name, status=states[name]) for name in states]


def test_it_notes_who_has_a_worker_and_tells_of_each_once(home: Storage) -> None:
    placed: list[str] = []
    counted: list[int] = []
    now = 100.0
    watch = WorkerWatch(home, placed.append, counted.append, clock=lambda: now)
    watch.begin()
    assert running_trials(home, "") is None

    def look(**states: str) -> frozenset[str] | None:
        running = [trial for trial in trials(**states) if trial.status == "RUNNING"]
        watch.look(running, lambda trial: trial.name)
        return running_trials(home, "")

    states = {"0000": "RUNNING", "0001": "PENDING"}
    assert look(**states) == {"0000"}
    assert look(**{**states, "0001": "RUNNING"}) == {"0000"}, "it looks once in a while"
    now += LOOK_SECONDS
    assert look(**{"0000": "TERMINATED", "0001": "RUNNING"}) == {"0001"}
    now += LOOK_SECONDS
    assert look(**{"0000": "TERMINATED", "0001": "PENDING"}) == set(), "its worker was lost"
    now += LOOK_SECONDS
    assert look(**{"0000": "TERMINATED", "0001": "RUNNING"}) == {"0001"}
    assert placed == ["0000", "0001", "0001"]
    assert counted == [1, 1, 0, 1], "by which the GPU hours are counted"
    watch.end()
    assert running_trials(home, "") == set()
    assert running_trials(home, "another command") is None


def test_nothing_is_noted_where_another_command_has_the_search(home: Storage) -> None:
    watch = WorkerWatch(home, lambda trial: None)
    home.patience.refused = SearchLostError("another one works on it")
    watch.look(trials(**{"0000": "RUNNING"}), lambda trial: trial.name)
    assert running_trials(open_storage(str(home.folder)), "") is None


def test_a_storage_that_is_away_is_not_asked_at_every_look(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, now = [], 100.0

    def fail(*given: Any) -> None:
        asked.append(now)
        raise StorageError("storage: away")

    monkeypatch.setattr("gan_tune.searching.on_ray.worker_watch.note_running_trials", fail)
    watch = WorkerWatch(home, lambda trial: None, clock=lambda: now)
    for _ in range(40):
        watch.look(trials(**{"0000": "RUNNING"}), lambda trial: trial.name)
        now += LOOK_SECONDS
    assert len(asked) == 3
    assert asked[1] - asked[0] >= REST_SECONDS


def test_a_trial_without_a_worker_waits_while_its_search_runs(tmp_path: Path) -> None:
    search = WrittenSearch(tmp_path / "runs")
    for trial in ("0000", "0001"):
        search.start(trial)
        search.report(trial, 10)
    SearchNote("frechet_distance", "min", 4, None, started_ms=1).write(search.home)
    root = open_storage(tmp_path / "runs")

    def outcomes() -> dict[str, str]:
        return {row.name: row.outcome for row in folder_status(root, search.name).rows}

    assert outcomes() == {"0000": "interrupted", "0001": "interrupted"}
    with hold(search.home.patient(0), search.name):
        note_running_trials(search.home, ["0001"], "a command that was killed")
        assert outcomes() == {"0000": "running", "0001": "running"}
        note_running_trials(search.home, ["0001"], holder_of(search.home, search.name))
        assert outcomes() == {"0000": "waiting", "0001": "running"}
        status = folder_status(root, search.name)
        assert status.outcomes == {"waiting": 1, "running": 1}
        for damaged in (b"{", b"[]", b'{"trials": 1}', b'{"trials": [null]}'):
            search.home.write(RUNNING_TRIALS, damaged)
            assert outcomes() == {"0000": "running", "0001": "running"}, damaged
