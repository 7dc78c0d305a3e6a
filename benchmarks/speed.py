"""Steps per second: gan-tune's training against docs-style loops of the same networks.

    python benchmarks/speed.py [--quick]

Three GANs, one thread, the sides of each in turns:

    gan-tune    as a trial runs: draws, figures, looks for divergence; without evaluation
    docs-style  `docs_style/loops.py`: PyTorch's DCGAN tutorial, a data set that makes a tensor of
                each picture (of points a `TensorDataset`)
    in memory   the same loop with all pictures made tensors beforehand
    floor       the bare arithmetic of gan-tune's step on one batch, see `floors.py`: no loop of
                these networks and kernels can be faster

A ratio is that of the times of a step, turn by turn: median and quartiles. In bfloat16 gan-tune has
`precision: bfloat16` and the loops have `torch.autocast`. gan-tune refuses bfloat16 for points.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.docs_style.loops import Loop, from_pictures, from_tensors
from benchmarks.floors import bare
from benchmarks.interleaved import Spread, Turn, in_turns, ratios, seconds_of
from benchmarks.machine import machine
from benchmarks.table import Asked, table
from benchmarks.unjudged import checked, turns_of
from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import scaling_of
from gan_tune.gan.networks import build_network

TURNS, QUICK_TURNS = 10, 2
HEAD = (
    "GAN",
    "precision",
    "gan-tune, steps/s",
    "docs-style, steps/s",
    "ratio",
    "asked",
    "",
    "ratio to the loop in memory",
    "the floor's ratio",
)


@dataclass(frozen=True)
class Case:
    """A GAN, how many steps a turn has, and the ratio asked for in each precision."""

    data: Mapping[str, Any]
    generator: Mapping[str, Any]
    discriminator: Mapping[str, Any]
    steps: int
    asked: Mapping[str, float]
    beta1: float = 0.5

    @property
    def tree(self) -> dict[str, Any]:
        """The trial of gan-tune."""
        optimizer = {"name": "adam", "lr": 2e-4, "beta1": self.beta1}
        return {
            "data": self.data,
            "generator": self.generator,
            "discriminator": self.discriminator,
            "loss": "non_saturating",
            "generator_optimizer": optimizer,
            "discriminator_optimizer": optimizer,
        }


CASES: Mapping[str, Case] = {
    "MLP, 784 pixels, batch 128": Case(
        {"name": "fashion_mnist", "batch_size": 128},
        {"name": "mlp", "latent": 100, "hidden": [128, 256], "output": "sigmoid"},
        {"name": "mlp", "hidden": [256, 128]},
        steps=80,
        asked={"float32": 2.0, "bfloat16": 3.0},
    ),
    "convolutions, width 16, batch 64": Case(
        {"name": "fashion_mnist", "batch_size": 64, "scale": "symmetric"},
        {"name": "dcgan", "latent": 100, "width": 16, "norm": "batch", "output": "tanh"},
        {"name": "dcgan", "width": 16, "norm": "none"},
        steps=20,
        asked={"float32": 1.2, "bfloat16": 1.8},
    ),
    "2-D points, batch 256": Case(
        {"name": "ring", "batch_size": 256, "scale": "symmetric"},
        {"name": "mlp", "latent": 100, "hidden": [256], "activation": "relu", "output": "tanh"},
        {"name": "mlp", "hidden": [256], "activation": "relu"},
        steps=300,
        asked={"float32": 2.0},
    ),
}


def _networks(case: Case, shape: tuple[int, ...]) -> list[torch.nn.Module]:
    """D and G as gan-tune builds them: plain modules."""
    torch.manual_seed(0)
    parts = {"discriminator": case.discriminator, "generator": case.generator}
    built = []
    for role, part in parts.items():
        args = {key: value for key, value in part.items() if key != "name"}
        built.append(build_network(role, shape, name=part["name"], args=args))
    return built


def docs_style(
    case: Case, dataset: Dataset, *, steps: int, precision: str, in_memory: bool
) -> Turn:
    """A turn of the plain loop."""
    netD, netG = _networks(case, dataset.shape)
    adam = partial(torch.optim.Adam, lr=2e-4, betas=(case.beta1, 0.999))
    loop = Loop(
        netD,
        netG,
        adam(netD.parameters()),
        adam(netG.parameters()),
        _batches(case, dataset, in_memory=in_memory),
        latent=case.generator["latent"],
        bfloat16=precision == "bfloat16",
    )
    return seconds_of(loop.step, steps)


def _batches(case: Case, dataset: Dataset, *, in_memory: bool) -> Iterator[Tensor]:
    size, scale = case.data["batch_size"], case.data.get("scale", "none")
    if in_memory:
        scaled = scaling_of(dataset, scale).apply(torch.tensor(dataset.train))
        return from_tensors(scaled, size)
    return from_pictures(dataset.train, size, symmetric=scale == "symmetric")


def _sides(case: Case, dataset: Dataset, *, steps: int, turns: int) -> dict[tuple[str, str], Turn]:
    """(side, precision) → its turns."""
    sides: dict[tuple[str, str], Turn] = {}
    for precision in case.asked:
        tree = case.tree | {"precision": precision}
        config = checked(tree, turns=turns + 1, steps=steps)
        sides["gan-tune", precision] = turns_of(config, dataset)
        sides["floor", precision] = bare(config, dataset)
        plain = partial(docs_style, case, dataset, steps=steps, precision=precision)
        if dataset.kind == "points":
            sides["docs-style", precision] = plain(in_memory=True)
        else:
            sides["docs-style", precision] = plain(in_memory=False)
            sides["in memory", precision] = plain(in_memory=True)
    return sides


def measure(*, quick: bool = False) -> str:
    """The table."""
    torch.set_num_threads(1)
    turns = QUICK_TURNS if quick else TURNS
    rows = []
    for name, case in CASES.items():
        dataset = load_dataset(case.data["name"])
        steps = 2 if quick else case.steps
        taken = in_turns(_sides(case, dataset, steps=steps, turns=turns), turns)
        for precision, asked in case.asked.items():
            mine, theirs = taken["gan-tune", precision], taken["docs-style", precision]
            ratio = ratios(theirs, mine)
            beforehand = taken.get(("in memory", precision))
            rows.append(
                [
                    name,
                    precision,
                    *(f"{Spread.of([1 / s for s in side]).median:.0f}" for side in (mine, theirs)),
                    f"{ratio:.2f}",
                    *Asked.at_least(asked, ratio.median),
                    f"{ratios(beforehand, mine):.2f}" if beforehand else "",
                    f"{ratios(theirs, taken['floor', precision]):.2f}",
                ]
            )
    return table(HEAD, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few steps: whether it runs")
    print(f"{machine()}, one thread\n", flush=True)
    print(measure(quick=parser.parse_args().quick))


if __name__ == "__main__":
    main()
