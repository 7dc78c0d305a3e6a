"""A folder of pictures that nothing is known of: `gan-tune search FOLDER` and nothing else.

    python -m benchmarks.own_pictures [--minutes 10] [--seeds 3] [--storage own_pictures]

Colour patches of scikit-learn's two photographs (1,500 of 32×32, as PNG) are searched from the
folder alone, from the folder without experience, and by a copy of the shipped `conv` whose data
line names the folder. Each champion is judged on the pictures that its search kept for the test: by
the judge of unlabelled pictures, by a classifier of the patches' regions (trained on other patches,
with labels, and unknown to the searches), by ImageNet's features where EfficientNet-Lite0 is
installed (benchmarks/unlabelled_features.py), and by a small network that learns in a minute to
tell real from generated. `far` is 0 as near as training pictures and 1 as far as the mean of all
with a little noise. STORAGE/pictures.png shows them side by side. What is finished there is read
and not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torch import nn

import gan_tune
from benchmarks.failing_generators import Pictures, patches, unlabelled
from benchmarks.machine import machine
from benchmarks.systems import ORIGINS, best_by_origin
from benchmarks.table import table
from benchmarks.unlabelled_features import CANDIDATES, Features, in_unit_range
from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset
from gan_tune.metrics.farness import collapsed_samples
from gan_tune.metrics.features import build_extractor
from gan_tune.metrics.frechet import frechet_distance
from gan_tune.samples.pictures import grid
from gan_tune.space import shipped_spaces
from gan_tune.space.reading import read_space

COUNT = 1_500
ALONE, WITHOUT, COPY = "the folder alone", "without experience", "a copy of conv"
SIDES = (ALONE, WITHOUT, COPY)
FEATURES = ("judge", "labels", "ImageNet")
SHOWN = 32


@dataclass(frozen=True)
class Judged:
    """One champion.

    Attributes:
        best: the best values on the selection split, by :data:`benchmarks.systems.ORIGINS`.
        above: by features, the distance above the floor.
        far: the same as a share of that of the mean of all.
        told_apart: how surely it is told from real pictures.
        samples: some.
    """

    best: Sequence[str]
    above: Mapping[str, float]
    far: Mapping[str, float]
    told_apart: float
    samples: Pictures


# -------------------------------------------------------------------- searching


def write_folder(folder: Path) -> None:
    """The pictures as somebody has them."""
    if folder.is_dir():
        return
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(patches().train[:COUNT]):
        Image.fromarray(picture.transpose(1, 2, 0)).save(part / f"{index:04d}.png")
    part.rename(folder)


def write_copy(folder: Path, data: Path) -> Path:
    """`conv` with another data line."""
    tree = read_space(shipped_spaces()["conv"]).tree
    tree["trial"]["data"] |= {"name": "pictures", "root": str(data), "size": 32}
    tree["name"] = "copy"
    path = folder / "copy.yaml"
    path.write_text(json.dumps(tree))  # which is YAML, too
    return path


def search(side: str, data: Path, folder: Path, minutes: float, seed: int) -> None:
    """The search as a user begins it, in a folder of its own; one that has finished is read."""
    folder.mkdir(parents=True, exist_ok=True)
    what = write_copy(folder, data) if side == COPY else data
    words = ["search", str(what), "--minutes", f"{minutes:g}", "--seed", str(seed), "--name", "own"]
    if side == WITHOUT:
        words += ["--set", "search.experience=none"]
    words += ["--model", "own", "--register-anyway"]
    subprocess.run([sys.executable, "-m", "gan_tune.cli", *words], cwd=folder, check=True)


# -------------------------------------------------------------------- judging


def told_apart(dataset: Dataset, made: Pictures, steps: int = 600) -> float:
    """Accuracy of a small network on held-out real and generated pictures; 0.5 is a coin's."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64 * 16, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    held_out = len(dataset.test)
    real, fake = in_unit_range(dataset.train), in_unit_range(made[held_out:])
    for _ in range(steps):
        batch = torch.cat([part[torch.randint(len(part), (64,))] for part in (real, fake)])
        logits = network(batch * 2 - 1)[:, 0]
        targets = torch.arange(128).lt(64).float()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = [
            (network(in_unit_range(part) * 2 - 1)[:, 0] > 0).float().mean().item()
            for part in (dataset.test, made[:held_out])
        ]
    return float(right[0] + 1 - right[1]) / 2


