"""Sparse codes: what sparsity costs a representation, at equal adversarial quality.

One setting of the `sparse_autoencoder` system on Fashion-MNIST (the one that was found by hand),
trained with each kind of sparsity over its weight, and with dense codes, linear and rectified (only
rectified codes get zeros from L1; KL needs a code that can fall below 0):

    python benchmarks/sparsity.py [--steps 4000] [--code 32] [--seeds 3]

The table gives the Fréchet distance of the generator, the reconstruction error, the share of zeros
of the codes, and the accuracy of a linear probe on them, all on the selection split and at the last
report, as means over the seeds. `lost` is the accuracy lost against the dense code of the same
output, in points, with its standard error over pairs of equal seeds. A row is comparable where its
Fréchet distance is within 10 % of the dense linear code's.
"""

from __future__ import annotations

import argparse
import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import fmean, stdev
from typing import Any

from benchmarks.by_hand import space_by_hand
from benchmarks.machine import machine

WORKERS = 2
FIGURES = (
    "frechet_distance",
    "reconstruction_error",
    "zero_share",
    "hoyer_sparsity",
    "dead_unit_share",
    "code_probe_accuracy",
)
L1_WEIGHTS = (1e-3, 1e-2, 3e-2, 1e-1)
KL_WEIGHTS = (1e-3, 1e-2, 1e-1)


def codings(code: int) -> list[tuple[dict[str, Any], str]]:
    """Each kind of sparsity over its weight, with the codes' output; the first one is dense."""
    return [
        ({"name": "none"}, "linear"),
        ({"name": "none"}, "relu"),
        *(({"name": "l1", "weight": weight}, "relu") for weight in L1_WEIGHTS),
        *(({"name": "kl", "weight": weight, "target": 0.05}, "linear") for weight in KL_WEIGHTS),
        *(({"name": "k_sparse", "k": code * share // 8}, "linear") for share in (1, 2, 4)),
    ]


def measured(
    sparsity: dict[str, Any], output: str, seed: int, *, steps: int, code: int
) -> dict[str, float]:
    """The figures of one training run."""
    import torch

    from gan_tune import service

    torch.set_num_threads(1)
    space = space_by_hand("sparse_autoencoder")
    assignment = space.start_assignments()[1]
    tree = space.config(assignment, seed=seed).tree()
    tree |= {
        "encoder": tree["encoder"] | {"output": output},
        "generator": tree["generator"] | {"latent": code},
        "sparsity": sparsity,
        "measure": ["code_probe_accuracy"],
        "steps": steps,
        "evaluations": 1,
    }
    *_, last = service.train(tree)
    return {name: last.scalars[name] for name in FIGURES}


def lost(rows: list[dict[str, float]], dense: list[dict[str, float]]) -> str:
    """Points of accuracy lost against the dense code, and their standard error."""
    points = [
        100 * (reference["code_probe_accuracy"] - row["code_probe_accuracy"])
        for row, reference in zip(rows, dense, strict=True)
    ]
    error = f" ± {stdev(points) / math.sqrt(len(points)):.1f}" if len(points) > 1 else ""
    return f"{fmean(points):.1f}{error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--code", type=int, default=32, help="size of the code and the latent")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine()}, {options.steps} steps, code of {options.code}, {options.seeds} seeds\n")
    print("| sparsity | code | " + " | ".join(FIGURES) + " | lost | comparable |")
    print("|---" * (len(FIGURES) + 4) + "|", flush=True)
    kinds = codings(options.code)
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        run_one = partial(measured, steps=options.steps, code=options.code)
        runs = [
            [pool.submit(run_one, *kind, seed) for seed in range(options.seeds)] for kind in kinds
        ]
        dense: dict[str, list[dict[str, float]]] = {}
        for (sparsity, output), of_kind in zip(kinds, runs, strict=True):
            rows = [run.result() for run in of_kind]
            reference = dense.setdefault(output, rows)  # the first of each output is the dense one
            means = {figure: fmean(row[figure] for row in rows) for figure in FIGURES}
            linear = fmean(row["frechet_distance"] for row in dense["linear"])
            alike = abs(means["frechet_distance"] / linear - 1) <= 0.1
            name = " ".join(str(value) for value in sparsity.values())
            values = " | ".join(f"{mean:.4g}" for mean in means.values())
            verdict = "yes" if alike else "no"
            print(
                f"| {name} | {output} | {values} | {lost(rows, reference)} | {verdict} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
