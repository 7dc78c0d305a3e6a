"""Searches on a cluster whose nodes die, are broken, or come late, and one that has little time.

    python benchmarks/broken_nodes.py [kills] [bad] [grow] [minutes] [--trials 40] [--period 30]

Each node is a raylet of its own on this machine, with one CPU. The trials train a small GAN on 2-D
points, whose generator sleeps at each step, so that many nodes can share few cores.

    kills    three nodes; every ``--period`` seconds one is killed, and another takes its place.
             Random settings, nothing stopped: each trial must end as in an undisturbed search. And
             how much of a trial's training a kill costs at most
    bad      three nodes, one of which is broken from the start, each time in another way: its
             device, so that each step fails; its disk, which is full where the storage lies; its
             mount, so that the storage is an empty folder there. After how many lost trials it is
             named, and how all trials end. Mounts need root
    grow     a search that begins with no node, and one that begins with one; eight are added. How
             long until the first and until all of them train
    minutes  `budget.minutes` of 0.5, 1 and 2, confirmation included: how long it takes from the
             first step of the first trial
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
import torch
from ray.cluster_utils import Cluster
from torch import Tensor, nn

from benchmarks.machine import machine
from gan_tune import service
from gan_tune.gan import checkpoint
from gan_tune.searching.jobs import Job
from gan_tune.service import SearchResult
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.watching.watcher import Watcher

BROKEN = "GAN_TUNE_BROKEN_NODE"
"""Set on the node that is broken."""
PAUSE = 0.02
"""Seconds that each step sleeps."""
STEPS, REPORTS = 500, 10
AT_RISK_SECONDS = 10.0
"""Training that a kill may cost, as asked: as much as a trial's steps take."""
JOINED = 8
"""Nodes that are added to a running search."""


class Generator(nn.Module):
    """Two layers, and a sleep where it is trained; on a broken node it fails."""

    def __init__(self, shape: tuple[int, ...], latent: int = 4) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.Sequential(nn.Linear(latent, 32), nn.ReLU(), nn.Linear(32, shape[0]))

    def forward(self, z: Tensor) -> Tensor:
        if torch.is_grad_enabled() and self.training and z.device.type != "meta":
            if os.environ.get(BROKEN) and ray.is_initialized():
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            time.sleep(PAUSE / 2)  # a step asks it twice
        samples: Tensor = self.layers(z)
        return samples


def space(name: str, trials: int | None, **budget: float) -> dict[str, Any]:
    """A search of small trials that take :data:`STEPS` × :data:`PAUSE` seconds."""
    rate = {"log_uniform": [1e-4, 1e-2]}
    return {
        "name": name,
        "objective": {"metric": "energy_distance", "mode": "min"},
        "budget": {"trials": trials, "steps": STEPS, "evaluations": REPORTS, **budget},
        "search": {"experience": "none", "sampler": "random", "scheduler": "none"},
        "confirm": {"top": 0},
        "trial": {
            "data": {"name": "ring", "size": 1000, "batch_size": 32},
            "generator": {"name": "benchmarks.broken_nodes:Generator"},
            "discriminator": {"name": "mlp", "hidden": [32]},
            "loss": "non_saturating",
            "collapse": "none",
            "generator_optimizer": {"name": "adam", "lr": rate},
            "discriminator_optimizer": {"name": "adam", "lr": rate},
        },
    }


