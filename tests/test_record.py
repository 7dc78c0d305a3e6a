"""The record of a search in a real MLflow store: what is in it, and how it is completed."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import shutil
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import PIL.Image
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils import mlflow_tags
from written_search import PARAMS, WrittenSearch, grids, png

from gan_tune.config import Objective
from gan_tune.errors import GanTuneError, RecordError, SearchNotFoundError
from gan_tune.record import mlflow_internals
from gan_tune.record.ended_trials import ended_trials
from gan_tune.record.frequent_switches import frequent_switches
from gan_tune.record.history import leaderboard, searches
from gan_tune.record.requests import MAX_BYTES, batches, metric_value, param_text
from gan_tune.service.running.earlier_searches import read_searches
from gan_tune.service.running.recording import SearchRecord
from gan_tune.service.space_and_setting import load_space
from gan_tune.storage.trial_records import Ending
from gan_tune.words.outcomes import OUTCOMES

OBJECTIVE = Objective(metric="frechet_distance", mode="min")


@pytest.fixture
def search(tmp_path: Path) -> WrittenSearch:
    return WrittenSearch(tmp_path / "runs")


def steps(uri: str, run: Run, key: str = "frechet_distance") -> list[int]:
    return [metric.step for metric in MlflowClient(uri).get_metric_history(run.info.run_id, key)]


def test_pictures_are_stored_as_mlflow_itself_would(
    uri: str, search: WrittenSearch, tmp_path: Path
) -> None:
    search.start("0000")
    search.report("0000", 10, at=1234)
    assert not search.delivered(uri)
    client, ours = MlflowClient(uri), search.runs(uri)["0000"]
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


def test_a_picture_that_is_written_again_is_shown_once(
    uri: str, search: WrittenSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that ends while a slow server stores pictures cannot know which of them arrive."""
    search.start("0000")
    search.report("0000", 10, at=1234)
    search.report("0000", 20, at=2345)
    assert not search.delivered(uri)
    client, run = MlflowClient(uri), search.runs(uri)["0000"]
    before = {file.path for file in client.list_artifacts(run.info.run_id, "images")}
    monkeypatch.setattr("gan_tune.record.trial_run.recorded_grids", lambda client, run_id: set())
    search.report("0000", 30, at=3456)
    assert not search.delivered(uri)
    after = {file.path for file in client.list_artifacts(run.info.run_id, "images")}
    assert (len(before), len(after)) == (4, 6)
    assert before < after


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


def test_a_trial_is_one_run_under_the_search(uri: str, search: WrittenSearch) -> None:
    search.start("0003-confirm-1", lineage=[{"trial": "0001", "until": 5, "config": {}}])
    search.report("0003-confirm-1", 10, at=1234, g_loss=0.7)
    search.report("0003-confirm-1", 20, at=2345, frechet_distance=0.5)
    search.end("0003-confirm-1", further={"kid": math.inf, "coverage": 0.5})
    assert not search.delivered(uri)
    found = search.runs(uri)
    run, parent = found["0003-confirm-1"], found[""]
    expected = {
        "mlflow.parentRunId": parent.info.run_id,
        "mlflow.runName": "0003-confirm-1",
        "gan_tune.search": "digits",
        "gan_tune.setting": "3",
        "gan_tune.replicate": "1",
        "gan_tune.trial": "0003-confirm-1",
        "gan_tune.kind": "confirmation",
        "gan_tune.outcome": "completed",
        "gan_tune.reports": "2",
        "gan_tune.code_version": "1",
        "gan_tune.lineage": "0001 until 5",
    }
    assert expected.items() <= run.data.tags.items()
    assert run.data.params == {
        "generator_optimizer.lr": "0.0001",
        "generator.hidden": "[128, 256]",
        "ema": "null",
    }
    history = MlflowClient(uri).get_metric_history(run.info.run_id, "frechet_distance")
    assert [(m.step, m.timestamp, m.value) for m in history] == [(10, 1234, 1.0), (20, 2345, 0.5)]
    assert steps(uri, run, "seconds.training") == steps(uri, run, "seconds.evaluation") == [10, 20]
    best = {key: value for key, value in run.data.metrics.items() if key.startswith("best.")}
    assert best == {"best.frechet_distance": 0.5, "best.coverage": 0.5}
    assert run.data.metrics["seconds.total"] == 0.75
    assert grids(uri, run) == [10, 20]
    assert run.data.tags["mlflow.loggedImages"] == "True"
    # When it was trained, whenever it was delivered.
    assert (run.info.start_time, run.info.end_time) == (1234 - 375, 2345)


