"""Samples of generators of all qualities and kinds of failure, on which judges are compared.

Of each data set some trainings are kept early and late, good settings and bad ones; the samples of
some, and real pictures, are then spoilt in known ways: blurred, speckled, with a checkerboard, few
pictures over and over, classes missing, noise between them. ``python benchmarks/judges.py make``
makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.unjudged import WATCHED
from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.gan.training import train
from gan_tune.metrics.models import Models
from gan_tune.parts.all_parts import catalogue

__all__ = ["SETS", "Pictures", "generators_of", "load_set", "unlabelled"]

Pictures = NDArray[np.uint8]

SETS = ("digits", "fashion_mnist", "patches")
COUNTS = {"digits": 300, "fashion_mnist": 500, "patches": 500}
"""Samples that are kept of each generator."""
LOOKS = 12
KEPT = (1, 2, 3, 4, 6, 9, 12)
"""The looks at a training, of :data:`LOOKS`, whose samples are kept."""


# ---------------------------------------------------------------- data


def load_set(name: str) -> Dataset:
    """A labelled data set of :data:`SETS`."""
    from gan_tune.data.by_name import load_dataset

    return patches() if name == "patches" else load_dataset(name)


def unlabelled(dataset: Dataset) -> Dataset:
    """The same pictures as people bring them."""
    none = dict.fromkeys(("train_labels", "selection_labels", "test_labels"))
    return replace(dataset, **none)  # type: ignore[arg-type]


SIDE, ROWS, COLUMNS = 32, 2, 3
PER_REGION = {"train": 500, "selection": 84, "test": 84}
AREAS = {"train": (0.0, 0.6), "selection": (0.6, 0.8), "test": (0.8, 1.0)}
"""Part of a region's width from which the patches of a split are cut."""


def patches() -> Dataset:
    """Colour patches of scikit-learn's two photographs: uint8 [N, 3, 32, 32], twelve classes.

    A class is one of six regions of a photograph. The splits are cut from disjoint areas of each.
    """
    from sklearn.datasets import load_sample_images

    random = np.random.RandomState(0)
    cut: dict[str, list[Pictures]] = {split: [] for split in AREAS}
    for photograph in load_sample_images().images:
        height, width = photograph.shape[0] // ROWS, photograph.shape[1] // COLUMNS
        for row in range(ROWS):
            for column in range(COLUMNS):
                region = photograph[row * height :, column * width :][:height, :width]
                for split, (left, right) in AREAS.items():
                    area = region[:, int(left * width) : int(right * width)]
                    tops = random.randint(area.shape[0] - SIDE + 1, size=PER_REGION[split])
                    lefts = random.randint(area.shape[1] - SIDE + 1, size=PER_REGION[split])
                    found = [
                        area[y : y + SIDE, x : x + SIDE] for y, x in zip(tops, lefts, strict=True)
                    ]
                    cut[split].append(np.stack(found).transpose(0, 3, 1, 2))
    classes = 2 * ROWS * COLUMNS
    arrays: dict[str, Any] = {}
    for split, parts in cut.items():
        labels = np.repeat(np.arange(classes), PER_REGION[split]).astype(np.int64)
        order = random.permutation(len(labels))
        arrays[split] = np.ascontiguousarray(np.concatenate(parts)[order])
        arrays[f"{split}_labels"] = labels[order]
    return Dataset("patches", "pictures", **arrays)


# ---------------------------------------------------------------- trainings


def _adam(rate: float, beta1: float = 0.0) -> dict[str, Any]:
    adam = {"name": "adam", "lr": rate, "beta1": beta1}
    return {"generator_optimizer": adam, "discriminator_optimizer": adam}


