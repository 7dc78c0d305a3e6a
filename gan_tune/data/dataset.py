"""A data set: pictures or points in three splits, optionally with labels.

Training uses the train split. The selection split is used to choose settings. The test split is
measured once. Splits are mapped files or plain numpy arrays. Ray's object store shares arrays
between the workers of a node without a copy; there they are read-only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.columns import Column
from gan_tune.data.mapped import by_path, chunks
from gan_tune.errors import DataError

__all__ = [
    "SPLITS",
    "Dataset",
    "Kind",
    "Mixture",
    "Split",
    "cut",
    "few_samples_note",
    "split_order",
]

Kind = Literal["pictures", "points"]
Split = Literal["train", "selection", "test"]
SPLITS: tuple[Split, ...] = ("train", "selection", "test")

MIN_SAMPLES_TO_SPLIT = 20
TELLING_SAMPLES = 1_000
"""With fewer, the selection split has fewer than 100, and every figure is mostly noise."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """The true distribution of a 2-D set: a mixture of round Gaussians with equal shares.

    ``modes`` are the centres, float64 [M, 2]; ``sigma`` is the standard deviation of each
    coordinate around its centre.
    """

    modes: NDArray[np.float64]
    sigma: float

    def draw(self, size: int, seed: int) -> NDArray[np.float32]:
        """``size`` independent samples, float32 [size, 2]: the same ones for the same seed."""
        random = np.random.RandomState(seed)
        centres = self.modes[random.randint(len(self.modes), size=size)]
        return (centres + self.sigma * random.standard_normal((size, 2))).astype(np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in its three splits.

    Pictures are uint8 [N, C, H, W] in 0..255, points are finite float32 [N, D]. Labels are int64
    [N] counted from 0, given for all three splits or for none. ``mixture`` is the true distribution
    of a 2-D set, if known. ``columns`` are the D columns of a table, in the order of the
    coordinates.

    ``notes`` tell the user what was decided while the set was read, a line each. ``left_out`` lists
    the files that could not be read, each with its reason. Neither is part of the digest.

    Splits may be mapped files (`numpy.memmap`), larger than memory. Such a data set is pickled with
    their paths instead of their bytes.

    Raises:
        DataError: the arrays break one of these rules; one line lists all faults.
    """

    name: str
    kind: Kind
    train: NDArray[Any]
    selection: NDArray[Any]
    test: NDArray[Any]
    train_labels: NDArray[np.int64] | None = None
    selection_labels: NDArray[np.int64] | None = None
    test_labels: NDArray[np.int64] | None = None
    mixture: Mixture | None = None
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in SPLITS:
            # Strides of axes of length 1 are arbitrary, but they select a convolution's kernel and
            # so its rounding. A copy from Ray has standard strides, so this gets them too.
            samples = self.split(name)
            object.__setattr__(self, name, samples.ravel().reshape(samples.shape))
        faults = list(_faults(self))
        if faults:
            raise DataError(f"data set {self.name}: " + "; ".join(faults))

    def __getstate__(self) -> dict[str, Any]:
        return {key: by_path(value) for key, value in self.__dict__.items()}

    def __repr__(self) -> str:
        return f"<Dataset {self.describe()}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) or (D,)."""
        return tuple(self.train.shape[1:])

    @property
    def labelled(self) -> bool:
        """Whether every sample has a label."""
        return self.train_labels is not None

    @cached_property
    def digest(self) -> str:
        """16 hex digits of a SHA-256 over all samples, labels, the mixture and the columns."""
        sha = hashlib.sha256(self.kind.encode())
        arrays: list[NDArray[Any]] = [self.split(name) for name in SPLITS]
        arrays += [labels for name in SPLITS if (labels := self.labels(name)) is not None]
        if self.mixture is not None:
            arrays += [self.mixture.modes, np.array([self.mixture.sigma], dtype=np.float64)]
        for array in arrays:
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)  # a mapped file is read, not held
        if self.columns:
            sha.update(repr([(column.name, column.type) for column in self.columns]).encode())
        return sha.hexdigest()[:16]

    def split(self, name: Split) -> NDArray[Any]:
        """The samples of one split."""
        return {"train": self.train, "selection": self.selection, "test": self.test}[name]

    def labels(self, name: Split) -> NDArray[np.int64] | None:
        """The labels of one split, if there are any."""
        labels = {
            "train": self.train_labels,
            "selection": self.selection_labels,
            "test": self.test_labels,
        }
        return labels[name]

    def describe(self) -> str:
        """One line for people, as `digits: 1,197 + 300 + 300 pictures of 1x8x8, labelled`."""
        counts = " + ".join(f"{len(self.split(name)):,}" for name in SPLITS)
        if self.kind == "pictures":
            what = f"pictures of {'x'.join(map(str, self.shape))}"
        elif self.columns:
            what = f"rows of {self.shape[0]} column{'s' if self.shape[0] > 1 else ''}"
        else:
            what = f"points in {self.shape[0]} dimensions"
        count = 0 if self.mixture is None else len(self.mixture.modes)
        known = f", {count} mode{'s' if count > 1 else ''}" if count else ""
        return f"{self.name}: {counts} {what}{known}{', labelled' if self.labelled else ''}"


