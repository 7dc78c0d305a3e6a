"""Whoever writes to the record cannot lead a reader to other places."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from test_registry import register

from gan_tune.errors import GanTuneError, TrackingError
from gan_tune.record.artifact_roots import ROOT, ArtifactRoots, check_origin
from gan_tune.record.search_run import open_experiment
from gan_tune.registry.pull import load_generator

SERVER = "https://ann:pw@mlflow.example:5000/prefix"
SERVED = "https://mlflow.example:5000/prefix/api/2.0/mlflow-artifacts/artifacts"


class _Store:
    """A server's default root, as MLflow's client tells it."""

    artifact_location = "s3://bucket/root/0"

    def get_experiment(self, experiment: str) -> _Store:
        assert experiment == "0"
        return self


def roots(uri: str = SERVER) -> ArtifactRoots:
    return ArtifactRoots(_Store(), uri)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/root/3/models/m-1/artifacts",
        "mlflow-artifacts:/3/models/m-1/artifacts",
        "mlflow-artifacts://mlflow.example:5000/3/artifacts",
        f"{SERVED}/3/models/m-1/artifacts",
    ],
)
def test_files_of_the_store_are_followed(source: str) -> None:
    roots().check(source, "digits/1")


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc",
        "/etc",
        "etc",
        "",
        "file://mlflow.example:5000/etc",
        "http://evil.example/3/artifacts",
        "http://mlflow.example:5000/prefix/api/2.0/mlflow-artifacts/artifacts/3",  # not TLS
        "https://mlflow.example:5000.evil.example/prefix/api/2.0/mlflow-artifacts/artifacts/3",
        "https://mlflow.example:5000@evil.example/prefix/api/2.0/mlflow-artifacts/artifacts/3",
        "https://mlflow.example:5000/another",
        "mlflow-artifacts://evil.example/3/artifacts",
        "mlflow-artifacts:/3/../4",
        "mlflow-artifacts:/3/%2e%2e/4",
        "mlflow-artifacts:/3/%252e%252e/4",
        "mlflow-artifacts:/3?x=1",
        "s3://bucket/root/../secret",
        "s3://bucket/rooted/3",
        "s3://another/root/3",
        "runs:/0123/model",
        "models:/digits/1",
        "dbfs:/databricks/x",
        "http://[",
        "file:///%00",
    ],
)
def test_other_places_are_refused(source: str) -> None:
    with pytest.raises(GanTuneError, match=r"^model digits/1: its files must lie in the store's"):
        roots().check(source, "digits/1")


def test_a_root_that_the_user_names_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT, "s3://mine/models")
    roots().check("s3://mine/models/3", "digits/1")
    with pytest.raises(GanTuneError):
        roots().check("s3://mine/others/3", "digits/1")


def test_uploads_go_to_no_foreign_server() -> None:
    for location in ("s3://any/3", "/mnt/3", "mlflow-artifacts:/3", f"{SERVED}/3"):
        check_origin(SERVER, location)
    for location in ("http://evil.example/3", "mlflow-artifacts://evil.example/3", "http:///3"):
        with pytest.raises(TrackingError, match="names another server"):
            check_origin(SERVER, location)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The URL of another web server, and what it was asked for; the user has a password."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_error(404)

        do_PUT = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_version_elsewhere_is_not_fetched(
    uri: str, tmp_path: Path, spy: tuple[str, list[str]]
) -> None:
    foreign, asked = spy
    (tmp_path / "private/extra_files").mkdir(parents=True)
    (tmp_path / "private/extra_files/generator.json").write_text("secret")
    client = MlflowClient(uri)
    client.create_registered_model("digits")
    # As whoever has the database, or a server without MLflow's own rule, can store it.
    for source in (f"{foreign}/3", (tmp_path / "private").as_uri(), f"file://{os.sep}etc"):
        version = client.create_model_version(
            "digits", source, tags={"gan_tune.latent": "8"}
        ).version
        with pytest.raises(GanTuneError, match="its files must lie in the store's own place"):
            load_generator(f"digits/{version}", uri=uri)
    assert asked == []


def test_an_experiment_elsewhere_gets_nothing(uri: str, spy: tuple[str, list[str]]) -> None:
    foreign, asked = spy
    client = MlflowClient(uri)
    client.create_experiment("taken", f"{foreign}/3")
    with pytest.raises(TrackingError, match="names another server"):
        open_experiment(client, uri, "taken")
    assert asked == []


def test_a_link_that_leaves_the_store_is_refused(uri: str, tmp_path: Path) -> None:
    register(uri, 0.5)
    load_generator("digits", uri=uri)
    (archive,) = (tmp_path / "mlruns").rglob("model.pt2")
    private = tmp_path / "private.pt2"
    archive.rename(private)
    archive.symlink_to(private)
    with pytest.raises(GanTuneError, match=r"model\.pt2 must be no link that leaves the store"):
        load_generator("digits", uri=uri)
