"""Data sets by name, and a user's own.

All draws and permutations use ``RandomState``, the only generator whose stream numpy never changes.
So a split is the same with every version of numpy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from gan_tune.config import signature_arguments
from gan_tune.config.import_path import import_by_path
from gan_tune.data.arrays import check_npy, check_npz, read_npy, read_npz
from gan_tune.data.cifar import check_cifar_folder, find_cifar_folder, read_cifar_folder
from gan_tune.data.dataset import Dataset, Kind, cut, split_order
from gan_tune.data.idx import PARTS, check_idx_folder, find_idx_folder, read_idx_folder
from gan_tune.data.picture_folder import Crop, check_first, decoded, list_pictures
from gan_tune.data.points import gaussian, grid, ring
from gan_tune.errors import DataError
from gan_tune.words.wording import in_one_line, must_be_one_of

__all__ = [
    "DATASETS",
    "check_dataset",
    "load_dataset",
    "user_dataset",
]


def load_dataset(name: str, **args: Any) -> Dataset:
    """Load a data set by its name in :data:`DATASETS`, or a user's own.

    A user's own is named `module:function`; the function is called with ``args`` and returns a
    :class:`Dataset`.

    Raises:
        DataError: there is no such data set or argument, a value is out of range, or data are
            missing, damaged or unsuitable.
    """
    builder, args = _resolve(name, args)
    try:
        dataset = builder(**args)
    except (Exception, SystemExit) as error:
        if name in DATASETS or isinstance(error, DataError):
            raise
        # A user's function may raise anything.
        raise DataError(f"data set {name}: cannot be loaded: {in_one_line(error)}") from error
    if not isinstance(dataset, Dataset):
        given = type(dataset).__name__
        raise DataError(f"data set {name}: must return a gan_tune.Dataset: {given}")
    _ = dataset.digest  # computed once here, and sent with the data to every worker
    return dataset


def check_dataset(name: str, **args: Any) -> None:
    """Check that :func:`load_dataset` would find its data, without loading it.

    Checks names, headers and sizes of files. A set that is not on this machine but can be
    downloaded is downloaded now. For a user's own set, only the import is tried.

    Raises:
        DataError: as :func:`load_dataset`, as far as headers and sizes reveal.
    """
    _, args = _resolve(name, args)
    if name in _CHECKS:
        _CHECKS[name](**args)


# Built-in sets


def digits() -> Dataset:
    """The 1,797 handwritten digits of scikit-learn, 8x8 in grey: 1,197 / 300 / 300, stratified.

    They come with scikit-learn: nothing is downloaded.

    Source: Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits, 1998.
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    pictures = np.rint(source.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = source.target.astype(np.int64)
    order = np.random.RandomState(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # Assigned class by class, so that each split has its share of every class, up to two samples.
    hand = np.arange(len(order)) % 6
    dealt = np.concatenate((order[hand > 1], order[hand == 1], order[hand == 0]))
    held_out = int(np.count_nonzero(hand == 0))
    return cut("digits", "pictures", pictures[dealt], labels[dealt], held_out=held_out)


def fashion_mnist(*, root: str | None = None) -> Dataset:
    """Fashion-MNIST, 28x28 in grey: 50,000 / 10,000 / 10,000.

    Read from ``root``, $GAN_TUNE_DATA, Debian's package dataset-fashion-mnist, or downloaded by
    torchvision. A sixth of the training file, by a fixed permutation, is the selection split.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017.
    """
    return _idx_dataset("fashion_mnist", root)


def mnist(*, root: str | None = None) -> Dataset:
    """MNIST, 28x28 in grey: 50,000 / 10,000 / 10,000; found like :func:`fashion_mnist`.

    Source: LeCun, Cortes and Burges, The MNIST database, 1998.
    """
    return _idx_dataset("mnist", root)


def cifar10(*, root: str | None = None) -> Dataset:
    """CIFAR-10, 32x32 in colour: 40,000 / 10,000 / 10,000.

    Its binary version (`.bin`) is read, from ``root``, $GAN_TUNE_DATA, or downloaded; the pickles
    of the "python version" are not read. A fifth of the training files, by a fixed permutation, is
    the selection split.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    train, test = read_cifar_folder(find_cifar_folder(root))
    return _with_selection("cifar10", *train, *test, share=5)


def npz(*, path: str) -> Dataset:
    """Your own arrays in a NumPy `.npz` file, or a single one in an `.npy` file.

    Pictures (uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3; channels first where
    both fit), points or tables (float [N, D], finite). A fixed permutation splits the array `x`,
    with integer labels `y` or none, 80 / 10 / 10. Instead of `x`, the file may have `train`,
    `selection` and `test`, with labels `train_labels` and so on. If it has only `train`, that is
    split in the same way as `x`, and so is the array of an `.npy` file. That array may be larger
    than memory. Nothing is unpickled.
    """
    file, name = Path(path), Path(path).stem
    if file.suffix == ".npy":
        rows = read_npy(file, split_order(name, check_npy(file)))
        return cut(name, _kind(rows), rows, None)
    arrays = read_npz(file)
    if "selection" in arrays:
        return Dataset(
            name,
            _kind(arrays["train"]),
            train=arrays["train"],
            selection=arrays["selection"],
            test=arrays["test"],
            train_labels=arrays.get("train_labels"),
            selection_labels=arrays.get("selection_labels"),
            test_labels=arrays.get("test_labels"),
        )
    key, key_of_labels = ("x", "y") if "x" in arrays else ("train", "train_labels")
    samples, labels_of_all = arrays[key], arrays.get(key_of_labels)
    order = split_order(name, len(samples))
    if labels_of_all is None:
        return cut(name, _kind(samples), samples[order], None)
    if labels_of_all.shape != order.shape:
        rule = f"{key_of_labels} must have {len(order)} labels"
        raise DataError(f"{path}: {rule}: {list(labels_of_all.shape)}")
    return cut(name, _kind(samples), samples[order], labels_of_all[order])


def image_folder(
    *,
    root: str,
    size: Annotated[int, Field(ge=8, le=512)],
    crop: Crop = "centre",
    channels: Literal[1, 3] = 3,
) -> Dataset:
    """A folder of pictures as squares of ``size``, resized with antialiasing.

    The central square of each picture is cut out, or (``crop: resize``) the picture is stretched.
    With two or more sub-folders, each is a class and the label of its pictures; otherwise the set
    is unlabelled. A fixed permutation splits it 80 / 10 / 10. The pictures are decoded once and
    stored as one array in the cache folder; it may be larger than memory.
    """
    folder = list_pictures(Path(root))
    name = folder.root.resolve().name
    order = split_order(name, len(folder.paths))
    pictures = decoded(folder, order, size=size, channels=channels, crop=crop)
    labels = None if folder.labels is None else folder.labels[order]
    return cut(name, "pictures", pictures, labels)


DATASETS: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "mnist": mnist,
    "cifar10": cifar10,
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
        raise DataError(f"{must_be_one_of('data set', name, DATASETS)}: {name!r}")
    try:
        inspect.signature(builder).bind(**args)
    except (TypeError, ValueError) as error:  # ValueError: a builtin may have no signature
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
    try:
        builder = import_by_path(name)
    except LookupError as error:
        raise DataError(f"data set {name}: {error}") from None
    if not callable(builder):
        raise DataError(f"data set must be a function: {name!r}: {type(builder).__name__}")
    return builder  # type: ignore[no-any-return]


# Splits


def _idx_dataset(name: str, root: str | None) -> Dataset:
    arrays = read_idx_folder(find_idx_folder(name, root))
    pictures, labels, test, test_labels = (arrays[part] for part in PARTS)
    return _with_selection(name, pictures[:, None], labels, test[:, None], test_labels, share=6)


def _with_selection(
    name: str,
    pictures: NDArray[np.uint8],
    labels: NDArray[Any],
    test: NDArray[np.uint8],
    test_labels: NDArray[Any],
    *,
    share: int,
) -> Dataset:
    """A published set; one in ``share`` of its training samples is in the selection split."""
    order = np.random.RandomState(0).permutation(len(pictures))
    held_out = len(pictures) // share
    train, selection = order[:-held_out], order[-held_out:]
    return Dataset(
        name,
        "pictures",
        train=pictures[train],
        selection=pictures[selection],
        test=test,
        train_labels=labels[train].astype(np.int64),
        selection_labels=labels[selection].astype(np.int64),
        test_labels=test_labels.astype(np.int64),
    )


def _kind(samples: NDArray[Any]) -> Kind:
    return "pictures" if samples.dtype == np.uint8 else "points"


# Checks without loading


def _check_fashion_mnist(*, root: str | None = None) -> None:
    check_idx_folder(find_idx_folder("fashion_mnist", root))


def _check_mnist(*, root: str | None = None) -> None:
    check_idx_folder(find_idx_folder("mnist", root))


def _check_cifar10(*, root: str | None = None) -> None:
    check_cifar_folder(find_cifar_folder(root))


def _check_npz(*, path: str) -> None:
    file = Path(path)
    if file.suffix == ".npy":
        split_order(file.stem, check_npy(file))
    else:
        check_npz(file)


def _check_image_folder(*, root: str, size: int, crop: str = "centre", channels: int = 3) -> None:
    folder = list_pictures(Path(root))
    split_order(folder.root.resolve().name, len(folder.paths))
    check_first(folder, size=size, channels=channels, crop=crop)


_CHECKS: dict[str, Callable[..., None]] = {
    "fashion_mnist": _check_fashion_mnist,
    "mnist": _check_mnist,
    "cifar10": _check_cifar10,
    "npz": _check_npz,
    "image_folder": _check_image_folder,
}
