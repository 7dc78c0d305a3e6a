"""Arrays larger than memory: kept in a file, mapped into memory, and passed on by their path.

A small array is read into memory and reaches other nodes through Ray's object store. A mapped array
is not sent: its file must have the same path on each node. So on a cluster $GAN_TUNE_CACHE must
name a folder that all nodes share.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gan_tune.atomic_file import whole_file
from gan_tune.data.locations import cache_folder
from gan_tune.data.npy_header import npy_header
from gan_tune.errors import DataError

__all__ = ["by_path", "cached_rows", "chunks", "in_memory", "is_mapped", "open_rows"]

MAPPED_FROM = 1 << 30
"""Arrays of at least this many bytes stay in their file."""
CHUNK_BYTES = 1 << 26


def open_rows(path: Path) -> np.memmap[Any, np.dtype[Any]]:
    """The array of an `.npy` file, mapped: only its header is read. Nothing is unpickled.

    Raises:
        OSError, ValueError: the file is missing, damaged, or holds objects.
        Exception: whatever else numpy raises for a damaged header.
    """
    with path.open("rb") as file:
        header = npy_header(file)
    if header.declared > path.stat().st_size - header.start:  # beyond its end, a read kills
        raise ValueError(f"must hold the {header.declared:,} bytes that its header declares")
    return np.lib.format.open_memmap(path, mode="r")


def in_memory(mapped: NDArray[Any]) -> NDArray[Any]:
    """A mapped array as it is if it is large, else read into memory."""
    return mapped if mapped.nbytes >= MAPPED_FROM else np.array(mapped)


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether an array is a plain read-only view of a file."""
    return (
        isinstance(array, np.memmap)
        and getattr(array, "_mmap", None) is not None  # None where numpy had to copy
        and array.filename is not None
        and array.mode == "r"
        and array.flags.c_contiguous
    )


def chunks(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The rows in order, about 64 MiB at a time, so a mapped array is never fully in memory."""
    step = max(1, CHUNK_BYTES // max(1, rows.nbytes // max(1, len(rows))))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


class _ByPath:
    """Pickles rows as their place in a file; unpickling maps these rows."""

    def __init__(self, rows: np.memmap[Any, Any]) -> None:
        # A slice keeps the `offset` of the whole array; its address gives its real beginning.
        mapping: mmap.mmap = rows._mmap  # type: ignore[attr-defined]
        start = rows.offset - rows.offset % mmap.ALLOCATIONGRANULARITY
        first = np.frombuffer(mapping, np.uint8).ctypes.data
        offset = start + rows.ctypes.data - first
        self._place = (str(rows.filename), rows.dtype.str, offset, rows.shape)

    def __reduce__(self) -> tuple[Callable[..., NDArray[Any]], tuple[Any, ...]]:
        return _map, self._place


def by_path(value: Any) -> Any:
    """The object to pickle instead of ``value``: a mapped array's place, or ``value`` itself."""
    return _ByPath(value) if isinstance(value, np.memmap) and is_mapped(value) else value


def _map(path: str, dtype: str, offset: int, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError) as error:
        rule = "must lie unchanged at this path on every node (set GAN_TUNE_CACHE to a shared one)"
        raise DataError(f"{path}: {rule}: {error}") from None


def cached_rows(
    key: Iterable[object],
    *,
    shape: tuple[int, ...],
    dtype: type[np.generic],
    rows: Iterable[NDArray[Any]],
) -> NDArray[Any]:
    """An array that is made once for each ``key`` and kept in the cache folder.

    ``rows`` yields some rows at a time; it is called only if the array is not in the cache, or is
    damaged there, as after a power cut. If several processes make the same array at once, each
    writes its own file, and the last one stays.

    Raises:
        DataError: the cache folder cannot be written.
    """
    digest = hashlib.sha256(repr((*key, shape, np.dtype(dtype).str)).encode()).hexdigest()
    path = cache_folder() / "arrays" / f"{digest[:32]}.npy"
    try:
        kept = _kept(path, shape, np.dtype(dtype))
        if kept is not None:
            return kept
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            _write(file, shape, np.dtype(dtype), rows)
        return in_memory(open_rows(path))
    except (OSError, ValueError) as error:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        rule = f"must be readable and have room for {size:,} bytes (GAN_TUNE_CACHE names another)"
        raise DataError(f"{path.parent}: {rule}: {error}") from None


def _kept(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """The array that a file of the cache holds; None if it is not there, or not as it was made."""
    if not path.is_file():
        return None
    try:
        mapped = open_rows(path)
        if (mapped.shape, mapped.dtype) != (shape, dtype) or not mapped.flags.c_contiguous:
            return None
        whole = path.stat().st_size == mapped.offset + mapped.nbytes
    except Exception:  # numpy may raise anything for a damaged file: it is made again
        return None
    return in_memory(mapped) if whole else None


def _write(
    file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], rows: Iterable[NDArray[Any]]
) -> None:
    # Written, not mapped: on a full disk a write raises, but a mapped page kills the process.
    description = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": description, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for some in rows:
        file.write(np.ascontiguousarray(some, dtype=dtype).data)