def judge(folder: Path, data: Path) -> Judged:
    """How near the champion of a search is to the pictures that the search kept for the test."""
    dataset = load_dataset("pictures", root=str(data), size=32)
    others = patches()
    assert others.train_labels is not None
    others = replace(others, train=others.train[COUNT:], train_labels=others.train_labels[COUNT:])
    generator = gan_tune.load_generator("own", tracking_uri=f"sqlite:///{folder}/mlflow.db")
    samples = generator.sample(len(dataset.test) + len(dataset.train), seed=0)
    made = (255 * samples.clamp(0, 1)).round().byte().numpy()
    features: dict[str, Features] = {
        "judge": build_extractor(unlabelled(dataset), unlabelled="patches"),
        "labels": build_extractor(others),
    }
    if "ImageNet" in CANDIDATES:
        features["ImageNet"] = CANDIDATES["ImageNet"](dataset)
    above, far = {}, {}
    for name, feature in features.items():
        above[name], far[name] = distance(feature, dataset, made)
    result = gan_tune.load_result("own", storage=folder / "gan_tune_runs")
    best = best_by_origin(result.rows)
    return Judged(best, above, far, told_apart(dataset, made), made[:SHOWN])


def distance(features: Features, dataset: Dataset, made: Pictures) -> tuple[float, float]:
    """The Fréchet distance from the test split above the floor, and its share of the mean's."""
    count = len(dataset.test)
    mean = collapsed_samples(dataset, count)
    real, *others = (
        features(part)
        for part in (
            in_unit_range(dataset.test),
            in_unit_range(dataset.train[:count]),
            in_unit_range(made[:count]),
            mean,
        )
    )
    floor, found, farthest = (frechet_distance(real, other) for other in others)
    return found - floor, (found - floor) / (farthest - floor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--storage", type=Path, default=Path("own_pictures"))
    options = parser.parse_args()
    storage = options.storage.absolute()
    data = storage / "patches"
    write_folder(data)
    found: dict[str, list[Judged]] = {side: [] for side in SIDES}
    rows, shown = (
        [],
        [in_unit_range(load_dataset("pictures", root=str(data), size=32).test[:SHOWN])],
    )
    for seed in range(options.seeds):
        for side in SIDES:
            folder = storage / f"{side.replace(' ', '-')}-{seed}"
            search(side, data, folder, options.minutes, seed)
            one = judge(folder, data)
            found[side].append(one)
            shown.append(in_unit_range(one.samples))
            figures = [f"{one.above[by]:.4g}" for by in FEATURES if by in one.above]
            figures += [f"{one.far[by]:.1%}" for by in FEATURES if by in one.far]
            rows.append([str(seed), side, *one.best, *figures, f"{one.told_apart:.1%}"])
            print(*rows[-1], sep=" | ", flush=True)
    picture = grid(torch.cat(shown), columns=SHOWN)
    Image.fromarray(picture.numpy()).save(storage / "pictures.png")
    known = [by for by in FEATURES if by in found[ALONE][0].above]
    measures = (*(f"above, by {by}" for by in known), *(f"far, by {by}" for by in known))
    head = ["seed", "side", *ORIGINS, *measures, "told apart"]
    print(f"{machine()}, {options.minutes:g} minutes each\n\n{table(head, rows)}\n")
    for side in (WITHOUT, COPY):
        for by in known:
            ours, its = ([one.above[by] for one in found[each]] for each in (ALONE, side))
            print(f"{ALONE} / {side}, by {by}: {median(ours) / median(its):.3f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
