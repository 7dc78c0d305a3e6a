"""The champion after equal wall time: gan-tune against a docs-style search, on Fashion-MNIST.

    python benchmarks/peer.py [--minutes 10] [--seeds 3] [--storage peer_runs]

Three sides, each with two workers and so many minutes, one after the other for each seed:

    docs-style  `docs_style/`: OptunaSearch, ASHAScheduler, MLflowLoggerCallback, a cold actor for
                each trial, a DataLoader, as the documentation of Ray Tune and PyTorch shows them
    its space   gan-tune on the same ranges (`docs_style/space.yaml`)
    mlp         gan-tune on the shipped space `mlp`

The figure is the Fréchet distance of the best generator of one seed, on the test split, which chose
nothing; so gan-tune confirms none, and the time is all for the search. A side that is finished in
the storage is read and not run again, and refused where the space has changed since; one that
broke off begins anew.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import machine

if TYPE_CHECKING:
    from gan_tune.space import SearchSpace

SLOTS = 2
TEST_SEED = 20_000
"""Seed of the noise for the test split."""


@dataclass(frozen=True)
class Found:
    """What one side came to: the champion's distances, settings tried, and those of full length."""

    selection: float
    test: float
    settings: int
    full: int


def docs_style(folder: Path, minutes: float, seed: int) -> Found:
    import ray
    import torch
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    from benchmarks.docs_style import gan
    from benchmarks.docs_style.space import SPACE
    from benchmarks.docs_style.tuning import tuner
    from gan_tune.data.by_name import load_dataset
    from gan_tune.metrics import build_judge
    from gan_tune.model.export import draw

    # Without an address it would join a Ray that runs on this machine, and refuse `num_cpus`.
    ray.init(address="local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)
    dataset = load_dataset("fashion_mnist")
    train = tune.with_parameters(
        gan.train_gan, pictures=dataset.train, judge=gan.judgement(dataset)
    )
    results = tuner(
        train,
        SPACE,
        folder,
        metric=gan.METRIC,
        slots=SLOTS,
        seed=seed,
        scheduler=ASHAScheduler(max_t=gan.EPOCHS, grace_period=1, reduction_factor=2),
        num_samples=-1,
        time_budget_s=60 * minutes,
    ).fit()
    ray.shutdown()
    # Its best epoch, though Tune would take the trial that was best in its last one.
    best = results.get_best_result(scope="all")
    config, curve = best.config, best.metrics_dataframe
    checkpoint = best.get_best_checkpoint(gan.METRIC, "min")
    assert config is not None
    assert curve is not None
    assert checkpoint is not None
    generator = gan.generator(config["latent"], config["generator_width"])
    with checkpoint.as_directory() as saved:
        generator.load_state_dict(torch.load(Path(saved) / gan.WEIGHTS, weights_only=True))
    judge = build_judge(dataset, "test")
    samples = draw(generator.eval(), judge.count, latent=config["latent"], seed=TEST_SEED)
    ended = [results[i].metrics or {} for i in range(len(results))]
    epochs = [metrics.get("training_iteration", 0) for metrics in ended]
    return Found(
        selection=float(curve[gan.METRIC].min()),
        test=judge(samples)[gan.METRIC],
        settings=len(results),
        full=epochs.count(gan.EPOCHS),
    )


def space_of(side: str, minutes: float, seed: int) -> SearchSpace:
    """The checked space of one of gan-tune's sides."""
    from gan_tune import service

    overrides = (
        f"budget.minutes={minutes}",
        "budget.trials=10000",
        "confirm.top=0",
        f"search.seed={seed}",
    )
    return service.load_space(SPACES[side], overrides)


def ours(folder: Path, minutes: float, seed: int, *, side: str) -> Found:
    from gan_tune import service

    result = service.search(
        space_of(side, minutes, seed),
        storage=folder / "runs",
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        max_concurrent=SLOTS,
    )
    if not result.finished:
        sys.exit("interrupted: nothing is kept")
    return Found(
        selection=result.champion.mean if result.champion else math.inf,
        test=result.test.get("test.frechet_distance", math.inf),
        settings=sum(result.outcomes.values()),
        full=result.outcomes.get("completed", 0),
    )


PEER = "docs-style"
SPACES = {"its space": str(Path(__file__).parent / "docs_style" / "space.yaml"), "mlp": "mlp"}
"""What gan-tune's sides search."""

SIDES: dict[str, Callable[[Path, float, int], Found]] = {
    PEER: docs_style,
    **{side: partial(ours, side=side) for side in SPACES},
}
ASKED = {"its space": 0.85, "mlp": 0.6}
"""The champion's distance over the docs-style one's, at most."""


def digest(side: str, minutes: float, seed: int) -> str | None:
    """Tells gan-tune's spaces apart; None for the peer, whose own is pinned."""
    return space_of(side, minutes, seed).digest if side in SPACES else None


def refusal(side: str, folder: Path, minutes: float, seed: int) -> str | None:
    """Why a stored result cannot stand beside new ones, None if it can or there is none."""
    file = folder / "found.json"
    if not file.exists():
        return None
    stored, now = json.loads(file.read_text()).get("space"), digest(side, minutes, seed)
    if stored == now:
        return None
    return f"{file}: must be of the space {now}, as it is now, but is of {stored or 'none known'}"


def found(side: str, folder: Path, minutes: float, seed: int) -> tuple[Found, float]:
    """What one side comes to in a process of its own, and its wall time in seconds.

    One that has ended is read.
    """
    file = folder / "found.json"
    if not file.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        one = ["--side", side, "--seed", str(seed), "--minutes", str(minutes)]
        with (folder / "log").open("w") as log:
            command = [sys.executable, __file__, *one, "--storage", str(folder)]
            subprocess.run(command, stdout=log, stderr=log, check=True)
    stored = json.loads(file.read_text())
    return Found(**stored["found"]), stored["seconds"]


def run(side: str, folder: Path, minutes: float, seed: int) -> None:
    """One side, its figures left in the folder: whole, as a break would leave none."""
    began = time.perf_counter()
    figures = SIDES[side](folder, minutes, seed)
    stored = {
        "found": asdict(figures),
        "seconds": time.perf_counter() - began,
        "space": digest(side, minutes, seed),
    }
    partial_file = folder / "found.partial"
    partial_file.write_text(json.dumps(stored))
    partial_file.replace(folder / "found.json")


def compare(storage: Path, minutes: float, seeds: int) -> None:
    folders = {
        (seed, side): storage / f"{minutes:g}-minutes" / f"seed-{seed}" / side.replace(" ", "-")
        for seed in range(seeds)
        for side in SIDES
    }
    refusals = [refusal(side, at, minutes, seed) for (seed, side), at in folders.items()]
    if any(refusals):
        print("\n".join(filter(None, refusals)), file=sys.stderr)
        sys.exit(2)
    print(f"{machine()}, {SLOTS} workers\n")
    print("| seed | side | settings | full length | minutes | selection | test |")
    print("|---|---|---|---|---|---|---|", flush=True)
    tests: dict[str, list[float]] = {side: [] for side in SIDES}
    for (seed, side), folder in folders.items():
        figures, seconds = found(side, folder, minutes, seed)
        tests[side].append(figures.test)
        print(
            f"| {seed} | {side} | {figures.settings} | {figures.full} | {seconds / 60:.1f} | "
            f"{figures.selection:.4g} | {figures.test:.4g} |",
            flush=True,
        )
    show_ratios(tests)


def show_ratios(tests: Mapping[str, Sequence[float]]) -> None:
    """The medians over the peer's, and seed by seed what each comes to over the peer's."""
    print("\n| side | median test distance | of the docs-style one | seed by seed | asked |")
    print("|---|---|---|---|---|")
    peer = median(tests[PEER])
    for side, values in tests.items():
        asked = f"≤ {ASKED[side]}" if side in ASKED else ""
        paired = [value / its for value, its in zip(values, tests[PEER], strict=True)]
        ratios = ", ".join(f"{ratio:.3f}" for ratio in paired)
        middle = median(values)
        print(f"| {side} | {middle:.4g} | {middle / peer:.3f} | {ratios} | {asked} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--storage", type=Path, default=Path("peer_runs"))
    parser.add_argument("--side", choices=SIDES, help="run this one alone, in --storage")
    parser.add_argument("--seed", type=int, default=0, help="of the side that runs alone")
    options = parser.parse_args()
    storage = options.storage.absolute()
    if options.side:
        run(options.side, storage, options.minutes, options.seed)
    else:
        compare(storage, options.minutes, options.seeds)


if __name__ == "__main__":
    main()
