"""Tables of named columns: read from CSV and Parquet, judged, and written with their types."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import csv, parquet
from scipy.stats import spearmanr

import gan_tune
from gan_tune import service
from gan_tune.data import table as table_module
from gan_tune.data.by_name import check_arguments, load_dataset
from gan_tune.data.columns import TYPES, Column, columns_from_json, columns_to_json
from gan_tune.data.dataset import SPLITS, Dataset
from gan_tune.errors import DataError
from gan_tune.metrics import build_judge, metric_names
from gan_tune.metrics.tables import (
    column_distances,
    correlation_difference,
    detection_accuracy,
    ks_max,
    ks_median,
)
from gan_tune.parts.all_parts import catalogue
from gan_tune.samples.files import write_samples
from gan_tune.samples.formats import Samples
from gan_tune.service import Watcher

ROWS = 200


def some_table(rows: int = ROWS) -> pa.Table:
    random = np.random.RandomState(0)
    return pa.table(
        {
            "age": random.randint(18, 90, rows),
            "in come": np.exp(random.randn(rows)),
            "owner": random.rand(rows) < 0.3,
            "rooms": pa.array(random.randint(1, 9, rows), pa.int8()),
            "share": pa.array(random.rand(rows), pa.float32()),
        }
    )


def write(table: pa.Table, path: Path, **options: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(table, path)
    elif path.suffix == ".gz":
        write(table, path.with_suffix(""), **options)
        path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))
    else:
        csv.write_csv(table, path, csv.WriteOptions(**options))
    return str(path)


def load(path: str, **args: Any) -> Dataset:
    check_arguments("table", path=path, **args)
    return load_dataset("table", path=path, **args)


@pytest.mark.parametrize("name", ["own.csv", "own.CSV", "own.tsv", "own.csv.gz", "own.parquet"])
def test_a_table_is_read_whatever_its_file(name: str, tmp_path: Path) -> None:
    table = some_table()
    options = {"delimiter": "\t"} if name.endswith(".tsv") else {}
    dataset = load(write(table, tmp_path / name, **options))
    assert [column.name for column in dataset.columns] == table.column_names
    assert dataset.columns[2] == Column("owner", "bool")
    assert [len(dataset.split(split)) for split in SPLITS] == [160, 20, 20]
    rows = np.concatenate([dataset.split(split) for split in SPLITS])
    expected = np.stack([c.to_numpy(zero_copy_only=False) for c in table.columns], 1)
    order = np.random.RandomState(0).permutation(ROWS)
    np.testing.assert_allclose(rows, expected[order].astype(np.float32), rtol=1e-6)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str, tmp_path: Path) -> None:
    path = write(some_table(), tmp_path / "own.csv", delimiter=delimiter)
    assert len(load(path).columns) == 5


def test_a_column_whose_first_values_look_whole_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("a,b\n" + "1,2\n" * 400_000 + "1.5,3\n")
    assert load(str(path)).columns == (Column("a", "double"), Column("b", "int64"))


def test_columns_are_chosen_by_name_and_in_that_order(tmp_path: Path) -> None:
    path = write(some_table(), tmp_path / "own.csv")
    both = load(path)
    two = load(path, columns=["owner", "age"])
    assert [column.name for column in two.columns] == ["owner", "age"]
    np.testing.assert_array_equal(two.train, both.train[:, [2, 0]])
    assert two.digest != both.digest


def test_a_digest_is_of_names_and_types_too(tmp_path: Path) -> None:
    dataset = load(write(some_table(), tmp_path / "own.csv"))
    for other in (Column("other", "int64"), Column("age", "double")):
        assert replace(dataset, columns=(other, *dataset.columns[1:])).digest != dataset.digest
    same = replace(dataset, notes=("said",), left_out=("x: y",))
    assert same.digest == dataset.digest


def with_column(name: str, values: Any) -> pa.Table:
    return some_table().append_column(name, pa.array(values))


BAD: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "text": (lambda: with_column("town", ["a", "b"] * (ROWS // 2)), "town is text"),
    "dates": (lambda: with_column("born", [date(2020, 1, 1)] * ROWS), "born is a date or time"),
    "identifier": (lambda: with_column("key", range(ROWS)), "key is an identifier"),
    "missing": (
        lambda: with_column("debt", [None, *[1.5] * (ROWS - 1)]),
        "debt has 1 missing or infinite values",
    ),
    "not finite": (
        lambda: with_column("odds", [float("nan"), float("inf"), *[1.0] * (ROWS - 2)]),
        "odds has 2 missing or infinite values",
    ),
    "empty": (lambda: with_column("void", pa.nulls(ROWS)), "void is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_number_is_named_with_the_columns_that_are(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    path = write(make(), tmp_path / "own.parquet")
    with pytest.raises(DataError) as caught:
        load(path)
    choice = "columns: [age, in come, owner, rooms, share] takes the others"
    assert message in str(caught.value)
    assert choice in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faulty_columns_are_named_at_once(tmp_path: Path) -> None:
    table = some_table()
    for name in ("text", "identifier", "missing"):
        (added,) = set(BAD[name][0]().column_names) - set(some_table().column_names)
        table = table.append_column(added, BAD[name][0]().column(added))
    with pytest.raises(DataError, match=r"town is text, key is .*, debt has 1 missing"):
        load(write(table, tmp_path / "own.csv"))


def test_an_identifier_is_learnt_where_it_is_asked_for(tmp_path: Path) -> None:
    path = write(BAD["identifier"][0](), tmp_path / "own.parquet")
    assert load(path, columns=["key", "age"]).columns[0].name == "key"


@pytest.mark.parametrize("name", ["text", "dates", "missing", "not finite", "empty"])
def test_what_is_no_number_is_refused_even_where_it_is_asked_for(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    path = write(make(), tmp_path / "own.parquet")
    with pytest.raises(DataError, match=message):
        load(path, columns=[make().column_names[-1], "age"])


def wide(columns: int) -> pa.Table:
    values = np.random.RandomState(0).rand(30)
    return pa.table({f"c{i}": values for i in range(columns)})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: some_table(19), r"at least 20 samples to be split: 19 \(figures .* about 1,000"),
        (lambda: wide(10_000), r"at most 1,000 columns \(columns: .*\): 10,000"),
        (
            lambda: pa.table({"a": [1.0] * 30, "b": [2] * 30}),
            "must have a column that varies: a, b constant",
        ),
        (lambda: pa.table({"a": [1e39, *[0.5] * 29]}), "must be finite in float32: a"),
        (
            lambda: pa.table({"a": 1e9 + np.arange(30) % 9, "b": np.arange(30) % 7}),
            r"must vary in float32, too \(subtract the mean\): a",
        ),
        (lambda: pa.table({"a": pa.array([], pa.float64())}), "must have rows: none found"),
        (lambda: pa.table({}), "must have columns: none found"),
    ],
)
def test_tables_that_cannot_be_learnt_are_one_line(
    content: Callable[[], pa.Table], message: str, tmp_path: Path
) -> None:
    path = write(content(), tmp_path / "own.parquet")
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert "own" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.csv", "1,2\n" * 40, "must begin with a line of column names: 1, 2"),
        ("own.csv", "a,a\n" + "1,2\n" * 40, "each column must have its own name: a repeat"),
        ("own.csv", "a,b\n" + "1,2\n" * 40 + "1,2,3\n", r"must be a table: .*3"),
        ("own.csv", "", "must be a table"),
        ("own.parquet", "no such thing", "must be a table"),
        ("own.csv.gz", "not compressed", "must be a table"),
        ("own.xlsx", "", r"must end in \.csv, "),
    ],
)
def test_damaged_tables_are_one_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def wide_text(columns: int, rows: int = 3) -> str:
    names = ",".join(f"c{i}" for i in range(columns))
    return "\n".join([names, *[",".join(["1"] * columns)] * rows, ""])


@pytest.mark.parametrize("quoted", ["", '"a\nb",', "\n\n"], ids=["plain", "in lines", "below"])
@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz"])
def test_a_text_of_very_many_columns_is_refused_before_it_is_read(
    name: str, quoted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "read_csv", lambda *args, **_: pytest.fail("read"))
    path, content = tmp_path / name, (quoted + wide_text(200_000)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    with pytest.raises(DataError) as caught:
        load(str(path))
    columns = "200,001" if "," in quoted else "200,000"
    assert str(caught.value) == f"{path}: must be a file of at most 50,000 columns: {columns}"


def test_a_parquet_file_of_very_many_columns_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(pa.table({f"c{i}": [1] for i in range(50_001)}), tmp_path / "own.parquet")
    monkeypatch.setattr(parquet.ParquetFile, "read", lambda *args, **_: pytest.fail("read"))
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: must be a file of at most 50,000 columns: 50,001"


def test_of_what_is_no_number_in_a_parquet_file_only_the_type_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text of 200,000 letters that 20,000 rows share would take 4 GB."""
    text = pa.DictionaryArray.from_arrays(np.zeros(20_000, np.int32), ["x" * 200_000])
    numbers = {"a": np.arange(20_000) / 7, "a.b": np.arange(20_000) % 3}
    path = write(pa.table({**numbers, "t": text}), tmp_path / "own.parquet", store_schema=False)
    asked, read = [], parquet.ParquetFile.read

    def noted(file: parquet.ParquetFile, columns: list[str]) -> pa.Table:
        asked.append(columns)
        return read(file, columns=columns)

    monkeypatch.setattr(parquet.ParquetFile, "read", noted)
    assert load(path, columns=["a.b", "a"]).columns == (
        Column("a.b", "int64"),
        Column("a", "double"),
    )
    with pytest.raises(DataError) as caught:
        load(path)
    rule = "columns must be of finite numbers, and no identifiers (columns: [a, a.b] takes"
    assert str(caught.value) == f"{path}: {rule} the others): t is text"
    assert asked == [["a", "a.b"]] * 2