def test_the_searchs_run_holds_the_search(
    uri: str, search: WrittenSearch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    search.trial("0000")
    search.home.write("champion.png", png())
    search.home.write("champion/inside.png", png(1))
    files = {"champion.png": "champion.png", "plots/in.png": "champion/inside.png", "no.png": "no"}
    search.finish(
        leaderboard=[{"trial": "0000", "value": 0.5}, {"trial": "0001", "note": "pruned"}],
        files=files,
        metrics={"test.frechet_distance": 0.6},
        tags={"gan_tune.champion": "0000"},
    )
    assert not search.delivered(uri)
    assert "no.png is missing from the record" in caplog.text
    parent = search.runs(uri)[""]
    client = MlflowClient(uri)
    assert (parent.info.status, parent.info.end_time) == ("FINISHED", 9_000_000)
    assert parent.data.metrics["test.frechet_distance"] == 0.6
    assert parent.data.params == {"budget.trials": "4"}
    assert parent.data.tags["team"] == "gans"
    assert parent.data.tags["gan_tune.champion"] == "0000"
    assert parent.data.tags["gan_tune.outcome"] == "completed"
    found = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert found == {"space.yaml", "champion.png", "plots", "leaderboard.csv", "leaderboard.json"}
    table = Path(client.download_artifacts(parent.info.run_id, "leaderboard.csv")).read_text()
    assert table.splitlines() == ["trial,value,note", "0000,0.5,", "0001,,pruned"]
    (given,) = parent.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("digits", "abc123")
    # Whoever opens the store from another folder must find the files.
    assert parent.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())


def test_status_follows_the_outcome_and_nothing_is_left_running(
    uri: str, search: WrittenSearch
) -> None:
    for number, outcome in enumerate(OUTCOMES):
        search.start(f"{number:04}")
        search.end(f"{number:04}", outcome, error="Boom\nTraceback", symptoms=("oscillating", "x"))
    search.start("0009")
    search.report("0009", 10)  # and then its command was killed
    assert not search.delivered(uri)
    found = search.runs(uri)
    for number, outcome in enumerate(OUTCOMES):
        run = found[f"{number:04}"]
        assert run.info.status == OUTCOMES[outcome].mlflow_status
        assert run.data.tags["gan_tune.outcome"] == outcome
        assert run.data.tags["gan_tune.error"] == "Boom"
        assert run.data.tags["gan_tune.symptoms"] == "oscillating, x"
    for killed in ("0009", ""):
        assert found[killed].info.status == "KILLED"
        assert found[killed].data.tags["gan_tune.outcome"] == "interrupted"
    assert found["0009"].data.metrics["best.frechet_distance"] == 1.0


def test_a_search_that_goes_on_keeps_its_runs(uri: str, search: WrittenSearch) -> None:
    search.trial("0000")
    search.start("0001")
    search.report("0001", 10)
    search.report("0001", 20, g_loss=1.0)
    search.finish("interrupted")
    assert not search.delivered(uri)
    before = {trial: run.info.run_id for trial, run in search.runs(uri).items()}

    again = WrittenSearch(search.home.folder.parent)  # type: ignore[union-attr]
    delivery = again.delivery(uri)
    delivery.start(["0000", "0001"])
    for trial in ("0001", "0002"):
        again.start(trial, params={**PARAMS, "ema": 0.9, "new": 1})
        delivery.has_news(trial, runs=True)
    delivery.wait(60)
    resumed = again.runs(uri)
    assert resumed["0001"].info.status == resumed[""].info.status == "RUNNING"
    assert "gan_tune.outcome" not in {**resumed["0001"].data.tags, **resumed[""].data.tags}
    again.report("0001", 20, at=99_999, g_loss=1.0)  # told again, at another time
    again.report("0001", 30)
    delivery.has_news("0001", runs=True)
    delivery.wait(60)
    for trial, outcome in (("0001", "completed"), ("0002", "pruned")):
        again.end(trial, outcome)
        delivery.has_news(trial, runs=False)
    delivery.end(again.finish("completed"))
    assert not delivery.wait(60)

    found = again.runs(uri)
    assert before.items() <= {trial: run.info.run_id for trial, run in found.items()}.items()
    assert steps(uri, found["0001"]) == [10, 20, 30]
    assert steps(uri, found["0001"], "g_loss") == [20]
    assert found["0001"].data.params["ema"] == "null"  # a param cannot change
    assert found["0001"].data.params["new"] == "1"
    assert grids(uri, found["0001"]) == [10, 20, 30]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert again.lacks(uri) == []


