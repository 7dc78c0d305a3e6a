"""The same application on Ray Serve: several processes, one interface, one token."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch
from mlflow_servers import free_port

from gan_tune.errors import ClusterError, GanTuneError
from gan_tune.record.mlflow_store import connect
from gan_tune.registry.publish import register_champion
from gan_tune.registry.pull import load_generator
from gan_tune.service import serve

TOKEN = "token-of-these-tests"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A store with a generator of points."""
    pytest.importorskip("ray.serve")
    made = connect(f"sqlite:///{tmp_path}/mlflow.db")
    torch.manual_seed(0)
    register_champion(
        torch.nn.Linear(4, 2),
        latent=4,
        model="points",
        run_id=None,
        value=1.0,
        mode="min",
        comparable="",
        uri=made,
    )
    return made


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_two_processes_serve_one_model(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_SERVE_TOKEN", TOKEN)
    port = free_port()
    words = ["serve", "points", "--replicas", "2", "--port", str(port), "--tracking-uri", uri]
    command = subprocess.Popen(
        [sys.executable, "-m", "gan_tune.cli", *words],
        cwd=tmp_path,
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
        at, shown = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{at}/healthz").status_code == 200
        assert httpx.get(f"{at}/v1/model").status_code == 401
        assert httpx.get(f"{at}/v1/model", headers=shown).json()["version"] == 1

        def ask(seed: int) -> list[list[float]]:
            body = {"n": 3, "seed": seed}
            answer = httpx.post(f"{at}/v1/samples", json=body, headers=shown, timeout=60)
            assert answer.status_code == 200, answer.text
            found: list[list[float]] = answer.json()["samples"]
            return found

        with ThreadPoolExecutor(8) as asking:
            answers = list(asking.map(ask, range(40)))
        generator = load_generator("points", uri=uri)
        for seed, samples in enumerate(answers):
            torch.testing.assert_close(torch.tensor(samples), generator.sample(3, seed=seed))
        answer = httpx.post(f"{at}/v1/samples", json={"n": 0}, headers=shown)
        assert answer.status_code == 422
        command.send_signal(signal.SIGINT)
        assert command.wait(60) == 0, command.communicate()[1]
    finally:
        command.kill()


@pytest.mark.ci
def test_what_cannot_be_served_on_ray_is_refused(uri: str, local_ray: None) -> None:
    started = pytest.fail
    with pytest.raises(GanTuneError, match="--port: must be given on Ray"):
        serve("points", port=0, replicas=1, tracking_uri=uri, started=started)
    with pytest.raises(ClusterError, match=r"--replicas: .* must be at most \d+, but got 1000"):
        serve("points", port=free_port(), replicas=1000, tracking_uri=uri, started=started)
