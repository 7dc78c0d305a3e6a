"""Data sets: pictures or points, each with its fixed train, selection and test split.

The train split trains, the selection split chooses, the test split is measured once. Splits are
plain numpy arrays, which Ray's object store shares between the workers of a node without a copy
(there they are read-only).

Whatever is drawn or permuted here comes from ``RandomState``, the one generator whose stream
numpy has frozen for good: a split is the same with every version of numpy.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from gan_tune.config import closest, signature_arguments
from gan_tune.errors import DataError
from gan_tune.gan.idx import PARTS, check_idx_folder, find_idx_folder, read_idx_folder
from gan_tune.gan.own_data import (
    check_npz,
    check_picture_folder,
    read_npz,
    read_picture_folder,
)

__all__ = [
    "DATASETS",
    "SPLITS",
    "Dataset",
    "Kind",
    "Mixture",
    "Split",
    "cache_folder",
    "check_dataset",
    "load_dataset",
    "user_dataset",
]

Kind = Literal["pictures", "points"]
Split = Literal["train", "selection", "test"]
SPLITS: tuple[Split, ...] = ("train", "selection", "test")

POINTS_PER_HELD_OUT_SPLIT = 2_500
MIN_SAMPLES_TO_SPLIT = 20


@dataclass(frozen=True, eq=False)
class Mixture:
    """The truth behind a 2-D set: equal shares of round Gaussians.

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

    Pictures are uint8 [N, C, H, W] in 0..255, points float32 [N, D] and finite. Labels are int64
    [N] counted from 0, given for all three splits or for none. ``mixture`` is the known truth of a
    2-D set.

    Raises:
        DataError: the arrays break one of these rules; all that is wrong stands in one line.
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

    def __post_init__(self) -> None:
        for name in SPLITS:
            # Strides of axes of length 1 are arbitrary, yet decide which kernel a convolution takes
            # and so its rounding. A copy that went through Ray has plain ones: so has this.
            samples = self.split(name)
            object.__setattr__(self, name, samples.ravel().reshape(samples.shape))
        faults = list(_faults(self))
        if faults:
            raise DataError(f"data set {self.name}: " + "; ".join(faults))

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
        """16 hex digits of a SHA-256 over all samples, labels and the mixture."""
        sha = hashlib.sha256(self.kind.encode())
        arrays: list[NDArray[Any]] = [self.split(name) for name in SPLITS]
        arrays += [labels for name in SPLITS if (labels := self.labels(name)) is not None]
        if self.mixture is not None:
            arrays += [self.mixture.modes, np.array([self.mixture.sigma], dtype=np.float64)]
        for array in arrays:
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
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
        else:
            what = f"points in {self.shape[0]} dimensions"
        count = 0 if self.mixture is None else len(self.mixture.modes)
        known = f", {count} mode{'s' if count > 1 else ''}" if count else ""
        return f"{self.name}: {counts} {what}{known}{', labelled' if self.labelled else ''}"


def load_dataset(name: str, **args: Any) -> Dataset:
    """Load a data set by its name in :data:`DATASETS`, or a user's own.

    A user's own is named `module:function`; the function takes ``args`` and returns a
    :class:`Dataset`.

    Raises:
        DataError: no such data set or argument, a value out of range, data that is missing,
            damaged or does not fit.
    """
    builder, args = _resolve(name, args)
    dataset = builder(**args)
    if not isinstance(dataset, Dataset):
        given = type(dataset).__name__
        raise DataError(f"data set {name}: must return a gan_tune.gan.data.Dataset: {given}")
    _ = dataset.digest  # computed once here, it travels with the data to every worker
    return dataset


def check_dataset(name: str, **args: Any) -> None:
    """Whether :func:`load_dataset` would find its data, without loading it.

    Looks at names, headers and sizes of files. A set that is nowhere on this machine but can be
    downloaded is downloaded now; of a user's own only the import is tried.

    Raises:
        DataError: as :func:`load_dataset`, as far as it shows from outside.
    """
    _, args = _resolve(name, args)
    if name in _CHECKS:
        _CHECKS[name](**args)


def cache_folder() -> Path:
    """Where downloads and trained classifiers are kept: $GAN_TUNE_CACHE, or ~/.cache/gan_tune."""
    return Path(os.environ.get("GAN_TUNE_CACHE") or Path.home() / ".cache" / "gan_tune")


# Built-in sets