@contextmanager
def nodes(count: int) -> Iterator[Cluster]:
    """A head that runs no trials, and so many nodes."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(count):
        cluster.add_node(num_cpus=1)
    path = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    ray.init(address=cluster.address, runtime_env=path, **quiet)
    cluster.wait_for_nodes()
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


class Noting(Watcher):
    """Keeps notes, what was lost and why, and when trials first trained."""

    def __init__(self) -> None:
        self.notes: list[tuple[int, str]] = []
        self.lost: list[str] = []
        self.first: dict[str, float] = {}

    def note(self, text: str) -> None:
        self.notes.append((len(self.lost), text))

    def trial_ended(self, job: Job, ending: Ending) -> None:
        if ending.is_lost:
            self.lost.append(f"{job.name}: {ending.error}")

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        spent = result.training_seconds + result.evaluation_seconds
        self.first.setdefault(job.name, result.timestamp_ms / 1000 - spent)


# ---------------------------------------------------------------- nodes that die


class Killing(Noting):
    """Kills a node every so many seconds, the one that has been there longest, and adds another."""

    def __init__(self, cluster: Cluster, home: Path, period: float) -> None:
        super().__init__()
        self._cluster, self._period, self.kills = cluster, period, 0
        self._trials = TrialFolders(open_storage(home))
        self._last = time.monotonic()
        self._reported: dict[str, int] = {}
        self.cost = 0.0

    def tick(self) -> None:
        if time.monotonic() - self._last > self._period:
            self._last = time.monotonic()
            self.kills += 1
            oldest = list(self._cluster.list_all_nodes())[1]  # the first is the head
            self._cluster.remove_node(oldest, allow_graceful=False)
            self._cluster.add_node(num_cpus=1)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        self._reported[job.name] = result.step

    def trial_ended(self, job: Job, ending: Ending) -> None:
        super().trial_ended(job, ending)
        if ending.is_lost:
            stored = self._trials[job.name].checkpoint()
            kept = 0 if stored is None else checkpoint.step_of(stored)
            self.cost = max(self.cost, PAUSE * (self._reported.get(job.name, 0) - kept))


def kills(folder: Path, trials: int, period: float) -> bool:
    """Compare a search whose nodes die with an undisturbed one, trial by trial.

    Returns whether it went as asked. So do the others.
    """
    found = {}
    for name, every in (("undisturbed", float("inf")), ("disturbed", period)):
        with nodes(3) as cluster:
            watcher = Killing(cluster, folder / name, every)
            began = time.monotonic()
            result = _search(space(name, trials), folder, watcher)
            seconds = time.monotonic() - began
        found[name] = _values(folder / name)
        print(
            f"kills: {name}: {result.outcomes}, {watcher.kills} nodes killed, "
            f"{len(watcher.lost)} times a trial was lost, {seconds:.0f} s",
            flush=True,
        )
    differing = sum(found["disturbed"][n] != value for n, value in found["undisturbed"].items())
    print(f"kills: {differing} of {trials} trials ended otherwise than undisturbed")
    print(f"kills: at most {watcher.cost:.0f} s of reported training were not in the checkpoint")
    return not differing and watcher.cost <= AT_RISK_SECONDS and _complete(result, trials)


def _complete(result: SearchResult, trials: int) -> bool:
    return result.outcomes.get("completed", 0) == trials


def _values(home: Path) -> dict[str, object]:
    trials = TrialFolders(open_storage(home))
    return {
        name: [(report.step, report.value) for report in trials[name].reports()]
        for name in trials.names()
    }


# ---------------------------------------------------------------- a node that is broken


MOUNTED = {
    "mount": "mount -t tmpfs none {runs}",
    "disk": "mount -t tmpfs -o size=64k none {full} && mkdir {full}/upper {full}/work && "
    "(cat /dev/zero > {full}/filler 2>/dev/null || true) && mount -t overlay none "
    "-o lowerdir={runs},upperdir={full}/upper,workdir={full}/work {runs}",
}
"""What is broken → how a node, in a mount namespace of its own, comes to see the storage's folder
``runs`` so. An overlay over it reads what is there, and writes to ``full``."""


def bad(folder: Path, trials: int) -> bool:
    """Of three nodes one is broken, each time in another way."""
    as_asked = True
    for kind in ("device", *MOUNTED):
        runs, full = folder / f"bad-{kind}", folder / f"full-{kind}"
        runs.mkdir()
        full.mkdir()
        with nodes(2) as cluster:
            watcher = Noting()
            if kind == "device":
                cluster.add_node(num_cpus=1, env_vars={BROKEN: "1"})
                result = _search(space("bad", trials), runs, watcher)
            else:
                with _node_that_mounts(cluster, MOUNTED[kind].format(runs=runs, full=full)):
                    result = _search(space("bad", trials), runs, watcher)
        named = [after for after, text in watcher.notes if "gets no more trials" in text]
        print(
            f"bad {kind}: {result.outcomes}; named after {named} lost trials, of "
            f"{len(watcher.lost)} in all: {'; '.join(sorted(set(watcher.lost)))}",
            flush=True,
        )
        as_asked &= _complete(result, trials) and max(named, default=len(watcher.lost)) <= 3
    return as_asked


@contextmanager
def _node_that_mounts(cluster: Cluster, command: str) -> Iterator[None]:
    """A node with one CPU that has run a command in a mount namespace of its own."""
    before = len(ray.nodes())
    start = f"{sys.executable} -m ray.scripts.scripts start --block --num-cpus=1"
    node = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"{command} && exec {start} --address={cluster.address}"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        while len(ray.nodes()) == before:
            if node.poll() is not None:
                sys.exit("a node with mounts of its own could not be started: it needs root")
            time.sleep(0.1)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()


# ---------------------------------------------------------------- nodes that come late


class Growing(Noting):
    """Adds nodes after some seconds."""

    def __init__(self, cluster: Cluster, after: float) -> None:
        super().__init__()
        self._cluster, self._after, self._began = cluster, after, 0.0
        self.joined = 0.0
        self.ended: dict[str, float] = {}

    def trial_ended(self, job: Job, ending: Ending) -> None:
        super().trial_ended(job, ending)
        self.ended[job.name] = time.time()

    def used(self, slots: int) -> float:
        """Seconds from the last node's start until so many trials trained at a time."""
        at = (t for t in sorted(self.first.values()) if self._training(t) >= slots)
        return next(at, float("inf")) - self.joined

    def _training(self, moment: float) -> int:
        return sum(began <= moment < self.ended[name] for name, began in self.first.items())

    def begin(self, conductor: Any, slots: int, resumed: int) -> None:
        self._began = time.monotonic()

    def tick(self) -> None:
        if not self.joined and time.monotonic() - self._began > self._after:
            for _ in range(JOINED):
                self._cluster.add_node(num_cpus=1, wait=False)
            self.joined = time.time()


