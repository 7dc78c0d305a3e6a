"""One damaged entry, in a folder or in MLflow, is named and takes no other with it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from written_search import WrittenSearch

from gan_tune.errors import GanTuneError, StorageError, TrackingError
from gan_tune.record.history import leaderboard
from gan_tune.registry.versions import list_models
from gan_tune.service.best import best
from gan_tune.service.curate import compare
from gan_tune.service.running.note import SearchNote, read_note
from gan_tune.service.search_result import read_result
from gan_tune.service.status import searches, status
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolder

JSON: list[Any] = [
    b"", b"{", b"null!", b"[]", b"1", b'"x"', b"\xff", b"[" * 100_000, b'{"step": "x"}',
    b'{"step": {}}', b'{"a": ' + b"9" * 5000 + b"}", b'{"trial": 1}',
    b'{"a": ["\\ud800"]}', b'{"\\uDFFF": 1}',
]  # fmt: skip


@pytest.mark.parametrize("content", JSON, ids=range(len(JSON)))
def test_stored_json_is_read_or_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    home = Storage(str(tmp_path))
    trial = TrialFolder(home)
    for name in ("trial.json", "outcome.json", "reports/10.json", "search.json", "result.json"):
        home.write(name, content)
    home.write("reports/x.json", b"")
    assert trial.report_steps() == [10]
    for read in (
        trial.description,
        trial.ending,
        trial.reports,
        trial.config,
        lambda: read_note(home),
        lambda: read_result(home),
    ):
        with pytest.raises(StorageError) as raised:
            read()
        assert str(raised.value).startswith(f"storage: {tmp_path}/")
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 400


def test_a_fault_is_named_by_its_place_and_rule(tmp_path: Path) -> None:
    home = Storage(str(tmp_path))
    home.write_json("search.json", {"metric": "x", "mode": "up", "trials": 1, "minutes": None})
    with pytest.raises(StorageError, match=r"json must hold .* mode: .*'min' or 'max'.*'up'"):
        read_note(home)
    home.write_json("search.json", {"metric": "x", "mode": "min", "trials": 1, "minutes": 2} | {
        "of_a_newer_version": 1
    })  # fmt: skip
    assert read_note(home) == SearchNote("x", "min", 1, 2.0)


def test_a_damaged_folder_takes_no_other_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = tmp_path / "runs"
    for name in ("good", "bad", "torn"):
        search = WrittenSearch(runs, name)
        search.trial("0000")
        search.trial("0001")
        SearchNote("frechet_distance", "min", 4, None).write(search.home)
    (runs / "bad/search.json").write_text("[1]")
    (runs / "torn/trials/0000/outcome.json").write_text('{"outcome": "won"}')
    (runs / "gone").symlink_to(tmp_path)
    with caplog.at_level(logging.WARNING, "gan_tune"):
        found = searches(runs, tracking_uri=None)
    assert {one.name: len(one.rows) for one in found} == {"good": 2, "torn": 1}
    told = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("search bad is left out: storage: ") for line in told)
    assert any(line.startswith("trial 0000 is left out: storage: ") for line in told)
    assert any(line.startswith("gone is left out: storage: must be no link out") for line in told)
    assert len(status("good", runs).rows) == 2
    with pytest.raises(StorageError, match=r"bad/search\.json must hold the fields"):
        status("bad", runs)


BAD_TRIAL: list[dict[str, str]] = [
    {"gan_tune.setting": "x"},
    {"gan_tune.setting": "9" * 4000},
    {"gan_tune.replicate": "-1"},
    {"gan_tune.kind": "parent of all"},
    {"gan_tune.trial": ""},
    {"gan_tune.trial": "[]"},
]


def run_of(client: MlflowClient, tags: dict[str, str]) -> str:
    experiment = client.get_experiment_by_name("x")
    number = experiment.experiment_id if experiment else client.create_experiment("x")
    run = client.create_run(number, tags=tags)
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def test_damaged_tags_take_no_other_with_them(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = MlflowClient(uri)
    parent = {"gan_tune.kind": "parent", "gan_tune.search": "good"}
    sound = parent | {"gan_tune.objective": "frechet_distance", "gan_tune.mode": "min"}
    found = run_of(client, sound)
    trial = {
        "gan_tune.trial": "0000", "gan_tune.setting": "0", "gan_tune.replicate": "0",
        "gan_tune.kind": "search", "mlflow.parentRunId": found, "gan_tune.outcome": "completed",
    }  # fmt: skip
    run_of(client, trial)
    for change in BAD_TRIAL:
        run_of(client, trial | change)
    for change in ({}, {"gan_tune.objective": "x", "gan_tune.mode": "up"}):
        run_of(client, parent | change)  # newer, and of the same name
    run_of(client, {"gan_tune.kind": "parent"})
    with caplog.at_level(logging.WARNING, "gan_tune"):
        (info,) = searches(tmp_path / "runs", tracking_uri=uri)
    assert (info.name, [row.name for row in info.rows]) == ("good", ["0000"])
    told = "\n".join(record.getMessage() for record in caplog.records)
    for rule in ("tag gan_tune.setting: Input", "tag gan_tune.mode: Input should be", "run "):
        assert rule in told
    assert [row.trial for row in leaderboard(uri, "good")] == ["0000"]


def _write(uri: str, statement: str, value: str) -> None:
    """Write into the store's database, as no client of MLflow does."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as base:
        assert base.execute(statement, [value]).rowcount
        base.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET end_time = 'x' WHERE run_uuid = ?",
        "UPDATE runs SET start_time = 'x' WHERE run_uuid = ?",
        "UPDATE tags SET value = NULL WHERE run_uuid = ?",
        "UPDATE tags SET value = x'ff00' WHERE key = 'gan_tune.mode' AND run_uuid = ?",
    ],
)
def test_what_was_written_into_the_database_takes_no_other_with_it(
    statement: str, uri: str, tmp_path: Path
) -> None:
    client = MlflowClient(uri)
    tags = {"gan_tune.kind": "parent", "gan_tune.objective": "x", "gan_tune.mode": "min"}
    run_of(client, tags | {"gan_tune.search": "good"})
    bad = run_of(client, tags | {"gan_tune.search": "bad"})
    _write(uri, statement, bad)
    found = [one.name for one in searches(tmp_path / "runs", tracking_uri=uri)]
    assert "good" in found
    assert leaderboard(uri, "good") == []


