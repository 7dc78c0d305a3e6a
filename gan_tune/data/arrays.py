"""A user's own arrays in NumPy files: pictures, points, or tables of numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.mapped import cached_rows, open_rows
from gan_tune.errors import DataError

__all__ = ["check_npy", "check_npz", "read_npy", "read_npz"]

_SPLITS = ("train", "selection", "test")
_LABELS = {"x": "y", **{name: f"{name}_labels" for name in _SPLITS}}
_UNREADABLE = (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)
_ROWS_AT_ONCE = 4096
_NAMED_COLUMNS = 5
_TELLING_ROWS = 20
"""It is unlikely by chance that this many rows lie within one float32 step."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file that gan-tune knows, in gan-tune's layout.

    `x`, or `train` and perhaps `selection` and `test`: pictures uint8 [N, C, H, W] or points
    float32 [N, D]; `y`, `train_labels` and so on: int64. Nothing is unpickled.

    Raises:
        DataError: the file is missing or damaged, or has arrays of another kind.
    """
    known = [*_LABELS, *_LABELS.values()]
    try:
        with np.load(path, allow_pickle=False) as stored:
            _check_names(path, stored.files)
            arrays = {name: stored[name] for name in known if name in stored.files}
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    return {
        name: _labels(path, name, array)
        if name in _LABELS.values()
        else _lay_out(path, name, array)
        for name, array in arrays.items()
    }


def check_npz(path: Path) -> None:
    """Check that a file exists and names the arrays it must, without reading them.

    Raises:
        DataError: the file is missing, damaged or lacks an array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    _check_names(path, names)


def read_npy(path: Path, order: NDArray[np.int64]) -> NDArray[Any]:
    """The rows of an `.npy` file in ``order``, in gan-tune's layout. Nothing is unpickled.

    A large file is copied once into the cache folder in that order, so that each split is one
    section of a file. The original file may be float64, in Fortran order or sorted by class, and
    then cannot be used directly.

    Raises:
        DataError: the file is missing, damaged, or its array is of another kind.
    """
    source = _open(path)
    if not isinstance(source, np.memmap):
        return _lay_out(path, "the array", source)[order]
    layout = _lay_out(path, "the array", source[:1])

    def rows() -> Iterator[NDArray[Any]]:
        for start in range(0, len(order), _ROWS_AT_ONCE):
            yield _lay_out(path, "the array", source[order[start : start + _ROWS_AT_ONCE]])

    status = path.stat()
    return cached_rows(
        ("rows", path.resolve(), status.st_size, status.st_mtime_ns),
        shape=(len(order), *layout.shape[1:]),
        dtype=layout.dtype.type,
        rows=rows(),
    )


def check_npy(path: Path) -> int:
    """The number of rows of an `.npy` file; checks its type and its first row.

    Raises:
        DataError: as :func:`read_npy`, as far as these checks detect it.
    """
    source = _open(path)
    _lay_out(path, "the array", source[:1])
    return len(source)


def _open(path: Path) -> NDArray[Any]:
    try:
        source = open_rows(path)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    if source.ndim == 0:
        raise DataError(f"{path}: the array must have rows: a single {source.dtype}")
    return source


def _check_names(path: Path, names: Collection[str]) -> None:
    if ("x" in names) == ("train" in names):
        rule = "must hold an array named x (to be split) or train (with selection and test or not)"
        raise DataError(f"{path}: {rule}: {', '.join(names) or 'none'}")
    if ("selection" in names) != ("test" in names):
        alone = "selection" if "selection" in names else "test"
        raise DataError(f"{path}: selection and test must be given together: {alone} alone")
    if "x" in names and "selection" in names:
        raise DataError(f"{path}: must hold x or splits of its own, not both: {', '.join(names)}")
    for samples, labels in _LABELS.items():
        if labels in names and samples not in names:
            rule = f"{labels} are the labels of {samples} and must stand beside it"
            raise DataError(f"{path}: {rule}: {', '.join(names)}")


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: must exist: no such file")
    what = "an .npy file" if path.suffix == ".npy" else "an .npz file"
    return DataError(f"{path}: must be {what} without pickled objects: {error}")


def _labels(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{path}: {name} must be integers: {array.dtype}")
    return array.astype(np.int64)


def _lay_out(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim and not len(array):
        raise DataError(f"{path}: {name} must have rows: {array.dtype} {list(array.shape)}")
    if array.dtype == np.uint8 and array.ndim == 3:
        return np.ascontiguousarray(array[:, None])
    if array.dtype == np.uint8 and array.ndim == 4 and array.shape[1] in (1, 3):
        return np.ascontiguousarray(array)
    if array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] in (1, 3):
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if np.issubdtype(array.dtype, np.floating) and array.ndim == 2:
        return _table(path, name, array)
    rule = "must be uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3, or float [N, D]"
    hint = " (one column is x[:, None])" if array.ndim == 1 else ""
    raise DataError(f"{path}: {name} {rule}{hint}: {array.dtype} {list(array.shape)}")


def _table(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(
        over="ignore"
    ):  # values too large for float32 become infinite, and are reported below
        table = array.astype(np.float32, order="C")
    missing = ~np.isfinite(table)
    if missing.any():
        rule = "must be finite in float32 (fill in or drop what is missing)"
        columns = _columns(np.flatnonzero(missing.any(0)))
        given = f"{np.count_nonzero(missing)} values in columns {columns} are not"
        raise DataError(f"{path}: {name} {rule}: {given}")
    flat = (np.ptp(table, axis=0) == 0) & (array.min(0) < array.max(0))
    if flat.any() and len(table) >= _TELLING_ROWS:
        rule = "must vary in float32, too (subtract the mean, or drop what is constant)"
        raise DataError(f"{path}: {name} {rule}: columns {_columns(np.flatnonzero(flat))} do not")
    return table


def _columns(places: NDArray[np.intp]) -> str:
    shown = [str(place) for place in places[:_NAMED_COLUMNS]]
    return ", ".join([*shown, *["..."] * (len(places) > _NAMED_COLUMNS)])
