"""Data sets by name, and a user's own.

All draws and permutations use ``RandomState``, the only generator whose stream numpy never changes.
So a split is the same with every version of numpy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Annotated, Any, Literal, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from gan_tune.config import signature_arguments
from gan_tune.config.import_path import import_own, raising_exceptions
from gan_tune.data.arrays import check_npy, check_npz, read_npy, read_npz
from gan_tune.data.cifar import check_cifar_folder, find_cifar_folder, read_cifar_folder
from gan_tune.data.dataset import Dataset, Kind, cut, few_samples_note, split_order
from gan_tune.data.digits import rows_of_digits
from gan_tune.data.found_pictures import (
    FoundPictures,
    Square,
    check_found,
    read_found,
    read_plainly,
)
from gan_tune.data.idx import PARTS, check_idx_folder, find_idx_folder, read_idx_folder
from gan_tune.data.picture_folder import Crop
from gan_tune.data.points import gaussian, grid, ring
from gan_tune.data.table import check_table, read_table, rounding_notes
from gan_tune.errors import DataError
from gan_tune.words.wording import in_one_line, must_be_one_of, shown

__all__ = [
    "DATASETS",
    "check_arguments",
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
        with raising_exceptions():
            dataset = builder(**args)
    except Exception as error:
        if name in DATASETS or isinstance(error, DataError):
            raise
        # A user's function may raise anything.
        raise DataError(f"data set {name}: cannot be loaded: {in_one_line(error)}") from error
    if not isinstance(dataset, Dataset):
        given = type(dataset).__name__
        raise DataError(f"data set {name}: must return a gan_tune.Dataset: {given}")
    _ = dataset.digest  # computed once here, and sent with the data to every worker
    return dataset


def check_arguments(name: str, **args: Any) -> None:
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
    rows = rows_of_digits()
    pictures = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    labels = rows[:, -1].astype(np.int64)
    order = np.random.RandomState(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    # Assigned class by class, so that each split has its share of every class, up to two samples.
    turn = np.arange(len(order)) % 6
    in_splits = np.concatenate((order[turn > 1], order[turn == 1], order[turn == 0]))
    held_out = int(np.count_nonzero(turn == 0))
    return cut("digits", "pictures", pictures[in_splits], labels[in_splits], held_out=held_out)


def fashion_mnist(*, root: str | None = None) -> Dataset:
    """Fashion-MNIST, 28x28 in grey: 50,000 / 10,000 / 10,000.

    It is read from ``root``, from $GAN_TUNE_DATA or from Debian's package dataset-fashion-mnist.
    Otherwise torchvision downloads it. A sixth of the training file, chosen by a fixed permutation,
    is the selection split.

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

    The binary version (`.bin`) is read from ``root`` or from $GAN_TUNE_DATA, or is downloaded. The
    pickles of the "python version" are not read. A fifth of the training files, chosen by a fixed
    permutation, is the selection split.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    train, test = read_cifar_folder(find_cifar_folder(root))
    return _with_selection("cifar10", *train, *test, one_in=5)


def npz(*, path: str) -> Dataset:
    """Your own arrays in a NumPy `.npz` file, or a single one in an `.npy` file.

    Pictures are uint8: [N, H, W], [N, H, W, C] or [N, C, H, W], where C is 1 or 3 (channels first
    if both readings are possible). Points and table rows are finite floats [N, D]. An `.npz` file
    has either one array `x`, with integer labels `y` or none, or the splits `train`, `selection`
    and `test`, with labels `train_labels` and so on or none. A fixed permutation splits `x`, a
    lone `train` or the array of an `.npy` file 80 / 10 / 10. An `.npy` file may be larger than
    memory. Nothing is unpickled.
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
    stored as one array in the cache folder; it may be larger than memory. A folder that has
    pictures beside sub-folders, or broken ones, is read as `pictures` reads it.
    """
    found = read_plainly(Path(root), size=size, channels=channels, crop=crop)
    return _of_folder(root, found)


def pictures(
    *,
    root: str,
    size: Annotated[int, Field(ge=8, le=512)],
    crop: Square = "fitting",
    channels: Literal[1, 3] = 3,
) -> Dataset:
    """A folder of pictures as you have it, as squares of ``size``, resized with antialiasing.

    It is read at every depth, but for hidden folders and thumbnails. Sub-folders without pictures
    beside them are classes: 2 to 1,000 of at least 10 pictures. Transparent pictures lie on the
    ground that most others show, else on white. ``crop: fitting`` cuts out the central squares, or
    pads, as most pictures need; `centre`, `pad` and `resize` (stretch) say it. Up to 1 % of the
    files, or one, may be unreadable and are left out. What was decided is said, and what was left
    out is counted. A fixed permutation splits it 80 / 10 / 10; it may be larger than memory.
    """
    return _of_folder(root, read_found(Path(root), size=size, channels=channels, crop=crop))