def changes(uri: str) -> list[Any]:
    """All rows of a store that a repeated delivery could change."""
    path = uri.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as database:
        tables = ("runs", "metrics", "latest_metrics", "params", "tags", "model_versions")
        return [sorted(map(repr, database.execute(f"SELECT * FROM {t}"))) for t in tables]


def test_delivering_again_changes_nothing(uri: str, search: WrittenSearch) -> None:
    for number, outcome in enumerate(OUTCOMES):
        search.trial(f"{number:04}", outcome)
    search.start("0009")
    search.report("0009", 10)
    search.finish(metrics={"x": 1.0})
    assert not search.delivered(uri)
    before = changes(uri)
    assert not search.delivered(uri)
    assert changes(uri) == before


def test_a_record_is_made_anew_and_in_another_store(
    uri: str, search: WrittenSearch, empty_store: Path, tmp_path: Path
) -> None:
    for number in range(3):
        search.trial(f"{number:04}")
    search.finish()
    assert not search.delivered(uri)
    client, runs = MlflowClient(uri), search.runs(uri)
    client.delete_run(runs["0001"].info.run_id)
    double = client.create_run(
        runs["0002"].info.experiment_id,
        tags={key: runs["0002"].data.tags[key] for key in ("gan_tune.trial", "mlflow.parentRunId")},
    )
    assert not search.delivered(uri)
    assert search.lacks(uri) == []
    assert double.info.run_id not in {run.info.run_id for run in search.runs(uri).values()}
    client.delete_run(runs[""].info.run_id)
    assert not search.delivered(uri)
    assert search.lacks(uri) == []
    (tmp_path / "other").mkdir()
    shutil.copy(empty_store, tmp_path / "other" / "mlflow.db")
    other = f"sqlite:///{tmp_path}/other/mlflow.db"
    assert not search.delivered(other)
    assert search.lacks(other) == []


def test_a_trial_that_waits_for_a_worker_is_no_interrupted_one(
    uri: str, search: WrittenSearch
) -> None:
    search.trial("0000")
    for trial in ("0001", "0002", "0003"):
        search.start(trial)
    search.report("0001", 10)
    search.report("0003", 10)
    assert not search.delivered(uri)  # of the command that was killed
    search.start("0004")
    delivery = search.delivery(uri)
    delivery.start(["0000", "0001", "0002", "0003", "0004"], live=True)
    try:

        def states() -> dict[str, str]:
            assert delivery.wait(60).trials == 0
            return {name: run.info.status for name, run in search.runs(uri).items() if name}

        before = {"0000": "FINISHED"} | dict.fromkeys(("0001", "0002", "0003"), "RUNNING")
        assert states() == before
        delivery.at_work.waits("0004")
        delivery.has_news("0001", runs=True)
        assert states() == before, "0004 has had no worker"
        delivery.has_news("0004", runs=True)
        assert states() == before | {"0004": "RUNNING"}
        delivery.end(search.spool.ending())
        assert states() == {"0000": "FINISHED"} | {f"000{i}": "KILLED" for i in range(1, 5)}
    finally:
        delivery.close()


def test_a_trial_whose_worker_was_lost_goes_on(uri: str, search: WrittenSearch) -> None:
    search.start("0000")
    search.report("0000", 10)
    record, job = SearchRecord(search.home, search.entry, uri), SimpleNamespace(name="0000")
    record.begin()
    assert record._delivery is not None
    try:
        for error, status in (("its node was lost", "RUNNING"), (None, "KILLED")):
            record.trial_started(job, resumed=error is None)  # type: ignore[arg-type]
            record.trial_placed("0000")
            ending = Ending("interrupted", 1.0, 10, error)
            record.trial_ended(job, ending)  # type: ignore[arg-type]
            assert record._delivery.wait(60).trials == 0
            assert search.runs(uri)["0000"].info.status == status
    finally:
        record.close()


