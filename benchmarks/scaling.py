"""How the search's own time and memory grow: with trials, with slots, and with the data.

    python benchmarks/scaling.py [trials slots data ...] [--quick]

    trials   a search of 10,000 trials, looked at after 100, 1,000, 3,000 and all
    slots    a search of 300 trials, with so many of them at once
    data     so many pictures in an `.npy` file, from load to the first steps; what is a GiB or more
             is mapped

For trials and slots the driver is gan-tune's own and the workers are simulated: see `growth.py`.
Each size has a process of its own (all numbers of trials share one). Memory is its resident set
(of trials with, else without the pages that it shares with files).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks import growth
from benchmarks.machine import machine
from benchmarks.table import Asked, table
from gan_tune.storage.storage import open_storage

MIB = 2**20
TRIALS, QUICK_TRIALS, SLOTS_OF_TRIALS = (100, 1_000, 3_000, 10_000), (100,), 32
SLOTS, QUICK_SLOTS, TRIALS_OF_SLOTS = (2, 8, 32, 200), 2, 300
"""Numbers of trials are among :data:`growth.ENDS`, where TPE proposes."""

PICTURES, QUICK_PICTURES = (1_800, 50_000, 1_000_000), (600,)

LARGEST = 10_000
PROPOSAL_SECONDS, DRIVER_MIB = 0.2, 1500
"""Asked of the largest number of trials."""

SIDE, CHANNELS = 20, 3
"""A million pictures of 3x20x20 bytes are 1.1 GiB."""
STEPS = 60


def resident() -> float:
    """MiB of this process that it does not share with a file."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - memory.shared) / MIB


# ---------------------------------------------------------------- one size each, in its process


def with_trials(sizes: Sequence[int], *, slots: int) -> list[list[str]]:
    """A row for each number of trials, of one search that passes through all of them."""
    clocks = _led(trials=max(sizes), slots=slots)
    rows = []
    for size in sizes:
        proposal, memory = _proposal(clocks, size), clocks.memory[size - 1] / MIB
        asked = size == LARGEST
        cells = [f"{1e3 * proposal:.0f}", f"{1e3 * _rest(clocks, size):.1f}", f"{memory:.0f}"]
        if asked:
            cells[0] += " ({}: {})".format(*Asked.at_most(1e3 * PROPOSAL_SECONDS, 1e3 * proposal))
            cells[2] += " ({}: {})".format(*Asked.at_most(DRIVER_MIB, memory))
        rows.append(
            [
                f"{size:,}",
                *cells,
                f"{(clocks.memory[size - 1] - clocks.memory[0]) / 1024 / size:.0f}",
            ]
        )
    return rows


def with_slots(slots: int, *, trials: int) -> list[list[str]]:
    """A row: a search with so many trials at once."""
    before = resident()
    clocks = _led(trials=trials, slots=slots)
    cells = (
        f"{slots}",
        f"{1e3 * _proposal(clocks, trials):.0f}",
        f"{1e3 * _rest(clocks, trials):.1f}",
        f"{resident() - before:.0f}",
    )
    return [list(cells)]


def _led(*, trials: int, slots: int) -> growth.Clocks:
    """What a simulated search of so many trials took."""
    clocks, space = growth.Clocks(), growth.space(trials, "asha")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        study = growth.metered(folder, space, clocks)
        growth.lead(study, open_storage(folder), slots, clocks)
    return clocks


def _proposal(clocks: growth.Clocks, end: int) -> float:
    """Seconds of a proposal, the median of those before trial number ``end``."""
    return median(clocks.proposals[max(0, end - growth.BY_TPE) : end])


def _rest(clocks: growth.Clocks, end: int) -> float:
    """Seconds of all else that the driver did for a trial, over the last ones before ``end``."""
    first = max(0, end - 1 - growth.WINDOW)
    spent = clocks.totals[end - 1] - clocks.totals[first]
    return (spent - sum(clocks.proposals[first + 1 : end])) / (end - 1 - first)