def test_a_line_of_names_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(",".join(["n" * 5_000] * 1_000) + "\n1\n")
    with pytest.raises(DataError) as caught:
        load(str(path))
    rule = "must begin with a line of column names, of at most 4,194,304 bytes"
    assert str(caught.value) == f"{path}: {rule}: it is longer"


def test_some_columns_of_a_wide_table_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.csv"
    path.write_text(wide_text(10_000, 39) + ",".join("2" * 10_000) + "\n")
    assert [column.name for column in load(str(path), columns=["c7", "c9999"]).columns] == [
        "c7",
        "c9999",
    ]
    monkeypatch.setattr(csv, "read_csv", lambda *args, **_: pytest.fail("read in vain"))
    with pytest.raises(DataError) as caught:
        load(str(path))
    rule = "must have at most 1,000 columns (columns: [...] chooses)"
    assert str(caught.value) == f"{path}: {rule}: 10,000"


def test_a_packed_text_is_read_in_one_block_however_small_its_file(tmp_path: Path) -> None:
    """A line longer than a megabyte, and a fraction far below whole numbers."""
    rows = ["1,2"] * 400_000 + [" " * 3_000_000 + "3,2.5"]
    (tmp_path / "own.csv").write_text("\n".join(["a,b", *rows, ""]))
    (tmp_path / "own.csv.gz").write_bytes(gzip.compress((tmp_path / "own.csv").read_bytes()))
    packed = load(str(tmp_path / "own.csv.gz"))
    assert [column.type for column in packed.columns] == ["int64", "double"]
    np.testing.assert_array_equal(packed.train, load(str(tmp_path / "own.csv")).train)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_values_that_do_not_fit_are_told_before_they_are_read(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes of text become twelve of memory, and what is packed becomes many more."""
    rows = 10_000
    path = tmp_path / f"zeros{suffix}"
    table = pa.table({name: np.zeros(rows, np.int64) for name in "ab"})
    if suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        text = b"a,b\n" + b"0,0\n" * rows
        path.write_bytes(gzip.compress(text) if suffix == ".csv.gz" else text)
    for name in ("reading", "table"):
        monkeypatch.setattr(f"gan_tune.data.{name}.free_memory", lambda: 2 * rows * 12 - 1)
    monkeypatch.setattr(csv, "read_csv", lambda *args, **options: pytest.fail("it is read"))
    monkeypatch.setattr(parquet.ParquetFile, "read", lambda *args, **o: pytest.fail("it is read"))
    with pytest.raises(DataError, match="must fit into memory"):
        load_dataset("table", path=str(path))


def test_a_line_longer_than_a_block_is_told_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "LARGEST_BLOCK", 1 << 16)
    path = tmp_path / "own.csv"
    path.write_text("a,b\n" + "1,2\n" * 99 + "1" * 300_000 + ",2\n" + "1,2\n" * 99)
    with pytest.raises(DataError) as caught:
        load(str(path))
    assert str(caught.value) == f"{path}: must have lines of at most 65,536 bytes: one has more"


LONG = "n" * 300


def nested_type(levels: int) -> pa.DataType:
    kind = pa.int64()
    for _ in range(levels):
        kind = pa.struct([("f", kind)])
    return kind


def deep_values(levels: int) -> pa.Array:
    return pa.nulls(30, nested_type(levels))


IN_SHORT: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "no names": (
        lambda: pa.table([[1.0], [2.0]], names=["", ""]),
        "each column must have its own name: '' repeat",
    ),
    "names of blanks": (
        lambda: pa.table([[1.0], [2.0]], names=[" a", " a"]),
        "each column must have its own name: ' a' repeat",
    ),
    "a long name": (
        lambda: pa.table({LONG: ["x"] * 30, "b": np.arange(30) / 7}),
        "columns must be of finite numbers, and no identifiers (columns: [b] takes the others): "
        f"{'n' * 57}... is text",
    ),
    "a nested type": (
        lambda: pa.table({"a": deep_values(100), "b": np.arange(30) / 7}),
        "columns must be of finite numbers, and no identifiers (columns: [b] takes the others): "
        f"a is of type {str(nested_type(100))[:57]}...",
    ),
}


@pytest.mark.parametrize(("make", "message"), IN_SHORT.values(), ids=list(IN_SHORT))
def test_what_a_table_names_is_said_in_short(
    make: Callable[[], pa.Table], message: str, tmp_path: Path
) -> None:
    path = write(make(), tmp_path / "own.parquet")
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {message}"


def test_columns_that_are_asked_for_are_said_in_short(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(wide_text(50, 30))
    with pytest.raises(DataError) as caught:
        load(str(path), columns=["c0"] * 2_000)
    begun = str(["c0"] * 2_000)[:117]
    assert str(caught.value) == f"{path}: columns must be names, each once: {begun}..."
    with pytest.raises(DataError) as caught:
        load(str(path), columns=[LONG])
    known = ", ".join(f"c{i}" for i in range(30))
    rule = f"column must be one of {known}, and 20 more"
    assert str(caught.value) == f"{path}: {rule}: '{'n' * 116}..."


def test_a_table_that_is_missing_or_named_wrongly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must exist"):
        load(str(tmp_path / "none.csv"))
    path = write(some_table(), tmp_path / "own.csv")
    with pytest.raises(DataError, match="did you mean 'age'"):
        load(path, columns=["ages"])
    with pytest.raises(DataError, match="each once"):
        load(path, columns=["age", "age"])


def test_a_table_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(some_table(), tmp_path / "own.csv")

    def read(file: Path, most: int) -> pa.Table:
        file.write_text(file.read_text() + "1,2,true,3,4\n")
        return some_table()

    monkeypatch.setattr(table_module, "READERS", {".csv": read})
    with pytest.raises(DataError, match="must not change while it is read"):
        load(path)


def test_a_small_table_and_large_whole_numbers_are_noted(tmp_path: Path) -> None:
    table = some_table().append_column("cents", pa.array([10**9 * (i % 7) for i in range(ROWS)]))
    notes = load(write(table, tmp_path / "own.csv")).notes
    assert notes[0].startswith("200 samples are few")
    assert "keep 7 digits: cents" in notes[1]
    assert load(write(some_table(2000), tmp_path / "more.csv")).notes == ()


def test_a_table_is_scaled_by_column_unless_it_is_said_otherwise() -> None:
    arguments = catalogue().parts["data"]
    assert arguments["table"]["scale"].default == "by_column"
    others = {name: of["scale"].default for name, of in arguments.items() if name != "table"}
    assert set(others.values()) == {"none"}


# ------------------------------------------------------------------ written


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_samples_come_with_the_names_and_types_of_the_table(suffix: str, tmp_path: Path) -> None:
    table = some_table()
    dataset = load(write(table, tmp_path / f"own{suffix}"))
    out = tmp_path / f"samples{suffix}"
    write_samples(Samples.of(torch.tensor(dataset.train), dataset.columns), str(out))
    back = csv.read_csv(out) if suffix == ".csv" else parquet.read_table(out)
    assert back.column_names == table.column_names
    if suffix == ".parquet":
        assert back.schema.types == table.schema.types
    again = load(str(out))
    assert [c.name for c in again.columns] == [c.name for c in dataset.columns]
    assert [c.whole for c in again.columns] == [c.whole for c in dataset.columns]
    values = np.stack([c.to_numpy(zero_copy_only=False) for c in back.columns], 1)
    np.testing.assert_allclose(values.astype(float), dataset.train, rtol=1e-6)


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_holds_what_a_generator_makes(kind: str, tmp_path: Path) -> None:
    """Rounded to a whole number, and cut off where the type ends."""
    made = torch.tensor([[-1e30], [-0.6], [0.4], [2.6], [1e30]])
    column = Column("x", kind)
    write_samples(Samples.of(made, [column]), str(tmp_path / "out.parquet"))
    found = parquet.read_table(tmp_path / "out.parquet").column("x")
    assert str(found.type) == kind
    if kind == "bool":
        assert found.to_pylist() == [False, False, False, True, True]
    elif column.whole:
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        values = found.to_pylist()
        assert values[1:4] == [max(least, -1), 0, 3]
        assert values[0] == least
        assert values[4] == pytest.approx(most)
        assert values[4] <= most
    else:
        assert found.to_pylist()[3] == pytest.approx(2.6, rel=1e-3)


@pytest.mark.parametrize("name", ["with, comma", 'with "quotes"', "größe", "two\nlines"])
def test_any_name_survives_a_csv_file(name: str, tmp_path: Path) -> None:
    out = tmp_path / "samples.csv"
    write_samples(Samples.of(torch.rand(30, 1), [Column(name, "double")]), str(out))
    options = csv.ParseOptions(newlines_in_values=True)
    assert csv.read_csv(out, parse_options=options).column_names == [name]


def test_points_without_columns_are_written_with_numbered_names(tmp_path: Path) -> None:
    for suffix, read in ((".csv", csv.read_csv), (".parquet", parquet.read_table)):
        write_samples(Samples.of(torch.rand(5, 2)), str(tmp_path / f"out{suffix}"))
        assert read(tmp_path / f"out{suffix}").column_names == ["x0", "x1"]


def test_columns_go_through_json() -> None:
    columns = (Column("a b", "int64"), Column('"ä', "bool"))
    assert columns_from_json(columns_to_json(columns)) == columns
    for content in (b"{}", b'[{"name": 1}]', b'[{"name": "x", "type": "text"}]', b"no json"):
        with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
            columns_from_json(content)
    assert json.loads(columns_to_json(())) == []
    with pytest.raises(ValueError, match=r"^must be a list of columns: it is nested too deeply$"):
        columns_from_json(b"[" * 100_000)
    with pytest.raises(ValueError, match=r": 't{116}\.\.\.$"):
        Column("a", "t" * 9_999)


# ------------------------------------------------------------------ judged


def judged_table(rows: int = 4000) -> Dataset:
    random = np.random.RandomState(1)
    a = random.randn(rows)
    b = np.where(random.rand(rows) < 0.5, 0, np.exp(a + random.randn(rows)))
    table = np.stack([a, b, np.round(3 * a + random.randn(rows))], 1).astype(np.float32)
    cut = rows // 2
    columns = (Column("a", "double"), Column("b", "double"), Column("c", "int64"))
    halves = table[cut : cut + cut // 2], table[cut + cut // 2 :]
    return Dataset("own", "points", table[:cut], *halves, columns=columns)


def test_the_figures_of_tables_are_their_plain_formulas() -> None:
    dataset = judged_table()
    real, fake = dataset.selection[:300], dataset.test[:200] * 1.2
    for i, distance in enumerate(column_distances(real, fake)):
        x, y = real[:, i], fake[:, i]
        steps = np.concatenate([x, y])
        plain = max(abs((x <= t).mean() - (y <= t).mean()) for t in steps)
        assert distance == pytest.approx(plain)
    assert ks_max(real, fake) == max(column_distances(real, fake))
    assert ks_median(real, fake) == np.median(column_distances(real, fake))
    expected = np.abs(spearmanr(real).statistic - spearmanr(fake).statistic).max()
    assert correlation_difference(real, fake) == pytest.approx(expected)


def test_a_constant_column_is_correlated_with_nothing() -> None:
    real = judged_table().selection
    flat = real.copy()
    flat[:, 0] = 1
    lost = np.abs(spearmanr(real).statistic[0, 1:]).max()
    assert correlation_difference(real, flat) == pytest.approx(lost)


@pytest.mark.parametrize("change", ["none", "shuffled", "shifted"])
def test_trees_tell_what_is_wrong_and_nothing_else(change: str) -> None:
    dataset = judged_table()
    fake = dataset.test.copy()
    if change == "shuffled":  # every column by itself is as it was
        fake[:, 0] = np.random.RandomState(0).permutation(fake[:, 0])
    elif change == "shifted":
        fake[:, 0] += 3
    accuracy = detection_accuracy(dataset.selection, fake)
    assert abs(accuracy - 0.5) < 0.06 if change == "none" else accuracy > 0.8


def test_a_table_is_judged_by_columns_and_other_points_are_not() -> None:
    dataset = judged_table()
    own = {"ks_median", "ks_max", "correlation_difference"}
    judge = build_judge(dataset, "selection")
    assert own < set(judge.names)
    assert "detection_accuracy" not in judge.names
    assert own < set(judge.floor)
    values = build_judge(dataset, "test", extra=["detection_accuracy"])
    assert "detection_accuracy" in values(torch.tensor(dataset.selection))
    assert not own & set(metric_names(replace(dataset, columns=())))


def test_distances_are_measured_in_standardised_columns() -> None:
    """So the unit of a column does not matter."""
    dataset = judged_table()
    unit = np.array([1, 1e-3, 50], np.float32)
    scaled = replace(dataset, **{split: dataset.split(split) * unit for split in SPLITS})
    one, other = (build_judge(d, "selection") for d in (dataset, scaled))
    first, second = one(torch.tensor(dataset.test)), other(torch.tensor(scaled.test))
    for name in ("frechet_distance", "sliced_wasserstein", "energy_distance", "ks_max"):
        assert first[name] == pytest.approx(second[name], rel=1e-3)


# ------------------------------------------------------------------ as a whole


def tiny_space(data: dict[str, Any], metric: str, **networks: Any) -> dict[str, Any]:
    adam = {"name": "adam", "lr": 1e-3}
    return {
        "name": "own",
        "objective": {"metric": metric, "mode": "min"},
        "budget": {"trials": 1, "steps": 20, "evaluations": 2},
        "confirm": {"top": 1, "seeds": 1},
        "trial": {
            "data": {**data, "batch_size": 16},
            "generator": {"name": "mlp", "latent": 4, "hidden": [8], **networks},
            "discriminator": {"name": "mlp", "hidden": [8]},
            "loss": "non_saturating",
            "generator_optimizer": adam,
            "discriminator_optimizer": adam,
        },
    }


class Notes(Watcher):
    """Keeps what a search says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.ci
def test_a_table_is_searched_and_its_champion_makes_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table, notes = some_table(600), Notes()
    path = write(table, tmp_path / "own.parquet")
    space = tiny_space({"name": "table", "path": path}, "ks_median", output="linear")
    result = gan_tune.search(space, watcher=notes, register_anyway=True)
    assert result.finished
    assert {"test.ks_max", "test.correlation_difference"} <= set(result.test)
    assert "data: 600 samples are few: figures mean something from about 1,000 on" in notes.said
    service.generate("own", "made.parquet", count=100)
    made = parquet.read_table("made.parquet")
    assert made.schema.names == table.schema.names
    assert made.schema.types == table.schema.types
    assert made.num_rows == 100
    ages = made.column("age").to_pylist()
    assert 18 <= min(ages) <= max(ages) < 90


@pytest.mark.ci
def test_a_search_lists_the_pictures_that_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    random, notes = np.random.RandomState(0), Notes()
    for i in range(40):
        pixels = random.randint(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    (tmp_path / "photos" / "bad.png").write_text("no picture")
    data = {"name": "pictures", "root": "photos", "size": 8, "channels": 1}
    result = gan_tune.search(tiny_space(data, "frechet_distance"), watcher=notes)
    assert result.finished
    assert any("left out: bad.png" in note for note in notes.said)
    listed = (tmp_path / "gan_tune_runs" / "own" / "left_out.txt").read_text()
    assert listed.startswith("bad.png: cannot identify")
