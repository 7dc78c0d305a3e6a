"""Modes: the champion of a search over 2-D mixtures, trained again with ten fresh seeds.

For `ring` (8 Gaussians) and `grid` (25), after PacGAN's protocol (Lin et al. 2018), but stricter: a
mode is covered with a quarter of its share of the samples (there: with one sample), and each
mode's width counts, too. Batches are those of `points`, 64 or 256 (there: 100), and training is
longer: as the rates fall, modes that have shrunk beneath the noise widen again. All figures are of
the test split, by the generator that was best on the selection split. The searches go by coverage:
the energy distance, to which `points` is searched, hardly sees how wide such narrow modes are.

    python benchmarks/modes.py ring grid [--minutes 10] [--seeds 10] [--storage modes_runs]

What is in the storage is not done again, so a break-off costs little.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.machine import machine

if TYPE_CHECKING:
    from gan_tune.config import TrialConfig

WORKERS = 2
STEPS = {"ring": 16_000, "grid": 28_000}
"""Of each trial: two and a half and five minutes on a core, so that ten minutes hold a few."""
FIRST_SEED = 1_000_000
FIGURES = (
    "modes_covered",
    "high_quality_share",
    "sigma_ratio_min",
    "sigma_ratio_max",
    "reverse_kl",
    "energy_distance",
)


def searched(data: str, minutes: float, folder: Path) -> dict[str, Any]:
    """The champion's config, as a tree, of a search of at most so many minutes."""
    from gan_tune import service

    folder.mkdir(parents=True, exist_ok=True)
    space = service.load_space(
        "points",
        [
            f"trial.data.name={data}",
            f"budget.minutes={minutes}",
            "budget.trials=400",
            f"budget.steps={STEPS[data]}",
            "budget.evaluations=2",  # rates fall: the end is meant, no lucky moment
            "objective.metric=coverage",
            "objective.mode=max",
            # Noise that fades makes early values say little, and ten fresh seeds follow.
            "search.scheduler=none",
            "confirm.top=0",
            f"name={data}",
        ],
    )
    result = service.search(
        space, storage=folder / "runs", tracking_uri=f"sqlite:///{folder / 'mlflow.db'}"
    )
    assert result.champion is not None, result
    trials = sum(result.outcomes.values())
    print(f"\n{data}: {trials} trials in {result.seconds / 60:.1f} min", flush=True)
    for row in result.rows[:1]:
        print("  " + ", ".join(f"{k}={v}" for k, v in row.changes.items()))
    return dict(result.champion.config)


def trained_again(tree: dict[str, Any], folder: Path, seed: int) -> dict[str, float]:
    """The test figures of one fresh seed, kept in the folder under the config's digest."""
    from gan_tune.config import TrialConfig
    from gan_tune.parts.all_parts import catalogue

    config = TrialConfig.from_tree(tree | {"seed": seed}, catalogue())
    file = folder / f"seed-{seed}-{config.digest()}.json"
    if file.exists():
        stored: dict[str, float] = json.loads(file.read_text())
        return stored
    figures = measured(config)
    partial_file = file.with_suffix(".partial")
    partial_file.write_text(json.dumps(figures))
    partial_file.replace(file)
    return figures


def measured(config: TrialConfig) -> dict[str, float]:
    """Train to the end, and judge the best generator on the test split."""
    import torch

    from gan_tune.gan.training import train
    from gan_tune.metrics import build_judge
    from gan_tune.model.export import best_generator, draw
    from gan_tune.parts.all_parts import dataset_of

    torch.set_num_threads(1)
    dataset = dataset_of(config.data)
    state = b""
    for report in train(config, dataset, build_judge(dataset, "selection")):
        if report.outcome is not None:
            state = report.checkpoint()
    judge = build_judge(dataset, "test")
    generator = best_generator(config, dataset, state)
    latent = config.generator.args["latent"]
    return judge(draw(generator, judge.count, latent=latent, seed=config.seed))


def table(data: str, rows: list[dict[str, float]]) -> None:
    """One line a seed, and the means."""
    print(f"\n| {data}, seed | " + " | ".join(FIGURES) + " |")
    print("|---" * (len(FIGURES) + 1) + "|")
    for i, row in enumerate(rows):
        print(f"| {i} | " + " | ".join(f"{row[name]:.4g}" for name in FIGURES) + " |")
    means = [fmean(row[name] for row in rows) for name in FIGURES]
    print("| mean | " + " | ".join(f"{mean:.4g}" for mean in means) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="+", choices=["ring", "grid"])
    parser.add_argument("--minutes", type=float, default=10.0, help="of each search")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--storage", type=Path, default=Path("modes_runs"))
    options = parser.parse_args()
    print(machine(), flush=True)
    folders = {data: options.storage / data for data in options.data}
    # First all that is short of time, then what takes as long as it takes.
    champions = {data: searched(data, options.minutes, folders[data]) for data in options.data}
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    for data, tree in champions.items():
        again = partial(trained_again, tree, folders[data])
        with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
            rows = list(pool.map(again, seeds))
        table(data, rows)


if __name__ == "__main__":
    main()
