"""Which features judge pictures without labels as a classifier with labels does.

    python benchmarks/judges.py [make | judges | far | distinct] [--folder judged] [--by ImageNet]

Fashion-MNIST, digits and colour patches of scikit-learn's photographs, each without its labels.
``make`` trains and spoils some hundred generators of each and keeps their samples, which takes
minutes; the others do so where they are missing. ``judges`` compares the order in which each
candidate puts them with that of the classifier with labels, on held-out data: Spearman's rank
correlation over all generators and within the best third. With ``--by ImageNet`` the order is that
of EfficientNet-Lite0's features instead, of 128 samples each, since it takes 13 to 27 ms for one.
``far`` tells how far they lie by the judge that is shipped, and ``distinct`` how ways of counting
distinct samples tell few pictures over and over from honest data.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.failing_generators import (
    COUNTS,
    SETS,
    Pictures,
    collapsed,
    generators_of,
    load_set,
    unlabelled,
)
from benchmarks.machine import machine
from benchmarks.table import table
from benchmarks.unlabelled_features import CANDIDATES, TODAY, Features, imagenet, in_unit_range
from gan_tune.data.dataset import Dataset
from gan_tune.metrics.distinct import distinct_reference, distinct_share, thumbnails
from gan_tune.metrics.farness import collapsed_samples
from gan_tune.metrics.features import build_extractor
from gan_tune.metrics.frechet import gaussian_distance, gaussian_reference, gaussian_statistics
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.pair_distances import squared_distances

Values = NDArray[np.float64]


# ---------------------------------------------------------------- judges


def distances(features: Features, real: Pictures, generators: Mapping[str, Pictures]) -> Values:
    """The Fréchet distance of each generator's samples from real ones."""
    reference = gaussian_reference(features(in_unit_range(real)))
    judged = (gaussian_statistics(features(in_unit_range(made))) for made in generators.values())
    return np.array([gaussian_distance(reference, statistics) for statistics in judged])


def drawn(pictures: Pictures, count: int) -> Pictures:
    """``count`` of them, always the same."""
    return pictures[np.random.RandomState(1).permutation(len(pictures))[:count]]


def order_by_labels(name: str, dataset: Dataset, generators: Mapping[str, Pictures]) -> Values:
    """The distances by the classifier of the labels, on the test split."""
    return distances(build_extractor(dataset), drawn(dataset.test, COUNTS[name]), generators)


def order_by_imagenet(name: str, dataset: Dataset, generators: Mapping[str, Pictures]) -> Values:
    """The distances by features that ImageNet has taught."""
    few = {what: made[:FEW] for what, made in generators.items()}
    return distances(imagenet(unlabelled(dataset)), drawn(dataset.test, FEW), few)


ORDERS = {"labels": order_by_labels, "ImageNet": order_by_imagenet}
FEW = 128


