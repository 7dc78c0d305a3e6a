"""Data files that somebody has damaged: read, or refused in one line."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from fuzzing import ASKED, lanes, refuses_or_takes
from hypothesis import strategies as st
from mutations import contents, texts
from PIL import Image
from pyarrow import parquet

from gan_tune.data import by_name
from gan_tune.data.idx import read_idx
from gan_tune.errors import DataError

RANDOM = np.random.RandomState(0)
POINTS = RANDOM.standard_normal((24, 2)).astype(np.float32)
PICTURES = RANDOM.randint(0, 256, (24, 4, 4)).astype(np.uint8)
CSV = "a,b\n" + "".join(f"{x:.4f},{y:.4f}\n" for x, y in POINTS)


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def npz(compression: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        archive.writestr("x.npy", npy(PICTURES))
        archive.writestr("y.npy", npy(np.arange(24)))
    return content.getvalue()


def parquet_file() -> bytes:
    content = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"a": POINTS[:, 0], "b": POINTS[:, 1]}), content)
    return content.getvalue().to_pybytes()


def idx() -> bytes:
    return struct.pack(">4I", 0x803, *PICTURES.shape) + PICTURES.tobytes()


def loaded(name: str) -> Callable[[Path], None]:
    def load(path: Path) -> None:
        by_name.check_arguments(name, path=str(path))
        by_name.load_dataset(name, path=str(path))

    return load


FILES: Mapping[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "npy": ("x.npy", npy(POINTS), loaded("npz")),
    "npz, stored": ("x.npz", npz(zipfile.ZIP_STORED), loaded("npz")),
    "npz, deflated": ("x.npz", npz(zipfile.ZIP_DEFLATED), loaded("npz")),
    "npz, lzma": ("x.npz", npz(zipfile.ZIP_LZMA), loaded("npz")),
    "csv": ("x.csv", CSV.encode(), loaded("table")),
    "csv.gz": ("x.csv.gz", gzip.compress(CSV.encode(), mtime=0), loaded("table")),
    "parquet": ("x.parquet", parquet_file(), loaded("table")),
    "idx": ("x-ubyte", idx(), lambda path: read_idx(path, dimensions=3)),
    "idx.gz": ("x-ubyte.gz", gzip.compress(idx(), mtime=0), lambda p: read_idx(p, dimensions=3)),
}


@lanes
@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_of_data(kind: str, examples: int, tmp_path: Path) -> None:
    name, content, read = FILES[kind]
    path = tmp_path / name

    def read_damaged(damaged: bytes) -> None:
        path.write_bytes(damaged)
        read(path)

    # All kinds together have as many examples as each other subject.
    refuses_or_takes(examples if ASKED else examples // 8, contents(content), read_damaged)


@lanes
def test_a_damaged_text_of_a_table(examples: int, tmp_path: Path) -> None:
    path, pieces = (
        tmp_path / "x.csv",
        ("nan", "inf", '"', "\x00", "1e400", "2020-01-01", "true", "\r"),
    )

    def read_damaged(text: str) -> None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        loaded("table")(path)

    refuses_or_takes(examples // 4, texts(CSV, pieces), read_damaged)


FORMATS = ("png", "jpeg", "gif", "webp", "bmp", "tiff", "ppm")


def picture(form: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(RANDOM.randint(0, 256, (9, 7, 3)).astype(np.uint8)).save(content, form)
    return content.getvalue()


@lanes
def test_a_damaged_picture(examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(20):
        (root / f"{i:02}.png").write_bytes(picture("png"))
    damaged = [st.tuples(st.just(form), contents(picture(form))) for form in FORMATS]

    def read_damaged(one: tuple[str, bytes]) -> None:
        path = root / f"99.{one[0]}"
        path.write_bytes(one[1])
        try:
            by_name.load_dataset("pictures", root=str(root), size=8)
        finally:
            path.unlink()

    refuses_or_takes(examples // 4, st.one_of(damaged), read_damaged)


@lanes
@pytest.mark.filterwarnings("error")
def test_a_header_of_any_type_and_shape(examples: int, tmp_path: Path) -> None:
    """Most declare far more rows than the file has bytes, or rows that take no bytes."""
    types = st.sampled_from(["<f4", ">f8", "|u1", "<i8", "<u8", "|V0", "|S0", "<U0", "|b1", "<f2"])
    lengths = st.sampled_from([-1, 0, 1, 3, 24, 300_000_000, 10**12, 2**63, 2**70])
    shapes = st.lists(lengths, max_size=5).map(tuple)

    def read_declared(one: tuple[str, tuple[int, ...], str]) -> None:
        descr, shape, name = one
        header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        content = b"\x93NUMPY\x01\0" + struct.pack("<H", 246) + header.ljust(245) + b"\n"
        content += bytes(96)
        (tmp_path / "x.npy").write_bytes(content)
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("x.npy", content if name == "x" else npy(POINTS))
            archive.writestr("y.npy", content if name == "y" else npy(np.arange(24)))
        loaded("npz")(tmp_path / ("x.npy" if name == "npy" else "x.npz"))

    names = st.sampled_from(["npy", "x", "y"])
    refuses_or_takes(examples, st.tuples(types, shapes, names), read_declared)


@lanes
def test_a_damaged_file_of_the_cache(
    examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, root = tmp_path / "cache", tmp_path / "photos"
    monkeypatch.setenv("GAN_TUNE_CACHE", str(cache))
    root.mkdir()
    for i in range(20):
        (root / f"{i:02}.png").write_bytes(picture("png"))
    (root / "99.png").write_bytes(b"")
    by_name.load_dataset("image_folder", root=str(root), size=8)
    whole = {path: path.read_bytes() for path in sorted(cache.rglob("*.*"))}
    damaged = [st.tuples(st.just(path), contents(content)) for path, content in whole.items()]

    def read_damaged(one: tuple[Path, bytes]) -> None:
        path, content = one
        path.write_bytes(content)
        by_name.load_dataset("image_folder", root=str(root), size=8)
        path.write_bytes(whole[path])

    refuses_or_takes(examples // 2, st.one_of(damaged), read_damaged)


def test_no_file_declares_more_than_there_is_memory_for(tmp_path: Path) -> None:
    """The sizes are compared before anything is read: a header of 24 bytes asks for 64 GiB."""
    path = tmp_path / "x-ubyte"
    path.write_bytes(struct.pack(">4I", 0x803, 1 << 20, 1 << 14, 1 << 12))
    with pytest.raises(DataError, match=r"must fit into memory, of which .* are free: it declares"):
        read_idx(path, dimensions=3)
    assert os.path.getsize(path) < 100
