"""What an MLflow server can do to a search: die, hang, be slow, lose answers, refuse the user."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow_servers import ADMIN, USER, Proxy, Server, guarded_serving, log_in, serving
from torch import nn
from written_search import WrittenSearch

from gan_tune.errors import TrackingError
from gan_tune.record.delivery import Delivery
from gan_tune.record.history import leaderboard
from gan_tune.record.mlflow_store import connect
from gan_tune.registry.candidate import keep_candidate
from gan_tune.registry.publish import export_champion, register_champion
from gan_tune.registry.pull import load_generator
from gan_tune.registry.rights import check_rights
from gan_tune.registry.versions import list_models
from gan_tune.service.sync import sync

pytestmark = pytest.mark.ci  # servers that are started take long


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    """The file's own; whoever kills it starts it again."""
    with serving(tmp_path_factory.mktemp("server"), empty_store) as made:
        yield made


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as made:
        yield made


@pytest.fixture
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], WrittenSearch]:
    """A search with a name of its own in the shared server."""
    return lambda: WrittenSearch(tmp_path / "runs", request.node.name[5:60].strip("_"))


def keep_champion(search: WrittenSearch, trial: str, folder: Path, value: float = 0.5) -> nn.Module:
    """A search's champion, exported and waiting to be registered."""
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh())
    candidate = export_champion(
        module,
        folder / "model",
        latent=4,
        model=search.name,
        trial=trial,
        value=value,
        mode="min",
        comparable="frechet_distance/digits",
        tags={"gan_tune.search": search.name},
    )
    keep_candidate(search.home, candidate, folder / "model")
    return module


def in_the_middle(search: WrittenSearch, uri: str) -> Delivery:
    """The delivery of a search's record after the first report of its first trial."""
    delivery = search.delivery(uri)
    delivery.start()
    search.start("0000")
    search.report("0000", 10)
    delivery.has_news("0000", runs=True)
    assert not delivery.wait(60).trials
    return delivery


def test_a_search_is_recorded_by_a_server(
    server: Server, named: Callable[[], WrittenSearch], tmp_path: Path
) -> None:
    search = named()
    search.trial("0000")
    search.home.write_json("search.json", {})  # by which it is known
    module = keep_champion(search, "0000", tmp_path)
    search.finish(leaderboard=[{"trial": "0000"}])
    done = sync(search.name, tmp_path / "runs", tracking_uri=server.uri)
    assert (done.waiting, done.trials) == ("", 1)
    assert search.lacks(server.uri) == []
    assert [row.value for row in leaderboard(server.uri, search.name)] == [0.5]
    z = torch.randn(3, 4)
    with torch.inference_mode():
        assert torch.equal(load_generator(search.name, uri=server.uri)(z), module(z))
    (version,) = MlflowClient(server.uri).search_model_versions(f"name = '{search.name}'")
    assert version.run_id == search.runs(server.uri)["0000"].info.run_id
    again = sync(search.name, tmp_path / "runs", tracking_uri=server.uri)
    assert again.waiting == ""
    assert len(MlflowClient(server.uri).search_model_versions(f"name = '{search.name}'")) == 1
    assert search.name in [model.name for model in list_models(server.uri)]


@pytest.mark.ci
def test_a_search_outlives_its_server(
    server: Server, named: Callable[[], WrittenSearch], caplog: pytest.LogCaptureFixture
) -> None:
    """It freezes in the middle of an answer, dies, and comes back later."""
    caplog.set_level(logging.WARNING, "gan_tune")
    search = named()
    delivery = in_the_middle(search, server.uri)
    server.freeze()
    begun = time.monotonic()
    search.report("0000", 20)
    search.end("0000")
    delivery.has_news("0000", runs=False)
    search.trial("0001")
    delivery.has_news("0001", runs=False)
    assert time.monotonic() - begun < 5, "a single answer that is waited for takes 20 s"
    server.kill()
    waiting = delivery.wait(5)
    assert (waiting.trials, waiting.search) == (2, True)
    server.start()
    delivery.end(search.finish())
    assert not delivery.wait(60)
    assert caplog.text.count("does not answer; the search goes on") == 1
    assert search.lacks(server.uri) == []


@pytest.mark.ci
def test_a_server_that_never_comes_back_is_told_of_later(
    proxy: Proxy, named: Callable[[], WrittenSearch], tmp_path: Path
) -> None:
    search = named()
    search.home.write_json("search.json", {})
    delivery = in_the_middle(search, proxy.uri)
    proxy.is_down = True
    search.report("0000", 20)
    search.end("0000")
    delivery.has_news("0000", runs=False)
    delivery.end(search.finish())
    begun = time.monotonic()
    waiting = delivery.wait(3)
    delivery.close()
    assert time.monotonic() - begun < 10
    assert str(waiting) == "1 trial, the search's run"
    assert waiting.reason
    with pytest.raises(TrackingError, match="does not answer"):
        sync(search.name, tmp_path / "runs", tracking_uri=proxy.uri)
    proxy.is_down = False
    assert sync(search.name, tmp_path / "runs", tracking_uri=proxy.uri).waiting == ""
    assert search.lacks(proxy.uri) == []


