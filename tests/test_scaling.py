"""Scaling: every entry of SCALES against plain formulas, on data that lie to one side."""

from __future__ import annotations

from statistics import fmean, pstdev

import numpy as np
import pytest
import torch

from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import SCALES, Scaling, scaling_of


def points(sign: float) -> Dataset:
    """Three columns: of one scale, of a thousand times that, and of one value."""
    random = np.random.RandomState(0)
    table = np.stack([random.rand(90) - 0.2, 1000 * random.rand(90) - 300, np.full(90, 7.0)], 1)
    splits = (sign * table).astype(np.float32)
    return Dataset("own", "points", splits[:50], splits[50:70], splits[70:])


def pictures() -> Dataset:
    """Dark ones, whose levels are not spread evenly."""
    levels = (np.random.RandomState(1).rand(90, 2, 3, 4) ** 3 * 255).astype(np.uint8)
    return Dataset("own", "pictures", levels[:50], levels[50:70], levels[70:])


def plain(scale: str, dataset: Dataset) -> tuple[list[float], list[float]]:
    """What is taken off each coordinate, and by what the rest is divided."""
    if scale == "none":
        return [0.0], [1.0]
    if dataset.kind == "pictures":
        values = [v / 255 for v in dataset.train.flatten().tolist()]
        return ([0.5], [0.5]) if scale == "symmetric" else ([fmean(values)], [pstdev(values)])
    columns = dataset.train.astype(np.float64).T.tolist()
    if scale == "symmetric":
        return [0.0], [max(abs(v) for column in columns for v in column) / 0.9]
    return [fmean(c) for c in columns], [pstdev(c) for c in columns]


DATASETS = {"right": points(1.0), "left": points(-1.0), "pictures": pictures()}


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_is_its_plain_formula(scale: str, name: str) -> None:
    dataset = DATASETS[name]
    scaling = scaling_of(dataset, scale)
    shift, factor = plain(scale, dataset)
    assert scaling.shift == pytest.approx(shift)
    varied = [i for i, f in enumerate(factor) if f > 0]
    assert [scaling.factor[i] for i in varied] == pytest.approx([factor[i] for i in varied])
    some = torch.tensor(dataset.selection)
    plain_some = some.double() / (255 if dataset.kind == "pictures" else 1)
    by, of = (torch.tensor(v, dtype=torch.float64) for v in (shift, scaling.factor))
    scaled, back = scaling.apply(some), scaling.undo(scaling.apply(some))
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(scaled.double(), (plain_some - by) / of, **close)
    torch.testing.assert_close(back.double(), plain_some, **close)
    assert scaling.identity == (scale == "none")


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_farthest_coordinate_lies_at_nine_tenths(side: str) -> None:
    scaling = scaling_of(DATASETS[side], "symmetric")
    farthest = scaling.apply(torch.tensor(DATASETS[side].train)).abs().max()
    assert float(farthest) == pytest.approx(0.9)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_constant_column_comes_back_whatever_the_generator_says(sign: float) -> None:
    scaling = scaling_of(points(sign), "standard")
    said = torch.tensor([[0.3, -0.2, 5.0], [1.0, 2.0, -9.0]])
    assert scaling.undo(said)[:, 2].tolist() == [sign * 7.0] * 2
    assert scaling.apply(torch.tensor([[0.0, 0.0, sign * 7.0]]))[0, 2] == 0


@pytest.mark.parametrize("value", [0.0, 5.0])
@pytest.mark.parametrize("scale", SCALES)
def test_data_of_one_value_are_scaled_to_something_finite(scale: str, value: float) -> None:
    dataset = Dataset("own", "points", *(np.full((9, 2), value, np.float32) for _ in range(3)))
    scaled = scaling_of(dataset, scale).apply(torch.tensor(dataset.train))
    assert bool(scaled.isfinite().all())


def test_pictures_are_cut_off_at_black_and_white_and_points_are_not() -> None:
    x = torch.tensor([[-3.0, 0.25, 3.0]])
    for shift, factor in ((0.0, 1.0), (0.5, 0.5)):
        moved = x * factor + shift
        assert torch.equal(Scaling((shift,), (factor,), pictures=True).undo(x), moved.clamp(0, 1))
        assert torch.equal(Scaling((shift,), (factor,), pictures=False).undo(x), moved)
    white = torch.tensor([255], dtype=torch.uint8)
    assert Scaling((0.5,), (0.5,), pictures=True).apply(white).item() == 1


@pytest.mark.parametrize("way", ["apply", "undo"])
def test_samples_are_scaled_on_the_device_where_they_lie(way: str) -> None:
    """The meta device stands for a GPU: it too refuses tensors that lie elsewhere."""
    x = torch.empty(4, 2, device="meta")
    scaling = Scaling((1.0, 2.0), (3.0, 4.0), pictures=False)
    assert getattr(scaling, way)(x).device == x.device
