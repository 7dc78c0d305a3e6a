"""Averages of the generator's weights, side by side in one training run.

The setting that was found by hand for `mlp`, on Fashion-MNIST. Averages change nothing of
the training, so that one run has them all: by decay, by how far back they reach, and with batch
statistics of their own or with those of the generator that moves on.

    python benchmarks/averages.py [--steps 14000] [--seeds 1]

The table gives the Fréchet distance on the selection split at a quarter of the steps and so on.
"""

from __future__ import annotations

import argparse
import copy
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmarks.by_hand import space_by_hand
from benchmarks.machine import machine

if TYPE_CHECKING:
    from gan_tune.gan.game import Game
    from gan_tune.metrics.judge import Judge

LOOKS = 4
AVERAGES = {
    "decay 0.9": (0.9, 1.0),
    "decay 0.99": (0.99, 1.0),
    "decay 0.999": (0.999, 1.0),
    "a tenth of the way": (1 - 1e-9, 0.1),
    "a fifth": (1 - 1e-9, 0.2),
    "a third": (1 - 1e-9, 1 / 3),
    "two thirds": (1 - 1e-9, 2 / 3),
}
"""Name → `ema` and `ema_reach`; a decay has no limit of reach here, a reach none of decay."""


def game_of(seed: int) -> tuple[Game, Judge]:
    """In bfloat16 where the processor has it, as the setting asks for."""
    from gan_tune.gan.building import build_game
    from gan_tune.metrics import build_judge
    from gan_tune.parts.all_parts import dataset_of

    space = space_by_hand("mlp")
    config = space.config(space.start_assignments()[1], seed)
    dataset = dataset_of(config.data)
    game = build_game(config, dataset, torch.device("cpu"))
    return game, build_judge(dataset, "selection")


def distance(game: Game, judge: Judge, network: nn.Module, *, own_statistics: bool) -> float:
    """The Fréchet distance of a copy of a generator."""
    from gan_tune.gan.averages import STATISTICS_BATCHES, take_batch_statistics
    from gan_tune.gan.evaluation import EVALUATION_BATCH

    judged = copy.deepcopy(network)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        if own_statistics:
            z = game.batches.noise(random, STATISTICS_BATCHES * EVALUATION_BATCH)
            take_batch_statistics(judged, z.split(EVALUATION_BATCH))
        judged.eval()
        z = game.batches.noise(random, judge.count)
        undo = game.evaluation.scaling.undo
        samples = torch.cat([undo(judged(part)) for part in z.split(EVALUATION_BATCH)])
    return judge(samples)["frechet_distance"]


def measured(seed: int, steps: int) -> dict[str, list[float]]:
    """Row → the distances at each look."""
    from gan_tune.gan.averages import MovingAverage
    from gan_tune.gan.determinism import kernels

    game, judge = game_of(seed)
    generator = game.networks.generator
    averages = {name: copy.deepcopy(generator) for name in AVERAGES}
    following = [
        MovingAverage(averages[name], generator, ema=ema, reach=reach)
        for name, (ema, reach) in AVERAGES.items()
    ]
    rows: dict[str, list[float]] = {"no average": [], "decay 0.999, the generator's statistics": []}
    rows |= {name: [] for name in AVERAGES}
    for look in range(1, LOOKS + 1):
        with kernels(deterministic=False):
            while game.step < steps * look // LOOKS:
                game.train_step()
                for moving in following:
                    moving.follow(game.step)
        as_it_moves = averages["decay 0.999"]
        buffers = zip(as_it_moves.buffers(), generator.buffers(), strict=True)
        for buffer, its in buffers:
            buffer.copy_(its)
        rows["no average"].append(distance(game, judge, generator, own_statistics=False))
        rows["decay 0.999, the generator's statistics"].append(
            distance(game, judge, as_it_moves, own_statistics=False)
        )
        for name, average in averages.items():
            rows[name].append(distance(game, judge, average, own_statistics=True))
        print(f"seed {seed}, {game.step} steps", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=14_000)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, one thread", flush=True)
    runs = [measured(seed, options.steps) for seed in range(options.seeds)]
    looks = [str(options.steps * look // LOOKS) for look in range(1, LOOKS + 1)]
    print(f"\n| average | {' | '.join(looks)} |")
    print("|---" * (LOOKS + 1) + "|")
    for name in runs[0]:
        means = (fmean(values) for values in zip(*(run[name] for run in runs), strict=True))
        print(f"| {name} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |")


if __name__ == "__main__":
    main()
