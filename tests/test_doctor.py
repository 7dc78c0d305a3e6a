"""What `gan-tune doctor` finds, and what it advises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from ray.cluster_utils import Cluster

from gan_tune import service
from gan_tune.cluster.ray_internals import forget_own_token
from gan_tune.searching.on_ray.node_facts import NodeFacts, facts_here
from gan_tune.searching.on_ray.proof import leave_for_workers
from gan_tune.service.doctor import checks_of_nodes
from gan_tune.storage.storage import open_storage

GIB = 1 << 30
VERSIONS = {"gan_tune": "1", "torch": "2", "ray": "3", "python": "3.12.1"}
DRIVER = NodeFacts("10.0.0.1", VERSIONS, gpus=1, shared_memory=8 * GIB)
SOUND = replace(DRIVER, node="10.0.0.2", ray_gpus=1, object_store=4 * GIB)


def test_where_all_is_well_each_subject_has_one_line() -> None:
    checks = checks_of_nodes(DRIVER, [SOUND, replace(SOUND, node="10.0.0.3")], stored=True)
    assert [check.what for check in checks] == [
        "versions", "GPUs", "shared memory", "storage", "ports", "token", "clock",
    ]  # fmt: skip
    assert all(check.ok for check in checks)
    assert {check.where for check in checks} == {"all nodes"}
    assert checks[0].text == "gan_tune 1, torch 2, ray 3, python 3.12.1"
    assert checks[1].text == "torch finds 2"


@pytest.mark.parametrize(
    ("changes", "what", "advice"),
    [
        ({"versions": VERSIONS | {"torch": "2.1"}}, "versions", "torch 2.1 instead of 2: install"),
        ({"gpus": 0}, "GPUs", "Ray manages 1, but torch finds 0: check nvidia-smi"),
        ({"gpus": 2}, "GPUs", "start Ray there with --num-gpus 2"),
        ({"gpu_fault": "a step on its device: bad"}, "GPUs", "bad: mend its driver"),
        ({"storage_fault": "storage: full"}, "storage", "storage: full"),
        ({"shared_memory": GIB // 16}, "shared memory", r"0\.06 GiB.* wants 4\.00.*--shm-size"),
        ({"closed": ["object manager"]}, "ports", "object manager cannot be reached from here"),
        ({"tokens": False}, "token", "RAY_AUTH_MODE=token"),
        ({"skew": -61.0}, "clock", "61.0 s behind this machine's"),
        ({"unanswered": "no torch"}, "node", "cannot run gan-tune: no torch"),
    ],
)
def test_what_is_wrong_with_a_node_is_one_line_that_says_what_to_do(
    changes: dict[str, object], what: str, advice: str
) -> None:
    bad = replace(SOUND, node="10.0.0.3", **changes)  # type: ignore[arg-type]
    checks = checks_of_nodes(DRIVER, [SOUND, bad], stored=True)
    (fault,) = [check for check in checks if not check.ok]
    assert (fault.what, fault.where) == (what, "10.0.0.3")
    assert re.search(advice, fault.text), fault.text
    assert "\n" not in fault.text


def test_a_node_that_does_not_see_the_drivers_storage_says_so(tmp_path: Path) -> None:
    home = open_storage(tmp_path).below("search")
    word = leave_for_workers(home).word
    assert facts_here(home, word).storage_fault == ""
    assert "is a share mounted?" in facts_here(home, "another").storage_fault


def test_this_machine_alone_is_checked_and_left_as_it_was(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    checks = service.doctor(storage=tmp_path / "runs", tracking_uri=uri)
    assert [check.what for check in checks] == [
        "versions", "GPUs", "shared memory", "storage", "MLflow",
    ]  # fmt: skip
    assert all(check.ok for check in checks if check.what != "shared memory"), checks
    assert list((tmp_path / "runs").iterdir()) == []
    left = MlflowClient(uri).search_experiments(view_type=ViewType.ACTIVE_ONLY)
    assert [each.name for each in left] == ["Default"]


def run_doctor(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gan_tune.cli", "doctor", *options]
    environment = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )


def lines_of(printed: str) -> dict[str, str]:
    """Subject and sign → the line."""
    found = (re.match(r"(.+?) +(ok|no) ", line) for line in printed.splitlines())
    return {f"{match[1]} {match[2]}": match.string for match in found if match}


@pytest.mark.ci
def test_what_does_not_answer_is_a_line_beside_the_others(tmp_path: Path) -> None:
    dead = "127.0.0.1:9"
    (tmp_path / "file").touch()
    done = run_doctor(
        tmp_path, "--address", dead, "--storage", "file", "--tracking-uri", f"http://{dead}"
    )
    assert done.returncode == 1, done.stderr
    lines = lines_of(done.stdout)
    assert set(lines) == {"storage no", "cluster no", "MLflow no"}
    assert "Connection refused" in lines["cluster no"]
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.ci
def test_each_node_of_a_cluster_is_asked(tmp_path: Path) -> None:
    """Three nodes; one claims a GPU that is not there, and none asks for a token."""
    forget_own_token()  # of a Ray that another test has started in this process
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.add_node(num_cpus=1)
        cluster.add_node(num_cpus=1, num_gpus=1)
        done = run_doctor(tmp_path, "--address", cluster.address, "--storage", "runs")
    finally:
        cluster.shutdown()
    assert done.returncode == 1, done.stderr
    lines = lines_of(done.stdout)
    assert "nodes that run: 3" in lines["cluster ok"]
    assert {"versions ok", "storage ok", "ports ok", "clock ok", "MLflow ok"} <= set(lines)
    assert "Ray manages 1, but torch finds 0" in lines["GPUs no"]
    assert "RAY_AUTH_MODE=token" in lines["token no"]
    assert list((tmp_path / "runs").iterdir()) == []
