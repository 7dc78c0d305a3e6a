"""A user's own table of numbers, in a CSV or Parquet file, as points with named columns."""

from __future__ import annotations

import csv as plain_csv
import gzip
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.columns import TYPES, Column
from gan_tune.data.reading import check_room, free_memory, reading
from gan_tune.data.short_text import listed, short
from gan_tune.errors import DataError
from gan_tune.words.wording import did_you_mean, shown

if TYPE_CHECKING:
    import pyarrow

__all__ = ["READERS", "Table", "check_table", "read_table", "rounding_notes"]

MAX_COLUMNS = 1_000
MAX_COLUMNS_OF_FILE = 50_000
"""Of these, some may be chosen. Arrow takes 80 microseconds and 8 KB for each, if it is empty."""
LARGEST_HEADER = 1 << 22
"""Bytes of the line of column names."""
NAMED_COLUMNS = 8
NAMED_CHOICE = 30
NAMED_FAULT_LETTERS = 150
DELIMITERS = ",;\t|"
LARGEST_BLOCK = 1 << 30
VALUE_BYTES = 8 + 4
"""Of a value, as Arrow holds it and as it is learnt."""
EXACT_IN_FLOAT32 = 1 << 24

Table = tuple[tuple[Column, ...], NDArray[np.float32]]
"""The columns, and their values float32 [N, D]."""


class _Found(NamedTuple):
    """The columns of a file, and a table that has the values of at least those of numbers."""

    schema: pyarrow.Schema
    table: pyarrow.Table


def _read_csv(path: Path, most: int) -> _Found:
    from pyarrow import csv

    size, lines = _unpacked_size(path)
    check_room(path, size)
    delimiter, width = _delimiter_and_width(path)
    _check_count(path, width, most)
    check_room(path, lines * width * VALUE_BYTES)
    # Arrow infers a column's type from one block. With a single block it sees all values.
    block = min(max(size + 1, 1 << 20), LARGEST_BLOCK)
    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(block_size=block),
            parse_options=csv.ParseOptions(delimiter=delimiter),
        )
    except ValueError as error:
        if "straddl" not in str(error):
            raise
        rule = f"must have lines of at most {block:,} bytes"
        raise DataError(f"{path}: {rule}: one has more") from None
    return _Found(table.schema, table)


def _unpacked_size(path: Path) -> tuple[int, int]:
    """Bytes and lines of a text, at least as far as it fits into memory."""
    unpacked, lines, free = 0, 0, free_memory()
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        while unpacked <= free and (chunk := file.read(1 << 20)):
            unpacked += len(chunk)
            lines += chunk.count(b"\n")
    return unpacked, lines


def _delimiter_and_width(path: Path) -> tuple[str, int]:
    """The separator that the first line has most often, or a comma, and how many columns it has.

    Raises:
        DataError: that line is too long, or has too many columns.
    """
    import pyarrow

    with pyarrow.input_stream(str(path)) as stream:  # decompresses .gz and the like
        content = bytes(stream.read(LARGEST_HEADER))
    text = content.decode("utf-8", "replace").lstrip("\r\n")  # Arrow passes over empty lines
    delimiter = max(DELIMITERS, key=text[: 1 << 16].partition("\n")[0].count)
    lines = io.StringIO(text, newline="")
    header = next(plain_csv.reader(lines, delimiter=delimiter), [])
    _check_width(path, len(header))
    if len(content) == LARGEST_HEADER and lines.tell() == len(text):
        rule = f"must begin with a line of column names, of at most {LARGEST_HEADER:,} bytes"
        raise DataError(f"{path}: {rule}: it is longer")
    return delimiter, len(header)


def _check_width(path: Path, columns: int) -> None:
    if columns > MAX_COLUMNS_OF_FILE:
        rule = f"must be a file of at most {MAX_COLUMNS_OF_FILE:,} columns"
        raise DataError(f"{path}: {rule}: {columns:,}")


