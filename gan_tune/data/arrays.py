"""A user's own arrays in NumPy files: pictures, points, or tables of numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.mapped import cached_rows, chunks, in_memory, open_rows
from gan_tune.data.npy_header import npy_header
from gan_tune.data.reading import check_room, reading
from gan_tune.data.short_text import listed, short
from gan_tune.errors import DataError
from gan_tune.words.wording import shown

__all__ = ["check_array", "check_npy", "check_npz", "read_npy", "read_npz"]

_SPLITS = ("train", "selection", "test")
_LABELS = {"x": "y", **{name: f"{name}_labels" for name in _SPLITS}}
_ROWS_AT_ONCE = 4096
_NAMED_COLUMNS = 5
_NAMED_ARRAYS = 8
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
    with reading(path, _kind(path)):
        check_npz(path)
        with zipfile.ZipFile(path) as archive:
            arrays = {name: _stored(archive, name) for name in known if _member(archive, name)}
        return {
            name: _labels(path, name, array)
            if name in _LABELS.values()
            else _lay_out(path, name, array)
            for name, array in arrays.items()
        }


def check_array(owner: str, name: str, array: NDArray[Any]) -> None:
    """Check an array as one of that name in an `.npz` file; ``owner`` begins the message.

    Raises:
        DataError: it has another kind, or values that are not finite.
    """
    if name in _LABELS.values():
        _labels(Path(owner), name, array)
    else:
        _lay_out(Path(owner), name, array)


def check_npz(path: Path) -> None:
    """Check that a file exists, names the arrays it must, and has room for what they declare.

    Raises:
        DataError: the file is missing, damaged or lacks an array, or an array declares more than
            the file holds or than fits into memory.
    """
    with reading(path, _kind(path)), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        _check_names(path, names)
        known = [name for name in (*_LABELS, *_LABELS.values()) if name in names]
        check_room(path, sum(_declared(path, archive, name) for name in known))


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """What an array is called in an archive; empty if it is not there."""
    names = archive.NameToInfo
    return next((entry for entry in (f"{name}.npy", name) if entry in names), "")


def _stored(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    # Not by np.load, which may take another entry than the one whose header was checked.
    with archive.open(_member(archive, name)) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _declared(path: Path, archive: zipfile.ZipFile, name: str) -> int:
    """The bytes that an array of an archive declares to hold; its header is checked."""
    member = _member(archive, name)
    with archive.open(member) as file:
        return _check_header(path, name, file, archive.getinfo(member).file_size)


def _check_header(path: Path, name: str, file: IO[bytes], stored: int) -> int:
    """The bytes that an array of so many stored bytes declares to hold."""
    if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
        raise DataError(f"{path}: {name} must be in .npy form: {stored:,} bytes of another")
    file.seek(0)
    header = npy_header(file)
    if header.dtype.hasobject:
        raise DataError(f"{path}: must be {_kind(path)}: {name} is of dtype {short(header.dtype)}")
    check = _check_labels if name in _LABELS.values() else _check_layout
    check(path, name, header.dtype, header.shape)
    held = stored - header.start
    if header.declared > held:
        rule = f"must hold the {header.declared:,} bytes that its header declares"
        raise DataError(f"{path}: {name} {rule}: {held:,} bytes")
    return header.declared


def read_npy(path: Path, order: NDArray[np.int64]) -> NDArray[Any]:
    """The rows of an `.npy` file in ``order``, in gan-tune's layout. Nothing is unpickled.

    A large file is copied once into the cache folder in that order, so that each split is one
    section of a file. The original file may be float64, in Fortran order or sorted by class, and
    then cannot be used directly.

    Raises:
        DataError: the file is missing, damaged, or its array is of another kind.
    """
    with reading(path, _kind(path)):
        return _ordered(path, _open(path), order)


def _ordered(path: Path, source: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    if not isinstance(source, np.memmap):
        return _lay_out(path, "the array", source)[order]
    layout = _laid_out(path, "the array", source[:1], source.shape)

    def rows() -> Iterator[NDArray[Any]]:
        if layout.ndim == 2:
            _check_table(path, "the array", chunks(source))
        for start in range(0, len(order), _ROWS_AT_ONCE):
            some = source[order[start : start + _ROWS_AT_ONCE]]
            yield _laid_out(path, "the array", some, source.shape)

    status = path.stat()
    return cached_rows(
        ("rows", path.resolve(), status.st_size, status.st_mtime_ns),
        shape=(len(order), *layout.shape[1:]),
        dtype=layout.dtype.type,
        rows=rows(),
    )


def check_npy(path: Path) -> int:
    """The number of rows of an `.npy` file; checks its type, and a small one's values.

    Raises:
        DataError: as :func:`read_npy`, as far as these checks detect it.
    """
    with reading(path, _kind(path)):
        source = _open(path)
        if not isinstance(source, np.memmap):
            _lay_out(path, "the array", source)
        return len(source)


def _open(path: Path) -> NDArray[Any]:
    """The array of an `.npy` file, mapped or in memory; its header is checked."""
    with path.open("rb") as file:
        _check_header(path, "the array", file, path.stat().st_size)
    return in_memory(open_rows(path))


def _check_names(path: Path, names: Sequence[str]) -> None:
    given = listed(names, _NAMED_ARRAYS)
    if ("x" in names) == ("train" in names):
        rule = "must hold an array named x (to be split) or train (with selection and test or not)"
        raise DataError(f"{path}: {rule}: {given or 'none'}")
    if ("selection" in names) != ("test" in names):
        alone = "selection" if "selection" in names else "test"
        raise DataError(f"{path}: selection and test must be given together: {alone} alone")
    if "x" in names and "selection" in names:
        raise DataError(f"{path}: must hold x or splits of its own, not both: {given}")
    for samples, labels in _LABELS.items():
        if labels in names and samples not in names:
            rule = f"{labels} are the labels of {samples} and must stand beside it"
            raise DataError(f"{path}: {rule}: {given}")


def _kind(path: Path) -> str:
    return f"an {'.npy' if path.suffix == '.npy' else '.npz'} file without pickled objects"


def _labels(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    _check_labels(path, name, array.dtype, array.shape)
    largest = np.iinfo(np.int64).max
    if np.issubdtype(array.dtype, np.unsignedinteger) and array.max() > largest:
        raise DataError(f"{path}: {name} must be at most {largest}: {array.max()}")
    return array.astype(np.int64)


def _check_labels(path: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if not np.issubdtype(dtype, np.integer):
        raise DataError(f"{path}: {name} must be integers: {short(dtype)}")
    if any(length < 1 for length in shape):
        raise DataError(f"{path}: {name} must have no empty dimension: {_given(dtype, shape)}")


def _lay_out(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """An array in gan-tune's layout; the values of a table are checked, too."""
    laid_out = _laid_out(path, name, array, array.shape)
    if laid_out.ndim == 2:
        _check_table(path, name, [array])
    return laid_out