def grow(folder: Path, count: int) -> bool:
    """Eight nodes join a search that began with so many."""
    name = f"grow-{count}"
    with nodes(count) as cluster:
        watcher = Growing(cluster, 15.0)
        # Each trial outlasts the others' start, so that all that can train do so at one moment.
        result = _search(space(name, 2 * JOINED, steps=6 * STEPS), folder, watcher)
    first, every = watcher.used(count + 1), watcher.used(count + JOINED)
    print(
        f"{name}: {result.outcomes}; after the last of {JOINED} nodes was started the first one "
        f"trained within {first:.1f} s, all within {every:.1f} s",
        flush=True,
    )
    return first <= 15 and every <= 40


# ---------------------------------------------------------------- little time


def minutes(folder: Path) -> bool:
    """How exactly the time of a search is kept."""
    as_asked = True
    for given in (0.5, 1.0, 2.0):
        tree = space(f"minutes-{60 * given:.0f}", None, minutes=given)
        tree["confirm"] = {"top": 2, "seeds": 1}
        tree["search"]["scheduler"] = "asha"
        del tree["budget"]["trials"]
        with nodes(2):
            watcher = Timing()
            result = _search(tree, folder, watcher)
        took = watcher.ended - min(watcher.first.values())
        print(
            f"minutes: {60 * given:.0f} s given, {took:.1f} s taken, {result.outcomes}, "
            f"{len(watcher.first)} trials",
            flush=True,
        )
        as_asked &= abs(took - 60 * given) <= 5
    return as_asked


class Timing(Noting):
    """Remembers when no trial ran any more."""

    ended = 0.0

    def end(self) -> None:
        self.ended = time.time()


def _search(tree: dict[str, Any], folder: Path, watcher: Watcher) -> SearchResult:
    return service.search(tree, storage=folder, offline=True, watcher=watcher)


SECTIONS = ("kills", "bad", "grow", "minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sections", nargs="*", default=SECTIONS, metavar="SECTION")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--period", type=float, default=30.0, help="seconds between two kills")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"must be among {', '.join(SECTIONS)}: {', '.join(sorted(unknown))}")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder, as_asked = Path(scratch), []
        if "kills" in options.sections:
            as_asked.append(kills(folder, options.trials, options.period))
        if "bad" in options.sections:
            as_asked.append(bad(folder, options.trials))
        if "grow" in options.sections:
            as_asked += [grow(folder, count) for count in (0, 1)]
        if "minutes" in options.sections:
            as_asked.append(minutes(folder))
    sys.exit(not all(as_asked))


if __name__ == "__main__":
    main()
