"""`resources: {gpu: auto}`: the share of a GPU that a trial gets, chosen once for a search."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tiny_search import space_tree

from gan_tune import service
from gan_tune.cluster.hardware import GpuNode
from gan_tune.errors import ClusterError
from gan_tune.service.gpu_share import Room, Share, share_of
from gan_tune.service.running import resources
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.names import Names
from gan_tune.service.trial_cost import TrialCost
from gan_tune.storage.places import RESOURCES_NOTE, SEARCH_NOTE
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.watching.watcher import Watcher

GIB = 2**30
estimating = import_module("gan_tune.service.estimate")  # not the function of that name


def cost(milliseconds: float, gpu_memory: float = 0) -> TrialCost:
    return TrialCost(milliseconds / 1000, 0.1, GIB, int(gpu_memory * GIB))


@pytest.mark.parametrize(
    ("rooms", "cpu", "gibibytes", "gpu"),
    [
        ([Room(16, 1, 80 * GIB)], 1, 1, 0.0625),  # by the cores
        ([Room(16, 1, 80 * GIB)], 4, 1, 0.25),
        ([Room(16, 2, 80 * GIB)], 1, 1, 0.125),
        ([Room(16, 3, 80 * GIB)], 1, 1, 0.1666),  # six on a GPU, rounded down
        ([Room(16, 1, 80 * GIB)], 1, 10, 0.3333),  # by the memory: 80 / (2 * 10 + 0.5)
        ([Room(16, 1, 80 * GIB)], 1, 60, 1),  # twice as much does not fit, once does
        ([Room(16, 1, 80 * GIB), Room(8, 1, 10 * GIB)], 1, 1, 0.25),  # the smallest GPU
        ([Room(16, 1, 0)], 1, 0, 0.0625),  # a GPU that does not tell its memory
        ([Room(12, 8, 80 * GIB)], 1, 1, 1),  # two on a GPU would leave two GPUs idle
        ([Room(16, 1, 8 * GIB)], 1, 7.9, 0),  # not one fits, with CUDA's own memory
        ([Room(1, 4, 80 * GIB)], 1, 1, 1),
        ([Room(2, 1, 80 * GIB)], 4, 1, 0),  # too few cores for a trial
        ([], 1, 1, 0),
    ],
)
def test_a_share_is_what_cores_and_memory_allow(
    rooms: list[Room], cpu: float, gibibytes: float, gpu: float
) -> None:
    assert share_of(rooms, cpu, cost(1, gibibytes), cost(2)).gpu == gpu


def test_each_core_and_no_more_trains_at_the_share() -> None:
    """Rounding down to Ray's digits leaves room for exactly as many trials as were meant."""
    for cores in range(1, 100):
        share = share_of([Room(cores, 1, 0)], 1, cost(1), cost(2)).gpu
        assert int(1 / share + 1e-9) == cores


def test_a_gpu_that_is_not_faster_is_left() -> None:
    share = share_of([Room(16, 1, 80 * GIB)], 1, cost(3.1, 1), cost(1.8))
    why = "a step of the first setting takes 3.1 ms on the GPU, 1.8 ms on the CPU"
    assert share == Share(0, why)


# ---------------------------------------------------------------- of a search


class Cluster:
    """What a search finds, in place of Ray."""

    def __init__(self) -> None:
        self.nodes = [GpuNode("a", "10.0.0.1", 8, 1), GpuNode("b", "10.0.0.2", 8, 1)]
        self.memories: dict[str, int | None] = {"a": 80 * GIB, "b": 9 * GIB}
        self.costs = cost(1, 1), cost(2)
        self.shared = cost(1.5, 1)
        self.measured_on: list[str] = []
        self.beside: list[tuple[int, float, str]] = []
        self.idle = True

    def ask(self, node: GpuNode, question: Callable[..., Any], *_: Any, **how: Any) -> Any:
        if question is resources._memory:
            return self.memories[node.id]
        self.measured_on.append(node.id)
        return self.costs

    def ask_at_once(self, question: Callable[..., Any], *_: Any, **how: Any) -> Any:
        self.beside.append((how["count"], how["resources"].gpu, how["node"]))
        return [self.shared] * how["count"]


