"""The driver as a process of its own: killed, interrupted, taken up again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_search import runs_of, space_tree

from benchmarks.kills import differing, disagreements, ended_reports, ran_again
from gan_tune import service
from gan_tune.searching.study.opening import open_study
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result

DRIVER = """
import json, os, sys
from pathlib import Path
from gan_tune import service
from gan_tune.watching.watcher import Watcher

class Telling(Watcher):
    def trial_reported(self, job, result, grid):
        Path(f"heard-{os.getpid()}").touch()

if __name__ == "__main__":
    tree, storage, uri = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    result = service.search(tree, storage=storage, tracking_uri=uri, watcher=Telling())
    print("RESULT", result.finished, json.dumps(result.outcomes))
"""


def drive(tree: dict[str, Any], folder: Path, uri: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, json.dumps(tree), str(folder / "runs"), uri]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until the search has come so far; it must run, and get there within two minutes."""
    deadline = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline, "not there after five minutes"
        time.sleep(0.05)


def has_stored(home: Storage, reports: int) -> bool:
    """With 0: whether there is a study, which is there before Ray starts."""
    trials = TrialFolders(home)
    found = sum(len(trials[name].report_steps()) for name in trials.names())
    return found >= reports and home.read("study.journal") is not None


def has_heard_a_report(folder: Path, process: subprocess.Popen[str]) -> bool:
    """Whether this very command trains, so that it takes Ctrl-C as a wish to end.

    Reports alone do not tell: workers that a kill has orphaned store some more.
    """
    return (folder / f"heard-{process.pid}").exists()


def check_whole(folder: Path, uri: str, tree: dict[str, Any]) -> None:
    """Optuna, the trials' folders and MLflow hold the same trials, each once and ended."""
    name = tree["name"]
    home = open_storage(folder / "runs" / name)
    study = open_study(folder / "runs" / name / "study.journal", service.load_space(tree))
    settings = study.settings()
    assert [s.number for s in settings] == list(range(tree["budget"]["trials"]))
    assert all(s.outcome is not None for s in settings)
    runs = [r for r in runs_of(uri) if "gan_tune.trial" in r.data.tags]
    counted = Counter(run.data.tags["gan_tune.trial"] for run in runs)
    assert set(counted.values()) == {1}
    assert set(counted) == set(home.names("trials"))
    assert all(run.info.status != "RUNNING" for run in runs)
    assert disagreements(home, study, uri, runs) == []


KILLED, INTERRUPTED = signal.SIGKILL, signal.SIGINT


@pytest.mark.timeout(560)
@pytest.mark.parametrize(
    "stops",
    [
        pytest.param([(KILLED, 0), (INTERRUPTED, 6), (KILLED, 16)], marks=pytest.mark.ci),
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
    ended: dict[str, Any] = {}
    for how, reports in stops:
        process = drive(tree, tmp_path, uri)
        wait_until(partial(has_stored, home, reports), process)
        if how is INTERRUPTED:
            wait_until(partial(has_heard_a_report, tmp_path, process), process)
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
        ended = ended_reports(home) | ended
    process = drive(tree, tmp_path, uri)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "RESULT True" in output
    assert ran_again(home, ended) == []
    check_whole(tmp_path, uri, tree)


def test_a_trial_that_ran_again_is_seen_by_its_reports(tmp_path: Path) -> None:
    """Its outcome is the same, to the byte: training is deterministic."""
    home = open_storage(tmp_path)
    trials = TrialFolders(home)
    for trial in ("0000", "0001"):
        trials[trial].write_ending(Ending("completed", 1.0, 40))
        trials[trial].write_report(Result(40, {}, 1.0, 1.0, "completed", timestamp_ms=1))
    trials["0002"].write_report(Result(40, {}, 1.0, 1.0, "completed", timestamp_ms=1))
    before = ended_reports(home)
    assert ran_again(home, before) == []
    for trial in ("0001", "0002"):  # the latter had not ended
        trials[trial].write_report(Result(40, {}, 1.0, 1.0, "completed", timestamp_ms=2))
    assert ran_again(home, before) == ["0001"]


def test_what_only_one_place_holds_is_a_difference_either_way() -> None:
    one = {("0000", "outcome"): "completed", ("0000", "value"): 1.0}
    assert differing(one, dict(one)) == []
    for other in ({**one, ("0001", "outcome"): "pruned"}, {("0000", "outcome"): "completed"}):
        assert len(differing(one, other)) == len(differing(other, one)) == 1
    assert differing(one, {**one, ("0000", "value"): 2.0}) == ["0000: value: 1.0 and 2.0"]