MLP: dict[str, Any] = {
    "generator": {"name": "mlp", "latent": 32, "hidden": [128, 256], "output": "sigmoid"},
    "discriminator": {"name": "mlp", "hidden": [256, 128]},
}
CONV: dict[str, Any] = {
    "generator": {"name": "dcgan", "latent": 64, "width": 16, "output": "tanh"},
    "discriminator": {"name": "dcgan", "width": 16},
}
R1 = {"name": "r1", "weight": 0.1, "every": 4}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "mlp, good": MLP
    | {"generator": {**MLP["generator"], "norm": "batch"}, "loss": "hinge", "ema": 0.999}
    | _adam(2e-3)
    | {"penalties": [{**R1, "weight": 1.0}]},
    "mlp, plain": MLP | {"loss": "non_saturating"} | _adam(2e-4, 0.9),
    "mlp, too fast": MLP | {"loss": "least_squares"} | _adam(4e-3, 0.5),
    "mlp, too slow": MLP | {"loss": "hinge", "ema": 0.99} | _adam(2e-5),
    "conv, good": CONV
    | {"generator": {**CONV["generator"], "norm": "batch"}, "loss": "relativistic", "ema": 0.999}
    | _adam(2e-3)
    | {"penalties": [R1], "generator_schedule": "cosine", "discriminator_schedule": "cosine"},
    "conv, plain": CONV | {"loss": "non_saturating"} | _adam(2e-4, 0.5),
    "conv, too fast": CONV | {"loss": "hinge"} | _adam(1e-2, 0.5),
}
STEPS = {
    "digits": {"mlp": 2_000, "conv": 900},
    "fashion_mnist": {"mlp": 1_500, "conv": 600},
    "patches": {"mlp": 900, "conv": 600},
}


@dataclass
class Keeper:
    """A judge that keeps the samples it is given; see :class:`gan_tune.gan.training.Scorer`."""

    count: int
    noise: Mapping[str, float] = field(default_factory=lambda: {"frechet_distance": 0.0})
    kept: list[Pictures] = field(default_factory=list)

    def __call__(self, samples: Tensor, *, models: Models) -> Mapping[str, float]:
        self.kept.append(_pixels(samples))
        return dict.fromkeys(("frechet_distance", *WATCHED), 1.0)


def _pixels(samples: Tensor) -> Pictures:
    found: Pictures = (samples.clamp(0, 1) * 255).round().byte().numpy()
    return found


def _trainings(name: str, dataset: Dataset) -> Iterator[tuple[str, Pictures]]:
    count = COUNTS[name]
    for setting, tree in SETTINGS.items():
        kind = setting.split(",")[0]
        data = {"name": "digits", "batch_size": 32 if kind == "conv" else 64}
        data["scale"] = "symmetric" if kind == "conv" else "none"
        steps = STEPS[name][kind]
        config = TrialConfig.from_tree(
            {**tree, "data": data, "steps": steps, "evaluations": LOOKS}, catalogue(), build=False
        )
        keeper = Keeper(count)
        for _ in train(config, dataset, keeper):
            pass
        for look in KEPT:
            if look <= len(keeper.kept):
                yield f"{setting}, {look}/{LOOKS}", keeper.kept[look - 1]
        print(f"{name}: {setting}: {len(keeper.kept)} looks", flush=True)


# ---------------------------------------------------------------- ways of spoiling


def blurred(pictures: Pictures, sigma: float) -> Pictures:
    """Every picture through a Gaussian of that deviation in pixels."""
    from scipy.ndimage import gaussian_filter

    found: Pictures = gaussian_filter(pictures.astype(np.float32), (0, 0, sigma, sigma))
    return found.round().astype(np.uint8)


def speckled(pictures: Pictures, share: float, seed: int = 0) -> Pictures:
    """A share of all pixels black or white."""
    random = np.random.RandomState(seed)
    shape = (len(pictures), 1, *pictures.shape[2:])
    hit, light = random.rand(*shape) < share, random.rand(*shape) < 0.5
    return np.where(hit, np.where(light, 255, 0), pictures).astype(np.uint8)