@pytest.mark.parametrize("column", ["start_time", "status"])
def test_what_mlflow_itself_cannot_read_is_told_in_one_line(
    column: str, uri: str, tmp_path: Path
) -> None:
    tags = {"gan_tune.kind": "parent", "gan_tune.objective": "x", "gan_tune.mode": "min"}
    bad = run_of(MlflowClient(uri), tags | {"gan_tune.search": "bad"})
    _write(uri, f"UPDATE runs SET {column} = NULL WHERE run_uuid = ?", bad)
    with pytest.raises(TrackingError, match=f"{column} cannot be None") as told:
        searches(tmp_path / "runs", tracking_uri=uri)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("version", ["x", "9" * 10, "-1"])
def test_an_impossible_version_takes_no_other_with_it(
    version: str, uri: str, tmp_path: Path
) -> None:
    client = MlflowClient(uri)
    for name in ("good", "bad"):
        client.create_registered_model(name, {"gan_tune.kind": "generator"})
        client.create_model_version(name, (tmp_path / "mlruns/0").as_uri())
        client.set_registered_model_alias(name, "champion", "1")
    _write(uri, "UPDATE registered_model_aliases SET version = ? WHERE name = 'bad'", version)
    _write(uri, "UPDATE model_versions SET version = ? WHERE name = 'bad'", version)
    assert "good" in [model.name for model in list_models(uri)]
    assert best("good", tmp_path / "runs", tracking_uri=uri).version == 1
    with pytest.raises(GanTuneError) as told:
        best("bad/3", tmp_path / "runs", tracking_uri=uri)
    assert "\n" not in str(told.value)


def test_a_model_with_damaged_tags_takes_no_other_with_it(uri: str, tmp_path: Path) -> None:
    client = MlflowClient(uri)
    source = (tmp_path / "mlruns/0").as_uri()
    for name, value in (("good", "0.5"), ("bad", "a lot")):
        client.create_registered_model(name, {"gan_tune.kind": "generator"})
        tags = {"gan_tune.value": value, "gan_tune.test.x": "a", "gan_tune.confirmed_seeds": "2"}
        client.create_model_version(name, source, tags=tags)
        client.set_registered_model_alias(name, "champion", "1")
    assert sorted((model.name, model.value) for model in list_models(uri)) == [
        ("bad", None),
        ("good", 0.5),
    ]
    seen = best("good", tmp_path / "runs", tracking_uri=uri)
    assert (seen.value, seen.seeds, dict(seen.test)) == (0.5, 2, {})
    seen_both = compare("good", "bad", tracking_uri=uri)
    assert seen_both.figures["objective (selection split)"] == (0.5, None)
    with pytest.raises(TrackingError, match=r"model bad/1: tag gan_tune.value: .*'a lot'"):
        best("bad", tmp_path / "runs", tracking_uri=uri)