@pytest.mark.ci
@pytest.mark.parametrize(
    "match", ["runs/create", "log-batch", "runs/update", "PUT ", "logged-models", "model-versions"]
)
def test_an_answer_that_is_lost_doubles_nothing(
    match: str, proxy: Proxy, named: Callable[[], WrittenSearch], tmp_path: Path
) -> None:
    """The server has done its work, and the search does not know."""
    search = WrittenSearch(tmp_path / "runs", "lost-" + match.strip().replace("/", "-"))
    for trial in ("0000", "0001"):
        search.trial(trial)
    search.home.write_json("search.json", {})
    keep_champion(search, "0001", tmp_path)
    search.finish()
    proxy.swallow, proxy.match = 3, match
    done = sync(search.name, tmp_path / "runs", tracking_uri=proxy.uri)
    assert proxy.swallow == 0
    assert done.waiting == ""
    assert search.lacks(proxy.uri) == []
    client = MlflowClient(proxy.uri)
    (version,) = client.search_model_versions(f"name = '{search.name}'")
    run = search.runs(proxy.uri)["0001"]
    assert version.run_id == run.info.run_id
    assert version.aliases == ["champion"] or client.get_model_version_by_alias(
        search.name, "champion"
    )
    models = client.search_logged_models([run.info.experiment_id])
    assert [model.source_run_id for model in models] == [run.info.run_id]


@pytest.mark.ci
def test_a_slow_server_gets_figures_before_pictures(
    proxy: Proxy, named: Callable[[], WrittenSearch]
) -> None:
    search = named()
    delivery = search.delivery(proxy.uri)
    delivery.start()
    delivery.wait(60)
    for number in range(4):
        search.trial(f"{number:04}")
        delivery.has_news(f"{number:04}", runs=False)
    proxy.delay = 0.5
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        client = MlflowClient(f"http://127.0.0.1:{proxy.target}")
        while not done.wait(0.2):
            found = search_runs(client, search)
            seen.append(sum("frechet_distance" in run.data.metrics for run in found))
            if seen[-1] == 4:
                ended = sum(run.info.status == "FINISHED" for run in found)
                assert ended < 4, "the pictures come after the figures of all"
                return

    watching = threading.Thread(target=look)
    watching.start()
    delivery.end(search.finish())
    assert not delivery.wait(120)
    done.set()
    watching.join()
    assert seen[-1] == 4
    proxy.delay = 0.0
    assert search.lacks(proxy.uri) == []


def search_runs(client: MlflowClient, search: WrittenSearch) -> list[Any]:
    experiment = client.get_experiment_by_name(search.entry.experiment)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


# Basic authentication, for a user who is no administrator


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    with guarded_serving(tmp_path_factory.mktemp("guarded"), empty_store) as made:
        yield made


@pytest.fixture
def as_user(guarded: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    log_in(monkeypatch, USER)
    return guarded


@pytest.mark.ci
def test_a_user_who_is_no_administrator_registers_a_first_champion(
    as_user: Server, named: Callable[[], WrittenSearch], tmp_path: Path
) -> None:
    search = named()
    search.trial("0000")
    search.home.write_json("search.json", {})
    keep_champion(search, "0000", tmp_path)
    search.finish()
    check_rights(as_user.uri, experiment=search.name, model=search.name)
    assert list_models(as_user.uri) == [], "the check leaves no model behind"
    assert sync(search.name, tmp_path / "runs", tracking_uri=as_user.uri).waiting == ""
    assert search.lacks(as_user.uri) == []
    assert load_generator(search.name, uri=as_user.uri).version == 1
    check_rights(as_user.uri, experiment=search.name, model=search.name)


def test_a_model_that_another_search_makes_meanwhile_stays(
    as_user: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = MlflowClient(as_user.uri)
    another.create_registered_model("meanwhile")

    with monkeypatch.context() as before:

        def not_there_yet(*_: Any) -> None:
            before.undo()
            raise MlflowException("Permission denied", error_code=PERMISSION_DENIED)

        before.setattr(MlflowClient, "get_registered_model", not_there_yet)
        check_rights(as_user.uri, experiment="meanwhile", model="meanwhile")
    assert another.get_registered_model("meanwhile").name == "meanwhile"
    another.delete_registered_model("meanwhile")


@pytest.mark.ci
@pytest.mark.parametrize("what", ["experiment", "model"])
def test_rights_that_are_lacking_are_named_before_the_first_trial(
    what: str, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch, ADMIN)
    uri, theirs = guarded.uri, f"theirs-{what}"
    if what == "experiment":
        MlflowClient(uri).create_experiment(theirs)
    else:
        register_champion(
            nn.Linear(2, 2),
            latent=2,
            model=theirs,
            run_id=None,
            value=1.0,
            mode="min",
            comparable="",
            uri=uri,
        )
    log_in(monkeypatch, USER)
    names = {"experiment": f"own-{what}", "model": f"own-{what}"} | {what: theirs}
    with pytest.raises(TrackingError, match=f"must have the right to write .*'{theirs}'") as told:
        check_rights(uri, **names)
    assert f"give --{what} OTHERNAME" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.ci
def test_a_wrong_password_is_refused_at_once_and_a_changed_one_is_told_when_it_happens(
    as_user: Server,
    named: Callable[[], WrittenSearch],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    search = named()
    delivery = in_the_middle(search, as_user.uri)
    log_in(monkeypatch, USER, "another-password")
    with pytest.raises(TrackingError, match="name and password") as told:
        connect(as_user.uri)
    assert "another-password" not in str(told.value)
    search.report("0000", 20)
    delivery.has_news("0000", runs=True)
    delivery.wait(6)
    assert caplog.text.count("refuses; the search goes on and its record waits") == 1
    log_in(monkeypatch, USER)
    search.end("0000")
    delivery.has_news("0000", runs=False)
    delivery.end(search.finish())
    assert not delivery.wait(60)
    assert search.lacks(as_user.uri) == []
