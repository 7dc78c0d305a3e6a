"""A search handed over to a real Ray cluster by HTTP, with token authentication."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ray_nodes import environment_of, free_port, kill_session, start_node

import gan_tune
from gan_tune import service
from gan_tune.cli import ExitCode
from gan_tune.cluster import jobs
from gan_tune.cluster.jobs import Job
from gan_tune.cluster.ray_internals import is_left_behind
from gan_tune.errors import ClusterError, GanTuneError, JobLostError, SpaceError

SPACE: dict[str, Any] = {
    "name": "tiny",
    "objective": {"metric": "energy_distance", "mode": "min"},
    "budget": {"trials": 300, "steps": 200, "evaluations": 2},
    "search": {"sampler": "random", "experience": "none"},
    "confirm": {"top": 1, "seeds": 1},
    "trial": {
        "collapse": "none",
        "data": {"name": "npz", "path": "data/points.npz", "batch_size": 32},
        "generator": {"name": "my_parts:Line", "latent": 2, "width": {"int": [4, 8]}},
        "discriminator": {"name": "mlp", "hidden": [8]},
        "loss": "non_saturating",
        "generator_optimizer": {"name": "adam", "lr": {"log_uniform": [1e-4, 1e-2]}},
        "discriminator_optimizer": {"name": "adam", "lr": 1e-3},
    },
}

MY_PARTS = """
import torch

class Line(torch.nn.Sequential):
    def __init__(self, shape, latent: int = 2, width: int = 4):
        super().__init__(torch.nn.Linear(latent, width), torch.nn.Linear(width, shape[0]))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder: a space with a network and data of one's own."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    points = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    np.savez(folder / "data" / "points.npz", x=points)
    (folder / "my_parts.py").write_text(MY_PARTS)
    (folder / "space.yaml").write_text(yaml.safe_dump(SPACE))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    yield folder
    for name in (
        "my_parts",
        "my_other_parts",
        "my_third_parts",
    ):  # another test has another file of that name
        sys.modules.pop(name, None)


# -------------------------------------------------------------------- refused at once

NOWHERE: dict[str, Any] = {"address": "http://127.0.0.1:9", "storage": "/runs", "offline": True}


def submit(given: str, *overrides: str, **how: Any) -> service.Submission:
    space = service.load_space(given, overrides, check_data=False)
    return service.submit(space, given, **{**NOWHERE, **how})


@pytest.mark.parametrize(
    ("address", "rule", "exit_code"),
    [
        ("http://127.0.0.1:9", "Connection refused", 1),
        ("http://nowhere.invalid:8265", "", 2),
        ("127.0.0.1:8265", "handed over by HTTP", 2),
        ("ray://127.0.0.1:10001", "handed over by HTTP", 2),
        ("http://", "handed over by HTTP", 2),
    ],
)
def test_an_address_of_no_dashboard(project: Path, address: str, rule: str, exit_code: int) -> None:
    with pytest.raises(ClusterError, match=rule) as caught:
        submit("space.yaml", address=address)
    assert caught.value.exit_code == exit_code
    assert repr(address.rstrip("/")) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        ({"storage": "./gan_tune_runs"}, "--storage: must be a URI or a whole path"),
        ({"storage": "s3://me:secret@host/runs"}, "--storage: must hold no password"),
        ({"offline": False}, "--tracking-uri: must be of an MLflow that the cluster sees"),
        ({"offline": False, "tracking_uri": "sqlite:///mlflow.db"}, "--tracking-uri: must be"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_what_would_not_outlive_the_job(
    project: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], rule: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(GanTuneError) as caught:
        submit("space.yaml", **how)
    assert rule in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fits", "kind", "exit_code", "end"),
    [(True, JobLostError, 1, "its actor died; submit it again"), (False, ClusterError, 2, "died")],
)
def test_a_job_that_is_lost_may_be_submitted_again(
    monkeypatch: pytest.MonkeyPatch, fits: bool, kind: type[ClusterError], exit_code: int, end: str
) -> None:
    lost = Job("raysubmit_1", "tiny", "", "", "FAILED", "its actor\n died", fits, None, 0)

    class Lost:
        def __init__(self, address: str) -> None:
            self.find = self.follow = lambda *args: lost

    monkeypatch.setattr(jobs, "Jobs", Lost)
    with pytest.raises(kind, match=f"job raysubmit_1 of the cluster: .*{end}$") as caught:
        service.follow("tiny", "http://127.0.0.1:8265", print)
    assert caught.value.exit_code == exit_code


