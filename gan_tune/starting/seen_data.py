"""Looks at a data set: what kind it is, how many samples, of what size, and what stands out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_tune.config import Part
from gan_tune.data.dataset import SPLITS, Dataset, few_samples_note, split_order
from gan_tune.data.found_folder import find_pictures
from gan_tune.data.mapped import chunks
from gan_tune.errors import DataError, Fault
from gan_tune.parts.all_parts import catalogue
from gan_tune.parts.trial_data import read_anew
from gan_tune.starting.folder_shape import FolderShape, folder_shape
from gan_tune.starting.sources import FOLDER, source_of
from gan_tune.words.readable import number

__all__ = ["MOST_COLUMNS", "Seen", "load_data", "look"]

MOST_COLUMNS = 1_000
NAMED_COLUMNS = 6
COMPARED_ROWS = 200_000
"""At most so many samples are searched for duplicates."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of a data set.

    Attributes:
        called: how the user names the data.
        tree: the data part for a space file, without the arguments of training.
        dataset: the data in their splits.
        low, high: the smallest and the largest value (pictures: of 0..255).
        duplicates: samples that equal an earlier one.
        constant: coordinates that are the same in every training sample; 0 for pictures.
        folder: how the pictures of a folder were seen; None for arrays.
    """

    called: str
    tree: Mapping[str, Any]
    dataset: Dataset
    low: float
    high: float
    duplicates: int
    constant: int
    folder: FolderShape | None = None

    @property
    def count(self) -> int:
        """Number of samples in all splits."""
        return sum(len(self.dataset.split(name)) for name in SPLITS)

    @property
    def labels(self) -> int:
        """Number of different labels; 0 for unlabelled data."""
        labels = self.dataset.train_labels
        return 0 if labels is None else len(np.unique(labels))

    def sentences(self) -> Iterator[str]:
        """What was seen, for people: a few sentences."""
        labels = f"{self.labels} labels" if self.labels else "no labels"
        span = f"values from {number(self.low)} to {number(self.high)}"
        yield f"{self.called}: {self._what()}, {labels}, {span}."
        if self.folder is not None:
            yield from self.folder.sentences()
        if self.constant:
            yield f"{self.constant} of the columns never change."
        if self.duplicates:
            yield (
                f"{self.duplicates:,} repeat an earlier one exactly, so that the splits share some."
            )
        notes = self.dataset.notes
        for note in dict.fromkeys([*notes, *few_samples_note(self.count)]):
            yield f"{note[:1].upper()}{note[1:]}."

    def _what(self) -> str:
        dataset = self.dataset
        if dataset.columns:
            names = ", ".join(column.name for column in dataset.columns[:NAMED_COLUMNS])
            more = ", ..." if len(dataset.columns) > NAMED_COLUMNS else ""
            return f"{self.count:,} rows of {dataset.shape[0]} columns ({names}{more})"
        if dataset.kind == "points":
            return f"{self.count:,} points of {dataset.shape[0]} columns"
        channels, height, width = dataset.shape
        colour = "grey" if channels == 1 else "colour"
        return f"{self.count:,} {colour} pictures of {height}x{width}"


def look(path: Path, *, largest: int, called: str | None = None) -> Seen:
    """Look at the data at a path.

    Args:
        path: a folder of pictures, or a file with a suffix of
            :data:`gan_tune.starting.sources.SOURCES`.
        largest: largest side in pixels at which a folder's pictures are read.
        called: how people name the data; default the path.

    Raises:
        DataError: the data are missing, damaged, too few, too wide, or all samples are equal.
    """
    source, folder = source_of(path), None
    if source is FOLDER:
        found = find_pictures(path)
        split_order(path.resolve().name, len(found.paths))  # refuses too few
        folder = folder_shape(path, found.paths, largest)
        tree = source.tree(str(path), size=folder.size, channels=folder.channels)
    else:
        tree = source.tree(str(path))
    return _seen(called or str(path), tree, load_data(tree), folder)


def load_data(tree: Mapping[str, Any]) -> Dataset:
    """The data that a data part names, as they are now.

    Raises:
        DataError: as the reader of the data says.
    """
    faults: list[Fault] = []
    part = catalogue().resolve("data", dict(tree), "data", faults)
    if faults or not isinstance(part, Part):
        raise DataError(*map(str, faults))
    return read_anew(part)


def _seen(
    called: str, tree: Mapping[str, Any], dataset: Dataset, folder: FolderShape | None
) -> Seen:
    points = dataset.kind == "points"
    if points and dataset.shape[0] > MOST_COLUMNS:
        rule = f"must have at most {MOST_COLUMNS:,} columns for a search to start from"
        raise DataError(f"{called}: {rule}: {dataset.shape[0]:,}")
    ends = [(c.min(), c.max()) for name in SPLITS for c in chunks(dataset.split(name))]
    train = dataset.train
    return Seen(
        called,
        tree,
        dataset,
        low=float(min(low for low, _ in ends)),
        high=float(max(high for _, high in ends)),
        duplicates=_duplicates(dataset),
        constant=int((train.min(0) == train.max(0)).sum()) if points else 0,
        folder=folder,
    )


def _duplicates(dataset: Dataset) -> int:
    """How many samples equal an earlier one, among the first :data:`COMPARED_ROWS`."""
    known: set[bytes] = set()
    looked = 0
    for row in _rows(dataset):
        known.add(row.tobytes() if row.nbytes <= 64 else _digest(row))
        looked += 1
        if looked == COMPARED_ROWS:
            break
    return looked - len(known)


def _rows(dataset: Dataset) -> Iterator[NDArray[Any]]:
    for name in SPLITS:
        for some in chunks(dataset.split(name)):
            yield from some


def _digest(row: NDArray[Any]) -> bytes:
    import hashlib

    return hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