class Screen(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(resources, "gpu_nodes", lambda: found.nodes)
    monkeypatch.setattr(resources, "on_gpu_node", found.ask)
    monkeypatch.setattr(resources, "at_once", found.ask_at_once)
    monkeypatch.setattr(resources, "has_idle_gpu", lambda: bool(found.nodes) and found.idle)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return open_storage(tmp_path).below("tiny")


def settled(home: Storage, **given: Any) -> tuple[float, list[str]]:
    """The share of a command on the search in ``home``, and what is said."""
    space = service.load_space(space_tree(**given))
    screen = Screen()
    context = SearchContext(space, home, "", Names("tiny", "tiny", "tiny"), screen)
    resources.settle_resources(context)
    assert home.read_json(RESOURCES_NOTE) == {"gpu": context.space.resources.gpus}
    return context.space.resources.gpus, screen.notes


def on(gpu: float) -> dict[str, Any]:
    return {"resources": {"cpu": 1, "gpu": gpu}}


def test_a_search_keeps_the_share_with_which_it_began(cluster: Cluster, home: Storage) -> None:
    gpu, (said,) = settled(home)
    assert gpu == 0.3333
    assert said.startswith("resources.gpu: auto: 0.3333 (3 trials on each GPU, as its memory of 9 ")
    assert cluster.measured_on == ["b"]  # the smallest
    cluster.memories["b"] = 80 * GIB
    assert settled(home) == (0.3333, ["resources.gpu: 0.3333, as this search began"])
    assert cluster.measured_on == ["b"]


def test_a_gpu_that_is_not_faster_when_it_is_shared_is_left(
    cluster: Cluster, home: Storage
) -> None:
    cluster.shared = cost(2.5, 1)
    gpu, said = settled(home)
    assert gpu == 0
    assert cluster.beside == [(3, 0.3333, "b")]
    assert said[0] == (
        "resources.gpu: auto: 0 (with 3 trials on a GPU a step of the first setting takes 2.5 ms, "
        "2 ms on the CPU)"
    )


def test_a_search_taken_up_on_a_cluster_without_a_gpu_yet_waits_for_one(
    cluster: Cluster, home: Storage
) -> None:
    settled(home)
    cluster.nodes = []
    assert settled(home) == (0.3333, ["resources.gpu: 0.3333, as this search began"])


def test_a_search_taken_up_without_a_gpu_says_so(
    cluster: Cluster, home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_tune.service.running.resources.started_here", lambda: True)
    settled(home)
    cluster.nodes = []
    with pytest.raises(ClusterError) as refused:
        settled(home)
    assert str(refused.value) == (
        "resources.gpu: tiny began with 0.3333 GPU for each trial, and there is none here; "
        "--set resources.gpu=0 goes on on the CPU, --fresh begins another"
    )
    assert refused.value.exit_code == 2
    assert settled(home, **on(0)) == (0, [])
    assert settled(home) == (0, [])


def test_where_there_is_no_gpu_there_is_no_share(cluster: Cluster, home: Storage) -> None:
    cluster.nodes = []
    assert settled(home) == (0, [])
    assert cluster.measured_on == []


def test_pytorch_without_gpus_gets_no_share(cluster: Cluster, home: Storage) -> None:
    cluster.memories = {"a": None, "b": None}
    gpu, said = settled(home)
    assert gpu == 0
    assert said == ["resources.gpu: auto: 0 (Ray counts a GPU, but PyTorch finds none there)"]


def test_an_idle_gpu_is_said_and_a_used_one_is_not(cluster: Cluster, home: Storage) -> None:
    idle = "resources.gpu: 0, beside an idle GPU (--set resources.gpu=0.25 uses it)"
    assert settled(home, **on(0)) == (0, [idle])
    assert settled(home) == (0, [idle])
    cluster.idle = False
    assert settled(home) == (0, [])
    cluster.idle = True
    assert settled(home, **on(0.5)) == (0.5, [])


def test_hours_of_gpus_that_no_trial_gets_bound_nothing_which_is_said(
    cluster: Cluster, home: Storage
) -> None:
    cluster.nodes = []
    hours = {"budget": {"trials": 6, "steps": 100, "evaluations": 2, "gpu_hours": 3}}
    said = ["budget.gpu_hours: bounds nothing here, since trials get no GPU"]
    assert settled(home, **hours) == (0, said)


def test_a_search_begun_before_keeps_the_cpu(cluster: Cluster, home: Storage) -> None:
    home.write_json(SEARCH_NOTE, {})
    assert settled(home)[0] == 0
    assert cluster.measured_on == []


# ---------------------------------------------------------------- of a dry run


@pytest.mark.parametrize(("on_cpu", "gpu"), [(2, 0.25), (0.5, 0)])
def test_an_estimate_names_the_share(
    on_cpu: float, gpu: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gan_tune.cli import printing

    costs = {"gpu": cost(1, 1), "cpu": cost(on_cpu)}
    monkeypatch.setattr(estimating, "trial_device", lambda *, gpu: "gpu" if gpu else "cpu")
    monkeypatch.setattr(estimating, "measure", lambda config, *, threads, device: costs[device])
    monkeypatch.setattr(estimating, "accelerators", lambda: 1)
    monkeypatch.setattr(estimating, "total_memory", lambda: 80 * GIB)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("gan_tune.starting.machine.accelerators", lambda: 1)
    space = service.load_space("digits")
    measured = service.estimate(space)
    assert (measured.gpu, measured.slots) == (gpu, 4)
    assert measured.step_seconds == min(costs["gpu"].step_seconds, costs["cpu"].step_seconds)
    printing.print_estimate(space, measured)
    assert f"resources.gpu: auto: {gpu:g} (" in capsys.readouterr().out
