"""Scaling: every entry of SCALES against plain formulas, on data that lie to one side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest

from gan_tune.data.column_scaling import ColumnScaling
from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import SCALES, Affine, scaling_of
from gan_tune.errors import DataError
from gan_tune.model.archive import read_archive
from gan_tune.model.export import ExportedGenerator, exported


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


AFFINE = [scale for scale in SCALES if scale != "by_column"]
DATASETS = {"right": points(1.0), "left": points(-1.0), "pictures": pictures()}


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("scale", AFFINE)
def test_every_affine_scale_is_its_plain_formula(scale: str, name: str) -> None:
    dataset = DATASETS[name]
    scaling = scaling_of(dataset, scale)
    assert isinstance(scaling, Affine)
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
        assert torch.equal(Affine((shift,), (factor,), pictures=True).undo(x), moved.clamp(0, 1))
        assert torch.equal(Affine((shift,), (factor,), pictures=False).undo(x), moved)
    white = torch.tensor([255], dtype=torch.uint8)
    assert Affine((0.5,), (0.5,), pictures=True).apply(white).item() == 1


@pytest.mark.parametrize("scaled_by", ["affine", "by_column"])
@pytest.mark.parametrize("way", ["apply", "undo"])
def test_samples_are_scaled_on_the_device_where_they_lie(way: str, scaled_by: str) -> None:
    """The meta device stands for a GPU: it too refuses tensors that lie elsewhere."""
    x = torch.empty(4, 2, device="meta")
    columns = (column_of("counts"), column_of("half zero"))
    affine = Affine((1.0, 2.0), (3.0, 4.0), pictures=False)
    scaling = affine if scaled_by == "affine" else by_column(*columns)
    assert getattr(scaling, way)(x).device == x.device


# ------------------------------------------------------------------ column by column


def spiked(random: np.random.RandomState, count: int) -> np.ndarray:
    return np.where(random.rand(count) < 0.5, 0, np.exp(2 * random.randn(count)))


COLUMNS: dict[str, Callable[[np.random.RandomState, int], np.ndarray]] = {
    "normal": lambda random, count: 7 + 3 * random.randn(count),
    "uniform": lambda random, count: random.rand(count),
    "heavy tails": lambda random, count: random.standard_t(1.2, count),
    "half zero": spiked,
    "spike in the middle": lambda random, count: np.where(
        random.rand(count) < 0.1, 0.25, random.randn(count)
    ),
    "two values": lambda random, count: (random.rand(count) < 0.1).astype(float),
    "three levels": lambda random, count: random.choice([0.5, 1.5, 9.0], count),
    "counts": lambda random, count: random.poisson(3, count).astype(float),
    "whole, many": lambda random, count: np.round(random.gamma(2, 300, count)),
    "whole, normal": lambda random, count: np.round(100 + 15 * random.randn(count)),
    "constant": lambda random, count: np.full(count, 4.0),
}
WHOLE = {"two values", "counts", "whole, many", "whole, normal", "constant"}
LEVELS = {"two values", "three levels", "counts", "constant"}


def column_of(name: str, count: int = 4000) -> np.ndarray:
    return COLUMNS[name](np.random.RandomState(3), count)[:, None].astype(np.float32)


def by_column(*columns: np.ndarray) -> ColumnScaling:
    table = np.concatenate(columns, axis=1)
    scaling = scaling_of(Dataset("own", "points", table, table[:9], table[:9]), "by_column")
    assert isinstance(scaling, ColumnScaling)
    return scaling


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_as_it_was(name: str, numbered: bool) -> None:
    column = column_of(name)
    scaling, x = by_column(column), torch.tensor(column)
    rows = torch.arange(len(x)) if numbered else None
    back = scaling.undo(scaling.apply(x, rows))
    if name in WHOLE | LEVELS:
        assert torch.equal(back, x)
    else:
        torch.testing.assert_close(back, x, rtol=1e-4, atol=2e-3 * max(1, float(x.abs().median())))
    shared = x == x.mode(0).values
    if name in ("half zero", "spike in the middle"):
        assert torch.equal(back[shared], x[shared])


@pytest.mark.parametrize("name", COLUMNS)
def test_a_scaled_column_is_standard_normal(name: str) -> None:
    column = column_of(name)
    scaled = by_column(column).apply(torch.tensor(column), torch.arange(len(column)))
    assert kstest(scaled[:, 0].numpy(), "norm").statistic < 0.04


@pytest.mark.parametrize("name", COLUMNS)
def test_noise_becomes_a_column_of_the_same_distribution(name: str) -> None:
    """So whatever the scaling cannot do, it costs at most this much of a column's distance."""
    column = column_of(name)
    noise = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    made = by_column(column).undo(noise)
    assert ks_2samp(made[:, 0].numpy(), column[:, 0]).statistic < 0.04
    if name in WHOLE:
        assert torch.equal(made, made.round())
    if name in LEVELS:
        assert set(made[:, 0].tolist()) <= set(column[:, 0].tolist())


