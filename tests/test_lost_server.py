"""A real search whose MLflow server dies: its record is not lost, and its result needs none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.server.auth.client import AuthServiceClient
from mlflow_servers import ADMIN, USER, Proxy, Server, guarded_serving, log_in, serving
from tiny_search import space_tree
from written_search import WrittenSearch

from gan_tune import service
from gan_tune.errors import GanTuneError, RecordError, SearchNotFoundError, TrackingError
from gan_tune.record.mlflow_store import connect
from gan_tune.service.running.registrar import Registrar
from gan_tune.watching.watcher import Watcher

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    connect(f"sqlite:///{folder}/empty.db")
    with serving(folder, folder / "empty.db") as made:
        yield made


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as made:
        yield made


class Faulty(Watcher):
    """Does something to the server at a stage of the search, or after some reports."""

    def __init__(self, *, stage: str = "", reports: int = 0, fault: Any = None) -> None:
        self.at_stage, self.after, self.fault, self.stages = stage, reports, fault, []
        self.reports = 0

    def stage(self, text: str) -> None:
        self.stages.append(text)
        if self.at_stage and text.startswith(self.at_stage):
            self.fault()

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        self.reports += 1
        if self.reports == self.after:
            self.fault()


def lacks(folder: Path, name: str, uri: str) -> list[str]:
    """What of a search's folder is not in MLflow."""
    return WrittenSearch.of(folder, name).lacks(uri)


def versions(uri: str, model: str) -> list[str]:
    found = MlflowClient(uri).search_model_versions(f"name = '{model}'")
    return [version.version for version in found]