def table(*, path: str, columns: tuple[str, ...] | None = None) -> Dataset:
    """Your own table of numbers in a CSV (`.csv`, `.tsv`, `.csv.gz`) or Parquet file.

    ``columns`` names the columns to learn; without it, all are learnt. Each must hold finite
    numbers (or true and false), and none may be an identifier, unless it is named. A fixed
    permutation splits the rows 80 / 10 / 10. Generated tables have the same names and types of
    columns. `scale` is `by_column` unless given. The table must fit into memory.
    At most 1,000 columns are learnt, of a file of at most 50,000.
    """
    file = Path(path)
    found, values = read_table(file, columns)
    order = split_order(file.stem, len(values))
    notes = few_samples_note(len(values)) + rounding_notes(found, values)
    return cut(file.stem, "points", values[order], None, columns=found, notes=notes)


DATASETS: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "mnist": mnist,
    "cifar10": cifar10,
    "ring": ring,
    "grid": grid,
    "gaussian": gaussian,
    "image_folder": image_folder,
    "pictures": pictures,
    "npz": npz,
    "table": table,
}


# Names and arguments


def _resolve(name: str, args: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    builder = user_dataset(name) if ":" in name else DATASETS.get(name)
    if builder is None:
        raise DataError(f"{must_be_one_of('data set', name, DATASETS)}: {shown(name)}")
    try:
        inspect.signature(builder).bind(**args)
    except (TypeError, ValueError) as error:  # ValueError: a builtin may have no signature
        raise DataError(f"data set {name}: {error}: {shown(dict(args))}") from None
    if ":" in name:
        return builder, dict(args)
    known = signature_arguments(builder)
    checked = {}
    for key, value in args.items():
        try:
            checked[key] = known[key].check(value)
        except ValidationError as error:
            rule = error.errors()[0]["msg"].replace("Input should", "must")
            raise DataError(f"data set {name}: {key}: {rule}: {shown(value)}") from None
    return builder, checked


def user_dataset(name: str) -> Callable[..., Any]:
    """A user's own function that returns a data set, named `module:function`.

    It must say so by its annotation, since any other function of any module could be named, too.

    Raises:
        DataError: it cannot be imported, is no such function, or is defined in another package than
            its path names.
    """
    try:
        builder = import_own(name)
    except LookupError as error:
        raise DataError(f"data set {name}: {error}") from None
    function = inspect.unwrap(builder) if callable(builder) else builder
    if not inspect.isfunction(function):
        raise DataError(f"data set must be a function: {name!r}: {type(builder).__name__}")
    if not _returns_dataset(function):
        rule = f"must be annotated to return one: def {function.__name__}(...) -> gan_tune.Dataset"
        raise DataError(f"data set {name}: {rule}")
    return builder  # type: ignore[no-any-return]


def _returns_dataset(function: FunctionType) -> bool:
    annotated = SimpleNamespace(__annotations__={"return": function.__annotations__.get("return")})
    try:
        found = get_type_hints(annotated, function.__globals__)["return"]
    except Exception:  # a user's annotation may be any text
        return False
    return isinstance(found, type) and issubclass(found, Dataset)


# Splits


def _idx_dataset(name: str, root: str | None) -> Dataset:
    arrays = read_idx_folder(find_idx_folder(name, root))
    pictures, labels, test, test_labels = (arrays[part] for part in PARTS)
    return _with_selection(name, pictures[:, None], labels, test[:, None], test_labels, one_in=6)


def _with_selection(
    name: str,
    pictures: NDArray[np.uint8],
    labels: NDArray[Any],
    test: NDArray[np.uint8],
    test_labels: NDArray[Any],
    *,
    one_in: int,
) -> Dataset:
    """A published set. One in ``one_in`` of its training samples goes to the selection split."""
    order = np.random.RandomState(0).permutation(len(pictures))
    held_out = len(pictures) // one_in
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


def _of_folder(root: str, found: FoundPictures) -> Dataset:
    return cut(
        Path(root).resolve().name,
        "pictures",
        found.pictures,
        found.labels,
        notes=found.notes,
        left_out=found.left_out,
    )


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


def _check_table(*, path: str, columns: tuple[str, ...] | None = None) -> None:
    check_table(Path(path))


def _check_pictures(*, root: str, **_: Any) -> None:
    check_found(Path(root))


_CHECKS: dict[str, Callable[..., None]] = {
    "fashion_mnist": _check_fashion_mnist,
    "mnist": _check_mnist,
    "cifar10": _check_cifar10,
    "npz": _check_npz,
    "table": _check_table,
    "image_folder": _check_pictures,
    "pictures": _check_pictures,
}