def test_only_what_is_nearly_normal_is_standardised() -> None:
    scaling = by_column(*map(column_of, COLUMNS))
    assert [n for n, is_linear in zip(COLUMNS, scaling.linear, strict=True) if is_linear] == [
        "normal"
    ]
    assert {n for n, is_whole in zip(COLUMNS, scaling.whole, strict=True) if is_whole} == WHOLE


def test_columns_do_not_mix() -> None:
    """Each column is mapped as it would be alone: by its own knots, with its own noise."""
    names = list(COLUMNS)
    together, x = (
        by_column(*map(column_of, names)),
        torch.tensor(np.hstack([*map(column_of, names)])),
    )
    noise = torch.randn(500, len(names), generator=torch.Generator().manual_seed(1))
    for i, name in enumerate(names):
        alone = by_column(column_of(name))
        torch.testing.assert_close(
            alone.undo(noise[:, i : i + 1])[:, 0], together.undo(noise)[:, i]
        )
    scaled = together.apply(x, torch.arange(len(x)))
    places = scaled[:, [names.index("two values"), names.index("constant")]].T
    assert abs(float(torch.corrcoef(places)[0, 1])) < 0.05


def test_rows_of_one_value_take_places_of_their_own() -> None:
    column = column_of("constant")
    scaled = by_column(column).apply(torch.tensor(column), torch.arange(len(column)))
    assert len(scaled.unique()) > 0.99 * len(column)


@pytest.mark.parametrize("numbered", [True, False])
def test_many_rows_are_scaled_as_few_are(numbered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [column_of(name) for name in COLUMNS]
    scaling, x = by_column(*columns), torch.tensor(np.hstack(columns))
    rows = torch.arange(len(x)) if numbered else None
    at_once = scaling.apply(x, rows)
    monkeypatch.setattr("gan_tune.data.column_scaling.AT_ONCE", 999)
    assert torch.equal(scaling.apply(x, rows), at_once)


@pytest.mark.parametrize("name", COLUMNS)
def test_scaling_keeps_the_order(name: str) -> None:
    x = torch.tensor(column_of(name)).unique()[:, None]
    scaled = by_column(column_of(name)).apply(x, torch.arange(len(x)))[:, 0]
    assert bool((scaled.diff() >= 0).all())


def test_values_beyond_the_training_data_are_scaled_to_something_finite() -> None:
    scaling = by_column(*map(column_of, COLUMNS))
    for far in (-1e30, 1e30):
        x = torch.full((3, len(COLUMNS)), far)
        assert bool(scaling.apply(x).isfinite().all())
        assert bool(scaling.undo(x).isfinite().all())
    assert bool(scaling.undo(torch.full((1, len(COLUMNS)), torch.nan)).isnan().all())


def test_pictures_have_no_columns() -> None:
    with pytest.raises(DataError, match="by_column is for points and tables: pictures"):
        scaling_of(DATASETS["pictures"], "by_column")


def test_an_exported_generator_undoes_the_scaling(tmp_path: Path) -> None:
    """It is exported, saved, checked and read as the registry does it."""
    scaling = by_column(*map(column_of, COLUMNS))
    network = torch.nn.Linear(3, len(COLUMNS))
    generator = ExportedGenerator(network, scaling).eval()
    torch.export.save(exported(generator, latent=3), tmp_path / "model.pt2")
    module, z = read_archive(tmp_path / "model.pt2"), torch.randn(50, 3)
    with torch.no_grad():
        assert torch.equal(module(z), scaling.undo(network(z)))
