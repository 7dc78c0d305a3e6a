"""Drawing to a file: `gan-tune generate` against a bare loop in torch that writes the same file.

    python benchmarks/generating.py [--count 100000] [--pairs 3]

Both draw the MLP of 28×28 pictures from the same latents and write the same `.npy`, byte for byte.
Imports and loading are left out on both sides. Then the memory that each keeps at its most, for as
many samples and for four times as many.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.interleaved import Spread, in_turns, ratios
from benchmarks.machine import machine
from benchmarks.table import Asked, table
from gan_tune.gan.networks import build_network
from gan_tune.model.generator import Generator
from gan_tune.samples.files import write_samples
from gan_tune.samples.formats import Samples

COUNT, PAIRS, LATENT, SHAPE, BATCH = 100_000, 3, 100, (1, 28, 28), 64


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network("generator", SHAPE, name="mlp", args={"latent": LATENT}).eval()


def ours(module: torch.nn.Module, count: int, path: Path) -> float:
    """Samples per second of what `gan-tune generate` runs once a model is loaded."""
    generator = Generator("mlp", None, LATENT, module)
    began = time.perf_counter()
    samples = Samples(generator.batches(count, 0), count, generator.shape)
    write_samples(samples, str(path), force=True)
    return count / (time.perf_counter() - began)


def bare(module: torch.nn.Module, count: int, path: Path) -> float:
    """The same of a loop in torch."""
    began = time.perf_counter()
    random = torch.Generator().manual_seed(0)
    with path.open("wb") as file, torch.inference_mode():
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, *SHAPE)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, count, BATCH):
            samples = module(torch.randn(BATCH, LATENT, generator=random))
            file.write(samples[: count - start].numpy().data)
    return count / (time.perf_counter() - began)


def peak_memory(count: int) -> float:
    """The most MiB that a process held that drew so many samples."""
    command = [sys.executable, __file__, "--memory-of", str(count)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    module = network()
    with tempfile.TemporaryDirectory() as folder:
        mine, others = Path(folder) / "ours.npy", Path(folder) / "bare.npy"
        if options.memory_of:
            ours(module, options.memory_of, mine)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            return
        ours(module, 6_400, mine)
        bare(module, 6_400, others)
        assert mine.read_bytes() == others.read_bytes()
        sides = {
            "generate": lambda: ours(module, options.count, mine),
            "bare loop": lambda: bare(module, options.count, others),
        }
        speeds = in_turns(sides, options.pairs)
    few, many = (peak_memory(times * options.count) for times in (1, 4))
    ratio = ratios(speeds["generate"], speeds["bare loop"])
    print(f"{machine()}\n")
    rows = [[name, f"{Spread.of(found):,.0f}", "", ""] for name, found in speeds.items()]
    rows.append(["generate / bare loop", f"{ratio:.2f}", *Asked.at_least(0.8, ratio.median)])
    rows.append([f"MiB for {options.count:,}", f"{few:.0f}", "", ""])
    rows.append([f"MiB for {4 * options.count:,}", f"{many:.0f}", "", ""])
    print(table(["samples per second", "measured", "asked", ""], rows))


if __name__ == "__main__":
    main()