def test_what_would_not_travel_is_named_with_its_place(project: Path) -> None:
    outside = project.parent / "elsewhere"
    outside.mkdir()
    shutil.copy("data/points.npz", outside / "points.npz")
    for path, rule in {
        "../elsewhere/points.npz": "must lie in the working folder",
        "data/none.npz": "no such file or folder here",
        str(project / "data" / "points.npz"): "must be relative to the working folder",
    }.items():
        with pytest.raises(SpaceError) as caught:
            submit("space.yaml", f"trial.data.path={path}")
        (fault,) = caught.value.faults
        assert fault.path == "trial.data.path"
        assert rule in fault.rule
    with pytest.raises(ClusterError):  # a whole path elsewhere is the cluster's own
        submit("space.yaml", "trial.data.path=/on/the/cluster/points.npz")


@pytest.mark.parametrize(
    ("ignore", "line", "place"),
    [
        (".gitignore", "data/", "trial.data.path"),
        (".gitignore", "*.npz", "trial.data.path"),
        ("data/.rayignore", "points.*", "trial.data.path"),
        (".gitignore", "space.yaml", ""),
    ],
)
def test_what_is_ignored_does_not_travel(project: Path, ignore: str, line: str, place: str) -> None:
    (project / ignore).write_text(f"another.npz\n{line}\n")
    with pytest.raises(SpaceError) as caught:
        submit("space.yaml")
    (fault,) = caught.value.faults
    assert fault.path == place
    assert "is left behind, as .gitignore, .rayignore or" in fault.rule


def test_a_network_that_is_ignored_does_not_travel(project: Path) -> None:
    (project / "my_parts.py").rename(project / "my_third_parts.py")
    (project / ".rayignore").write_text("my_third_parts.py\n")
    with pytest.raises(SpaceError) as caught:
        submit("space.yaml", "trial.generator.name=my_third_parts:Line")
    (fault,) = caught.value.faults
    assert (fault.path, fault.given) == ("trial", "'my_third_parts:Line'")
    assert "is left behind" in fault.rule


def test_a_folder_of_which_something_travels_is_not_refused(project: Path) -> None:
    (project / ".gitignore").write_text("*.tmp\nvenv/\n")
    (project / "data" / "a.tmp").touch()
    (project / "venv").mkdir()
    shutil.copy("data/points.npz", project / "venv" / "points.npz")
    assert not is_left_behind(project / "data", project, [])
    (project / "empty").mkdir()
    assert not is_left_behind(project / "empty", project, [])
    assert is_left_behind(project / "venv", project, [])
    shutil.copytree("data", "mlruns")
    with pytest.raises(SpaceError, match="is left behind"):
        submit("space.yaml", "trial.data.path=mlruns/points.npz")
    with pytest.raises(ClusterError):
        submit("space.yaml")


