"""What bfloat16 gains in time, and what it costs in quality, in the shipped spaces.

    python benchmarks/precision.py [SPACE ...] [--seeds 10] [--steps 0] [--start 1] [--turns 12]

Of each space the source's setting (`--start 0`) or the one found by hand (`--start 1`, or the
source's where there is none), on one thread:

    speed     times of a step in float32, in float32 with `matmul_precision: medium`, and in
              bfloat16, in turns; the ratio is the median over the turns
    quality   for each seed one training in float32 and one in bfloat16, with equal random numbers;
              the ratio is that of the last values, each above the floor, which is real data
              against real data. `--steps 0`: as many as the space has, or 2,000

Asked: a median ratio of quality of at most 1.1. Without units for bfloat16 the script says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from statistics import median
from typing import TYPE_CHECKING

import torch

from benchmarks.by_hand import space_by_hand
from gan_tune.gan.building import build_game
from gan_tune.gan.determinism import kernels
from gan_tune.gan.precision import emulation
from gan_tune.gan.training import train
from gan_tune.metrics import build_judge
from gan_tune.parts.all_parts import dataset_of

if TYPE_CHECKING:
    from gan_tune.config import TrialConfig

SPACES = ("mlp", "conv", "sparse_autoencoder", "digits")
ARITHMETICS = {
    "float32": {"precision": "float32", "matmul_precision": "highest"},
    "medium": {"precision": "float32", "matmul_precision": "medium"},
    "bfloat16": {"precision": "bfloat16", "matmul_precision": "highest"},
}
TURN_SECONDS = 0.5


def setting(space: str, start: int, seed: int, steps: int) -> TrialConfig:
    """A setting of a shipped space, of so many steps and with two reports."""
    loaded = space_by_hand(space)
    starts = loaded.start_assignments()
    config = loaded.config(starts[min(start, len(starts) - 1)], seed)
    shortened = {"steps": steps or config.steps, "evaluations": 2, "measure": (), "patience": 0}
    return config.model_copy(update=shortened)


def step_times(config: TrialConfig, turns: int) -> dict[str, list[float]]:
    """Arithmetic → milliseconds a step, by turn; the first turn warms up and is left out."""
    data = dataset_of(config.data)
    games = {
        name: build_game(config.model_copy(update=fields), data, torch.device("cpu"))
        for name, fields in ARITHMETICS.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in games}
    steps = 4
    for turn in range(turns + 1):
        for name, game in games.items():
            rounded = ARITHMETICS[name]["matmul_precision"]
            with kernels(deterministic=False, matmul_precision=rounded):
                started = time.perf_counter()
                for _ in range(steps):
                    game.train_step()
                seconds = time.perf_counter() - started
            if turn:
                taken[name].append(1e3 * seconds / steps)
        if not turn:
            steps = max(4, round(TURN_SECONDS * steps / seconds))
    return taken


def last_values(config: TrialConfig) -> tuple[float, float]:
    """The last value above the floor in float32 and in bfloat16."""
    data = dataset_of(config.data)
    metric = config.objective.metric
    judge = build_judge(data, "selection", extra=(metric,))
    values = []
    for name in ("float32", "bfloat16"):
        *_, last = train(config.model_copy(update=ARITHMETICS[name]), data, judge)
        values.append(last.scalars[metric] - judge.floor[metric])
    return values[0], values[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("spaces", nargs="*", default=SPACES, help="shipped spaces")
    parser.add_argument("--seeds", type=int, default=10, help="0: speed only")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--turns", type=int, default=12, help="0: quality only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread", flush=True)
    if warning := emulation("cpu"):
        print(warning)
    for space in options.spaces:
        config = setting(space, options.start, 0, options.steps)
        if options.turns:
            taken = step_times(config, options.turns)
            for name, times in taken.items():
                ratio = median(a / b for a, b in zip(taken["float32"], times, strict=True))
                print(f"{space}: {name}: {median(times):.2f} ms a step, x {ratio:.2f}", flush=True)
        ratios = []
        for seed in range(options.seeds):
            exact, rounded = last_values(setting(space, options.start, seed, options.steps))
            ratios.append(rounded / exact)
            print(
                f"{space}: seed {seed}, {config.steps} steps: {exact:.4g} in float32, "
                f"{rounded:.4g} in bfloat16, ratio {ratios[-1]:.3f}",
                flush=True,
            )
        if ratios:
            print(f"{space}: median ratio of {len(ratios)} paired seeds: {median(ratios):.3f}")


if __name__ == "__main__":
    main()