@pytest.mark.parametrize(
    "when",
    [{"reports": 3}, {"stage": "exporting"}, None],
    ids=["in the middle", "before it registers", "as it registers"],
)
def test_a_server_that_is_gone_for_good_costs_nothing(
    when: dict[str, Any] | None,
    proxy: Proxy,
    tmp_path: Path,
    local_ray: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die() -> None:
        proxy.is_down = True

    last_seconds = "gan_tune.service.running.recording.LAST_SECONDS"
    # Before it registers, all else is delivered, however slow the machine is.
    monkeypatch.setattr(last_seconds, 3.0 if when else 25.0)
    name = f"gone-{len(str(when))}"
    options: dict[str, Any] = {"storage": tmp_path, "tracking_uri": proxy.uri}
    register = Registrar.__call__
    with monkeypatch.context() as patch:
        if when is None:
            patch.setattr(Registrar, "__call__", lambda registrar: (die(), register(registrar)))
        watcher = Faulty(**when or {}, fault=die)
        result = service.search(space_tree(name=name), watcher=watcher, **options)
    assert result.finished
    assert result.champion is not None
    folder = tmp_path / name
    for file in ("result.json", "leaderboard.json", "report.html", "champion.png"):
        assert (folder / file).stat().st_size > 0
    assert (folder / "champion" / "model" / "MLmodel").is_file()
    monkeypatch.setattr(last_seconds, 3.0)
    assert ("the search's run" in result.waiting) == (when is not None)
    assert "the champion's registration" in result.waiting
    assert (result.model, result.promoted) == (None, False)
    again = service.search(space_tree(name=name), **options)  # it needs no server either
    assert (again.finished, bool(again.waiting)) == (True, True)
    proxy.is_down = False
    done = service.sync(name, tmp_path, tracking_uri=proxy.uri)
    assert done.waiting == ""
    assert done.result is not None
    assert (done.result.model, done.result.model_version) == (name, 1)
    assert (done.result.promoted, done.result.waiting) == (True, "")
    assert lacks(tmp_path, name, proxy.uri) == []
    assert versions(proxy.uri, name) == ["1"]
    # Once more changes nothing, and neither does the same command.
    assert service.search(space_tree(name=name), **options) == done.result
    assert lacks(tmp_path, name, proxy.uri) == []
    assert versions(proxy.uri, name) == ["1"]


def test_an_interrupted_search_goes_on_although_its_server_is_dead(
    proxy: Proxy, tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_tune.service.running.recording.LAST_SECONDS", 3.0)
    options: dict[str, Any] = {"storage": tmp_path, "tracking_uri": proxy.uri}
    # The wish to stop is looked for once a second.
    tree = space_tree(name="resumed", budget={"trials": 12, "steps": 400, "evaluations": 4})
    stopping = Faulty(reports=3, fault=lambda: service.stop("resumed", tmp_path))
    assert not service.search(tree, watcher=stopping, **options).finished
    proxy.is_down = True
    result = service.search(tree, **options)
    assert result.finished
    assert result.champion is not None
    assert "the champion's registration" in result.waiting
    proxy.is_down = False
    assert service.sync("resumed", tmp_path, tracking_uri=proxy.uri).waiting == ""
    assert lacks(tmp_path, "resumed", proxy.uri) == []
    assert versions(proxy.uri, "resumed") == ["1"]


def test_a_search_begins_without_a_server_only_offline(
    server: Server, tmp_path: Path, local_ray: None
) -> None:
    tree = space_tree(name="offline", budget={"trials": 2, "steps": 20, "evaluations": 2})
    dead = "http://127.0.0.1:9"
    with pytest.raises(TrackingError, match="Connection refused"):
        service.search(tree, storage=tmp_path, tracking_uri=dead)
    assert not (tmp_path / "offline").exists()
    with pytest.raises(GanTuneError, match="--offline: must come without --warm-start"):
        service.search(
            tree, storage=tmp_path, tracking_uri=dead, offline=True, warm_start=["digits"]
        )
    result = service.search(tree, storage=tmp_path, tracking_uri=dead, offline=True)
    assert result.finished
    assert "trials, the search's run, the champion's registration" in result.waiting
    assert service.sync("offline", tmp_path, tracking_uri=server.uri).waiting == ""
    assert lacks(tmp_path, "offline", server.uri) == []
    assert versions(server.uri, "offline") == ["1"]
    result = service.load_result("offline", tmp_path)
    assert (result.model, result.waiting, result.tracking_uri) == ("offline", "", server.uri)

    (tmp_path / "offline").rename(tmp_path / "renamed")
    with pytest.raises(RecordError, match="the search 'renamed', but it is that of 'offline'"):
        service.sync("renamed", tmp_path, tracking_uri=server.uri)
    with pytest.raises(SearchNotFoundError, match=r"no search named 'offline' in .*: renamed"):
        service.sync("offline", tmp_path, tracking_uri=server.uri)


def test_a_user_who_is_no_administrator_searches_on_a_server_with_passwords(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each request takes the server a tenth of a second of checking the password.
    monkeypatch.setattr("gan_tune.service.running.recording.LAST_SECONDS", 300.0)
    connect(f"sqlite:///{tmp_path}/empty.db")
    with guarded_serving(tmp_path / "server", tmp_path / "empty.db") as server:
        where: dict[str, Any] = {"storage": tmp_path / "runs", "tracking_uri": server.uri}
        tree = space_tree(name="guarded", budget={"trials": 1, "steps": 20, "evaluations": 1})
        tree["confirm"] = {"top": 0}
        with pytest.raises(TrackingError, match="name and password"):
            service.search(tree, **where)
        assert not (tmp_path / "runs" / "guarded").exists()
        log_in(monkeypatch, USER)
        result = service.search(tree, **where)
        assert (result.finished, result.waiting) == (True, "")
        assert (result.model, result.model_version, result.promoted) == ("guarded", 1, True)
        assert lacks(tmp_path / "runs", "guarded", server.uri) == []
        generator = service.load_generator("guarded", tracking_uri=server.uri)
        assert generator.sample(2, seed=0).shape == (2, 1, 8, 8)
        stored = (tmp_path / "runs" / "guarded" / "result.json").read_text()
        assert "password" not in stored


def test_a_password_changed_during_a_search_is_told_and_costs_nothing(
    tmp_path: Path,
    local_ray: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(f"sqlite:///{tmp_path}/empty.db")
    with guarded_serving(tmp_path / "server", tmp_path / "empty.db") as server:

        def change_password() -> None:
            with pytest.MonkeyPatch.context() as as_admin:
                log_in(as_admin, ADMIN)
                AuthServiceClient(server.uri).update_user_password(USER, "a-new-one-of-tests")

        log_in(monkeypatch, USER)
        monkeypatch.setattr("gan_tune.service.running.recording.LAST_SECONDS", 3.0)
        options: dict[str, Any] = {"storage": tmp_path / "runs", "tracking_uri": server.uri}
        changing = Faulty(reports=3, fault=change_password)
        result = service.search(space_tree(name="changed"), watcher=changing, **options)
        assert result.finished
        assert result.champion is not None
        assert "the champion's registration" in result.waiting
        assert caplog.text.count("refuses; the search goes on and its record waits") == 1
        with pytest.raises(TrackingError, match="name and password"):
            service.sync("changed", tmp_path / "runs", tracking_uri=server.uri)
        log_in(monkeypatch, USER, "a-new-one-of-tests")
        monkeypatch.setattr("gan_tune.service.running.recording.LAST_SECONDS", 300.0)
        assert service.sync("changed", tmp_path / "runs", tracking_uri=server.uri).waiting == ""
        assert lacks(tmp_path / "runs", "changed", server.uri) == []
        assert versions(server.uri, "changed") == ["1"]
