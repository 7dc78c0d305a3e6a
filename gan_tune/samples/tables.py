"""Generated rows as CSV and Parquet files, with the names and types of the table they imitate."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.columns import Column

if TYPE_CHECKING:
    import pyarrow

__all__ = ["write_csv", "write_parquet"]

FloatRows = NDArray[np.float32]

ROWS = 1 << 14
"""Rows that are written at once."""


class TableSamples(Protocol):
    """Points [N, D] batch by batch, with the columns of the table that they imitate."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(D,)."""

    @property
    def columns(self) -> Sequence[Column]:
        """The names and types of the D coordinates; none if they have none."""

    def arrays(self) -> Iterator[FloatRows]:
        """The batches [at most N, D]."""


def write_csv(file: IO[bytes], samples: TableSamples) -> None:
    """`.csv`: a line of names, then a point per line. Without columns they are x0, x1, ..."""
    columns = samples.columns
    names = [column.name for column in columns] or [f"x{i}" for i in range(samples.shape[0])]
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(names)
    file.write(header.getvalue().encode())
    for rows in _regrouped(samples.arrays()):
        if not columns:
            np.savetxt(file, rows, fmt="%.9g", delimiter=",")
            continue
        from pyarrow import csv as arrow_csv

        # float32 is written with the digits that it has; as double it would get noise behind them.
        options = arrow_csv.WriteOptions(include_header=False)
        arrow_csv.write_csv(_arrow(rows, columns, keep_float32=True), file, options)


def write_parquet(file: IO[bytes], samples: TableSamples) -> None:
    """`.parquet`: points; without columns their names are as for :func:`write_csv`."""
    from pyarrow import parquet

    named = samples.columns or [Column(f"x{i}", "float") for i in range(samples.shape[0])]
    tables = (_arrow(rows, named) for rows in _regrouped(samples.arrays()))
    first = next(tables)
    with parquet.ParquetWriter(file, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _regrouped(arrays: Iterable[FloatRows]) -> Iterator[FloatRows]:
    """The same rows in larger batches: a small one costs as much to write as thousands of rows."""
    kept: list[FloatRows] = []
    for array in arrays:
        kept.append(array)
        if sum(map(len, kept)) >= ROWS:
            yield np.concatenate(kept)
            kept.clear()
    if kept:
        yield np.concatenate(kept)


def _arrow(
    points: FloatRows, columns: Sequence[Column], *, keep_float32: bool = False
) -> pyarrow.Table:
    import pyarrow

    arrays = []
    for values, column in zip(points.T, columns, strict=True):
        kind = pyarrow.type_for_alias(column.type)
        if column.whole:
            arrays.append(pyarrow.array(_whole(values, column.type)).cast(kind))
        else:
            exact = pyarrow.array(np.ascontiguousarray(values))
            arrays.append(exact if keep_float32 else exact.cast(kind))
    return pyarrow.table(arrays, names=[column.name for column in columns])


def _whole(values: NDArray[np.float32], kind: str) -> NDArray[np.generic]:
    """Rounded values, cut off at the ends of their type."""
    rounded = np.rint(np.nan_to_num(values.astype(np.float64)))
    if kind == "bool":
        return rounded > 0.5
    limits = np.iinfo(kind)
    # The largest double within 64 bits, since the limit itself has none.
    high = np.nextafter(2.0**63 if limits.max == 2**63 - 1 else 2.0**64, 0)
    return rounded.clip(limits.min, min(float(limits.max), high)).astype(kind)
