"""Samples as files: every format, read back by other programs; whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import resource
import signal
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from torch import Tensor, nn

from gan_tune.errors import OutputError
from gan_tune.samples import files
from gan_tune.samples.formats import FORMATS, Samples, folder_size

PICTURES = torch.linspace(0, 1, 3 * 3 * 4 * 4).reshape(3, 3, 4, 4)
POINTS = torch.linspace(-1, 1, 10).reshape(5, 2)


def write(samples: Tensor, path: Path, *, force: bool = False) -> None:
    """In batches of two."""
    parts = Samples(samples.split(2), len(samples), tuple(samples.shape[1:]))
    files.write_samples(parts, str(path), force=force)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("samples", [PICTURES, POINTS], ids=["pictures", "points"])
def test_every_format_holds_what_was_written(suffix: str, samples: Tensor, tmp_path: Path) -> None:
    kind = FORMATS[suffix]
    path = tmp_path / f"out{suffix}"
    if not (kind.pictures if samples.ndim == 4 else kind.points):
        with pytest.raises(OutputError, match=r"are written as .* or "):
            write(samples, path)
        assert not list(tmp_path.iterdir())
        return
    write(samples, path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    back = READ[suffix](path)
    if back is not None:
        apart = 0.5 / 255 + 1e-6 if suffix in (".zip", ".gif") else 0
        np.testing.assert_allclose(back, samples, rtol=0, atol=apart)
    if kind.exact:
        parts = Samples.of(samples)
        assert path.stat().st_size == kind.size(parts)


def pixels(picture: Any) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).transpose(2, 0, 1) / 255


def from_zip(path: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{i:05}.png" for i in range(3)]
        return np.stack(
            [pixels(Image.open(io.BytesIO(archive.read(n)))) for n in archive.namelist()]
        )


def frames_of(path: Path) -> None:
    with Image.open(path) as animation:
        assert animation.n_frames == 3
        assert animation.size == (256, 256)
        assert animation.info["loop"] == 0


def rows_of(path: Path) -> np.ndarray:
    with path.open() as file:
        header, *rows = csv.reader(file)
    assert header == ["x0", "x1"]
    return np.array(rows, np.float32)


def sheet_of(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


READ: dict[str, Any] = {
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".npz": lambda path: np.load(path, allow_pickle=False)["samples"],
    ".zip": from_zip,
    ".gif": frames_of,
    ".png": sheet_of,
    ".csv": rows_of,
    ".parquet": lambda path: np.stack([c.to_numpy() for c in parquet.read_table(path)], 1),
}


def test_samples_are_written_as_they_come(tmp_path: Path) -> None:
    """A hundred times more of them take no more memory."""

    def zeros(count: int) -> Iterator[Tensor]:
        for _ in range(count):
            yield torch.zeros(64, 1000)

    def peak(batches: int) -> int:
        tracemalloc.start()
        parts = Samples(zeros(batches), batches * 64, (1000,))
        files.write_samples(parts, str(tmp_path / "out.npy"), force=True)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)
    assert peak(200) < peak(2) + 100_000


def test_sizes_are_told_and_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    few = Samples.of(POINTS)
    assert files.planned_size(few, str(tmp_path / "a.npy")) == "168 bytes"
    assert files.planned_size(few, str(tmp_path / "a.csv")) == "about 110 bytes"
    many = Samples([], 10**12, (3, 64, 64))
    with pytest.raises(
        OutputError, match=r"1,000,000,000,000 samples take .* TB, but the disk has"
    ):
        files.planned_size(many, str(tmp_path / "a.npy"))
    for name in ("a.npz", "a.zip", "folder/"):
        with pytest.raises(OutputError, match=r"samples take about .* TB, but the disk has"):
            files.planned_size(many, str(tmp_path / name))
    for name in ("a.png", "a.gif"):
        with pytest.raises(OutputError, match="must hold at most 10,000 samples, but got 1,0"):
            files.planned_size(many, str(tmp_path / name))


def smooth(count: int, channels: int, side: int) -> Tensor:
    """Blobs with a little noise."""
    seeded = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, max(2, side // 8), max(2, side // 8), generator=seeded)
    large = nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (large + 0.02 * torch.randn(large.shape, generator=seeded)).clamp(0, 1)


@pytest.mark.parametrize("suffix", [".png", ".gif", ".zip", ""])
@pytest.mark.parametrize("shape", [(1, 8), (1, 28), (3, 32), (3, 128)], ids=str)
@pytest.mark.parametrize("count", [1, 20])
def test_what_is_said_of_a_size_is_about_true(
    suffix: str, shape: tuple[int, int], count: int, tmp_path: Path
) -> None:
    samples, path = smooth(count, *shape), tmp_path / f"out{suffix}"
    kind = FORMATS[suffix].size if suffix else folder_size
    write(samples, path)
    there = [path] if suffix else list(path.iterdir())
    size = sum(file.stat().st_size for file in there)
    assert size / 1.7 < kind(Samples.of(samples)) < size * 1.7
    assert files.planned_size(Samples.of(samples), str(path)).startswith("about ")


def test_what_is_said_of_a_plots_size_is_about_true(tmp_path: Path) -> None:
    points = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    write(points, tmp_path / "out.png")
    size = (tmp_path / "out.png").stat().st_size
    assert size / 2 < FORMATS[".png"].size(Samples.of(points)) < size * 2


@pytest.mark.parametrize("shape", [(1, 2), (10, 12), (1_000, 5), (40_000, 3)], ids=str)
def test_what_is_said_of_a_tables_size_is_about_true(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for suffix in (".parquet", ".csv"):
        write(rows, tmp_path / f"out{suffix}")
        size = (tmp_path / f"out{suffix}").stat().st_size
        assert size / 1.7 < FORMATS[suffix].size(Samples.of(rows)) < size * 1.7


def test_a_folder_is_replaced_only_if_it_holds_nothing_but_samples(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    write(PICTURES, target)  # an empty one will do
    with pytest.raises(OutputError, match="exists already"):
        write(PICTURES, target)
    write(PICTURES[:1], target, force=True)
    assert [path.name for path in target.iterdir()] == ["00000.png"]
    with Image.open(target / "00000.png") as picture:
        assert picture.mode == "RGB"
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="holds other files"):
        write(PICTURES, target, force=True)
    assert (target / "thesis.tex").exists()


@pytest.mark.parametrize(("name", "there"), [("a.png", "folder"), ("a", "file")])
def test_force_does_not_turn_a_folder_into_a_file(name: str, there: str, tmp_path: Path) -> None:
    target = tmp_path / name
    target.mkdir() if there == "folder" else target.write_text("")
    with pytest.raises(OutputError, match=f"is a {there} already"):
        write(PICTURES, target, force=True)


LARGE = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.zip", "a.gif", "a.png", "folder", "t.csv"])
def test_a_disk_that_fills_in_the_middle_leaves_the_old_one(name: str, tmp_path: Path) -> None:
    """The system refuses to write beyond a size, as it does on a full disk."""
    samples = LARGE.flatten(1) if name == "t.csv" else LARGE
    write(samples[:1], tmp_path / name)
    before = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=f"{name}: cannot be written: File too large"):
            write(samples, tmp_path / name, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))} == before


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Tensor]:
        yield PICTURES
        raise KeyboardInterrupt

    for name in ("a.npy", "folder", "a.zip"):
        with pytest.raises(KeyboardInterrupt):
            files.write_samples(Samples(interrupted(), 9, (3, 4, 4)), str(tmp_path / name))
    assert not os.listdir(tmp_path)