def split_order(name: str, count: int) -> NDArray[np.int64]:
    """The fixed permutation of ``count`` samples that :func:`cut` splits.

    Raises:
        DataError: too few samples.
    """
    if count < MIN_SAMPLES_TO_SPLIT:
        rule = f"must hold at least {MIN_SAMPLES_TO_SPLIT} samples to be split"
        telling = f"figures mean something from about {TELLING_SAMPLES:,} on"
        raise DataError(f"data set {name}: {rule}: {count} ({telling})")
    return np.random.RandomState(0).permutation(count)


def cut(
    name: str,
    kind: Kind,
    samples: NDArray[Any],
    labels: NDArray[np.int64] | None,
    *,
    held_out: int | None = None,
    columns: tuple[Column, ...] = (),
    notes: tuple[str, ...] = (),
    left_out: tuple[str, ...] = (),
) -> Dataset:
    """Cut samples in random order 80 / 10 / 10 into views of one array.

    ``held_out`` is the size of the selection and of the test split, by default a tenth. The others
    are fields of :class:`Dataset`.
    """
    tenth = len(samples) // 10 if held_out is None else held_out
    train = slice(None, -2 * tenth)
    selection, test = slice(-2 * tenth, -tenth), slice(-tenth, None)
    return Dataset(
        name,
        kind,
        train=samples[train],
        selection=samples[selection],
        test=samples[test],
        train_labels=None if labels is None else labels[train],
        selection_labels=None if labels is None else labels[selection],
        test_labels=None if labels is None else labels[test],
        columns=columns,
        notes=notes,
        left_out=left_out,
    )


def few_samples_note(count: int) -> tuple[str, ...]:
    """A note where there are so few samples that figures say little; else none."""
    if count >= TELLING_SAMPLES:
        return ()
    return (f"{count} samples are few: figures mean something from about {TELLING_SAMPLES:,} on",)


def _faults(dataset: Dataset) -> Iterator[str]:
    pictures = dataset.kind == "pictures"
    dtype, dimensions = (np.uint8, 4) if pictures else (np.float32, 2)
    rule = "uint8 [N, C, H, W]" if pictures else "float32 [N, D]"
    for name in SPLITS:
        samples, labels = dataset.split(name), dataset.labels(name)
        if samples.dtype != dtype or samples.ndim != dimensions:
            yield f"{name} must be {rule}: {samples.dtype} {list(samples.shape)}"
            continue
        if samples.shape[1:] != dataset.train.shape[1:]:
            shapes = f"{list(samples.shape[1:])} and {list(dataset.train.shape[1:])}"
            yield f"{name} and train must have samples of one shape: {shapes}"
        if len(samples) < 2 or samples[0].size == 0:
            yield f"{name} must hold at least 2 samples that are not empty: {list(samples.shape)}"
        wrong = 0 if pictures else sum(np.count_nonzero(~np.isfinite(c)) for c in chunks(samples))
        if wrong:
            yield f"{name} must be finite: {wrong} values are not"
        if (labels is None) != (dataset.train_labels is None):
            yield f"labels must be given for all three splits or for none: {name}_labels"
        elif labels is not None:
            yield from _label_faults(name, labels, len(samples))
    mixture = dataset.mixture
    if mixture is not None and (mixture.modes.ndim != 2 or mixture.modes.shape[1:] != (2,)):
        yield f"the modes of a mixture must be [M, 2]: {list(mixture.modes.shape)}"
    if mixture is not None and dataset.train.shape[1:] != (2,):
        yield f"a set with a mixture must have points [N, 2]: {list(dataset.train.shape)}"
    if dataset.columns and (pictures or dataset.train.shape[1:] != (len(dataset.columns),)):
        count = len(dataset.columns)
        yield f"{count} columns must be those of points [N, {count}]: {list(dataset.train.shape)}"


def _label_faults(name: str, labels: NDArray[np.int64], count: int) -> Iterator[str]:
    if labels.dtype != np.int64 or labels.shape != (count,):
        yield f"{name}_labels must be int64 [{count}]: {labels.dtype} {list(labels.shape)}"
    elif labels.min() < 0:
        yield f"{name}_labels must be 0 or more: {labels.min()}"