def test_a_network_and_a_space_that_lie_elsewhere(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = project.parent / "other"
    other.mkdir()
    (project / "my_parts.py").rename(other / "my_other_parts.py")
    shutil.move("space.yaml", other / "space.yaml")
    monkeypatch.syspath_prepend(other)
    with pytest.raises(SpaceError) as caught:
        submit("../other/space.yaml", "trial.generator.name=my_other_parts:Line")
    space, network = caught.value.faults
    assert space.given == "'../other/space.yaml'"
    assert str(other / "my_other_parts.py") in network.rule
    assert network.given == "'my_other_parts:Line'"


# -------------------------------------------------------------------- a cluster


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """The address of a head's dashboard, which asks for a token."""
    folder = Path(tempfile.mkdtemp(prefix="gt-", dir="/tmp"))  # short, since sockets lie in it
    (folder / "empty").mkdir()
    port = free_port()
    options = [f"--port={free_port()}", f"--dashboard-port={port}", "--dashboard-host=127.0.0.1"]
    head = None
    try:
        head = start_node(folder, "head", *options)
        yield f"http://127.0.0.1:{port}"
    finally:
        if head is not None:
            kill_session(head)
        shutil.rmtree(folder, ignore_errors=True)


def gan_tune_on(*words: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    path = str(Path(gan_tune.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "gan_tune.cli", *words],
        env=environment_of(Path.cwd(), PYTHONPATH=path, **environment),
        capture_output=True,
        text=True,
        timeout=300,  # a cluster that starts is waited for three minutes
    )


@pytest.mark.ci
def test_a_search_is_submitted_watched_and_stopped(
    dashboard: str, project: Path, tmp_path: Path
) -> None:
    """It trains a network of the project on data of the project, and outlives its submitter."""
    on, runs = ("--address", dashboard), tmp_path / "runs"
    how = ["--outage-minutes", "3.0", "--experiment", "lines", "--model", "line"]
    how += ["--register-anyway"]
    command = ["submit", "space.yaml", *on, "--storage", str(runs), "--offline", "--detach", *how]
    begun = gan_tune_on(*command)
    assert begun.returncode == 0, begun.stderr
    assert begun.stdout.startswith("tiny is run by job ")
    assert f"gan-tune logs tiny --address {dashboard}" in begun.stdout
    again = gan_tune_on(*command)
    assert again.stdout.startswith("tiny is run already by job "), again.stderr
    other = gan_tune_on(*command, "--trials", "7")
    assert other.returncode == ExitCode.REFUSED
    assert "with another command: python -m gan_tune.cli search space.yaml" in other.stderr
    assert " ".join(how) in other.stderr  # what is asked for here is asked for there

    deadline = time.monotonic() + 90
    while not list(runs.glob("tiny/trials/*/reports/*.json")):
        assert time.monotonic() < deadline, gan_tune_on("logs", "tiny", *on).stdout
        time.sleep(0.2)
    seen = gan_tune_on("status", "tiny", *on, "--json")
    assert json.loads(seen.stdout)["name"] == "tiny", seen.stdout + seen.stderr
    stopped = gan_tune_on("stop", "tiny", *on)
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.startswith("tiny is asked to end")

    logs = gan_tune_on("logs", "tiny", *on)  # it ends with the search
    assert logs.returncode == ExitCode.INTERRUPTED, logs.stderr
    assert "search tiny begins: 300 settings" in logs.stdout
    late = gan_tune_on("stop", "tiny", *on)
    assert late.returncode == ExitCode.REFUSED
    assert late.stderr.startswith("error: tiny does not run: its job ")
    assert not any(path.name.startswith("gt-") for path in project.iterdir())


@pytest.mark.ci
@pytest.mark.parametrize(
    ("environment", "rule"),
    [
        ({"RAY_AUTH_TOKEN": "wrong" * 8}, "it wants another token: set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_TOKEN": None}, "it wants another token"),
        ({"RAY_AUTH_TOKEN": None, "RAY_AUTH_MODE": None}, "it wants another token"),
        ({}, "no search, nor job of one, named 'raysubmit_0' on the cluster"),
    ],
    ids=["wrong token", "no token", "nothing set", "dead job"],
)
def test_what_a_cluster_refuses_is_one_line(
    dashboard: str, environment: dict[str, str | None], rule: str
) -> None:
    refused = gan_tune_on("logs", "raysubmit_0", "--address", dashboard, **environment)
    assert refused.returncode == ExitCode.REFUSED
    assert rule in refused.stderr
    assert refused.stderr.count("\n") == 1
