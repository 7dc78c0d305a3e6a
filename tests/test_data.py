"""Data sets: their splits, their arguments, and what is said of missing or damaged files."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import real_fashion_mnist
from PIL import Image

from gan_tune.config import Part, signature_arguments
from gan_tune.data import cifar, idx, mapped
from gan_tune.data.by_name import DATASETS, check_arguments, load_dataset
from gan_tune.data.dataset import SPLITS, Dataset, Mixture
from gan_tune.data.digits import rows_of_digits
from gan_tune.data.locations import find_folder
from gan_tune.data.picture_folder import CROPS
from gan_tune.errors import DataError
from gan_tune.metrics import build_judge
from gan_tune.parts.trial_data import dataset_of
from gan_tune.samples import pictures


def write_idx(path: Path, values: np.ndarray) -> Path:
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 | values.ndim, *values.shape)
    content = header + values.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_idx_folder(folder: Path, *, suffix: str = "", train: int = 60, test: int = 10) -> Path:
    random = np.random.RandomState(0)
    for split, count in (("train", train), ("t10k", test)):
        pictures = random.randint(0, 256, (count, 6, 5))
        write_idx(folder / f"{split}-images-idx3-ubyte{suffix}", pictures)
        write_idx(folder / f"{split}-labels-idx1-ubyte{suffix}", np.arange(count) % 10)
    return folder


def write_cifar_folder(folder: Path, *, per_file: int = 10) -> Path:
    """A small set in the files of the real one: label byte, then red, green and blue planes."""
    random = np.random.RandomState(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*cifar.TRAIN_FILES, *cifar.TEST_FILES):
        records = random.randint(0, 256, (per_file, cifar.RECORD)).astype(np.uint8)
        records[:, 0] = np.arange(per_file) % 10
        (folder / name).write_bytes(records.tobytes())
    return folder


def write_npz(folder: Path) -> Path:
    path = folder / "own.npz"
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(0)
    np.savez(
        path,
        train=random.randint(0, 256, (50, 6, 6, 3)).astype(np.uint8),
        train_labels=np.arange(50) % 4,
    )
    return path


def write_picture_folder(folder: Path, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    random = np.random.RandomState(0)
    for i in range(24):
        place = folder / classes[i % len(classes)] if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (12, 16, 3)).astype(np.uint8)).save(
            place / f"{i:02}.png"
        )
    return folder


def write_table(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.random.RandomState(0).rand(50, 2)
    np.savetxt(folder / "own.csv", rows, delimiter=",", header="a,b", comments="")
    return folder / "own.csv"


OWN_ARGUMENTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "fashion_mnist": lambda folder: {"root": str(write_idx_folder(folder))},
    "mnist": lambda folder: {"root": str(write_idx_folder(folder / "mnist", suffix=".gz"))},
    "cifar10": lambda folder: {"root": str(write_cifar_folder(folder))},
    "npz": lambda folder: {"path": str(write_npz(folder))},
    "image_folder": lambda folder: {"root": str(write_picture_folder(folder)), "size": 8},
    "pictures": lambda folder: {"root": str(write_picture_folder(folder)), "size": 8},
    "table": lambda folder: {"path": str(write_table(folder))},
}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("GAN_TUNE_CACHE", str(folder))
    return folder


@pytest.fixture
def all_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every array were larger than memory."""
    monkeypatch.setattr(mapped, "MAPPED_FROM", 0)
    monkeypatch.setattr(mapped, "CHUNK_BYTES", 100)