def _check_count(path: Path, columns: int, most: int) -> None:
    if columns > most:
        rule = f"must have at most {MAX_COLUMNS:,} columns (columns: [...] chooses)"
        raise DataError(f"{path}: {rule}: {columns:,}")


def _read_parquet(path: Path, most: int) -> _Found:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        declared = file.metadata
        _check_width(path, declared.num_columns)
        _check_count(path, declared.num_columns, most)
        _check_names(path, file.schema_arrow.names)  # Arrow does not read two of one name
        groups = [declared.row_group(i) for i in range(declared.num_row_groups)]
        values = declared.num_rows * declared.num_columns * VALUE_BYTES
        check_room(path, max(values, sum(group.total_byte_size for group in groups)))
        # Of others only the type is told. A small file may hold one text a million times.
        numbers = [field.name for field in file.schema_arrow if str(field.type) in TYPES]
        _check_dots(path, file.schema_arrow, numbers)
        return _Found(file.schema_arrow, file.read(columns=numbers))


def _check_dots(path: Path, schema: pyarrow.Schema, numbers: Sequence[str]) -> None:
    """`t.x` is also the field x of a column t: Arrow would read both."""
    from pyarrow import types

    nested = tuple(f"{field.name}." for field in schema if types.is_nested(field.type))
    for name in numbers:
        if name.startswith(nested):
            rule = "must have another name than a field within another column"
            raise DataError(f"{path}: {short(name)}: {rule}")


READERS: Mapping[str, Callable[[Path, int], _Found]] = MappingProxyType(
    {".csv": _read_csv, ".tsv": _read_csv, ".gz": _read_csv, ".parquet": _read_parquet}
)
"""Suffix → function that reads such a file of so many columns; `.gz` is a compressed CSV file."""


def check_table(path: Path) -> None:
    """Check that a file is there and named as a table.

    Raises:
        DataError: it is missing, or has another suffix.
    """
    if path.suffix.lower() not in READERS:
        raise DataError(f"{path}: must end in {', '.join(READERS)}")
    with reading(path, "a table"):
        if not path.is_file():
            raise FileNotFoundError


def read_table(path: Path, columns: Sequence[str] | None) -> Table:
    """The columns of a table that are named, in that order, or all of them.

    Without names, every column must be of numbers, and none an identifier.

    Raises:
        DataError: the file is missing or damaged or changes while it is read; a column is missing,
            or is not of finite numbers, or all are constant.
    """
    check_table(path)
    with reading(path, "a table"):
        return _read_table(path, columns)


def _read_table(path: Path, columns: Sequence[str] | None) -> Table:
    # Thousands take seconds to read, and none can be learnt unless some are chosen.
    found = _found(path, MAX_COLUMNS if columns is None else MAX_COLUMNS_OF_FILE)
    names: Sequence[str] = found.schema.names
    _check_names(path, names)
    chosen = _chosen(path, names, columns)
    _check_count(path, len(chosen), MAX_COLUMNS)
    faults = {name: fault for name in chosen if (fault := _fault(found, name, given=bool(columns)))}
    if faults:
        others = [name for name in names if not _fault(found, name, given=False)]
        raise DataError(_refusal(path, faults, others))
    learnt = tuple(Column(name, str(found.schema.field(name).type)) for name in chosen)
    return learnt, _in_float32(path, found, chosen)


def _found(path: Path, most: int) -> _Found:
    before = path.stat()
    found = READERS[path.suffix.lower()](path, most)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(f"{path}: must not change while it is read: read it again once it is whole")
    return found


