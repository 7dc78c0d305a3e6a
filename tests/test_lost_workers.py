"""Workers and nodes of a real Ray that are lost: it costs time, and no setting its name."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2
from tiny_search import TRIALS, runs_of, space_tree

from gan_tune import service
from gan_tune.gan import checkpoint
from gan_tune.service.watcher import Watcher
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders

PATH = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}


class Hearing(Watcher):
    """Remembers why trials were tried again."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def trial_ended(self, job: Any, ending: Any) -> None:
        if ending.is_lost:
            self.reasons.append(ending.error)


@pytest.fixture
def full_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray that finds its node's memory full at any time."""
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    options = {"num_cpus": 2, "include_dashboard": False, "log_to_driver": False}
    ray.init(address="local", runtime_env=PATH, **options)
    yield
    ray.shutdown()


@pytest.mark.ci
def test_a_worker_that_ray_kills_for_memory_is_its_trials_outcome_after_a_try_alone(
    tmp_path: Path, full_memory: None
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tree = space_tree(name="full", budget={"trials": 2, "steps": 4000, "evaluations": 4})
    watcher = Hearing()
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri, watcher=watcher)
    assert result.outcomes == {"failed": 2}
    assert all("memory was full" in reason for reason in watcher.reasons), watcher.reasons
    trials = TrialFolders(open_storage(tmp_path / "runs" / "full"))
    for name in ("0000", "0001"):
        ending = trials[name].ending()
        assert ending is not None
        advice = "out of memory, also when it ran alone: take a smaller batch or network, or"
        assert str(ending.error).startswith(advice)
    tags = [run.data.tags.get("gan_tune.error", "") for run in runs_of(uri)]
    assert sum("out of memory" in tag for tag in tags) == 2


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    """A head that runs no trials, and two nodes with a CPU each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, runtime_env=PATH)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


class Killing(Hearing):
    """Kills all nodes as soon as a trial has reported, and starts others, so many times."""

    def __init__(self, cluster: Cluster, times: int) -> None:
        super().__init__()
        self.cluster, self.left = cluster, times

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        if self.left and result.step == 20:
            self.left -= 1
            for node in list(self.cluster.worker_nodes):
                self.cluster.remove_node(node, False)
                self.cluster.add_node(num_cpus=1)


@pytest.mark.ci
def test_nodes_that_die_cost_no_setting_its_name(tmp_path: Path, two_nodes: Cluster) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    values = {}
    tree = space_tree(
        name="nodes",
        confirm={"top": 0},
        search={"experience": "none", "sampler": "random", "scheduler": "none"},
    )
    for name, kills in (("undisturbed", 0), ("disturbed", 2)):
        watcher = Killing(two_nodes, kills)
        result = service.search(
            {**tree, "name": name}, storage=tmp_path / "runs", tracking_uri=uri, watcher=watcher
        )
        assert watcher.left == 0
        assert result.outcomes == {"completed": TRIALS}, watcher.reasons
        trials = TrialFolders(open_storage(tmp_path / "runs" / name))
        endings = [trials[f"{number:04d}"].ending() for number in range(TRIALS)]
        values[name] = [ending and ending.value for ending in endings]
    assert len(watcher.reasons) >= 2, "the trial that reported was lost each time"
    assert values["disturbed"] == values["undisturbed"]


@pytest.fixture
def blind_node(two_nodes: Cluster, tmp_path: Path) -> Iterator[None]:
    """A third node, which has an empty folder in the storage's place: nothing is mounted there."""
    (tmp_path / "runs").mkdir()
    ray_start = f"{sys.executable} -m ray.scripts.scripts start --block --num-cpus=2"
    code = f"mount -t tmpfs none '{tmp_path / 'runs'}' && exec {ray_start} --address=$1"
    command = ["unshare", "-m", "sh", "-c", code, "sh", two_nodes.address]
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("a mount of its own needs root and the right to do so")
    before = len(ray.nodes())
    node = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while len(ray.nodes()) == before:
            assert node.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield
    finally:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


@pytest.mark.ci
def test_a_node_that_does_not_see_the_storage_gets_no_trial(
    tmp_path: Path, two_nodes: Cluster, blind_node: None
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    watcher = Hearing()
    # The worker of a node that joined late starts last.
    budget = {"trials": TRIALS, "steps": 8000, "evaluations": 4}
    tree = space_tree(name="blind", budget=budget, confirm={"top": 1, "seeds": 1})
    two_nodes.remove_node(sorted(two_nodes.worker_nodes, key=str)[0], False)
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri, watcher=watcher)
    assert result.finished
    assert sum(result.outcomes.values()) == TRIALS
    assert set(result.outcomes) <= {"completed", "pruned"}, result.outcomes
    assert watcher.reasons, "it was given none to prove itself with"
    assert all("is a share mounted?" in reason for reason in watcher.reasons), watcher.reasons
    assert len(watcher.reasons) <= 3


