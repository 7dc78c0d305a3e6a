"""The same application on Ray Serve: several processes, one interface, one token."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import torch
from mlflow_servers import free_port
from ray_nodes import environment_of, kill_session, start_node
from torch import Tensor

from gan_tune.errors import ClusterError, GanTuneError
from gan_tune.record.mlflow_store import connect
from gan_tune.registry.publish import register_champion
from gan_tune.registry.pull import load_generator
from gan_tune.service import serve

TOKEN = "token-of-these-tests"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A store with a generator of points."""
    pytest.importorskip("ray.serve")
    made = connect(f"sqlite:///{tmp_path}/mlflow.db")
    register(made, value=1.0)
    return made


def register(uri: str, value: float) -> None:
    """Another generator, which becomes the champion if its value is the lowest."""
    torch.manual_seed(round(10 * value))
    register_champion(
        torch.nn.Linear(4, 2),
        latent=4,
        model="points",
        run_id=None,
        value=value,
        mode="min",
        comparable="",
        uri=uri,
    )


@contextmanager
def serving(uri: str, folder: Path, *words: str, environment: dict[str, str]) -> Iterator[str]:
    """The command `gan-tune serve` on Ray, interrupted in the end; yields where it listens."""
    port = free_port()
    given = [*words, "--port", str(port), "--tracking-uri", uri]
    command = subprocess.Popen(
        [sys.executable, "-m", "gan_tune.cli", "serve", "points", *given],
        cwd=folder,
        env=environment | {"GAN_TUNE_SERVE_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout is not None
        line = command.stdout.readline()
        assert line.startswith(f"serving points/1: http://127.0.0.1:{port}/docs?token={TOKEN}"), (
            line or command.communicate(timeout=10)[1]
        )
        yield f"http://127.0.0.1:{port}"
        command.send_signal(signal.SIGINT)
        assert command.wait(60) == 0, command.communicate()[1]
    finally:
        command.kill()
        command.communicate()


def ask(at: str, seed: int) -> Tensor:
    body = {"n": 3, "seed": seed}
    answer = httpx.post(f"{at}/v1/samples", json=body, headers=SHOWN, timeout=60)
    assert answer.status_code == 200, answer.text
    return torch.tensor(answer.json()["samples"])


def version(at: str) -> int:
    found = httpx.get(f"{at}/v1/model", headers=SHOWN, timeout=60)
    assert found.status_code == 200, found.text
    return int(found.json()["version"])


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_two_processes_serve_one_model_and_its_successor(uri: str, tmp_path: Path) -> None:
    words = ["--replicas", "2"]
    with (
        serving(uri, tmp_path, *words, environment=dict(os.environ)) as at,
        ThreadPoolExecutor(8) as asking,
    ):
        assert httpx.get(f"{at}/healthz").status_code == 200
        assert httpx.get(f"{at}/v1/model").status_code == 401
        assert version(at) == 1
        generator = load_generator("points/1", uri=uri)
        for seed, samples in enumerate(asking.map(lambda seed: ask(at, seed), range(40))):
            torch.testing.assert_close(samples, generator.sample(3, seed=seed))
        refused = httpx.post(f"{at}/v1/samples", json={"n": 0}, headers=SHOWN)
        assert refused.status_code == 422

        register(uri, value=0.5)
        successor, deadline = load_generator("points/2", uri=uri), time.monotonic() + 150
        versions: list[int] = []
        while versions[-20:] != [2] * 20:  # each process looks for itself
            assert time.monotonic() < deadline, versions
            versions += asking.map(lambda _: version(at), range(4))
            both = generator.sample(3, seed=7), successor.sample(3, seed=7)
            for samples in asking.map(lambda _: ask(at, 7), range(4)):
                assert any(torch.allclose(samples, each, atol=1e-6) for each in both)
        torch.testing.assert_close(ask(at, 7), both[1])


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_a_cluster_elsewhere_serves_and_stays(uri: str, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gt-", dir="/tmp"))  # short, since sockets lie in it
    (folder / "empty").mkdir()
    port = free_port()
    address = f"127.0.0.1:{port}"
    head = start_node(folder, "head", f"--port={port}", "--include-dashboard=false")
    try:
        environment = environment_of(folder)
        for _ in range(2):  # nothing of the first one is in the second one's way
            with serving(uri, tmp_path, "--address", address, environment=environment) as at:
                torch.testing.assert_close(
                    ask(at, 5), load_generator("points", uri=uri).sample(3, seed=5)
                )
            assert head.poll() is None
    finally:
        kill_session(head)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ci
def test_what_cannot_be_served_on_ray_is_refused(uri: str, local_ray: None) -> None:
    started = pytest.fail
    with pytest.raises(GanTuneError, match="--port: must be given on Ray"):
        serve("points", port=0, replicas=1, tracking_uri=uri, started=started)
    with pytest.raises(ClusterError, match=r"--replicas: .* must be at most \d+, but got 1000"):
        serve("points", port=free_port(), replicas=1000, tracking_uri=uri, started=started)
