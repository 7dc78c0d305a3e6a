"""The memory that a search's data take on a node, as more trials train there at a time.

    python -m benchmarks.shared_data [--mib 400] [--trials 1 8]

Pictures of 3×32×32 to train on in one `.npz` file, below the size from which files are mapped, and
1,000 each to select and to test by; an MLP GAN on the CPU. Memory is the proportional set size of
the driver, Ray and all workers together, which counts what processes share once; it is taken when
each trial has reported, while all train. Stated is what a search takes more than one of as many
trials that train on 1,000 pictures, in copies of the data.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import ray

from benchmarks.machine import machine
from benchmarks.table import Asked, table
from gan_tune import service
from gan_tune.searching.jobs import Job
from gan_tune.storage.trial_records import Result
from gan_tune.watching.watcher import Watcher

SHAPE = (3, 32, 32)
FEW = 1000
ASKED = 1.3
"""Copies that eight trials may take."""


@dataclass
class Memory(Watcher):
    """Takes the memory once, when so many trials have reported."""

    trials: int
    taken: int = 0
    reported: set[str] = field(default_factory=set)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        self.reported.add(job.name)
        if len(self.reported) == self.trials and not self.taken:
            self.taken = memory()


def memory() -> int:
    """Bytes of this process and those that it has started."""
    own = psutil.Process()
    processes = [own, *own.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in processes)


def pictures(path: Path, count: int) -> int:
    """Write so many random pictures to train on, whose bytes it returns, and some to judge by."""
    random = np.random.default_rng(0)
    train = random.integers(0, 256, (count, *SHAPE), np.uint8)
    selection, test = random.integers(0, 256, (2, FEW, *SHAPE), np.uint8)
    np.savez(path, train=train, selection=selection, test=test)
    return int(train.nbytes)


def searched(data: Path, trials: int, runs: Path) -> int:
    """The bytes that a search of so many trials at a time takes."""
    space = {
        "name": f"{data.stem}-{trials}",
        "objective": {"metric": "frechet_distance", "mode": "min"},
        "budget": {"trials": trials, "steps": 1500, "evaluations": 5, "minutes": 60},
        "search": {"sampler": "random", "scheduler": "none", "experience": "none"},
        "confirm": {"top": 0},
        "trial": {
            "collapse": "none",
            "data": {"name": "npz", "path": str(data), "batch_size": 16},
            "generator": {"name": "mlp", "latent": 8, "hidden": [8]},
            "discriminator": {"name": "mlp", "hidden": [8]},
            "loss": "non_saturating",
            "generator_optimizer": {"name": "adam", "lr": {"log_uniform": [1e-5, 1e-4]}},
            "discriminator_optimizer": {"name": "adam", "lr": 1e-4},
        },
    }
    watcher = Memory(trials)
    ray.init(address="local", num_cpus=trials, include_dashboard=False, log_to_driver=False)
    try:
        service.search(service.load_space(space), storage=runs, offline=True, watcher=watcher)
    finally:
        ray.shutdown()
    assert watcher.taken, "not all trials trained at a time"
    return watcher.taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mib", type=int, default=400, help="size of the data")
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 8], help="at a time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        size = pictures(folder / "many.npz", (options.mib << 20) // int(np.prod(SHAPE)))
        pictures(folder / "few.npz", FEW)
        copies = [_copies(folder, trials, size) for trials in options.trials]
    print(f"{machine()}, data of {options.mib} MiB\n")
    rows = [
        [str(trials), f"{taken:.2f}", *Asked.at_most(ASKED, taken)]
        for trials, taken in zip(options.trials, copies, strict=True)
    ]
    print(table(["trials at a time", "copies of the data", "asked", ""], rows))


def _copies(folder: Path, trials: int, size: int) -> float:
    many = searched(folder / "many.npz", trials, folder / "runs")
    few = searched(folder / "few.npz", trials, folder / "runs")
    return (many - few) / size


if __name__ == "__main__":
    main()
