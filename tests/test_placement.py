"""Where training data live and how they are scaled: the same numbers wherever they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset
from gan_tune.data.placement import SHARED_FROM, OnDevice, OnHost, resident
from gan_tune.data.scaling import SCALES, scaling_of
from gan_tune.model.export import ExportedGenerator

PLENTY = 1 << 60
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.gpu),
]


def table() -> np.ndarray:
    """Columns of very unlike scales, two of them constant."""
    x = np.random.RandomState(0).randn(200, 6) * [1, 1e9, 1e-9, 1e3, 0, 0]
    return (x + np.array([0, -1e9, 1e-8, 1e5, 0.1, 0])).astype(np.float32)


def set_named(name: str) -> Dataset:
    if name == "table":
        x = table()
        return Dataset("table", "points", x[:-40], x[-40:-20], x[-20:])
    return load_dataset(name)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["digits", "table"])
def test_batches_are_the_same_bits_from_everywhere(
    name: str, scale: str, device: str, tmp_path: Path
) -> None:
    dataset = set_named(name)
    if scale == "by_column" and dataset.kind == "pictures":
        pytest.skip("pictures have no columns")
    scaling = scaling_of(dataset, scale)
    np.save(tmp_path / "train.npy", dataset.train)
    in_file = np.load(tmp_path / "train.npy", mmap_mode="r")
    sources = {
        "device": resident(dataset.train, device, scaling=scaling, free=PLENTY),
        "memory": resident(dataset.train, device, scaling=scaling, free=0),
        "file": resident(in_file, device, scaling=scaling, free=0),
    }
    assert isinstance(sources["device"], OnDevice)
    assert isinstance(sources["memory"], OnHost)
    assert isinstance(sources["file"], OnHost)
    random = torch.Generator(device).manual_seed(0)
    for _ in range(3):
        chosen = torch.randint(len(dataset.train), (33,), generator=random, device=device)
        expected = scaling.apply(torch.tensor(dataset.train[chosen.cpu()], device=device), chosen)
        for source in sources.values():
            assert len(source) == len(dataset.train)
            batch = source.batch(chosen)
            assert batch.dtype == torch.float32
            assert batch.device.type == device
            assert torch.equal(batch, expected)


def test_a_mapped_file_stays_one_on_the_cpu(tmp_path: Path) -> None:
    dataset = set_named("table")
    np.save(tmp_path / "train.npy", dataset.train)
    in_file = np.load(tmp_path / "train.npy", mmap_mode="r")
    scaling = scaling_of(dataset, "none")
    assert isinstance(resident(in_file, "cpu", scaling=scaling, free=PLENTY), OnHost)


def test_large_data_are_not_copied_on_the_cpu() -> None:
    train = np.zeros((SHARED_FROM // 16, 4), np.float32)
    scaling = scaling_of(Dataset("zeros", "points", train, train[:9], train[:9]), "none")
    source = resident(train, "cpu", scaling=scaling, free=PLENTY)
    assert isinstance(source, OnHost)
    assert np.shares_memory(source.samples, train)
    assert isinstance(resident(train[1:], "cpu", scaling=scaling, free=PLENTY), OnDevice)


def test_drawing_a_batch_leaves_the_data_alone() -> None:
    train = set_named("table").train
    before = train.copy()
    scaling = scaling_of(set_named("table"), "none")
    resident(train, "cpu", scaling=scaling, free=0).batch(torch.arange(5)).mul_(2)
    np.testing.assert_array_equal(train, before)


def test_standard_gives_each_column_zero_mean_and_unit_deviation() -> None:
    dataset = set_named("table")
    scaled = scaling_of(dataset, "standard").apply(torch.tensor(dataset.train)).double()
    varying = scaled[:, :4]
    np.testing.assert_allclose(varying.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(varying.std(0, correction=0), 1, rtol=1e-4)
    assert (scaled[:, 4:] == 0).all()


@pytest.mark.parametrize("scale", SCALES)
def test_the_exported_generator_undoes_the_scaling(scale: str) -> None:
    dataset = set_named("table")
    scaling = scaling_of(dataset, scale)
    exported = ExportedGenerator(torch.nn.Identity(), scaling)
    x = torch.tensor(dataset.train)
    back = exported(scaling.apply(x)).detach()
    spread = x.std(0) + x.abs().amax(0)
    assert ((back - x).abs() <= 1e-6 * spread).all()


def test_the_exported_generator_gives_constant_columns_back_whatever_it_says() -> None:
    dataset = set_named("table")
    exported = ExportedGenerator(torch.nn.Identity(), scaling_of(dataset, "standard"))
    noise = 10 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    samples = exported(noise)
    assert (samples[:, 4] == dataset.train[0, 4]).all()
    assert (samples[:, 5].abs() < 1e-30).all()


def test_standard_pictures_agree_with_the_plain_formula() -> None:
    dataset = set_named("digits")
    scaling = scaling_of(dataset, "standard")
    values = dataset.train.astype(np.float64) / 255
    assert scaling.shift == pytest.approx((values.mean(),), rel=1e-12)
    assert scaling.factor == pytest.approx((values.std(),), rel=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_all_zero_points_can_be_scaled(scale: str) -> None:
    zeros = np.zeros((20, 2), np.float32)
    scaling = scaling_of(Dataset("zeros", "points", zeros, zeros, zeros), scale)
    scaled = scaling.apply(torch.zeros(3, 2))
    assert (scaling.undo(scaled) == 0).all()
    assert scaled.isfinite().all() if scale == "by_column" else (scaled == 0).all()
