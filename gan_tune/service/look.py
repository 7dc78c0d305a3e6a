"""`gan-tune look`: pictures that show the latent space of a generator, also made of a champion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_tune.config import Part
from gan_tune.config.settings import check_seed
from gan_tune.data.by_name import DATASETS
from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import in_data_space
from gan_tune.errors import DataError, OutputError, SearchNotFoundError, TrackingError
from gan_tune.metrics.features import FeatureExtractor, build_extractor
from gan_tune.model.export import draw
from gan_tune.parts.all_parts import dataset_of
from gan_tune.record.tags import Tag
from gan_tune.samples import inspection as inside
from gan_tune.samples import pictures
from gan_tune.samples.output import write_file
from gan_tune.service.best import recorded_params
from gan_tune.service.registered_models import load_generator

if TYPE_CHECKING:
    from gan_tune.model.generator import Generator

COMPARED = 1_000
"""This many samples, and as many held-out real ones, are compared with the training data."""
SHOWN, NEIGHBOURS = 8, 3
PATH_POINTS = 121
"""Number of points in a drawn path: odd, so that it has a middle."""
PICTURES = ("traversals.png", "interpolations.png", "neighbours.png")


@dataclass(frozen=True)
class Inside:
    """The results of a look inside a generator.

    Attributes:
        pictures: PNG by name, from :data:`PICTURES`; the neighbours need the data.
        nearest_neighbour_ratio: see :func:`gan_tune.samples.inspection.copying_ratio`; None
            without data.
        copied: see :func:`gan_tune.samples.inspection.copied_shares`; None without data.
    """

    pictures: Mapping[str, bytes]
    nearest_neighbour_ratio: float | None
    copied: inside.CopiedShares | None = None


@dataclass(frozen=True)
class Look:
    """The results of :func:`look`: files, ratio, shares, and a note if something is left out."""

    files: tuple[Path, ...]
    nearest_neighbour_ratio: float | None
    note: str
    copied: inside.CopiedShares | None = None


def look_inside(
    generator: nn.Module,
    latent: int,
    *,
    dataset: Dataset | None,
    features: FeatureExtractor | None,
    seed: int = 0,
) -> Inside:
    """Traversals, interpolations and, with the data, the nearest training neighbours.

    ``generator`` maps z [B, ``latent``] to samples in data space, on the CPU. ``features`` maps
    samples to the features that the data set's metrics compare.
    """
    samples = draw(generator, COMPARED, latent=latent, seed=seed)
    if samples.ndim == 4:
        found = _pictures_inside(generator, latent, seed)
    else:
        behind = samples if dataset is None else pictures.background(dataset)
        one_unit = dataset is not None and dataset.mixture is not None
        found = _points_inside(generator, latent, seed, behind, one_unit=one_unit)
    if dataset is None or features is None:
        return Inside(found, None)
    picture, ratio, copied = _beside_training_data(samples, dataset, features)
    return Inside({**found, "neighbours.png": picture}, ratio, copied)


def look(
    model: str,
    out: str | Path,
    *,
    force: bool = False,
    seed: int = 0,
    tracking_uri: str | None = None,
) -> Look:
    """Pull a registered generator and write the pictures of a look inside into the folder ``out``.

    The data are those named in the record of the model's trial. If they are not on this machine, or
    are a user's own part, the neighbours are left out, and the note says why.

    Raises:
        OutputError: the folder cannot be created or written, or it already holds such pictures and
            ``force`` is False.
        ModelNotFoundError: there is no such model.
        TrackingError: MLflow does not answer.
    """
    folder = Path(out)
    check_seed(seed)
    _check_folder(folder, force=force)
    generator = load_generator(model, tracking_uri=tracking_uri)
    dataset, note = _its_dataset(generator, tracking_uri)
    features = None if dataset is None else build_extractor(dataset)
    seen = look_inside(
        generator.module, generator.latent, dataset=dataset, features=features, seed=seed
    )
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
    for name, content in seen.pictures.items():
        write_file(folder / name, content, force=force)
    files = tuple(folder / name for name in seen.pictures)
    return Look(files, seen.nearest_neighbour_ratio, note, seen.copied)


# ------------------------------------------------------------------ drawing


def _pictures_inside(generator: nn.Module, latent: int, seed: int) -> dict[str, bytes]:
    along = inside.traversals(generator, latent, rows=SHOWN, seed=seed)
    between = inside.interpolations(generator, latent, rows=SHOWN, seed=seed)
    rows = [_coordinate(i, share) for i, share in zip(along.dimensions, along.shares, strict=True)]
    columns = [f"{value:.3g}" for value in along.values.tolist()]
    steps = [f"{t:.0%}" for t in torch.linspace(0, 1, between.shape[1]).tolist()]
    return {
        "traversals.png": pictures.sheet(
            [pictures.SheetBlock(along.samples, rows=rows, columns=columns)],
            title="One latent coordinate moved, the others held\n"
            "(in percent: its part of what all of them change)",
        ),
        "interpolations.png": pictures.sheet(
            [pictures.SheetBlock(between, columns=steps)],
            title="From one random sample (left) to another (right), along the sphere",
        ),
    }


def _points_inside(
    generator: nn.Module, latent: int, seed: int, behind: Tensor, *, one_unit: bool
) -> dict[str, bytes]:
    along = inside.traversals(generator, latent, rows=SHOWN, columns=PATH_POINTS, seed=seed)
    between = inside.interpolations(generator, latent, rows=SHOWN, columns=PATH_POINTS, seed=seed)
    moved = {
        _coordinate(i, share): path
        for i, share, path in zip(along.dimensions, along.shares, along.samples, strict=True)
    }
    ways = {f"pair {i + 1}": path for i, path in enumerate(between)}
    return {
        "traversals.png": pictures.curves(
            moved,
            behind,
            title="One latent coordinate moved from -3 to 3 (dot: 0), the others held\n"
            "(in percent: its part of what all of them change)",
            one_unit=one_unit,
        ),
        "interpolations.png": pictures.curves(
            ways,
            behind,
            title="From one random sample to another, along the sphere (dot: halfway)",
            one_unit=one_unit,
        ),
    }


def _coordinate(index: int, share: float) -> str:
    return f"z[{index}] {share:.0%}"


def _beside_training_data(
    samples: Tensor, dataset: Dataset, features: FeatureExtractor
) -> tuple[bytes, float | None, inside.CopiedShares]:
    """The picture of the nearest training samples, the ratio of distances if there is one, and the
    shares of copies.

    For the ratio, real data that were not trained on come from the selection split, with the same
    number of samples.
    """
    count = min(COMPARED, len(dataset.selection))
    chosen = np.random.RandomState(0).choice(len(dataset.selection), count, replace=False)
    held_out = in_data_space(torch.tensor(dataset.selection[chosen]))
    near = inside.nearest_neighbours(
        dataset.train, torch.cat([samples[:count], held_out]), k=NEIGHBOURS, features=features
    )
    ours, theirs = near.distances[:, 0].split(count)
    ratio, copied = inside.copying_ratio(theirs, ours), inside.copied_shares(theirs, ours)
    if ratio is None:
        says = "Half of the held-out real data stand in the training data, too"
    else:
        says = (
            f"Samples are {ratio:.2f} times as far from the training data as held-out real data "
            "are\n(medians; about 1: like fresh data, near 0: copies)"
        )
    if dataset.kind == "points":
        distances = {"samples": ours, "held-out real data": theirs}
        axis = "distance to the nearest training point"
        return pictures.shares_below(distances, axis=axis, title=says), ratio, copied
    shown = samples[:SHOWN]
    by_pixels = inside.nearest_neighbours(dataset.train, shown, k=NEIGHBOURS)
    blocks = [
        pictures.SheetBlock(shown[:, None], "sample"),
        _training_block(dataset, near.indices[:SHOWN], "nearest training data\nby features"),
        _training_block(dataset, by_pixels.indices, "nearest training data\nby pixels"),
    ]
    return pictures.sheet(blocks, title=says), ratio, copied


def _training_block(dataset: Dataset, indices: Tensor, title: str) -> pictures.SheetBlock:
    return pictures.SheetBlock(in_data_space(torch.tensor(dataset.train[indices.numpy()])), title)


# ------------------------------------------------------------------ the data of a registered model


def _its_dataset(generator: Generator, tracking_uri: str | None) -> tuple[Dataset | None, str]:
    """The data a model was trained on, or the reason why they are not available."""
    left_out = "neighbours are left out:"
    try:
        part = _data_part(recorded_params(generator.tags, tracking_uri))
    except (SearchNotFoundError, TrackingError) as error:
        return None, f"{left_out} {error}"
    if part is None:
        return None, f"{left_out} the record does not say what {generator.name} was trained on"
    if part.name not in DATASETS:  # others may write to the record, too
        return None, (
            f"{left_out} {part.name!r} is no data set of gan-tune's own, and no code is run "
            "because a record names it"
        )
    try:
        dataset = dataset_of(part)
    except DataError as error:
        return None, f"{left_out} {error}"
    if not generator.tags.get(Tag.COMPARABLE, "").endswith(f"/{dataset.digest}"):
        return None, f"{left_out} {part.name} here are not the data it was trained on"
    return dataset, ""


def _data_part(params: Mapping[str, Any]) -> Part | None:
    """The data part of a trial, from the record's params such as `data.name`."""
    args = {
        key.removeprefix("data."): _value(text)
        for key, text in params.items()
        if key.startswith("data.")
    }
    name = args.pop("name", None)
    return None if name is None else Part(name=str(name), args=args)


def _value(text: str) -> Any:
    """The value of a param's text: all values except text were written as JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_folder(folder: Path, *, force: bool) -> None:
    if not folder.parent.is_dir():
        raise OutputError(f"{folder}: its folder {folder.parent} must exist")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file already")
    there = [name for name in PICTURES if (folder / name).exists()]
    if there and not force:
        raise OutputError(f"{folder / there[0]}: exists already; --force replaces it")