def agreement(truth: Values, values: Values) -> tuple[float, float]:
    """Spearman's rank correlation over all generators, and within the best third by the truth."""
    from scipy.stats import spearmanr

    best = np.argsort(truth)[: len(truth) // 3]
    return (
        float(spearmanr(truth, values).statistic),
        float(spearmanr(truth[best], values[best]).statistic),
    )


def judges(folder: Path, by: str) -> str:
    """The table of all candidates on all sets."""
    rows: dict[str, list[str]] = {name: [f"`{name}`"] for name in CANDIDATES}
    chosen: dict[str, dict[str, tuple[float, float]]] = {}
    for name in SETS:
        dataset, generators = load_set(name), generators_of(name, folder)
        truth = ORDERS[by](name, dataset, generators)
        real = drawn(dataset.selection, COUNTS[name])
        for candidate, make in CANDIDATES.items():
            started = time.process_time()
            features = make(unlabelled(dataset))
            made = time.process_time() - started
            started = time.process_time()
            values = distances(features, real, generators)
            report = (time.process_time() - started) / len(generators) / COUNTS[name]
            found = agreement(truth, values)
            chosen.setdefault(candidate, {})[name] = found
            cells = f"{found[0]:.2f}", f"{found[1]:.2f}", f"{made:.1f}", f"{1e3 * report:.2f}"
            rows[candidate] += cells
            print(name, candidate, *cells, flush=True)
    head = ["candidate"]
    for name in SETS:
        head += [f"{name}: all", "best third", "made, s", "ms a picture"]
    return f"{table(head, list(rows.values()))}\n\n{_choices(chosen)}"


def _choices(found: Mapping[str, Mapping[str, tuple[float, float]]]) -> str:
    """Chosen on two sets by the mean of all four correlations, and scored on the third."""
    rows = []
    for third in SETS:
        others = [name for name in SETS if name != third]
        best = max(found, key=lambda each: sum(sum(found[each][name]) for name in others))
        cells = (f"{value:.2f}" for which in (best, TODAY) for value in found[which][third])
        rows.append([" and ".join(others), f"`{best}`", third, *cells])
    head = ["chosen on", "candidate", "scored on", "all", "best third", "today: all", "best third"]
    return table(head, rows)


# ---------------------------------------------------------------- how far


def far(folder: Path) -> str:
    """How far each generator lies by the shipped judge: a table of all of them."""
    rows = []
    for name in SETS:
        dataset, generators = load_set(name), generators_of(name, folder)
        features = build_extractor(unlabelled(dataset), unlabelled="patches")
        count = COUNTS[name]
        mean = (255 * collapsed_samples(dataset, count)).round().byte().numpy()
        every = {"floor": drawn(dataset.train, count), "mean": mean, **generators}
        values = distances(features, drawn(dataset.selection, count), every)
        floor, highest = values[:2]
        reference = distinct_reference(_small(drawn(dataset.selection, count)), space="")
        for value, (what, made) in zip(values[2:], generators.items(), strict=True):
            share = distinct_share(reference, _small(made))
            farness = (value - floor) / (highest - floor)
            rows.append((farness, [name, what, f"{farness:.3f}", f"{share:.2f}"]))
    rows.sort(key=lambda row: row[0])
    return table(["data", "generator", "how far", "distinct"], [cells for _, cells in rows])


# ---------------------------------------------------------------- distinct samples


def _small(pictures: Pictures) -> FloatMatrix:
    return thumbnails(in_unit_range(pictures))


def nearest_ratio(real: FloatMatrix, fake: FloatMatrix) -> float:
    """Median distance to the nearest other sample, over that among real ones."""
    return float(np.median(_nearest(fake)) / np.median(_nearest(real)))


def vendi_ratio(real: FloatMatrix, fake: FloatMatrix) -> float:
    """Vendi scores (Friedman and Dieng 2023) with a Gaussian kernel, generated over real."""
    width = float(np.median(_nearest(real)))
    return _vendi(fake, width) / _vendi(real, width)


def pairs_ratio(real: FloatMatrix, fake: FloatMatrix) -> float:
    """Size of the support by the birthday paradox, generated over real, both at least one pair."""
    radius = distinct_reference(real, space="").radius
    return _close_pairs(real, radius) / _close_pairs(fake, radius)


def distinct_ratio(real: FloatMatrix, fake: FloatMatrix) -> float:
    """The metric `distinct_share`."""
    return distinct_share(distinct_reference(real, space=""), fake)


WAYS = {
    "nearest neighbours": nearest_ratio,
    "Vendi score": vendi_ratio,
    "birthday paradox": pairs_ratio,
    "`distinct_share`": distinct_ratio,
}
KINDS, NOISES, DRAWS = (1, 2, 5, 10, 50), (0.0, 0.02, 0.1), 200
SMALL = 200


def distinct(folder: Path) -> str:
    """For each way the largest figure of repeated pictures, and the smallest of honest ones."""
    rows = []
    for name in SETS:
        dataset, count = load_set(name), COUNTS[name]
        real, random = _small(drawn(dataset.selection, count)), np.random.RandomState(2)
        train = _small(dataset.train[:5_000])
        good = [
            _small(made)
            for what, made in generators_of(name, folder).items()
            if what.endswith(", good, 12/12")
        ]
        repeated = [
            _small(collapsed(drawn(dataset.train, count), kinds, noise, seed=kinds))
            for kinds in KINDS
            for noise in NOISES
        ]
        honest = [train[random.permutation(len(train))[:count]] for _ in range(DRAWS)]
        few = real[random.permutation(len(real))[:SMALL]]
        small = [train[random.permutation(len(train))[:SMALL]] for _ in range(DRAWS)]
        for way, ratio in WAYS.items():
            draws = 20 if way == "Vendi score" else DRAWS  # it takes an eigenvalue problem
            cells = [
                f"{max(ratio(real, fake) for fake in repeated):.3f}",
                f"{min(ratio(real, fake) for fake in honest[:draws]):.3f}",
                f"{min(ratio(few, fake) for fake in small[:draws]):.3f}",
                f"{min(ratio(real, fake) for fake in good):.3f}",
            ]
            rows.append([name, way, *cells])
            print(*rows[-1], flush=True)
    head = ["data", "by", "repeated: largest", "training data: smallest", "of 200", "good ones"]
    return table(head, rows)


def _nearest(samples: FloatMatrix) -> FloatMatrix:
    blocks = squared_distances(samples, samples)
    found: FloatMatrix = np.sqrt(
        np.concatenate([np.partition(block, 1, axis=1)[:, 1] for block in blocks])
    )
    return found


def _vendi(samples: FloatMatrix, width: float) -> float:
    squares = np.concatenate([block.copy() for block in squared_distances(samples, samples)])
    shares = np.linalg.eigvalsh(np.exp(-squares / (2 * width**2)) / len(samples))
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _close_pairs(samples: FloatMatrix, radius: float) -> int:
    within = sum(
        int((block <= radius**2 + 1e-9).sum()) for block in squared_distances(samples, samples)
    )
    return max(1, (within - len(samples)) // 2)


# ---------------------------------------------------------------- command


def make(folder: Path) -> str:
    """The number of generators of each set."""
    rows = [[name, str(len(generators_of(name, folder)))] for name in SETS]
    return table(["data", "generators"], rows)


COMMANDS: Mapping[str, Callable[..., str]] = {
    "make": make,
    "judges": judges,
    "far": far,
    "distinct": distinct,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", nargs="?", choices=COMMANDS, default="judges")
    parser.add_argument("--folder", type=Path, default=Path("judged"))
    parser.add_argument("--by", choices=ORDERS, default="labels", help="whose order is the truth")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, one thread", flush=True)
    asked = [options.by] if options.command == "judges" else []
    print(COMMANDS[options.command](options.folder, *asked))


if __name__ == "__main__":
    main()