@pytest.fixture(params=DATASETS)
def named(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    name = request.param
    return name, OWN_ARGUMENTS.get(name, lambda folder: {})(tmp_path / "own")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without data and without a network."""

    def offline(*_: object) -> None:
        raise OSError("no\nnetwork")

    monkeypatch.delenv("GAN_TUNE_DATA", raising=False)
    monkeypatch.setattr(idx, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    monkeypatch.setattr(idx, "_download", offline)
    monkeypatch.setattr(cifar, "_download", offline)


def test_every_set_has_checked_arguments_and_sound_splits(
    named: tuple[str, dict[str, Any]],
) -> None:
    name, args = named
    assert all(argument.annotation is not Any for argument in arguments_of(name).values())
    check_arguments(name, **args)
    dataset = load_dataset(name, **args)
    for split in SPLITS:
        samples, labels = dataset.split(split), dataset.labels(split)
        assert samples.dtype == (np.uint8 if dataset.kind == "pictures" else np.float32)
        assert samples.shape[1:] == dataset.shape
        assert samples.strides == np.empty(samples.shape, samples.dtype).strides
        assert (labels is not None) == dataset.labelled
        assert labels is None or (labels.dtype == np.int64 and len(labels) == len(samples))
    assert len(dataset.describe().splitlines()) == 1


def test_every_set_loads_alike_twice(named: tuple[str, dict[str, Any]]) -> None:
    name, args = named
    first, second = load_dataset(name, **args), load_dataset(name, **args)
    assert first.digest == second.digest
    assert len(first.digest) == 16
    for split in SPLITS:
        np.testing.assert_array_equal(first.split(split), second.split(split))


def test_splits_are_disjoint_draws(named: tuple[str, dict[str, Any]]) -> None:
    name, args = named
    dataset = load_dataset(name, **args)
    rows = [{sample.tobytes() for sample in dataset.split(split)} for split in SPLITS]
    for i, first in enumerate(rows):
        for second in rows[i + 1 :]:
            assert not first & second


@pytest.mark.parametrize("name", DATASETS)
def test_unknown_arguments_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="nonsense"):
        check_arguments(name, nonsense=1)


def arguments_of(name: str) -> dict[str, Any]:
    return dict(signature_arguments(DATASETS[name]))


@pytest.mark.parametrize(
    ("name", "args", "sizes", "shape"),
    [
        ("digits", {}, (1197, 300, 300), (1, 8, 8)),
        ("ring", {}, (100_000, 2500, 2500), (2,)),
        ("grid", {"size": 500}, (500, 2500, 2500), (2,)),
        ("gaussian", {"size": 1000}, (1000, 2500, 2500), (2,)),
    ],
)
def test_stated_sizes(
    name: str, args: dict[str, Any], sizes: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    dataset = load_dataset(name, **args)
    assert tuple(len(dataset.split(split)) for split in SPLITS) == sizes
    assert dataset.shape == shape


def test_digits_are_stratified_and_span_the_bytes() -> None:
    dataset = load_dataset("digits")
    assert dataset.train.min() == 0
    assert dataset.train.max() == 255
    everything = np.concatenate([dataset.labels(split) for split in SPLITS])
    for split in SPLITS:
        labels = dataset.labels(split)
        expected = np.bincount(everything) * len(labels) / len(everything)
        assert np.abs(np.bincount(labels) - expected).max() < 2


def test_digest_is_of_the_content() -> None:
    dataset = load_dataset("digits")
    assert replace(dataset, name="other").digest == dataset.digest
    other = dataset.test_labels.copy()
    other[0] = 1 - min(other[0], 1)
    assert replace(dataset, test_labels=other).digest != dataset.digest
    unlabelled = {f"{split}_labels": None for split in SPLITS}
    assert replace(dataset, **unlabelled).digest != dataset.digest


def test_ring_has_no_mode_twice() -> None:
    modes = load_dataset("ring", size=10).mixture.modes
    angles = np.sort(np.arctan2(modes[:, 1], modes[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 8)
    np.testing.assert_allclose(np.linalg.norm(modes, axis=1), 1)


def test_grid_is_centred() -> None:
    mixture = load_dataset("grid", size=10).mixture
    assert sorted({tuple(mode) for mode in mixture.modes}) == [
        (x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)
    ]
    assert mixture.sigma == 0.05


@pytest.mark.parametrize("name", ["ring", "grid", "gaussian"])
def test_mixtures_have_their_stated_deviation_and_shares(name: str) -> None:
    dataset = load_dataset(name)
    distances = np.linalg.norm(dataset.train[:, None] - dataset.mixture.modes[None], axis=2)
    nearest = distances.argmin(1)
    off = dataset.train - dataset.mixture.modes[nearest]
    assert np.sqrt(np.square(off).mean()) == pytest.approx(dataset.mixture.sigma, rel=0.01)
    shares = np.bincount(nearest) / len(nearest)
    np.testing.assert_allclose(shares, 1 / len(dataset.mixture.modes), rtol=0.1)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("rng", {}, "must be one of .*did you mean 'ring'"),
        ("ring", {"modes": 0}, "ring: modes: .*greater than or equal to 1: 0"),
        ("ring", {"sigma": -1.0}, "ring: sigma: .*greater than 0: -1.0"),
        ("npz", {}, "missing a required argument: 'path'"),
        ("npz", {"path": "nowhere.npz"}, "nowhere.npz: must exist"),
        ("image_folder", {"root": "nowhere", "size": 8}, "nowhere: must be a folder"),
        ("image_folder", {"root": ".", "size": 8, "channels": 2}, "channels"),
        ("no_such_module:data", {}, "importable as package.module:name.*no_such_module"),
        ("json:no_such_name", {}, "importable as package.module:name.*no_such_name"),
        ("json:decoder", {}, "must be defined in json"),
        ("json:JSONEncoder", {}, "must be a function"),
        ("json:dumps", {}, "must be annotated to return one"),
        (f"{__name__}:not_annotated", {}, "must be annotated to return one"),
    ],
)
def test_bad_requests_are_one_line(name: str, args: dict[str, Any], message: str) -> None:
    for function in (check_arguments, load_dataset):
        with pytest.raises(DataError, match=message) as caught:
            function(name, **args)
        assert "\n" not in str(caught.value)


def own_points(count: int = 30) -> Dataset:
    points = np.random.RandomState(0).randn(count, 3).astype(np.float32)
    return Dataset("own", "points", points[:-20], points[-20:-10], points[-10:])


def not_a_dataset() -> Dataset:
    return [1, 2]  # type: ignore[return-value]


def not_annotated():  # type: ignore[no-untyped-def]
    return own_points()


def test_own_function_by_import_path() -> None:
    check_arguments(f"{__name__}:own_points", count=40)
    dataset = load_dataset(f"{__name__}:own_points", count=40)
    assert (dataset.name, len(dataset.train), dataset.shape) == ("own", 20, (3,))
    with pytest.raises(DataError, match=r"must return a .*Dataset: list"):
        load_dataset(f"{__name__}:not_a_dataset")
    with pytest.raises(DataError, match="unexpected keyword argument 'size'"):
        load_dataset(f"{__name__}:own_points", size=40)


def shifted_points(shift: list[float]) -> Dataset:
    own = own_points()
    return replace(own, train=own.train + np.float32(shift))


def test_an_own_function_may_take_a_list() -> None:
    args = {"shift": [1.0, 0.0, -1.0], "batch_size": 8}
    part = Part(name=f"{__name__}:shifted_points", args=args)
    assert dataset_of(part) is dataset_of(part), "loaded twice"
    moved = dataset_of(part).train - own_points().train
    np.testing.assert_allclose(moved.mean(0), [1.0, 0.0, -1.0], atol=1e-6)


def test_dataset_states_all_its_faults_at_once() -> None:
    good = own_points()
    with pytest.raises(DataError) as caught:
        Dataset(
            "bad",
            "points",
            train=good.train.astype(np.float64),
            selection=np.full((3, 3), np.nan, dtype=np.float32),
            test=good.test[:1],
            test_labels=np.array([-1]),
            mixture=Mixture(np.zeros((1, 3)), 1.0),
        )
    message = str(caught.value)
    for fault in (
        "train must be float32 [N, D]: float64",
        "selection must be finite: 9 values",
        "test must hold at least 2 samples",
        "test_labels",
        "modes of a mixture must be [M, 2]: [1, 3]",
    ):
        assert fault in message
    assert "\n" not in message


# IDX files


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "inside"),
    [
        *(("fashion_mnist", sub) for sub in ("", *idx.IDX_FOLDERS["fashion_mnist"])),
        *(("mnist", sub) for sub in ("", *idx.IDX_FOLDERS["mnist"])),
    ],
)
@pytest.mark.usefixtures("nowhere")
def test_idx_files_are_found_through_the_environment(
    name: str, inside: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx_folder(tmp_path / "data" / inside, suffix=suffix)
    monkeypatch.setenv("GAN_TUNE_DATA", str(tmp_path / "data"))
    check_arguments(name)
    dataset = load_dataset(name)
    assert [len(dataset.split(split)) for split in SPLITS] == [50, 10, 10]
    assert dataset.shape == (1, 6, 5)


@pytest.mark.usefixtures("nowhere")
def test_idx_pictures_keep_their_labels(tmp_path: Path) -> None:
    folder = write_idx_folder(tmp_path / "set")
    pictures = idx.read_idx(folder / "train-images-idx3-ubyte", dimensions=3)
    labels = idx.read_idx(folder / "train-labels-idx1-ubyte", dimensions=1)
    by_picture = {picture.tobytes(): label for picture, label in zip(pictures, labels, strict=True)}
    dataset = load_dataset("mnist", root=str(folder))
    for split in ("train", "selection"):
        for picture, label in zip(dataset.split(split), dataset.labels(split), strict=True):
            assert by_picture[picture.tobytes()] == label


@pytest.mark.usefixtures("nowhere")
def test_debian_package_serves_fashion_mnist_only(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "debian", suffix=".gz")
    assert len(load_dataset("fashion_mnist").train) == 50
    with pytest.raises(DataError):
        load_dataset("mnist")


@pytest.mark.parametrize("function", [check_arguments, load_dataset])
@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
@pytest.mark.usefixtures("nowhere")
def test_missing_data_lists_the_ways_to_get_it(name: str, function: Callable[..., Any]) -> None:
    with pytest.raises(DataError) as caught:
        function(name)
    message = str(caught.value)
    assert "\n" not in message
    assert "`root`" in message
    assert "$GAN_TUNE_DATA" in message
    assert ("apt install dataset-fashion-mnist" in message) == (name == "fashion_mnist")
    assert "torchvision's download, which failed: no network" in message


@pytest.mark.parametrize("function", [check_arguments, load_dataset])
@pytest.mark.usefixtures("nowhere")
def test_missing_cifar_lists_the_ways_to_get_it(function: Callable[..., Any]) -> None:
    with pytest.raises(DataError) as caught:
        function("cifar10")
    for part in ("cifar-10-batches-bin", "`root`", "$GAN_TUNE_DATA", "which failed: no network"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_a_root_without_files_is_not_passed_over(
    function: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"root must hold train-images-idx3-ubyte"):
        function("fashion_mnist", root=str(tmp_path))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_bytes(b"<html>404</html>" * 20)


def as_labels(path: Path) -> None:
    write_idx(path, np.arange(60) % 10)


def too_few(path: Path) -> None:
    write_idx(path, np.zeros((59, 6, 5)))


@pytest.mark.parametrize("function", [check_arguments, load_dataset])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("damage", [truncate, empty, scramble, as_labels, too_few])
def test_damaged_idx_files_are_named(
    damage: Callable[[Path], None], suffix: str, function: Callable[..., Any], tmp_path: Path
) -> None:
    folder = write_idx_folder(tmp_path, suffix=suffix)
    damage(folder / f"train-images-idx3-ubyte{suffix}")
    with pytest.raises(
        DataError, match=r"train-(images-idx3|labels-idx1)-ubyte.*: must "
    ) as caught:
        function("mnist", root=str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_idx_pictures_without_pixels_are_refused_however_many(
    function: Callable[..., Any], tmp_path: Path
) -> None:
    folder = write_idx_folder(tmp_path / "own")
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(struct.pack(">4I", 0x803, 2**32 - 1, 0, 28))
    with pytest.raises(DataError) as caught:
        function("mnist", root=str(folder))
    assert str(caught.value) == f"{path}: must have no empty dimension: [4294967295, 0, 28]"


def test_gzip_damaged_in_the_middle(tmp_path: Path) -> None:
    path = write_idx_folder(tmp_path, suffix=".gz") / "t10k-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: must be a complete file"):
        load_dataset("mnist", root=str(tmp_path))


def test_real_fashion_mnist_of_debian() -> None:
    dataset = real_fashion_mnist()
    assert [len(dataset.split(split)) for split in SPLITS] == [50_000, 10_000, 10_000]
    assert dataset.shape == (1, 28, 28)
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    assert dataset.digest == "b4e934c2c43fd50f"


# A user's own files


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.zeros((30, 5, 6), np.uint8), (1, 5, 6)),
        (np.zeros((30, 5, 6, 3), np.uint8), (3, 5, 6)),
        (np.zeros((30, 1, 5, 6), np.uint8), (1, 5, 6)),
        (np.zeros((30, 3, 5, 3), np.uint8), (3, 5, 3)),
        (np.zeros((30, 4), np.float64), (4,)),
    ],
)
def test_npz_layouts(array: np.ndarray, shape: tuple[int, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", train=array)
    dataset = load_dataset("npz", path=str(tmp_path / "own.npz"))
    assert dataset.shape == shape
    assert [len(dataset.split(split)) for split in SPLITS] == [24, 3, 3]


def test_npz_channels_last_are_moved_not_reshaped(tmp_path: Path) -> None:
    pictures = np.random.RandomState(0).randint(0, 256, (4, 5, 6, 3)).astype(np.uint8)
    parts = dict.fromkeys(SPLITS, pictures)
    np.savez(tmp_path / "own.npz", **parts)
    dataset = load_dataset("npz", path=str(tmp_path / "own.npz"))
    np.testing.assert_array_equal(dataset.train[2, 1], pictures[2, :, :, 1])


def test_npz_with_its_own_splits_and_labels(tmp_path: Path) -> None:
    parts = {split: np.full((3, 2), float(i)) for i, split in enumerate(SPLITS)}
    labels = {f"{split}_labels": np.full(3, i, np.uint8) for i, split in enumerate(SPLITS)}
    np.savez_compressed(tmp_path / "own.npz", **parts, **labels)
    dataset = load_dataset("npz", path=str(tmp_path / "own.npz"))
    for i, split in enumerate(SPLITS):
        assert (dataset.split(split) == i).all()
        assert (dataset.labels(split) == i).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((30, 4))}, r"must hold an array named x .* or train .*: pictures"),
        ({"x": np.zeros((30, 4)), "train": np.zeros((30, 4))}, "must hold an array named x .* or"),
        ({"x": np.zeros(30)}, r"x must be uint8 .*one column is x\[:, None\]\): float64 \[30\]"),
        ({"x": np.array(["a"] * 30)}, "x must be uint8 .*: <U1"),
        ({"x": np.full((30, 2), 1e39)}, "x must be finite in float32"),
        ({"x": np.where(np.eye(30), np.nan, 0)}, r"30 values in columns 0, 1, 2, 3, 4, \.\.\. are"),
        ({"x": np.zeros((30, 4)), "y": np.zeros(29, int)}, "y must have 30 labels"),
        ({"x": np.zeros((30, 4)), "y": -np.ones(30, int)}, "must be 0 or more: -1"),
        ({"train": np.zeros((30, 4)), "test": np.zeros((3, 4))}, "given together: test alone"),
        ({"train": np.zeros((30, 4), np.int64)}, "train must be uint8 .*: int64"),
        ({"train": np.zeros((30, 2, 5, 6), np.uint8)}, "train must be uint8"),
        ({"train": np.zeros((9, 4))}, "at least 20 samples to be split: 9"),
        ({"train": np.full((30, 4), np.inf)}, "must be finite"),
        ({"train": np.zeros((30, 4)), "y": np.zeros(30, int)}, "y are the labels of x and must"),
        ({"x": np.zeros((30, 4)), "train_labels": np.zeros(30, int)}, "beside it: x, train_labels"),
        (
            {"x": np.stack([np.arange(30.0), 1e9 + np.arange(30.0)], 1)},
            "x must vary in float32, too .*: columns 1 do not",
        ),
        (
            {"train": np.zeros((30, 4)), "train_labels": np.zeros(29, int)},
            "train_labels must have 30 labels",
        ),
        ({"train": np.zeros((30, 4)), "train_labels": np.zeros(30)}, "train_labels must be int"),
        ({"train": np.array([{}] * 30)}, "without pickled objects"),
        ({"x": np.zeros((0, 3))}, r"x must have rows: float64 \[0, 3\]"),
    ],
)
def test_npz_faults(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset("npz", path=str(tmp_path / "own.npz"))


@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_npz_that_is_none(function: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_text("not a zip")
    with pytest.raises(DataError, match=r"own\.npz: must be an \.npz file"):
        function("npz", path=str(tmp_path / "own.npz"))


@pytest.mark.parametrize(
    ("classes", "labelled"), [((), False), (("all",), False), (("cat", "dog"), True)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_image_folder_labels(
    classes: tuple[str, ...], labelled: bool, channels: int, tmp_path: Path
) -> None:
    write_picture_folder(tmp_path, classes)
    dataset = load_dataset("image_folder", root=str(tmp_path), size=8, channels=channels)
    assert dataset.shape == (channels, 8, 8)
    assert dataset.labelled == labelled


@pytest.mark.parametrize("crop", CROPS)
def test_image_folder_resizes_as_torchvision_does(crop: str, tmp_path: Path) -> None:
    from torchvision.transforms.v2 import CenterCrop, Compose, InterpolationMode, Resize

    root = tmp_path / "set"
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2, 1] = 255  # finer than the small picture can show
    stripes[:, :40, 2] = np.arange(64)[:, None] * 4
    for i in range(20):
        stripes[i, :, 0] = 255
        write_picture(root / f"{i:02}.png", stripes)
    lanczos = InterpolationMode.LANCZOS
    transforms = {
        "centre": Compose([Resize(8, lanczos), CenterCrop(8)]),
        "resize": Resize((8, 8), lanczos),
    }
    dataset = load_dataset("image_folder", root=str(root), size=8, crop=crop)
    pictures = np.concatenate([dataset.split(split) for split in SPLITS])
    found = {picture.tobytes(): picture for picture in pictures}
    expected = [
        np.asarray(transforms[crop](Image.open(path))).transpose(2, 0, 1) for path in root.iterdir()
    ]
    distances = [min(np.abs(a.astype(int) - b).max() for b in found.values()) for a in expected]
    assert max(distances) <= 2
    assert 100 <= pictures[:, 1].min() <= pictures[:, 1].max() <= 155  # no moiré


def write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_image_folder_reads_many_formats(suffix: str, tmp_path: Path) -> None:
    for i in range(20):
        write_picture(tmp_path / "set" / f"{i}.{suffix}", np.full((12, 16, 3), 10 * i, np.uint8))
    dataset = load_dataset("image_folder", root=str(tmp_path / "set"), size=8)
    greys = np.concatenate([dataset.split(split) for split in SPLITS]).mean((1, 2, 3))
    np.testing.assert_allclose(np.sort(greys), 10 * np.arange(20), atol=3)


@pytest.mark.parametrize("channels", [1, 3])
def test_image_folder_puts_transparent_pictures_on_white(channels: int, tmp_path: Path) -> None:
    hidden = np.zeros((12, 12, 4), np.uint8)
    hidden[..., 0] = 200  # red, and wholly transparent
    hidden[6:, :, 3] = 255
    for i in range(20):
        write_picture(tmp_path / "set" / f"{i}.png", hidden)
    dataset = load_dataset("image_folder", root=str(tmp_path / "set"), size=12, channels=channels)
    picture = dataset.split("train")[0]
    assert (picture[:, :4] == 255).all()
    assert (picture[:, 8:] < 201).all()


def test_an_image_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of a folder without permission, which those who may do everything can read."""

    def refused(self: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(self))

    root = write_picture_folder(tmp_path / "own")
    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(DataError, match=r"own: must be readable: Permission denied"):
        check_arguments("image_folder", root=str(root), size=8)


def test_image_folder_names_what_is_broken(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    with pytest.raises(DataError, match="none found"):
        load_dataset("image_folder", root=str(root), size=8)
    write_picture_folder(root)
    for i in range(5):
        (root / "cat" / f"broken{i}.png").write_text("no picture")
    write_picture(root / "dog" / "deep.png", np.full((9, 9), 60_000, np.uint16))
    with pytest.raises(DataError, match=r"6 of 30 broken: .*/?.*; and 3 more") as caught:
        load_dataset("image_folder", root=str(root), size=8)
    assert "\n" not in str(caught.value)
    damaged = root / "dog" / "damaged.png"
    Image.new("L", (9, 9)).save(damaged, exif=b"Exif\0\0MM\0*")
    with pytest.raises(DataError, match=r"7 of 31 broken"):
        load_dataset("image_folder", root=str(root), size=8)
    (root / "loose.png").write_text("no picture")
    with pytest.raises(DataError, match=r"8 of 32 broken"):
        load_dataset("image_folder", root=str(root), size=8)


def test_image_folder_refuses_what_has_more_than_8_bits(tmp_path: Path) -> None:
    for i in range(20):
        write_picture(tmp_path / "set" / f"{i}.png", np.full((9, 9), 60_000, np.uint16))
    for function in (check_arguments, load_dataset):
        with pytest.raises(DataError, match="8 bits a channel"):
            function("image_folder", root=str(tmp_path / "set"), size=8)


# CIFAR-10


@pytest.mark.parametrize("inside", ["", cifar.FOLDER])
def test_cifar_records_are_label_then_planes(inside: str, tmp_path: Path) -> None:
    folder = write_cifar_folder(tmp_path / "set" / inside)
    dataset = load_dataset("cifar10", root=str(tmp_path / "set"))
    assert [len(dataset.split(split)) for split in SPLITS] == [40, 10, 10]
    content = (folder / "test_batch.bin").read_bytes()
    record = content[3 * cifar.RECORD : 4 * cifar.RECORD]
    assert dataset.test_labels[3] == record[0]
    assert dataset.test[3, 2, 31, 5] == record[1 + 2 * 1024 + 31 * 32 + 5]


@pytest.mark.parametrize("damage", [truncate, empty])
def test_damaged_cifar_files_are_named(damage: Callable[[Path], None], tmp_path: Path) -> None:
    folder = write_cifar_folder(tmp_path / "set")
    damage(folder / "data_batch_2.bin")
    for function in (check_arguments, load_dataset):
        with pytest.raises(DataError, match=r"data_batch_2\.bin: must hold records of 3073 bytes"):
            function("cifar10", root=str(folder))


def test_cifar_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    path = write_cifar_folder(tmp_path / "set") / "test_batch.bin"
    path.write_bytes(b"\x0a" + path.read_bytes()[1:])
    with pytest.raises(DataError, match=r"test_batch\.bin: must hold labels in 0\.\.9: 10"):
        load_dataset("cifar10", root=str(path.parent))


def test_the_pickled_cifar_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / cifar.PICKLED_FOLDER
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": b""}))
    with pytest.raises(DataError, match=r"cifar-10-batches-bin .*not the pickled version"):
        load_dataset("cifar10", root=str(tmp_path))


# Arrays in the cache, mapped


def write_npy(folder: Path, array: np.ndarray | None = None) -> Path:
    path = folder / "own.npy"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.RandomState(0).randn(60, 3) if array is None else array)
    return path


CACHED: dict[str, Callable[[Path], dict[str, Any]]] = {
    "image_folder": OWN_ARGUMENTS["image_folder"],
    "npz": lambda folder: {"path": str(write_npy(folder))},
}


@pytest.fixture(params=CACHED)
def cached(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    return request.param, CACHED[request.param](tmp_path / "own")


def test_mapped_sets_equal_those_in_memory(
    cached: tuple[str, dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    name, args = cached
    in_memory = load_dataset(name, **args)
    request.getfixturevalue("all_mapped")
    in_file = load_dataset(name, **args)
    assert not any(mapped.is_mapped(in_memory.split(split)) for split in SPLITS)
    assert all(mapped.is_mapped(in_file.split(split)) for split in SPLITS)
    assert in_memory.digest == in_file.digest
    assert in_memory.labelled == in_file.labelled


@pytest.mark.usefixtures("all_mapped")
def test_a_table_in_fortran_order_is_mapped_too(tmp_path: Path) -> None:
    """What `np.save(frame.to_numpy())` writes of a pandas table."""
    table = np.random.RandomState(0).randn(50, 3)
    in_rows, in_columns = (
        load_dataset("npz", path=str(write_npy(tmp_path / order, np.asarray(table, order=order))))  # type: ignore[call-overload]
        for order in ("C", "F")
    )
    for split in SPLITS:
        assert mapped.is_mapped(in_columns.split(split))
        np.testing.assert_array_equal(in_columns.split(split), in_rows.split(split))


@pytest.mark.usefixtures("all_mapped")
def test_mapped_sets_pickle_by_path(cached: tuple[str, dict[str, Any]]) -> None:
    name, args = cached
    dataset = load_dataset(name, **args)
    buffers: list[pickle.PickleBuffer] = []
    stored = pickle.dumps(dataset, protocol=5, buffer_callback=buffers.append)
    again = pickle.loads(stored, buffers=buffers)
    for split in SPLITS:
        assert dataset.split(split).tobytes() not in stored
        assert mapped.is_mapped(again.split(split))
        np.testing.assert_array_equal(again.split(split), dataset.split(split))
    assert sum(buffer.raw().nbytes for buffer in buffers) <= 8 * 24  # labels alone
    assert again.digest == dataset.digest


@pytest.mark.usefixtures("all_mapped")
@pytest.mark.parametrize("header", [0, 5000])  # within the first page, and beyond it
def test_slices_of_any_map_pickle_by_path(header: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.bin"
    rows = np.random.RandomState(0).randn(900, 3).astype(np.float32)
    path.write_bytes(bytes(header) + rows.tobytes())
    whole = np.memmap(path, np.float32, "r", offset=header, shape=rows.shape)
    dataset = Dataset("own", "points", whole[100:800], whole[:100], whole[800:])
    stored = pickle.dumps(dataset)
    assert len(stored) < 2000
    again = pickle.loads(stored)
    for split in SPLITS:
        np.testing.assert_array_equal(again.split(split), dataset.split(split))


@pytest.mark.usefixtures("all_mapped")
def test_a_mapped_file_that_is_not_on_the_node_is_named(
    cached: tuple[str, dict[str, Any]], cache: Path
) -> None:
    name, args = cached
    stored = pickle.dumps(load_dataset(name, **args))
    for path in (cache / "arrays").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"\.npy: must lie unchanged at this path on every node"):
        pickle.loads(stored)


def test_pictures_are_decoded_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_picture_folder(tmp_path / "own")
    first = load_dataset("image_folder", root=str(root), size=8)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda path: pytest.fail("decoded again"))
        assert load_dataset("image_folder", root=str(root), size=8).digest == first.digest
    assert len(list((cache / "arrays").iterdir())) == 1


def touch(root: Path) -> None:
    os.utime(root / "cat" / "00.png", (1, 1))


def rename(root: Path) -> None:
    (root / "cat" / "00.png").rename(root / "cat" / "zz.png")


def remove(root: Path) -> None:
    (root / "cat" / "00.png").unlink()


@pytest.mark.parametrize("change", [touch, rename, remove])
def test_changed_pictures_are_decoded_anew(
    change: Callable[[Path], None], tmp_path: Path, cache: Path
) -> None:
    root = write_picture_folder(tmp_path / "own")
    load_dataset("image_folder", root=str(root), size=8)
    change(root)
    load_dataset("image_folder", root=str(root), size=8)
    assert len(list((cache / "arrays").iterdir())) == 2


def test_a_cache_entry_is_whole_or_not_there(tmp_path: Path, cache: Path) -> None:
    root = write_picture_folder(tmp_path / "own")
    for name in ("yy", "zz"):
        (root / "dog" / f"{name}.png").write_text("no picture")
    with pytest.raises(DataError, match="2 of 26 broken"):
        load_dataset("image_folder", root=str(root), size=8)
    assert list((cache / "arrays").iterdir()) == []


def other_values(content: bytes) -> bytes:
    return npy(np.load(io.BytesIO(content))[:-1])


def another_type(content: bytes) -> bytes:
    return npy(np.load(io.BytesIO(content)).view(np.int8))


def another_order(content: bytes) -> bytes:
    return npy(np.asfortranarray(np.load(io.BytesIO(content))))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:40],
        lambda content: content + b"more",
        lambda content: b"junk" * 99,
        lambda content: CUT_OFF,
        lambda content: header_alone("|V0", (10**12, 3)),
        lambda content: header_alone("<f4", (10**12, 0)),
        lambda content: header_alone("<f4", (2**62, 4)) + bytes(999),
        other_values,
        another_type,
        another_order,
    ],
    ids=[
        *("empty", "cut off", "half a header", "too long", "junk", "bad header"),
        *(
            "no bytes",
            "no columns",
            "beyond 64 bits",
            "fewer rows",
            "another type",
            "another order",
        ),
    ],
)
@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_damaged_cache_entry_is_made_again(
    is_mapped: bool,
    damage: Callable[[bytes], bytes],
    tmp_path: Path,
    cache: Path,
    request: pytest.FixtureRequest,
) -> None:
    if is_mapped:
        request.getfixturevalue("all_mapped")
    root = write_picture_folder(tmp_path / "own")
    digest = load_dataset("image_folder", root=str(root), size=8).digest
    (path,) = (cache / "arrays").iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert load_dataset("image_folder", root=str(root), size=8).digest == digest
    assert path.read_bytes() == whole