def test_another_search_of_that_name_is_left_alone(
    uri: str, search: WrittenSearch, tmp_path: Path
) -> None:
    search.trial("0000")
    search.finish()
    assert not search.delivered(uri)
    other = WrittenSearch(tmp_path / "elsewhere")
    other.trial("0000", "pruned")
    with pytest.raises(RecordError, match="must not hold another search named 'digits'") as told:
        other.delivered(uri, beside_others=False)
    assert "\n" not in str(told.value)
    assert search.lacks(uri) == []
    assert not other.delivered(uri)  # a search of its own, in the same experiment
    experiment = MlflowClient(uri).get_experiment_by_name("digits")
    assert experiment is not None
    found = MlflowClient(uri).search_runs([experiment.experiment_id])
    assert len(found) == 4
    assert not search.delivered(uri, beside_others=False)


def test_a_record_without_an_owner_belongs_to_the_search_that_began_before(
    uri: str, search: WrittenSearch, tmp_path: Path
) -> None:
    search.trial("0000")
    assert not search.delivered(uri)
    MlflowClient(uri).delete_tag(search.runs(uri)[""].info.run_id, "gan_tune.owner")
    before = search.runs(uri)[""].info.run_id
    later = WrittenSearch(tmp_path / "later", began_before=True)
    later.trial("0000")
    assert not later.delivered(uri, beside_others=False)
    assert later.runs(uri)[""].info.run_id == before


def test_large_trials_are_split_into_requests(uri: str, search: WrittenSearch) -> None:
    params = {f"p{i}": "x" * 7000 if i < 3 else i for i in range(250)} | {"clip.#0.max": 1.0}
    search.start("0000", params=params)
    scalars = {f"metric {i}": float(i) for i in range(2300)}
    search.report("0000", 1, **scalars)
    search.end("0000", error="y" * 20_000)
    assert not search.delivered(uri)
    run = search.runs(uri)["0000"]
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
def test_what_is_not_finite_is_recorded_as_nan(
    uri: str, search: WrittenSearch, value: float
) -> None:
    assert math.isnan(metric_value(value))
    search.start("0000")
    search.report("0000", 1, g_loss=value)
    assert not search.delivered(uri)
    assert math.isnan(search.runs(uri)["0000"].data.metrics["g_loss"])


def test_the_params_that_were_searched_come_first(uri: str, tmp_path: Path) -> None:
    searched = {"lr": "generator_optimizer.lr", "absent": "loss.name", "ema": "ema"}
    search = WrittenSearch(tmp_path, searched=searched)
    search.trial("0000", params={"a": 1, "ema": 0.9, "generator_optimizer.lr": 1e-3, "z": 2})
    assert not search.delivered(uri)
    found = list(search.runs(uri)["0000"].data.params)
    assert found == ["generator_optimizer.lr", "ema", "a", "z"]


def test_threads_switch_as_before_when_the_last_delivery_has_ended() -> None:
    before = sys.getswitchinterval()
    first, second = frequent_switches(), frequent_switches()
    for block in (first, second):
        block.__enter__()
        assert sys.getswitchinterval() < before / 5
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() < before / 5
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == before


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
    uri: str, search: WrittenSearch, caplog: pytest.LogCaptureFixture
) -> None:
    search.trial("0000")
    search.report("0000", 30, at=-5, g_loss=1.0)  # MLflow takes no such time
    search.report("0000", 40)
    search.folder("0000").write_grid(40, b"no picture")
    search.trial("0001")
    with caplog.at_level(logging.WARNING, "gan_tune"):
        assert not search.delivered(uri)
    run = search.runs(uri)["0000"]
    assert (run.info.status, steps(uri, run)) == ("FINISHED", [10, 20, 40])
    assert "MLflow's record lacks frechet_distance and 3 more: " in caplog.text
    assert "a sample grid is missing" in caplog.text


def test_a_damaged_folder_is_named_and_keeps_nothing_else_back(
    uri: str, search: WrittenSearch, caplog: pytest.LogCaptureFixture
) -> None:
    search.trial("0000")
    search.home.write("trials/0000/reports/10.json", b"{")
    search.trial("0001")
    search.finish()
    waiting = search.delivered(uri)
    assert (waiting.trials, waiting.left_out, str(waiting)) == (0, 1, "1 trial")
    assert "record lacks trial 0000: storage: " in caplog.text
    assert "must be JSON, but is damaged" in caplog.text
    assert search.runs(uri)["0001"].info.status == "FINISHED"
    assert search.runs(uri)[""].info.status == "FINISHED"