def _check_names(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise DataError(f"{path}: must have columns: none found")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if all(_is_number(name) for name in names):
        rule = "must begin with a line of column names"
        raise DataError(f"{path}: {rule}: {listed(names, NAMED_COLUMNS)}")
    if twice:
        raise DataError(f"{path}: each column must have its own name: {listed(twice, 8)} repeat")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _chosen(path: Path, names: Sequence[str], columns: Sequence[str] | None) -> Sequence[str]:
    if columns is None:
        return names
    known = set(names)
    for name in columns:
        if name not in known:
            rule = f"column must be one of {listed(names, NAMED_CHOICE)}{did_you_mean(name, names)}"
            raise DataError(f"{path}: {rule}: {shown(name)}")
    if len(set(columns)) != len(columns) or not columns:
        raise DataError(f"{path}: columns must be names, each once: {shown(list(columns))}")
    return columns


def _fault(found: _Found, name: str, *, given: bool) -> str | None:
    """Why a column cannot be learnt, or None. One that is ``given`` by name is no identifier."""
    import pyarrow.types as types

    kind = found.schema.field(name).type
    if types.is_null(kind):
        return "is empty"
    if types.is_temporal(kind):
        return "is a date or time"
    if str(kind) not in TYPES:
        is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)
        return "is text" if is_text else f"is of type {short(kind)}"
    numbers = _numbers(found, name)
    missing = int(np.count_nonzero(~np.isfinite(numbers)))
    if missing:
        return f"has {missing:,} missing or infinite values"
    if not given and types.is_integer(kind) and len(np.unique(numbers)) == len(numbers) > 1:
        return "is an identifier (all values differ)"
    return None


def _numbers(found: _Found, name: str) -> NDArray[np.float64]:
    """The values of a column of numbers, NaN where one is missing."""
    import pyarrow

    column = found.table.column(name)
    if column.type != pyarrow.float64():
        column = column.cast(pyarrow.float64(), safe=False)
    numbers: NDArray[np.float64] = column.to_numpy()
    return numbers


def _refusal(path: Path, faults: Mapping[str, str], others: Sequence[str]) -> str:
    named = [f"{short(name)} {fault}" for name, fault in faults.items()]
    rule = "columns must be of finite numbers, and no identifiers"
    if others:
        way = f"columns: [{listed(others, NAMED_CHOICE)}] takes the others"
    else:
        way = "no other column is left"
    return f"{path}: {rule} ({way}): {listed(named, NAMED_COLUMNS, NAMED_FAULT_LETTERS)}"


def _in_float32(path: Path, found: _Found, names: Sequence[str]) -> NDArray[np.float32]:
    if not len(found.table):
        raise DataError(f"{path}: must have rows: none found")
    table = np.empty((len(found.table), len(names)), np.float32)
    varied = np.empty(len(names), np.bool_)
    for i, name in enumerate(names):  # one at a time: all of them in float64 may not fit
        numbers = _numbers(found, name)
        varied[i] = numbers.min() < numbers.max()
        with np.errstate(over="ignore"):  # reported below
            table[:, i] = numbers
    beyond = [n for n, column in zip(names, table.T, strict=True) if not np.isfinite(column).all()]
    if beyond:
        raise DataError(f"{path}: must be finite in float32: {listed(beyond, NAMED_COLUMNS)}")
    if not varied.any():
        rule = "must have a column that varies"
        raise DataError(f"{path}: {rule}: {listed(names, NAMED_COLUMNS)} constant")
    lost: NDArray[np.bool_] = varied & (table.min(0) == table.max(0))
    flat = [name for name, is_flat in zip(names, lost, strict=True) if is_flat]
    if flat:
        rule = "must vary in float32, too (subtract the mean)"
        raise DataError(f"{path}: {rule}: {listed(flat, NAMED_COLUMNS)}")
    return table


def rounding_notes(columns: Sequence[Column], values: NDArray[np.float32]) -> tuple[str, ...]:
    """A note on whole numbers so large that float32 does not hold them exactly."""
    largest = np.abs(values).max(0)
    far = [
        c.name for c, x in zip(columns, largest, strict=True) if c.whole and x > EXACT_IN_FLOAT32
    ]
    if not far:
        return ()
    return (f"whole numbers above {EXACT_IN_FLOAT32:,} keep 7 digits: {listed(far, 8)}",)