def _laid_out(path: Path, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Rows in gan-tune's layout, of an array of that ``shape``."""
    _check_layout(path, name, array.dtype, shape)
    if array.ndim == 2:
        return _in_float32(array)
    if array.ndim == 3:
        return np.ascontiguousarray(array[:, None])
    if array.shape[1] in (1, 3):
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _check_layout(path: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Check a header: what it declares may have no bytes, and yet rows without end."""
    if not shape:
        raise DataError(f"{path}: {name} must have rows: a single {short(dtype)}")
    if shape[0] == 0:
        raise DataError(f"{path}: {name} must have rows: {_given(dtype, shape)}")
    if any(length < 1 for length in shape):
        raise DataError(f"{path}: {name} must have no empty dimension: {_given(dtype, shape)}")
    coloured = len(shape) == 4 and (shape[1] in (1, 3) or shape[3] in (1, 3))
    if dtype == np.uint8 and (len(shape) == 3 or coloured):
        return
    if np.issubdtype(dtype, np.floating) and len(shape) == 2:
        return
    rule = "must be uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3, or float [N, D]"
    hint = " (one column is x[:, None])" if len(shape) == 1 else ""
    raise DataError(f"{path}: {name} {rule}{hint}: {_given(dtype, shape)}")


def _given(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{short(dtype)} {shown(list(shape))}"


def _in_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # values too large become infinite, which is reported
        return array.astype(np.float32, order="C")


def _check_table(path: Path, name: str, parts: Iterable[NDArray[Any]]) -> None:
    """Check the values of a table that comes in parts, and name all columns at fault."""
    rows, missing, ends = 0, np.zeros(1, np.int64), []
    for part in parts:
        table = _in_float32(part)
        missing = missing + np.count_nonzero(~np.isfinite(table), axis=0)
        ends.append([part.min(0), part.max(0), table.min(0), table.max(0)])
        rows += len(part)
    if missing.any():
        rule = "must be finite in float32 (fill in or drop what is missing)"
        given = f"{missing.sum()} values in columns {_columns(np.flatnonzero(missing))} are not"
        raise DataError(f"{path}: {name} {rule}: {given}")
    low, high, low_32, high_32 = (
        pick([end[i] for end in ends], axis=0) for i, pick in enumerate((np.min, np.max) * 2)
    )
    flat = (low_32 == high_32) & (low < high)
    if flat.any() and rows >= _TELLING_ROWS:
        rule = "must vary in float32, too (subtract the mean, or drop what is constant)"
        raise DataError(f"{path}: {name} {rule}: columns {_columns(np.flatnonzero(flat))} do not")


def _columns(places: NDArray[np.intp]) -> str:
    named = [str(place) for place in places[:_NAMED_COLUMNS]]
    return ", ".join([*named, *["..."] * (len(places) > _NAMED_COLUMNS)])