def digits() -> Dataset:
    """The 1,797 handwritten digits of scikit-learn, 8x8 in grey: 1,197 / 300 / 300, stratified.

    Source: Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits, 1998.
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    pictures = np.rint(source.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = source.target.astype(np.int64)
    order = np.random.RandomState(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # Dealt out class by class, so that each split has its share of every class to within two.
    hand = np.arange(len(order)) % 6
    parts = (order[hand > 1], order[hand == 1], order[hand == 0])
    return _dataset_of_parts("digits", "pictures", pictures, labels, parts)


def ring(
    *,
    modes: Annotated[int, Field(ge=1, le=10_000)] = 8,
    radius: Annotated[float, Field(gt=0)] = 1.0,
    sigma: Annotated[float, Field(gt=0)] = 0.01,
    size: Annotated[int, Field(ge=2)] = 100_000,
) -> Dataset:
    """2-D Gaussians of deviation ``sigma`` evenly on a circle; ``size`` points to train on.

    Source: Lin et al., PacGAN, 2018, section 4.1.
    """
    angles = np.linspace(0, 2 * np.pi, modes, endpoint=False)  # both ends would be one mode twice
    centres = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _mixture_dataset("ring", Mixture(centres, sigma), size)


def grid(
    *,
    side: Annotated[int, Field(ge=1, le=100)] = 5,
    spacing: Annotated[float, Field(gt=0)] = 2.0,
    sigma: Annotated[float, Field(gt=0)] = 0.05,
    size: Annotated[int, Field(ge=2)] = 100_000,
) -> Dataset:
    """``side`` x ``side`` 2-D Gaussians, ``spacing`` apart, centred on 0.

    Source: Lin et al., PacGAN, 2018, section 4.1.
    """
    line = (np.arange(side) - (side - 1) / 2) * spacing
    centres = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    return _mixture_dataset("grid", Mixture(centres, sigma), size)


def gaussian(*, size: Annotated[int, Field(ge=2)] = 100_000) -> Dataset:
    """2-D points of N(0, I): one mode at 0."""
    return _mixture_dataset("gaussian", Mixture(np.zeros((1, 2)), 1.0), size)


def fashion_mnist(*, root: str | None = None) -> Dataset:
    """Fashion-MNIST, 28x28 in grey: 50,000 / 10,000 / 10,000.

    Read from ``root``, $GAN_TUNE_DATA, Debian's package dataset-fashion-mnist, or downloaded by
    torchvision. A sixth of the training file, by a fixed permutation, is the selection split.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017.
    """
    return _idx_dataset("fashion_mnist", root)


def mnist(*, root: str | None = None) -> Dataset:
    """MNIST, 28x28 in grey: 50,000 / 10,000 / 10,000; found as :func:`fashion_mnist` is.

    Source: LeCun, Cortes and Burges, The MNIST database, 1998.
    """
    return _idx_dataset("mnist", root)


def npz(*, path: str) -> Dataset:
    """A user's own arrays in a NumPy `.npz` file.

    The array `train` holds pictures (uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or
    3; channels first where both fit) or points (float [N, D]). `selection` and `test` may stand
    beside it, or else a fixed permutation splits `train` 80 / 10 / 10. Labels are integers under
    `train_labels` (and `selection_labels`, `test_labels`). Nothing is unpickled.
    """
    arrays = read_npz(Path(path))
    name, train = Path(path).stem, arrays["train"]
    kind: Kind = "pictures" if train.dtype == np.uint8 else "points"
    if "selection" not in arrays:
        return _split_dataset(name, kind, train, arrays.get("train_labels"))
    return Dataset(
        name,
        kind,
        train=train,
        selection=arrays["selection"],
        test=arrays["test"],
        train_labels=arrays.get("train_labels"),
        selection_labels=arrays.get("selection_labels"),
        test_labels=arrays.get("test_labels"),
    )


def image_folder(
    *,
    root: str,
    size: Annotated[int, Field(ge=4, le=1024)],
    channels: Literal[1, 3] = 3,
) -> Dataset:
    """A folder of pictures, centre-cropped to squares and resized to ``size`` with antialiasing.

    With two or more sub-folders, each is a class and its pictures' label; otherwise the set is
    unlabelled. A fixed permutation splits it 80 / 10 / 10.
    """
    pictures, labels = read_picture_folder(Path(root), size=size, channels=channels)
    return _split_dataset(Path(root).resolve().name, "pictures", pictures, labels)


DATASETS: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "mnist": mnist,
    "ring": ring,
    "grid": grid,
    "gaussian": gaussian,
    "image_folder": image_folder,
    "npz": npz,
}


# Names and arguments


def _resolve(name: str, args: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    builder = user_dataset(name) if ":" in name else DATASETS.get(name)
    if builder is None:
        near = closest(name, DATASETS)
        hint = f"; did you mean {near!r}?" if near else ""
        raise DataError(f"data set must be one of {', '.join(DATASETS)}{hint}: {name!r}")
    try:
        inspect.signature(builder).bind(**args)
    except TypeError as error:
        raise DataError(f"data set {name}: {error}: {dict(args)!r}") from None
    if ":" in name:
        return builder, dict(args)
    known = signature_arguments(builder)
    checked = {}
    for key, value in args.items():
        try:
            checked[key] = known[key].check(value)
        except ValidationError as error:
            rule = error.errors()[0]["msg"].replace("Input should", "must")
            raise DataError(f"data set {name}: {key}: {rule}: {value!r}") from None
    return builder, checked


def user_dataset(name: str) -> Callable[..., Any]:
    """A user's own function that returns a data set, named `module:function`.

    Raises:
        DataError: it cannot be imported, or is no function.
    """
    module, _, attribute = name.partition(":")
    try:
        builder = getattr(import_module(module), attribute)
    except Exception as error:  # a user's module may raise anything while it is imported
        raise DataError(
            f"data set must be importable as module:function: {name!r}: {error}"
        ) from None
    if not callable(builder):
        raise DataError(f"data set must be a function: {name!r}: {type(builder).__name__}")
    return builder  # type: ignore[no-any-return]


# Rules of a Dataset


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
        if not pictures and not np.isfinite(samples).all():
            yield f"{name} must be finite: {np.count_nonzero(~np.isfinite(samples))} values are not"
        if (labels is None) != (dataset.train_labels is None):
            yield f"labels must be given for all three splits or for none: {name}_labels"
        elif labels is not None:
            yield from _label_faults(name, labels, len(samples))
    mixture = dataset.mixture
    if mixture is not None and (mixture.modes.ndim != 2 or mixture.modes.shape[1:] != (2,)):
        yield f"the modes of a mixture must be [M, 2]: {list(mixture.modes.shape)}"
    if mixture is not None and dataset.train.shape[1:] != (2,):
        yield f"a set with a mixture must have points [N, 2]: {list(dataset.train.shape)}"


def _label_faults(name: str, labels: NDArray[np.int64], count: int) -> Iterator[str]:
    if labels.dtype != np.int64 or labels.shape != (count,):
        yield f"{name}_labels must be int64 [{count}]: {labels.dtype} {list(labels.shape)}"
    elif labels.min() < 0:
        yield f"{name}_labels must be 0 or more: {labels.min()}"


def _mixture_dataset(name: str, mixture: Mixture, size: int) -> Dataset:
    return Dataset(
        name,
        "points",
        train=mixture.draw(size, seed=0),
        selection=mixture.draw(POINTS_PER_HELD_OUT_SPLIT, seed=1),
        test=mixture.draw(POINTS_PER_HELD_OUT_SPLIT, seed=2),
        mixture=mixture,
    )


def _idx_dataset(name: str, root: str | None) -> Dataset:
    arrays = read_idx_folder(_idx_folder(name, root))
    pictures, labels, test, test_labels = (arrays[part] for part in PARTS)
    order = np.random.RandomState(0).permutation(len(pictures))
    sixth = len(pictures) // 6
    train, selection = order[:-sixth], order[-sixth:]
    return Dataset(
        name,
        "pictures",
        train=pictures[train, None],
        selection=pictures[selection, None],
        test=test[:, None],
        train_labels=labels[train].astype(np.int64),
        selection_labels=labels[selection].astype(np.int64),
        test_labels=test_labels.astype(np.int64),
    )


def _idx_folder(name: str, root: str | None) -> Path:
    return find_idx_folder(name, root, downloads=cache_folder() / "datasets")


def _split_dataset(
    name: str, kind: Kind, samples: NDArray[Any], labels: NDArray[np.int64] | None
) -> Dataset:
    """A fixed permutation of the samples, dealt out 80 / 10 / 10."""
    count = len(samples)
    if count < MIN_SAMPLES_TO_SPLIT:
        rule = f"must hold at least {MIN_SAMPLES_TO_SPLIT} samples to be split"
        raise DataError(f"data set {name}: {rule}: {count}")
    if labels is not None and labels.shape != (count,):
        raise DataError(f"data set {name}: must have {count} labels: {list(labels.shape)}")
    order = np.random.RandomState(0).permutation(count)
    tenth = count // 10
    parts = (order[: -2 * tenth], order[-2 * tenth : -tenth], order[-tenth:])
    return _dataset_of_parts(name, kind, samples, labels, parts)


def _dataset_of_parts(
    name: str,
    kind: Kind,
    samples: NDArray[Any],
    labels: NDArray[np.int64] | None,
    parts: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> Dataset:
    train, selection, test = parts
    return Dataset(
        name,
        kind,
        train=samples[train],
        selection=samples[selection],
        test=samples[test],
        train_labels=None if labels is None else labels[train],
        selection_labels=None if labels is None else labels[selection],
        test_labels=None if labels is None else labels[test],
    )


# Checks from outside


def _check_fashion_mnist(*, root: str | None = None) -> None:
    check_idx_folder(_idx_folder("fashion_mnist", root))


def _check_mnist(*, root: str | None = None) -> None:
    check_idx_folder(_idx_folder("mnist", root))


def _check_npz(*, path: str) -> None:
    check_npz(Path(path))


def _check_image_folder(*, root: str, size: int, channels: int = 3) -> None:
    count = check_picture_folder(Path(root), size=size, channels=channels)
    if count < MIN_SAMPLES_TO_SPLIT:
        rule = f"must hold at least {MIN_SAMPLES_TO_SPLIT} pictures to be split"
        raise DataError(f"{root}: {rule}: {count}")


_CHECKS: dict[str, Callable[..., None]] = {
    "fashion_mnist": _check_fashion_mnist,
    "mnist": _check_mnist,
    "npz": _check_npz,
    "image_folder": _check_image_folder,
}