class Noting(Hearing):
    """Remembers the notes, too, and how many trials had been lost before each."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[int, str]] = []

    def note(self, text: str) -> None:
        self.notes.append((len(self.reasons), text))


@pytest.mark.ci
def test_a_node_that_cuts_off_every_setting_is_named_and_gets_no_more(
    tmp_path: Path, two_nodes: Cluster
) -> None:
    """Its workers prove that they can train, and yet no setting does."""
    uri, watcher = f"sqlite:///{tmp_path / 'mlflow.db'}", Noting()
    two_nodes.remove_node(sorted(two_nodes.worker_nodes, key=str)[0], False)
    two_nodes.add_node(num_cpus=1, env_vars={"BROKEN_NODE": "1"})
    # It cuts off three of them before any other has reported.
    budget = {"trials": 8, "steps": 12000, "evaluations": 2, "minutes": 30}
    tree = space_tree(name="bad", budget=budget, confirm={"top": 0})
    tree["trial"]["generator"] = {"name": "user_networks:BrokenHere"}
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri, watcher=watcher)
    assert sum(result.outcomes.values()) == 8
    assert set(result.outcomes) <= {"completed", "pruned"}, result.outcomes
    ((after, note),) = [found for found in watcher.notes if "gets no more trials" in found[1]]
    assert after <= 3, watcher.reasons
    reason = "settings were cut off on it and none on others: RuntimeError: CUDA error"
    assert reason in note
    assert reason in service.status("bad", storage=tmp_path / "runs").aside[0]
    assert reason in (tmp_path / "runs/bad/report.html").read_text()
    descriptions = [run.data.tags.get("mlflow.note.content", "") for run in runs_of(uri)]
    assert any(
        f"Node put aside: `{ray.nodes()[0]['NodeManagerAddress']}" in d for d in descriptions
    )


class Draining(Hearing):
    """Has a node drained at the first report, as before a spot machine is taken away."""

    def __init__(self, cluster: Cluster, search: Path) -> None:
        super().__init__()
        self.cluster, self.trials = cluster, TrialFolders(open_storage(search))
        self.drained, self.took, self.stored = 0.0, math.inf, -1

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        if not self.drained:
            self.drained = time.monotonic()
            leaving = sorted(self.cluster.worker_nodes, key=str)[0].node_id
            self.cluster.add_node(num_cpus=1)
            reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
            deadline = round(1000 * (time.time() + 300))
            client = GcsClient(address=self.cluster.address)
            assert client.drain_node(leaving, reason, "spot", deadline)[0]

    def trial_ended(self, job: Any, ending: Any) -> None:
        super().trial_ended(job, ending)
        if ending.is_lost and self.stored < 0:
            self.took = time.monotonic() - self.drained
            self.stored = checkpoint.step_of(self.trials[job.name].checkpoint())


@pytest.mark.ci
def test_a_trial_on_a_node_that_is_taken_away_is_stored_first(
    tmp_path: Path, two_nodes: Cluster
) -> None:
    """Long before its next report and the node's end; and it equals one never disturbed."""
    uri, runs = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "runs"
    budget = {"trials": 2, "steps": 16000, "evaluations": 2, "minutes": 30}
    tree = space_tree(name="drained", budget=budget, confirm={"top": 0})
    watcher = Draining(two_nodes, runs / "drained")
    result = service.search(tree, storage=runs, tracking_uri=uri, watcher=watcher)
    assert watcher.reasons
    assert all("its node is taken away" in reason for reason in watcher.reasons)
    assert watcher.took < 30
    assert watcher.stored % 8000, "between two reports"
    assert result.outcomes == {"completed": 2}
    whole = service.search({**tree, "name": "whole"}, storage=runs, tracking_uri=uri)
    assert whole.champion == result.champion


class Asking(Watcher):
    """Asks the search to end as soon as a trial has reported, as another machine would."""

    def __init__(self, storage: Path) -> None:
        self.storage, self.asked = storage, 0.0

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        if not self.asked:
            self.asked = time.monotonic()
            service.stop("asked", self.storage)