def test_two_processes_fill_the_cache_at_once(tmp_path: Path, cache: Path) -> None:
    root = write_picture_folder(tmp_path / "own")
    code = (
        "import sys; from gan_tune.data.by_name import load_dataset; "
        "print(load_dataset('image_folder', root=sys.argv[1], size=8).digest)"
    )
    command = [sys.executable, "-c", code, str(root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    digests = {process.communicate()[0].strip() for process in both}
    assert digests == {load_dataset("image_folder", root=str(root), size=8).digest}
    assert len(list((cache / "arrays").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file in its place")
    root = write_picture_folder(tmp_path / "own")
    with pytest.raises(DataError, match=r"must be readable and have room .*GAN_TUNE_CACHE"):
        load_dataset("image_folder", root=str(root), size=8)


def zipped(name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(name, content)

    return write


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def changed(make: Callable[[Path], None], *places: int) -> Callable[[Path], None]:
    """The same file with some of its bytes changed."""

    def write(path: Path) -> None:
        make(path)
        content = bytearray(path.read_bytes())
        for place in places:
            content[place] ^= 0xFF
        path.write_bytes(content)

    return write


def with_flag(bit: int, method: int | None = None) -> Callable[[Path], None]:
    """A zip file whose entry has a flag set, or says that it is packed by another method."""

    def write(path: Path) -> None:
        zipped("x.npy", npy(np.zeros((30, 2))))(path)
        content = bytearray(path.read_bytes())
        for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            start = content.index(signature)
            content[start + at] |= bit
            if method is not None:
                content[start + at + 2] = method
        path.write_bytes(content)

    return write


HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (30000000000000, 2), }"
HUGE = b"\x93NUMPY\x01\x00\x76\x00" + HEADER.ljust(117) + b"\n"
CUT_OFF = b"\x93NUMPY\x01\x00\x04\x00{" + 3 * b"'"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("own.npz", changed(zipped("x.npy", npy(np.eye(90)), zipfile.ZIP_LZMA), 60, 70, 80)),
        ("own.npz", with_flag(1)),
        ("own.npz", with_flag(0, method=99)),
        ("own.npz", zipped("x.npy", HUGE)),
        ("own.npz", zipped("x", b"no array")),
        ("own.npy", lambda path: path.write_bytes(CUT_OFF)),
    ],
    ids=["damaged", "encrypted", "unknown method", "too large", "no array", "bad header"],
)
def test_arrays_that_cannot_be_read_are_one_line(
    name: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: .*must (be|hold)") as caught:
        load_dataset("npz", path=str(tmp_path / name))
    assert "\n" not in str(caught.value)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [a_pipe, an_endless_device])
@pytest.mark.parametrize("name", ["own.npy", "own.npz", "own.csv", "own.csv.gz", "own.parquet"])
@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_what_never_ends_is_not_read(
    function: Callable[..., Any], name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(DataError) as caught:
        function("npz" if "np" in name else "table", path=str(path))
    assert str(caught.value) == f"{path}: must be a regular file, not a pipe, socket or device"


@pytest.mark.parametrize("name", ["own.npy", "own.npz", "own.csv"])
@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_a_folder_in_place_of_a_file_is_told(
    function: Callable[..., Any], name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.mkdir()
    with pytest.raises(DataError) as caught:
        function("npz" if "np" in name else "table", path=str(path))
    assert str(caught.value) == f"{path}: must be a file, not a folder"


def test_sizes_that_an_archive_declares_are_checked_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped("x.npy", HUGE)(tmp_path / "own.npz")
    rule = r"x must hold the 240,000,000,000,000 bytes that its header declares: 0 bytes"
    for read in (check_arguments, load_dataset):
        with pytest.raises(DataError, match=rule):
            read("npz", path=str(tmp_path / "own.npz"))
    np.savez(tmp_path / "whole.npz", x=np.random.RandomState(0).rand(60, 5))
    monkeypatch.setattr("gan_tune.data.reading.free_memory", lambda: 1_000)
    with pytest.raises(DataError, match=r"whole.npz: must fit into memory, of which 9.31e-07 GiB"):
        check_arguments("npz", path=str(tmp_path / "whole.npz"))


def header_alone(descr: str, shape: tuple[int, ...], version: int = 1) -> bytes:
    """An array whose values take no bytes, however many its header declares."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    lengths = "<H" if version == 1 else "<I"
    start = b"\x93NUMPY" + bytes([version, 0])
    line = header + b" " * (-(len(start) + struct.calcsize(lengths) + len(header) + 1) % 64) + b"\n"
    return start + struct.pack(lengths, len(line)) + line


LAYOUTS = "must be uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3, or float [N, D]"


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    ("descr", "shape", "message"),
    [
        ("<f4", (99_999_999_999, 0), "must have no empty dimension: float32 [99999999999, 0]"),
        ("|u1", (300_000_000, 0, 8), "must have no empty dimension: uint8 [300000000, 0, 8]"),
        ("<f8", (300_000_000, 0), "must have no empty dimension: float64 [300000000, 0]"),
        ("<f4", (0, 10**12), "must have rows: float32 [0, 1000000000000]"),
        ("|V0", (10**12, 3), f"{LAYOUTS}: |V0 [1000000000000, 3]"),
        ("|S0", (10**12, 3), f"{LAYOUTS}: |S0 [1000000000000, 3]"),
    ],
)
@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_what_an_array_declares_is_refused_before_it_is_copied(
    function: Callable[..., Any],
    descr: str,
    shape: tuple[int, ...],
    message: str,
    version: int,
    tmp_path: Path,
) -> None:
    content = header_alone(descr, shape, version)
    (tmp_path / "own.npy").write_bytes(content)
    zipped("x.npy", content)(tmp_path / "own.npz")
    zipped("x", content)(tmp_path / "plain.npz")
    for name, called in (("own.npy", "the array"), ("own.npz", "x"), ("plain.npz", "x")):
        with pytest.raises(DataError) as caught:
            function("npz", path=str(tmp_path / name))
        assert str(caught.value) == f"{tmp_path / name}: {called} {message}"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (header_alone("|V0", (10**12,)), "y must be integers: |V0"),
        (
            header_alone("<i8", (0, 10**12)),
            "y must have no empty dimension: int64 [0, 1000000000000]",
        ),
        (
            npy(np.array([{}])),
            "must be an .npz file without pickled objects: y is of dtype object",
        ),
        (b"no array", "y must be in .npy form: 8 bytes of another"),
    ],
)
@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_labels_are_refused_by_their_header(
    function: Callable[..., Any], labels: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy(np.random.RandomState(0).rand(30, 2)))
        archive.writestr("y.npy", labels)
    with pytest.raises(DataError) as caught:
        function("npz", path=str(path))
    assert str(caught.value) == f"{path}: {message}"


PLAIN = "must be an .npy file without pickled objects"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"junk" * 99, "the array must be in .npy form: 396 bytes of another"),
        (b"", "the array must be in .npy form: 0 bytes of another"),
        (npy(np.array([{}])), f"{PLAIN}: the array is of dtype object"),
        (b"\x93NUMPY\x09\x01" + bytes(90), f"{PLAIN}: ValueError: its version is 9.1"),
        (header_alone("<f4", (-3, -5)), f"{PLAIN}: ValueError: it has a length below 0"),
        (
            header_alone("<f4", (3, 5)),
            "the array must hold the 60 bytes that its header declares: 0 bytes",
        ),
        (
            header_alone("<f4", (2**32 + 1, 2**32)),  # of which numpy's product is 2^34
            "the array must hold the 73,786,976,312,018,075,648 bytes that its header declares: "
            "0 bytes",
        ),
        (
            header_alone("<f4", (1, 2)).replace(b"1, 2),", b"1+1,2)"),
            f"{PLAIN}: ValueError: malformed node or string on line 1: <ast.BinOp>",
        ),
    ],
    ids=["junk", "empty", "objects", "a version", "below 0", "cut off", "beyond 64 bits", "a sum"],
)
@pytest.mark.parametrize("function", [check_arguments, load_dataset])
def test_a_damaged_header_is_told_without_numpys_advice_and_addresses(
    function: Callable[..., Any], content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.npy"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        function("npz", path=str(path))
    assert str(caught.value) == f"{path}: {message}"


def test_lines_are_short_however_much_a_file_or_an_argument_holds(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(20_000):
            archive.writestr(f"a{i}.npy", b"")
    with pytest.raises(DataError) as caught:
        load_dataset("npz", path=str(path))
    rule = "must hold an array named x (to be split) or train (with selection and test or not)"
    named = "a0, a1, a2, a3, a4, a5, a6, a7, and 19,992 more"
    assert str(caught.value) == f"{path}: {rule}: {named}"
    fields = np.zeros(30, [(f"field {i}", "f8") for i in range(200)])
    np.savez(path, x=fields)
    with pytest.raises(DataError) as caught:
        load_dataset("npz", path=str(path))
    given = f"{str(fields.dtype)[:57]}... [30]"
    assert str(caught.value) == f"{path}: x {LAYOUTS} (one column is x[:, None]): {given}"
    with pytest.raises(DataError) as caught:
        load_dataset("image_folder", root=["a"] * 2_000, size=8)
    begun = f"{['a'] * 2_000!r}"[:117]
    assert str(caught.value) == f"data set image_folder: root: must be a valid string: {begun}..."


def test_labels_too_large_for_whole_numbers_are_told_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    labels = np.zeros(30, np.uint64)
    labels[7] = 2**64 - 1
    np.savez(path, x=np.random.RandomState(0).rand(30, 2), y=labels)
    with pytest.raises(DataError) as caught:
        load_dataset("npz", path=str(path))
    rule = "y must be at most 9223372036854775807: 18446744073709551615"
    assert str(caught.value) == f"{path}: {rule}"


def test_an_entry_beside_the_checked_one_is_not_read_in_its_place(tmp_path: Path) -> None:
    table = np.random.RandomState(0).rand(30, 2)
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x.npy", npy(table))
        archive.writestr("x", HUGE)
    dataset = load_dataset("npz", path=str(tmp_path / "own.npz"))
    assert sum(len(dataset.split(split)) for split in SPLITS) == 30


@pytest.mark.parametrize("is_mapped", [False, True])
def test_an_array_is_checked_as_a_whole(
    is_mapped: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Not its first row: of each column that is at fault, and with its true shape."""
    if is_mapped:
        request.getfixturevalue("all_mapped")
    table = np.random.RandomState(0).rand(60, 5)
    table[[0, 7, 59], [4, 1, 1]] = np.nan
    with pytest.raises(DataError, match=r"3 values in columns 1, 4 are not"):
        load_dataset("npz", path=str(write_npy(tmp_path / "holes", table)))
    whole = write_npy(tmp_path / "whole", np.arange(300).reshape(60, 5))
    for function in (check_arguments, load_dataset):
        with pytest.raises(DataError, match=r"or float \[N, D\]: int64 \[60, 5\]"):
            function("npz", path=str(whole))


@pytest.mark.usefixtures("all_mapped")
def test_npy_faults_when_mapped(tmp_path: Path) -> None:
    test_npy_faults(np.full((30, 2), np.nan), "columns 0, 1 are not", tmp_path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((30, 2), np.nan), "columns 0, 1 are not"),
        (np.zeros(30), "the array must be .*one column"),
        (np.float64(1), "the array must have rows"),
        (np.zeros((0, 3)), r"the array must have rows: float64 \[0, 3\]"),
        (np.zeros((19, 2)), "at least 20 samples to be split: 19"),
        (np.array([{}] * 30), r"must be an \.npy file without pickled objects"),
    ],
)
def test_npy_faults(array: np.ndarray, message: str, tmp_path: Path) -> None:
    path = write_npy(tmp_path / "own", array)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("npz", path=str(path))
    assert "\n" not in str(caught.value)


def test_x_and_y_are_split_together(tmp_path: Path) -> None:
    x = np.random.RandomState(0).randn(50, 4)
    y = np.arange(50)
    np.savez(tmp_path / "own.npz", x=x, y=y)
    dataset = load_dataset("npz", path=str(tmp_path / "own.npz"))
    for split in SPLITS:
        np.testing.assert_array_equal(dataset.split(split), x[dataset.labels(split)].astype("f4"))
    everyone = np.concatenate([dataset.labels(split) for split in SPLITS])
    assert sorted(everyone) == list(y)


def test_the_data_module_needs_no_torch() -> None:
    code = "import sys, gan_tune.data.by_name; assert not {'torch', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "points",
    [
        np.linspace(0, 1, 60, dtype=np.float32)[:, None],
        np.concatenate([np.ones((60, 2)), np.random.RandomState(0).randn(60, 3)], 1).astype("f4"),
        np.linspace(-3e38, 3e38, 60, dtype=np.float32)[:, None].repeat(2, 1),
    ],
    ids=["one column", "two constant columns", "nearly all of float32"],
)
def test_every_table_can_be_drawn(points: np.ndarray[Any, Any]) -> None:
    dataset = Dataset("own", "points", points[:20], points[20:40], points[40:])
    picture = pictures.scatter(torch.tensor(points[20:40]), dataset)
    blue = torch.tensor([31, 119, 180], dtype=torch.uint8)
    assert bool((picture == blue).all(-1).any()), "no sample is to be seen"
    drawn = pictures.curves({"a": torch.tensor(points[:5])}, torch.tensor(points), title="t")
    assert drawn.startswith(b"\x89PNG")


def spread_of_blue(picture: torch.Tensor) -> list[int]:
    """Over how many rows and columns of a picture the samples reach."""
    blue = (picture == torch.tensor([31, 119, 180], dtype=torch.uint8)).all(-1).nonzero()
    return (blue.amax(0) - blue.amin(0)).tolist()


def test_columns_of_unlike_units_fill_the_picture() -> None:
    random = np.random.RandomState(0)
    table = np.stack([random.normal(5e4, 1e3, 600), random.rand(600)], 1).astype(np.float32)
    dataset = Dataset("own", "points", table[:200], table[200:400], table[400:])
    assert min(spread_of_blue(pictures.scatter(torch.tensor(table), dataset, side=200))) > 100


def test_a_mixture_keeps_its_shape() -> None:
    """Two modes beside each other stay as flat as they are."""
    mixture = Mixture(np.array([[-1.0, 0.0], [1.0, 0.0]]), 0.01)
    train, selection, test = (mixture.draw(300, seed) for seed in range(3))
    dataset = Dataset("own", "points", train, selection, test, mixture=mixture)
    rows, columns = spread_of_blue(pictures.scatter(torch.tensor(test), dataset, side=200))
    assert rows < columns / 10


@pytest.mark.parametrize("constant", SPLITS)
def test_a_trial_refuses_a_split_whose_samples_are_all_equal(constant: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    random = np.random.RandomState(0)
    np.savez(
        path,
        **{name: random.rand(30, 3) if name != constant else np.ones((30, 3)) for name in SPLITS},
    )
    with pytest.raises(
        DataError, match=f"npz: {constant} must hold samples that differ: all 30 are"
    ):
        dataset_of(Part(name="npz", args={"path": str(path)}))


@pytest.mark.parametrize(("name", "args"), [("ring", {"modes": 400}), ("grid", {"side": 20})])
def test_the_truth_passes_its_own_test(name: str, args: dict[str, Any]) -> None:
    """At the most modes that there may be: real held-out samples cover them all."""
    dataset = load_dataset(name, **args)
    judge = build_judge(dataset, "test")
    assert dataset.mixture is not None
    fresh = torch.tensor(dataset.mixture.draw(judge.count, seed=3))
    assert judge(fresh)["modes_covered"] == len(dataset.mixture.modes) == 400


def test_of_a_large_table_some_rows_are_drawn() -> None:
    table = np.random.RandomState(0).randn(9_000, 2).astype(np.float32)
    dataset = Dataset("own", "points", table, table, table)
    shown = pictures.background(dataset)
    np.testing.assert_array_equal(shown, table[::4])
    few = Dataset("own", "points", table, table[:50], table[:50])
    assert len(pictures.background(few)) == 50


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (TimeoutError(), "TimeoutError"),
        (OSError("no\n  route"), "no route"),
        (None, "the download left no files under"),
    ],
)
def test_a_download_that_fails_is_told_with_its_reason_and_all_the_ways(
    raised: Exception | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception without a message is named by its type."""
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_TUNE_DATA", raising=False)
    asked: list[Path] = []

    def search(place: Path) -> Path | None:
        asked.append(place)
        return None

    def download(place: Path) -> None:
        if raised is not None:
            raise raised

    with pytest.raises(DataError) as caught:
        find_folder(
            "own",
            None,
            search=search,
            wanted="files",
            download=download,
            places=[tmp_path / "shared"],
            ways=["set it", "fetch it"],
        )
    start = "data set own: not on this machine; set it, or fetch it, which failed: "
    assert str(caught.value).startswith(start + reason)
    downloads = tmp_path / "cache" / "datasets"
    again = [downloads] if raised is None else []
    assert asked == [tmp_path / "shared", downloads, *again]


def test_an_own_folder_is_the_only_place_that_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_DATA", str(tmp_path / "given"))
    options: Any = {
        "wanted": "files",
        "download": lambda place: None,
        "places": [tmp_path / "shared"],
        "ways": ["set it"],
    }
    root = str(tmp_path / "own")
    assert find_folder("own", root, search=lambda place: place, **options) == Path(root)
    assert find_folder("own", None, search=lambda place: place, **options) == tmp_path / "given"
    with pytest.raises(DataError, match=r"^data set own: root must hold files: '.*own'$"):
        find_folder("own", root, search=lambda p: None if p == Path(root) else p, **options)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("columns", "cell"), [(3, 8), (4, 4), (8, 11)])
def test_a_grid_has_its_pictures_row_by_row_with_grey_between(
    columns: int, cell: int, channels: int
) -> None:
    """Pictures of 2 x 4 are enlarged by whole numbers; what is beyond black or white is cut off."""
    random = torch.Generator().manual_seed(0)
    samples = torch.rand(7, channels, 2, 4, generator=random) * 1.4 - 0.2
    samples[3, 0, 1, 2] = float("nan")
    sheet = pictures.grid(samples, columns=columns, cell=cell)
    across, times, gap = min(columns, 7), max(1, cell // 4), 2
    height, width = 2 * times + gap, 4 * times + gap
    down = -(-7 // across)
    expected = torch.full((down * height + gap, across * width + gap, 3), 128, dtype=torch.uint8)
    for i, sample in enumerate(samples):
        top, left = i // across * height + gap, i % across * width + gap
        for row in range(2 * times):
            for column in range(4 * times):
                pixel = sample[:, row // times, column // times].nan_to_num().clamp(0, 1)
                colour = (pixel * 255).round().to(torch.uint8)
                expected[top + row, left + column] = colour
    for i in range(7, down * across):  # no picture there
        top, left = i // across * height + gap, i % across * width + gap
        assert len(sheet[top : top + height, left : left + width].unique()) == 1
        expected[top : top + height, left : left + width] = sheet[top, left]
    assert torch.equal(sheet, expected)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_is_that_of_torchvision(channels: int, count: int) -> None:
    from torchvision.utils import make_grid

    samples = torch.rand(count, channels, 5, 4, generator=torch.Generator().manual_seed(count))
    expected = make_grid(samples, nrow=3, padding=pictures.PADDING, pad_value=0.5)
    sheet = pictures.grid(samples, columns=3, cell=4)
    assert torch.equal(sheet, (expected * 255).round().byte().permute(1, 2, 0))


def test_every_part_of_a_data_sets_content_is_in_its_digest() -> None:
    """One thing changed at a time, so that no other change gives it away."""
    table = np.arange(24, dtype=np.float32).reshape(12, 2)
    labels = np.arange(12, dtype=np.int64) % 3
    modes = np.array([[0.0, 1.0], [2.0, 3.0]])
    of_splits = {split: table + i for i, split in enumerate(SPLITS)}
    of_labels = {f"{split}_labels": labels + i for i, split in enumerate(SPLITS)}
    dataset = Dataset("own", "points", **of_splits, **of_labels, mixture=Mixture(modes, 0.1))
    changes: list[dict[str, Any]] = [
        *({split: of_splits[split] * 2} for split in SPLITS),
        *({name: of_labels[name][::-1].copy()} for name in of_labels),
        {"mixture": Mixture(modes, 0.2)},
        {"mixture": Mixture(modes[::-1].copy(), 0.1)},
        {"mixture": None},
        dict.fromkeys(of_labels),
        {"train": of_splits["selection"], "selection": of_splits["train"]},
    ]
    digests = [replace(dataset, **change).digest for change in changes]
    assert len({dataset.digest, *digests}) == 1 + len(changes)
    bare = {"mixture": None, **dict.fromkeys(of_labels)}
    shaped = {split: of_splits[split].reshape(8, 3) for split in SPLITS}
    assert replace(dataset, **bare).digest != replace(dataset, **bare, **shaped).digest
    assert replace(dataset, name="other").digest == dataset.digest


def test_cifar_is_downloaded_whole_and_its_archive_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes down is checked by its digest before it is unpacked."""
    asked: list[tuple[str, str, Any]] = []

    def download(url: str, folder: str, **options: Any) -> None:
        asked.append((url, folder, options))

    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_TUNE_DATA", raising=False)
    monkeypatch.setattr("torchvision.datasets.utils.download_and_extract_archive", download)
    with pytest.raises(DataError, match="the download left no"):
        load_dataset("cifar10")
    options = {"md5": cifar.MD5, "remove_finished": True}
    assert asked == [(cifar.URL, str(tmp_path / "cache" / "datasets"), options)]
    assert cifar.URL.startswith("https://")
    assert len(bytes.fromhex(cifar.MD5)) == 16


def test_digits_are_read_as_scikit_learn_reads_them() -> None:
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    np.testing.assert_array_equal(rows_of_digits(), np.column_stack([data, target]))