def test_a_deleted_experiment_is_restored(uri: str, search: WrittenSearch) -> None:
    search.trial("0000")
    assert not search.delivered(uri)
    before, client = search.runs(uri)[""].info, MlflowClient(uri)
    client.delete_experiment(before.experiment_id)
    search.trial("0001")
    assert not search.delivered(uri)
    assert search.lacks(uri) == []


def test_history_reads_the_record_back(uri: str, tmp_path: Path) -> None:
    search = WrittenSearch(tmp_path / "runs", "o'neill")
    values = {}
    for number, outcome in enumerate(OUTCOMES):
        trial, values[number] = f"{number:04}", 9.0 - number
        search.start(trial)
        search.report(trial, 10, frechet_distance=values[number])
        search.end(trial, outcome)
    search.start("0009")
    delivery = search.delivery(uri)
    delivery.start([f"{number:04}" for number in range(len(OUTCOMES))])
    delivery.has_news("0009", runs=True)
    delivery.wait(60)
    (info,) = searches(uri)
    assert (info.name, info.experiment, info.outcome) == ("o'neill", "o'neill", "running")
    assert info.counts == {**dict.fromkeys(OUTCOMES, 1), "running": 1}
    assert info.best == 4.0  # of the interrupted trial: the collapsed and failed ones do not count
    assert info.ended is None
    delivery.end(search.finish())
    assert not delivery.wait(60)
    (info,) = searches(uri)
    assert info.outcome == "completed"
    assert info.ended is not None
    rows = leaderboard(uri, "o'neill")
    assert [row.trial[-1] for row in rows] == ["5", "1", "0", "9", "4", "3", "2"]
    assert rows[0].params["generator_optimizer.lr"] == "0.0001"
    with pytest.raises(SearchNotFoundError, match=r"no search named 'x' in .*: o'neill$"):
        leaderboard(uri, "x")


def test_what_ended_trials_came_to_is_read_back(uri: str, tmp_path: Path) -> None:
    search = WrittenSearch(tmp_path / "runs", tags={"gan_tune.metric_version": "v1"})
    for number, outcome in enumerate(OUTCOMES):
        search.trial(f"{number:04}", outcome)
    search.trial("0000-confirm-1")
    search.trial("0000-seed-1")
    search.trial("0007", lineage=[{"trial": "0000", "until": 5, "config": {}}])  # a fork
    search.start("0008")
    for step, value in ((10, math.nan), (20, 5.0), (30, 4.0), (40, 6.0), (50, math.nan)):
        search.report("0008", step, frechet_distance=value)
    search.end("0008", "diverged")
    assert not search.delivered(uri)
    found = ended_trials(uri, "digits")
    assert (found.objective, found.metric_version) == (OBJECTIVE, "v1")
    assert found.data == {"abc123"}
    names = {trial.name: trial.outcome for trial in found.trials}
    told = {name: name for name in ("completed", "pruned", "diverged", "collapsed")}
    told["interrupted"] = "pruned"
    expected = {f"{n:04}": told[name] for n, name in enumerate(OUTCOMES) if name in told}
    assert names == expected | {"0008": "diverged"}
    last = next(trial for trial in found.trials if trial.name == "0008")
    assert list(last.curve.items()) == [(20, 5.0), (30, 4.0), (40, 4.0)]
    assert last.reached == 50
    assert last.params["generator.hidden"] == "[128, 256]"


def test_a_search_without_an_ended_trial_warms_nothing(uri: str, search: WrittenSearch) -> None:
    search.trial("0000", "failed")
    assert not search.delivered(uri)
    with pytest.raises(GanTuneError, match="warm start: digits: must hold a trial that has comple"):
        read_searches(["digits"], load_space("digits"), uri)


def test_system_metrics_stop_with_the_search(uri: str, search: WrittenSearch) -> None:
    search.trial("0000")
    delivery = search.delivery(uri)
    delivery.start(["0000"], live=True)
    delivery.wait(60)
    delivery.end(search.finish())
    assert not delivery.wait(60)
    assert search.runs(uri)[""].info.status == "FINISHED"
