"""Records the curves that `surrogate.py` searches on: real GANs, each trained at full length.

Settings of `surrogate.yaml` are drawn as a scrambled Sobol sequence (Owen 1998) over all its
ranges, and trained with no stopping rule but divergence; some with further seeds, so that the noise
between seeds is known. Each curve is appended to `surrogate.jsonl` as soon as it is there, and the
same command goes on where the last one ended.

    python benchmarks/record_curves.py [--settings 512] [--replicated 16] [--seeds 3] [--minutes 30]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict
from functools import cache
from itertools import islice
from math import isfinite
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.curves import CURVES, Curve, Setting, load_space, read_curves, setting_at
from benchmarks.machine import machine
from gan_tune.space import SearchSpace

WORKERS = 2
SEED_STRIDE = 100_000
"""Between the seeds of a setting's replicates; the first seed is the setting's number."""


def sobol(count: int) -> list[Setting]:
    """The first ``count`` settings of the sequence."""
    from scipy.stats import qmc

    space = load_space()
    sequence = qmc.Sobol(len(space.dimensions()), scramble=True, rng=0)
    points = sequence.random_base2((count - 1).bit_length())
    return [setting_at(space, point) for point in points[:count]]


@cache
def _data() -> Any:
    """The data set and its judge, made once a process; they are the same for every setting."""
    from gan_tune.metrics import build_judge
    from gan_tune.parts.trial_data import dataset_of

    space = load_space()
    config = space.config(setting_at(space, [0.0] * len(space.dimensions())), seed=0)
    dataset = dataset_of(config.data)
    return dataset, build_judge(dataset, "selection")


def recorded(setting: int, replicate: int, params: Setting) -> Curve:
    """Train a setting with one of its seeds."""
    import torch

    from gan_tune.config import CollapseRule
    from gan_tune.gan.training import train

    torch.set_num_threads(1)
    dataset, judge = _data()
    config = load_space().config(params, seed=setting + SEED_STRIDE * replicate)
    config = config.model_copy(update={"collapse": CollapseRule(variety=0), "patience": 0})
    began = time.process_time()
    reports = list(train(config, dataset, judge))
    return Curve(
        setting=setting,
        replicate=replicate,
        params=params,
        outcome=str(reports[-1].outcome),
        seconds=round(time.process_time() - began, 2),
        steps=[report.step for report in reports],
        values=[_shortened(report.value) for report in reports],
        variety=[_shortened(report.scalars["variety"]) for report in reports],
        logits=[_shortened(report.scalars["discriminator_logit_max"]) for report in reports],
    )


def _shortened(value: float | None) -> float | None:
    """Five digits, to keep the file small; None where not finite."""
    return float(f"{value:.5g}") if value is not None and isfinite(value) else None


def train_all(wanted: Iterable[tuple[int, int, Setting]], *, minutes: float) -> Iterator[Curve]:
    """The curves of (setting, replicate, params) as they end; none is begun after ``minutes``."""
    until = time.monotonic() + 60 * minutes
    waiting = iter(wanted)
    running: set[Future[Curve]] = set()
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        while True:
            free = WORKERS - len(running) if time.monotonic() < until else 0
            running |= {pool.submit(recorded, *run) for run in islice(waiting, free)}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (run.result() for run in done)


def begin(path: Path) -> set[tuple[int, int]]:
    """Make a recording's file, or mend it; returns (setting, replicate) of what is there."""
    space = load_space()
    if not path.exists():
        head = {
            "command": "python benchmarks/record_curves.py",
            "machine": machine(),
            "space": _recorded_part(space),
        }
        path.write_text(json.dumps(head) + "\n")
    head, curves = read_curves(path)
    if head["space"] != _recorded_part(space):
        print(
            f"{path}: must be of the space as it is, but is of another; remove it", file=sys.stderr
        )
        raise SystemExit(2)
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    return {(curve.setting, curve.replicate) for curve in curves}


def _recorded_part(space: SearchSpace) -> dict[str, Any]:
    """All of a space that decides its curves."""
    return {key: space.tree[key] for key in ("objective", "budget", "trial")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--settings", type=int, default=512)
    parser.add_argument("--replicated", type=int, default=16, help="settings with further seeds")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of those settings")
    parser.add_argument("--minutes", type=float, default=30.0, help="nothing is begun after that")
    parser.add_argument("--out", type=Path, default=CURVES)
    options = parser.parse_args()
    keys = [(i, 0) for i in range(options.settings)]
    keys += [(i, r) for r in range(1, options.seeds) for i in range(options.replicated)]
    drawn = sobol(options.settings)
    known = begin(options.out)
    missing = ((i, r, drawn[i]) for i, r in keys if (i, r) not in known)
    with options.out.open("a", buffering=1) as file:
        for curve in train_all(missing, minutes=options.minutes):
            print(json.dumps(asdict(curve), separators=(",", ":")), file=file)
    print(f"{len(read_curves(options.out)[1])} of {len(keys)} curves are in {options.out}")


if __name__ == "__main__":
    main()