def with_data(pictures: int) -> list[list[str]]:
    """A row: a trial on so many pictures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npy"
        _write(path, pictures)
        os.environ["GAN_TUNE_CACHE"] = folder  # of this process
        return [[f"{pictures:,}", *_trained(path)]]


def _write(path: Path, pictures: int) -> None:
    """Noise, a block of it again and again."""
    block = np.random.default_rng(0).integers(0, 256, (10_000, CHANNELS, SIDE, SIDE), np.uint8)
    array = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(pictures, CHANNELS, SIDE, SIDE)
    )
    for start in range(0, pictures, len(block)):
        array[start : start + len(block)] = block[: pictures - start]
    array.flush()


def _trained(path: Path) -> list[str]:
    import torch

    from benchmarks.unjudged import checked, turns_of
    from gan_tune.data.by_name import load_dataset
    from gan_tune.data.mapped import is_mapped

    torch.set_num_threads(1)
    optimizer = {"name": "adam", "lr": 2e-4, "beta1": 0.5}
    tree: dict[str, Any] = {
        "data": {"name": "npz", "path": str(path), "batch_size": 128},
        "generator": "mlp",
        "discriminator": "mlp",
        "loss": "non_saturating",
        "generator_optimizer": optimizer,
        "discriminator_optimizer": optimizer,
    }
    before = resident()
    loading = []
    for _ in range(2):  # the first one may fill the cache
        started = time.perf_counter()
        dataset = load_dataset("npz", path=str(path))
        loading.append(time.perf_counter() - started)
    turn = turns_of(checked(tree, turns=6, steps=STEPS), dataset)
    steps = [turn() for _ in range(6)][1:]
    return [
        f"{path.stat().st_size / MIB:,.0f}",
        "yes" if is_mapped(dataset.train) else "no",
        *(f"{seconds:.2f}" for seconds in loading),
        f"{1e3 * median(steps):.1f}",
        f"{resident() - before:.0f}",
    ]


# ---------------------------------------------------------------- tables

TRIALS_HEAD = (
    "trials",
    "proposal by TPE, ms",
    "all else of a trial, ms",
    "driver's memory, MiB",
    "KiB added a trial",
)
SLOTS_HEAD = ("slots", "proposal by TPE, ms", "all else of a trial, ms", "memory added, MiB")
DATA_HEAD = (
    "pictures",
    "file, MiB",
    "mapped",
    "first load, s",
    "later load, s",
    "step, ms",
    "memory added, MiB",
)


def _alone(rows: Callable[..., list[list[str]]], *args: object) -> list[list[str]]:
    """Rows, made in a process of their own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(rows, *args).result()


def measure_trials(*, quick: bool = False) -> str:
    """The table of trials: one search, ever longer."""
    if quick:
        return table(TRIALS_HEAD, with_trials(QUICK_TRIALS, slots=QUICK_SLOTS))
    return table(TRIALS_HEAD, _alone(partial(with_trials, slots=SLOTS_OF_TRIALS), TRIALS))


def measure_slots(*, quick: bool = False) -> str:
    """The table of slots: a search for each number."""
    if quick:
        return table(SLOTS_HEAD, with_slots(QUICK_SLOTS, trials=QUICK_TRIALS[0]))
    rows = partial(with_slots, trials=TRIALS_OF_SLOTS)
    return table(SLOTS_HEAD, [row for size in SLOTS for row in _alone(rows, size)])


def measure_data(*, quick: bool = False) -> str:
    """The table of data: a trial for each number."""
    sizes = QUICK_PICTURES if quick else PICTURES
    return table(DATA_HEAD, [row for size in sizes for row in _alone(with_data, size)])


WITH: Mapping[str, Callable[..., str]] = {
    "trials": measure_trials,
    "slots": measure_slots,
    "data": measure_data,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=list(WITH), help=", ".join(WITH))
    parser.add_argument("--quick", action="store_true", help="small sizes: whether it runs")
    options = parser.parse_args()
    print(machine(), flush=True)
    chosen: Sequence[str] = options.what
    for name in chosen:
        print(f"\n{WITH[name](quick=options.quick)}", flush=True)


if __name__ == "__main__":
    main()