def checkered(pictures: Pictures, strength: float) -> Pictures:
    """A checkerboard of that amplitude (0..1) added, as transposed convolutions leave it."""
    rows, columns = np.indices(pictures.shape[2:])
    board = strength * 255 * ((rows + columns) % 2 - 0.5)
    return (pictures + board).clip(0, 255).round().astype(np.uint8)


def collapsed(pictures: Pictures, kinds: int, noise: float, seed: int = 0) -> Pictures:
    """``kinds`` of the pictures over and over, with noise in units of their deviation."""
    random = np.random.RandomState(seed)
    chosen = pictures[random.permutation(len(pictures))[:kinds]]
    drawn = chosen[random.randint(kinds, size=len(pictures))].astype(np.float32)
    drawn += noise * pictures.std() * random.standard_normal(drawn.shape)
    return drawn.clip(0, 255).round().astype(np.uint8)


def mixed(one: Pictures, other: Pictures, share: float, seed: int = 0) -> Pictures:
    """A share of the first replaced by the second."""
    replaced = np.random.RandomState(seed).rand(len(one)) < share
    return np.where(replaced[:, None, None, None], other[: len(one)], one)


def noise_like(pictures: Pictures, seed: int = 0) -> Pictures:
    """Pixels drawn anew from all pictures' pixels, each by itself."""
    random = np.random.RandomState(seed)
    return random.permutation(pictures.reshape(-1)).reshape(pictures.shape)


def _spoilt(what: str, pictures: Pictures) -> Iterator[tuple[str, Pictures]]:
    for sigma in (0.5, 1.0):
        yield f"{what}, blurred by {sigma}", blurred(pictures, sigma)
    for share in (0.01, 0.05, 0.2):
        yield f"{what}, {share:.0%} speckles", speckled(pictures, share)
    for strength in (0.1, 0.3):
        yield f"{what}, checkerboard of {strength}", checkered(pictures, strength)
    for kinds in (2, 10, 50):
        yield f"{what}, {kinds} over and over", collapsed(pictures, kinds, 0.02)


def _spoilt_data(dataset: Dataset, count: int) -> Iterator[tuple[str, Pictures]]:
    """Real pictures, whole and spoilt; a part of the classes; with noise or blur between them."""
    assert dataset.train_labels is not None
    random = np.random.RandomState(0)
    drawn, others = random.permutation(len(dataset.train))[: 2 * count].reshape(2, count)
    real, labels = dataset.train[drawn], dataset.train_labels
    yield "real", real
    yield from _spoilt("real", real)
    classes = random.permutation(np.unique(labels))
    for left in (1, 2, 5, len(classes) - 2):
        among = np.flatnonzero(np.isin(labels, classes[:left]))
        yield f"real, {left} classes only", dataset.train[random.choice(among, count)]
    for share in (0.05, 0.2, 0.5):
        yield f"real, {share:.0%} noise", mixed(real, noise_like(real), share)
        yield f"real, {share:.0%} blurred", mixed(real, blurred(real, 1.5), share)
    halves = (real.astype(np.float32) + dataset.train[others]) / 2
    yield "real, averages of two", halves.astype(np.uint8)
    yield "real, paler", (real * 0.8).astype(np.uint8)


def generators_of(name: str, folder: Path) -> dict[str, Pictures]:
    """What generator → samples uint8 [N, C, H, W]; made once and kept in the folder."""
    file = folder / f"{name}.npz"
    if file.is_file():
        with np.load(file) as kept:
            return dict(kept)
    torch.set_num_threads(1)
    dataset = load_set(name)
    made = dict(_trainings(name, unlabelled(dataset)))
    for what in ("mlp, good", "mlp, plain", "conv, good"):
        made |= dict(_spoilt(what, made[f"{what}, {LOOKS}/{LOOKS}"]))
    made |= dict(_spoilt_data(dataset, COUNTS[name]))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **made)  # type: ignore[arg-type]
    return made