@pytest.mark.ci
def test_a_search_that_is_asked_to_end_stores_its_trials_first(
    tmp_path: Path, two_nodes: Cluster
) -> None:
    """Long before their next report; and what goes on equals what was never disturbed."""
    uri, runs = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "runs"
    budget = {"trials": 2, "steps": 8000, "evaluations": 2}
    tree = space_tree(name="asked", budget=budget, confirm={"top": 0})
    watcher = Asking(runs)
    result = service.search(tree, storage=runs, tracking_uri=uri, watcher=watcher)
    took = time.monotonic() - watcher.asked
    assert not result.finished
    assert took < 20
    trials = TrialFolders(open_storage(runs / "asked"))
    stored = [checkpoint.step_of(trials[name].checkpoint()) for name in trials.names()]
    assert all(step > 0 for step in stored), stored
    assert any(step % 4000 for step in stored), stored
    result = service.search(tree, storage=runs, tracking_uri=uri)
    assert result.outcomes == {"completed": 2}
    whole = service.search({**tree, "name": "whole"}, storage=runs, tracking_uri=uri)
    assert whole.champion == result.champion


class FindingRoom(Watcher):
    """Notes what was free of the cluster while the best setting was confirmed."""

    def __init__(self) -> None:
        self.confirms, self.free = False, 0.0

    def trial_started(self, job: Any, *, resumed: bool) -> None:
        self.confirms = self.confirms or job.kind == "confirmation"

    def trial_ended(self, job: Any, ending: Any) -> None:
        self.confirms = self.confirms and job.kind != "confirmation"

    def tick(self) -> None:
        if self.confirms:
            self.free = max(self.free, ray.available_resources().get("CPU", 0.0))


@pytest.mark.ci
@pytest.mark.parametrize(("seconds", "free"), [(1.0, 1.0), (1e9, 0.0)])
def test_a_node_that_no_trial_needs_becomes_free_while_others_train(
    tmp_path: Path,
    two_nodes: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    free: float,
) -> None:
    """So that an autoscaler can take it away."""
    monkeypatch.setattr("gan_tune.searching.on_ray.idle_workers.IDLE_SECONDS", seconds)
    two_nodes.add_node(num_cpus=1)  # a third one: the first setting is confirmed, too
    budget = {"trials": 3, "steps": 4000, "evaluations": 4, "minutes": 30}
    search = {"experience": "none", "sampler": "random", "scheduler": "none"}
    tree = space_tree(name="frees", budget=budget, search=search, confirm={"top": 1, "seeds": 1})
    uri, watcher = f"sqlite:///{tmp_path / 'mlflow.db'}", FindingRoom()
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri, watcher=watcher)
    assert result.outcomes == {"completed": 3}
    assert watcher.free == free


class Growing(Hearing):
    """Adds nodes while the search runs, and remembers how many trials ran at a time."""

    def __init__(self, cluster: Cluster, *after: float) -> None:
        super().__init__()
        self.cluster, self.after = cluster, list(after)
        self.running: set[str] = set()
        self.most = 0

    def look(self) -> None:
        """What others see of the search now."""

    def tick(self) -> None:
        if len(self.after) == 2 and time.monotonic() - self.begun > self.after[0]:
            self.look()
        if self.after and time.monotonic() - self.begun > self.after[0]:
            self.after.pop(0)
            self.cluster.add_node(num_cpus=1)

    def begin(self, conductor: Any, slots: int, resumed: int) -> None:
        self.conductor, self.begun = conductor, time.monotonic()

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        self.running.add(job.name)
        self.most = max(self.most, len(self.running))

    def trial_ended(self, job: Any, ending: Any) -> None:
        super().trial_ended(job, ending)
        self.running.discard(job.name)

    def end(self) -> None:
        self.took, self.used = time.monotonic() - self.begun, self.conductor.seconds_used


@pytest.mark.ci
def test_a_search_begins_with_no_slot_and_uses_the_nodes_that_join(tmp_path: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    ray.init(address=cluster.address, log_to_driver=False, runtime_env=PATH)
    uri, watcher = f"sqlite:///{tmp_path / 'mlflow.db'}", Growing(cluster, 5, 5)
    budget = {"trials": 6, "steps": 8000, "evaluations": 20, "minutes": 30}  # as it takes
    tree = space_tree(name="grows", budget=budget, confirm={"top": 0})

    def waits() -> None:
        status = service.status("grows", storage=tmp_path / "runs", tracking_uri=uri)
        assert set(status.outcomes) == {"waiting"}
        assert [run.data.tags.get("gan_tune.trial") for run in runs_of(uri)] == [None]

    watcher.look = waits  # type: ignore[method-assign]
    try:
        result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri, watcher=watcher)
        assert sum(result.outcomes.values()) == 6
        assert set(result.outcomes) <= {"completed", "pruned"}, result.outcomes
        assert watcher.most == 2
        assert watcher.used < watcher.took - 3, "no time counts before a trial has a place"
    finally:
        ray.shutdown()
        cluster.shutdown()
