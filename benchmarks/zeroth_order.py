"""What a gradient costs without backpropagation, and how near it comes, on the 2-D system.

    python benchmarks/zeroth_order.py [--loop-coordinates 500] [--threads 1] [--storage systems]

The networks are 100 -> 128 -> 128 -> 2 and 2 -> 128 -> 128 -> 1, the batch has 1,000 points, all in
float32. The plain loop is forward differences, one coordinate and one evaluation after the other;
it is timed on some coordinates drawn at random, half of them before and half after the estimators,
and extrapolated to all. The next lines give the cosine of central differences in float64. At last,
if the storage holds a finished search `zeroth_order` (`benchmarks/systems.py` leaves one), its
champion is trained again with fresh seeds: as it is, and with backpropagation, at equal steps.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.machine import machine
from gan_tune import service
from gan_tune.config import TrialConfig
from gan_tune.errors import GanTuneError
from gan_tune.gan.estimators import ESTIMATORS, Objective
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import build_network
from gan_tune.gan.training import train
from gan_tune.metrics import build_judge
from gan_tune.parts.all_parts import catalogue, dataset_of

BATCH, LATENT, HIDDEN = 1_000, 100, (128, 128)
EPSILON, EPSILON_FLOAT64 = 1e-3, 1e-5
FRESH_SEEDS = range(1_000_000, 1_000_003)
RUNS: dict[str, tuple[str, dict[str, float]]] = {
    "backprop": ("backprop", {}),
    "forward_difference": ("forward_difference", {}),
    "central_difference": ("central_difference", {}),
    "random_directions, 64": ("random_directions", {"directions": 64}),
}


@dataclass(frozen=True)
class Player:
    name: str
    network: nn.Module
    objective: Objective


def players(dtype: torch.dtype) -> list[Player]:
    """Both players of the 2-D system before the first step, on one batch."""
    torch.manual_seed(0)
    generator, discriminator = (
        build_network(role, (2,), name="mlp", args={"hidden": HIDDEN} | args).to(dtype)
        for role, args in (
            ("generator", {"latent": LATENT, "output": "linear"}),
            ("discriminator", {}),
        )
    )
    real, z = torch.randn(BATCH, 2, dtype=dtype), torch.randn(BATCH, LATENT, dtype=dtype)
    fake = generator(z).detach()
    loss = LOSSES["non_saturating"]()

    def for_generator(g: Callable[[Tensor], Tensor]) -> Tensor:
        logits = discriminator(g(z))
        return loss.generator(logits, logits)

    def for_discriminator(d: Callable[[Tensor], Tensor]) -> Tensor:
        logits = d(torch.cat((real, fake)))
        return loss.discriminator(logits[:BATCH], logits[BATCH:])

    return [
        Player("discriminator", discriminator, for_discriminator),
        Player("generator", generator, for_generator),
    ]


def timed(player: Player, estimator: str, args: dict[str, float]) -> tuple[float, Tensor]:
    """Seconds and the gradient as one vector."""
    random = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    objective, network = player.objective, player.network
    gradients = ESTIMATORS[estimator](
        lambda: objective(network), objective, network, random, **args
    )
    return time.perf_counter() - started, torch.cat([g.flatten() for g in gradients])


@torch.no_grad()
def loop_seconds(player: Player, coordinates: int, seed: int) -> float:
    """Seconds that a plain loop needs for a coordinate, over some drawn at random."""
    values = [p.view(-1) for p in player.network.parameters()]
    places = [(v, i) for v in values for i in range(len(v))]
    random = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(places), (coordinates,), generator=random).tolist()
    base = player.objective(player.network)
    started = time.perf_counter()
    for value, i in (places[k] for k in chosen):
        kept = value[i].clone()
        value[i] += EPSILON
        float((player.objective(player.network) - base) / EPSILON)
        value[i] = kept
    return (time.perf_counter() - started) / coordinates


def cosine(first: Tensor, second: Tensor) -> float:
    return float(torch.cosine_similarity(first.double(), second.double(), dim=0))


def energy_distance(tree: dict[str, Any]) -> float:
    """Of the best report on the selection split, the mean over fresh seeds."""
    values = []
    for seed in FRESH_SEEDS:
        config = TrialConfig.from_tree(tree | {"seed": seed}, catalogue())
        dataset = dataset_of(config.data)
        reports = list(train(config, dataset, build_judge(dataset, "selection")))
        values.append(min(r.scalars["energy_distance"] for r in reports if r.scalars))
    return fmean(values)


def trained_with_and_without(storage: Path) -> str:
    """The champion of a finished search against the same setting with backpropagation."""
    try:
        champion = service.load_result("zeroth_order", storage / "runs").champion
    except GanTuneError as error:
        return f"no champion to train again: {error}"
    assert champion is not None
    tree = dict(champion.config)
    backprop = dict.fromkeys(("generator_gradient", "discriminator_gradient"), "backprop")
    estimated, exact = energy_distance(tree), energy_distance(tree | backprop)
    return (
        f"trained for {tree['steps']} steps, {len(FRESH_SEEDS)} seeds, energy distance: "
        f"{tree['generator_gradient']['name']} {estimated:.4g}, backprop {exact:.4g}, "
        f"ratio {estimated / exact:.2f}"
    )


def main(
    loop_coordinates: Annotated[
        int, typer.Option(min=2, help="Coordinates on which the plain loop is timed.")
    ] = 500,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch, for both sides.")] = 1,
    storage: Annotated[Path, typer.Option(help="Where benchmarks/systems.py ran.")] = Path(
        "systems"
    ),
) -> None:
    """Time each gradient estimator against a plain Python loop; train with and without."""
    torch.set_num_threads(threads)
    table = Table("player", "estimator", "ms per gradient", "cosine to backprop", "time / loop's")
    loops, full = 0.0, 0.0
    for player in players(torch.float32):
        count = sum(p.numel() for p in player.network.parameters())
        timed(player, "backprop", {})  # the first one starts torch's threads
        loop = loop_seconds(player, loop_coordinates // 2, seed=1)
        found = {name: timed(player, *run) for name, run in RUNS.items()}
        loop = (loop + loop_seconds(player, loop_coordinates // 2, seed=2)) / 2 * count
        exact = found["backprop"][1]
        table.add_row(player.name, f"plain loop of {count:,}", f"{1e3 * loop:,.0f}", "", "1")
        for name, (seconds, gradient) in found.items():
            near = f"{cosine(gradient, exact):.6f}"
            table.add_row("", name, f"{1e3 * seconds:,.1f}", near, f"{seconds / loop:.4f}")
        loops, full = loops + loop, full + found["forward_difference"][0]
    console = Console(width=100)
    console.print(f"{machine()}, {threads} thread(s)")
    console.print(f"command: python {' '.join(sys.argv)}")
    console.print(table)
    console.print(f"forward differences of both players: {full / loops:.3f} of the loop's time")
    for player in players(torch.float64):
        exact = timed(player, "backprop", {})[1]
        ours = timed(player, "central_difference", {"epsilon": EPSILON_FLOAT64})[1]
        console.print(
            f"float64, {player.name}: 1 - cosine(central, backprop) = {1 - cosine(ours, exact):.1e}"
        )
    console.print(trained_with_and_without(storage))


if __name__ == "__main__":
    typer.run(main)
