"""The driver as a process of its own: killed, interrupted, taken up again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tiny_search import runs_of, space_tree

from gan_tune import service
from gan_tune.searching.conductor import read_reports
from gan_tune.searching.storage import Storage, open_storage
from gan_tune.searching.study import Study

DRIVER = """
import json, sys
from gan_tune import service
if __name__ == "__main__":
    tree, storage, uri = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    result = service.search(tree, storage=storage, tracking_uri=uri)
    print("RESULT", result.finished, json.dumps(result.outcomes))
"""


def drive(tree: dict[str, Any], folder: Path, uri: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, json.dumps(tree), str(folder / "runs"), uri]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_reports(home: Storage, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = sum(len(home.names(f"trials/{name}/reports")) for name in home.names("trials"))
        if found >= count:
            return
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.05)
    raise AssertionError(f"fewer than {count} reports after two minutes")


def check_whole(folder: Path, uri: str, tree: dict[str, Any]) -> None:
    """Optuna, the trials' folders and MLflow hold the same trials, each once and ended."""
    name = tree["name"]
    home = open_storage(folder / "runs" / name)
    study = Study(folder / "runs" / name / "study.journal", service.load_space(tree))
    settings = study.settings()
    assert [s.number for s in settings] == list(range(tree["budget"]["trials"]))
    assert all(s.outcome is not None for s in settings)
    runs = [r for r in runs_of(uri) if "gan_tune.trial" in r.data.tags]
    counted = Counter(run.data.tags["gan_tune.trial"] for run in runs)
    assert set(counted.values()) == {1}
    assert set(counted) == set(home.names("trials"))
    assert all(run.info.status != "RUNNING" for run in runs)
    client = MlflowClient(uri)
    for run in runs:
        trial = run.data.tags["gan_tune.trial"]
        stored = [r.step for r, _ in read_reports(home, trial)]
        history = client.get_metric_history(run.info.run_id, "variety")
        assert sorted(metric.step for metric in history) == stored, trial
        ending = home.read_json(f"trials/{trial}/outcome.json")
        assert run.data.tags["gan_tune.outcome"] == ending["outcome"]


KILLED, INTERRUPTED = signal.SIGKILL, signal.SIGINT


@pytest.mark.timeout(560)
@pytest.mark.parametrize(
    "stops",
    [
        [(INTERRUPTED, 6), (KILLED, 16)],
        pytest.param(
            [(KILLED, 2), (KILLED, 9), (INTERRUPTED, 12), (KILLED, 17), (KILLED, 30), (KILLED, 41)],
            marks=pytest.mark.slow,
        ),
    ],
    ids=len,
)
def test_stopped_at_any_moment_it_goes_on_and_loses_nothing(
    tmp_path: Path, stops: list[tuple[signal.Signals, int]]
) -> None:
    """The driver is stopped when so many reports are stored, again and again."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tree = space_tree(
        name="stopped",
        budget={"trials": 6, "steps": 400, "evaluations": 8},
        confirm={"top": 1, "seeds": 1},
    )
    home = open_storage(tmp_path / "runs" / "stopped")
    for how, reports in stops:
        process = drive(tree, tmp_path, uri)
        wait_for_reports(home, reports, process)
        process.send_signal(how)
        if how is KILLED:
            process.wait()  # its workers may hold the pipe a while longer
        else:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0, output
            assert "RESULT False" in output
            runs = runs_of(uri)
            assert all(run.info.status != "RUNNING" for run in runs)
            assert any(run.data.tags.get("gan_tune.outcome") == "interrupted" for run in runs)
    # An interrupted trial goes on; one that ended in any other way stays as it is.
    files = [f"trials/{trial}/outcome.json" for trial in home.names("trials")]
    stored = [(file, home.read(file)) for file in files]
    ended = [(file, was) for file, was in stored if was and b"interrupted" not in was]
    process = drive(tree, tmp_path, uri)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "RESULT True" in output
    for file, was in ended:
        assert home.read(file) == was, "a finished trial ran again"
    check_whole(tmp_path, uri, tree)
