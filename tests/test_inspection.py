"""A look inside a generator: against closed forms, on generators whose answer is known."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import trial_tree
from PIL import Image
from scipy.spatial.distance import cdist
from torch import Tensor, nn
from written_search import WrittenSearch

from gan_tune.config import TrialConfig
from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset
from gan_tune.errors import ModelNotFoundError, OutputError
from gan_tune.metrics.features import build_extractor
from gan_tune.model.export import draw
from gan_tune.parts.all_parts import catalogue
from gan_tune.record.mlflow_store import connect
from gan_tune.registry.publish import register_champion
from gan_tune.samples import inspection as inside
from gan_tune.samples import pictures
from gan_tune.service.look import PICTURES, Look, look, look_inside

LATENT = 6
DATASETS = {"pictures": ("digits", {}), "points": ("ring", {"size": 3_000})}


class Linear(nn.Module):
    """G(z) = W z as pictures or points; column i of W has the length ``lengths[i]``."""

    def __init__(self, lengths: list[float], shape: tuple[int, ...] = (1, 4, 4)) -> None:
        super().__init__()
        columns = torch.randn(
            math.prod(shape), len(lengths), generator=torch.Generator().manual_seed(0)
        )
        self.register_buffer("W", columns / columns.norm(dim=0) * torch.tensor(lengths))
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.W.T).unflatten(1, self.shape)


class Photocopier(nn.Module):
    """Returns training samples, picked by z_0."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        self.register_buffer("originals", real(dataset.train))

    def forward(self, z: Tensor) -> Tensor:
        share = torch.special.ndtr(z[:, 0])
        count = len(self.originals)
        return self.originals[(share * count).long().clamp_max(count - 1)]


def real(samples: np.ndarray) -> Tensor:
    """Samples of a data set in data space."""
    tensor = torch.tensor(samples)
    return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


@pytest.fixture(scope="module", params=DATASETS)
def dataset(request: pytest.FixtureRequest) -> Dataset:
    name, args = DATASETS[request.param]
    return load_dataset(name, **args)


# Along the coordinates


def test_total_effects_of_a_linear_generator_are_its_columns() -> None:
    """There T_i = ‖w_i‖² Var z_i."""
    lengths = [0.5, 0.0, 3.0, 1.0]
    effects = inside.total_effects(Linear(lengths), 4, draws=4_000)
    assert effects.tolist() == pytest.approx([length**2 for length in lengths], rel=0.1)


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e4])
def test_total_effects_on_points_do_not_depend_on_units(unit: float) -> None:
    """z_0 moves the first column alone, z_1 the second: they matter alike in any unit."""

    class Table(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.stack([5e4 + unit * z[:, 0], z[:, 1], torch.ones(len(z))], 1)

    effects = inside.total_effects(Table(), 3, draws=4_000)
    assert effects.tolist() == pytest.approx([1, 1, 0], rel=0.1)


def test_traversals_move_one_coordinate_each_and_the_most_important_first() -> None:
    lengths = [0.5, 0.0, 3.0, 1.0, 0.2, 0.1]
    generator = Linear(lengths)
    found = inside.traversals(generator, LATENT, rows=3, columns=7, reach=3.0)
    assert found.dimensions == [2, 3, 0]
    total = sum(length**2 for length in lengths)
    assert found.shares == pytest.approx([9 / total, 1 / total, 0.25 / total], abs=0.1)
    assert found.samples.shape == (3, 7, 1, 4, 4)
    for row, dimension in enumerate(found.dimensions):
        for column, value in enumerate((-3, -2, -1, 0, 1, 2, 3)):
            z = found.base.clone()
            z[dimension] = value
            torch.testing.assert_close(found.samples[row, column], generator(z[None])[0])


@pytest.mark.parametrize("latent", [1, 2, LATENT, 40])
def test_the_middle_column_is_the_base_sample(latent: int) -> None:
    generator = Linear([1.0] * latent)
    found = inside.traversals(generator, latent, rows=4, columns=5)
    assert found.samples.shape[:2] == (min(4, latent), 5)
    base = generator(found.base[None])[0]
    for row in found.samples:
        torch.testing.assert_close(row[2], base)


def test_an_even_number_of_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="columns must be odd: 4"):
        inside.traversals(Linear([1.0]), 1, columns=4)


def test_a_generator_that_ignores_its_noise_has_no_shares() -> None:
    found = inside.traversals(Linear([0.0, 0.0]), 2)
    assert found.shares == [0, 0]
    assert torch.all(found.samples == found.samples[0, 0])


# Between samples


def test_slerp_on_the_circle_moves_at_constant_speed() -> None:
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    t = torch.linspace(0, 1, 7)[:, None]
    angles = t[:, 0] * math.pi / 2
    expected = 2 * torch.stack([angles.cos(), angles.sin()], 1)
    torch.testing.assert_close(inside.slerp(a, b, t), expected)


@pytest.mark.parametrize("sign", [1.0, -2.0])
def test_slerp_of_vectors_on_one_line_is_that_line(sign: float) -> None:
    a = torch.tensor([[0.3, -0.4, 1.2]])
    t = torch.linspace(0, 1, 5)[:, None]
    torch.testing.assert_close(inside.slerp(a, sign * a, t), (1 - t) * a + t * sign * a)


def test_interpolations_stay_as_far_from_0_as_their_ends() -> None:
    identity = Linear([1.0] * 64, shape=(64,))
    identity.W.copy_(torch.eye(64))
    ways = inside.interpolations(identity, 64, rows=5, columns=11)
    assert ways.shape == (5, 11, 64)
    z = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ways[:, 0], z[:5])
    torch.testing.assert_close(ways[:, -1], z[5:])
    norms = ways.norm(dim=-1)
    ends = norms[:, [0, -1]]
    assert (norms >= 0.9 * ends.min(1, keepdim=True).values).all()
    assert (norms <= 1.1 * ends.max(1, keepdim=True).values).all()


# Beside the training data


@pytest.mark.parametrize("chunks", [1, 4, 100])
@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_agree_with_all_pairs(
    k: int, chunks: int, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "CHUNK_VALUES", dataset.train[:900].size // chunks)
    samples = real(dataset.selection[:40])
    found = inside.nearest_neighbours(dataset.train[:900], samples, k=k)
    pairs = cdist(samples.flatten(1).double(), real(dataset.train[:900]).flatten(1).double())
    np.testing.assert_allclose(found.distances, np.sort(pairs)[:, :k], rtol=1e-5)
    np.testing.assert_allclose(
        np.take_along_axis(pairs, found.indices.numpy(), 1), found.distances, rtol=1e-5
    )


def test_neighbours_by_features_are_nearest_among_the_features(dataset: Dataset) -> None:
    features = build_extractor(dataset)
    samples = real(dataset.selection[:20])
    found = inside.nearest_neighbours(dataset.train[:500], samples, k=2, features=features)
    pairs = cdist(features(samples), features(real(dataset.train[:500])))
    np.testing.assert_allclose(found.distances, np.sort(pairs)[:, :2], rtol=1e-5)


def test_no_more_neighbours_than_there_are(dataset: Dataset) -> None:
    found = inside.nearest_neighbours(dataset.train[:2], real(dataset.selection[:5]), k=3)
    assert found.indices.sort(1).values.tolist() == [[0, 1]] * 5


def test_a_copy_is_its_own_nearest_neighbour_and_its_ratio_is_0(dataset: Dataset) -> None:
    generator = Photocopier(dataset)
    samples = draw(generator, 30, latent=LATENT, seed=1)
    found = inside.nearest_neighbours(dataset.train, samples)
    assert found.distances.max() < 1e-6
    torch.testing.assert_close(real(dataset.train[found.indices[:, 0]]), samples)
    seen = look_inside(generator, LATENT, dataset=dataset, features=build_extractor(dataset))
    assert seen.nearest_neighbour_ratio == pytest.approx(0, abs=1e-3)


def test_fresh_real_data_have_a_ratio_of_1(dataset: Dataset) -> None:
    features = build_extractor(dataset)
    held_out, fresh = (
        inside.nearest_neighbours(dataset.train, real(split), features=features).distances[:, 0]
        for split in (dataset.selection, dataset.test)
    )
    assert inside.copying_ratio(held_out, fresh) == pytest.approx(1, abs=0.15)
    assert inside.copying_ratio(held_out, held_out / 2) == pytest.approx(0.5)


def test_data_that_repeat_themselves_have_no_ratio() -> None:
    """As tables of whole numbers do: held-out rows stand in the training data, too."""
    table = np.random.RandomState(0).randint(0, 3, (400, 2)).astype(np.float32)
    dataset = Dataset("dice", "points", table[:300], table[300:350], table[350:])
    generator = nn.Linear(LATENT, 2)
    seen = look_inside(generator, LATENT, dataset=dataset, features=build_extractor(dataset))
    assert seen.nearest_neighbour_ratio is None
    assert "neighbours.png" in seen.pictures


# As pictures


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def test_a_look_inside_is_the_same_for_the_same_seed(dataset: Dataset) -> None:
    generator = Linear([1.0, 0.5, 0.2], shape=dataset.shape)
    features = build_extractor(dataset)
    first, again, other = (
        look_inside(generator, 3, dataset=dataset, features=features, seed=seed)
        for seed in (0, 0, 1)
    )
    assert tuple(first.pictures) == PICTURES
    assert first == again
    for name in PICTURES:
        picture = opened(first.pictures[name])
        assert picture.format == "PNG"
        assert min(picture.size) > 200
        assert first.pictures[name] != other.pictures[name]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2,), (5,)])
def test_without_the_data_the_neighbours_are_left_out(shape: tuple[int, ...]) -> None:
    seen = look_inside(Linear([1.0, 0.5], shape=shape), 2, dataset=None, features=None)
    assert tuple(seen.pictures) == PICTURES[:2]
    assert seen.nearest_neighbour_ratio is None


def test_values_that_are_not_finite_are_drawn_all_the_same() -> None:
    broken = torch.full((2, 3, 1, 8, 8), math.nan)
    opened(pictures.sheet([pictures.SheetBlock(broken)], title="broken"))
    opened(pictures.curves({"broken": torch.full((5, 2), math.inf)}, torch.zeros(3, 2), title="b"))


# Of a registered model


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a trial on each data set, and the model it is said to have trained."""
    uri = connect(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db")
    for name, args in DATASETS.values():
        dataset = load_dataset(name, **args)
        generator = {"name": "mlp", "latent": LATENT, "hidden": [8], "output": "linear"}
        config = TrialConfig.from_tree(
            trial_tree(data={"name": name, "batch_size": 16, **args}, generator=generator),
            catalogue(),
        )
        run_id = recorded(tmp_path_factory.mktemp(name), uri, name, config.params())
        for model, digest in ((name, dataset.digest), (f"{name}-of-others", "0123456789abcdef")):
            register_champion(
                Linear([1.0] * LATENT, shape=dataset.shape),
                latent=LATENT,
                model=model,
                run_id=run_id,
                value=1.0,
                mode="min",
                comparable=f"frechet_distance/x/1/min/{digest}",
                tags={"gan_tune.search": name, "gan_tune.trial": "0000"},
                uri=uri,
            )
    return uri


def recorded(folder: Path, uri: str, name: str, params: dict[str, Any]) -> str:
    """The run of the only trial of a search, which trained with ``params``."""
    search = WrittenSearch(folder, name)
    search.start("0000", params=params)
    search.end("0000")
    search.finish()
    assert not search.delivered(uri)
    return str(search.runs(uri)["0000"].info.run_id)


def looked(model: str, out: Path, uri: str, **options: Any) -> Look:
    found = look(model, out, tracking_uri=uri, **options)
    assert [opened(file.read_bytes()).format for file in found.files] == ["PNG"] * len(found.files)
    assert {file.name for file in out.iterdir()} == {file.name for file in found.files}
    return found


@pytest.mark.parametrize("name", [name for name, _ in DATASETS.values()])
def test_a_look_at_a_registered_model(name: str, store: str, tmp_path: Path) -> None:
    found = looked(name, tmp_path / "out", store)
    assert [file.name for file in found.files] == list(PICTURES)
    assert found.nearest_neighbour_ratio is not None
    assert found.nearest_neighbour_ratio > 1
    assert found.note == ""
    with pytest.raises(OutputError, match="exists already; --force replaces it"):
        look(name, tmp_path / "out", tracking_uri=store)
    looked(name, tmp_path / "out", store, force=True, seed=1)


def test_without_its_own_data_a_model_has_no_neighbours(store: str, tmp_path: Path) -> None:
    found = looked("digits-of-others", tmp_path / "out", store)
    assert [file.name for file in found.files] == list(PICTURES[:2])
    assert found.nearest_neighbour_ratio is None
    assert found.note == ("neighbours are left out: digits here are not the data it was trained on")


def test_no_code_is_run_because_a_record_names_it(tmp_path: Path) -> None:
    """`os:mkdir` stands for any function that others may write into a shared record."""
    uri, ran = connect(f"sqlite:///{tmp_path}/mlflow.db"), tmp_path / "ran"
    evil = {"data.name": "os:mkdir", "data.path": str(ran), "steps": 1}
    run_id = recorded(tmp_path / "runs", uri, "evil", evil)
    register_champion(
        Linear([1.0] * LATENT),
        latent=LATENT,
        model="evil",
        run_id=run_id,
        value=1.0,
        mode="min",
        comparable="",
        tags={"gan_tune.search": "evil", "gan_tune.trial": "0000"},
        uri=uri,
    )
    found = looked("evil", tmp_path / "out", uri)
    assert found.note.startswith("neighbours are left out: 'os:mkdir' is no data set of gan-tune's")
    assert not ran.exists()


def test_bad_places_and_names_are_refused(store: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="must exist"):
        look("digits", tmp_path / "no" / "out", tracking_uri=store)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file already"):
        look("digits", tmp_path / "file", tracking_uri=store)
    with pytest.raises(ModelNotFoundError, match="no model named 'digit'"):
        look("digit", tmp_path / "out", tracking_uri=store)
    assert not (tmp_path / "out").exists()


# The figures, by their axes: a picture that can be opened may still show something else


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures come back as they are, not as PNG, with their title for attribute."""

    def finished(figure: Any, title: str) -> Any:
        figure.told = title
        return figure

    monkeypatch.setattr(pictures, "_finished", finished)


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize("one_unit", [True, False])
def test_curves_show_the_data_each_path_and_its_middle(one_unit: bool) -> None:
    paths = {"short": torch.randn(5, 3), "long": torch.randn(8, 3) + 4}
    data = torch.randn(6, 3)
    figure: Any = pictures.curves(paths, data, title="ways", one_unit=one_unit)
    (axes,) = figure.axes
    assert figure.told == "ways"
    np.testing.assert_allclose(axes.collections[0].get_offsets(), data[:, :2], rtol=1e-6)
    lines = axes.get_lines()
    assert len(lines) == 4
    for (name, path), line, dot in zip(paths.items(), lines[::2], lines[1::2], strict=True):
        assert line.get_label() == name
        np.testing.assert_allclose(line.get_xydata(), path[:, :2], rtol=1e-6)
        np.testing.assert_allclose(dot.get_xydata()[0], path[len(path) // 2, :2], rtol=1e-6)
        assert dot.get_color() == line.get_color()
    assert axes.get_aspect() == (1.0 if one_unit else "auto")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["data", *paths]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("first coordinate", "second coordinate")


@pytest.mark.usefixtures("figures")
def test_shares_below_are_those_of_each_set_of_distances() -> None:
    distances = {"near": torch.tensor([0.0, 0.5, 1.0, 2.0]), "far": torch.tensor([3.0, 4.0, 8.0])}
    figure: Any = pictures.shares_below(distances, axis="distance", title="t")
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "distance")
    typical = max(float(drawn.quantile(0.5)) for drawn in distances.values())
    for (name, drawn), line in zip(distances.items(), axes.get_lines(), strict=True):
        assert line.get_label() == name
        x, y = line.get_data()
        for value, share in zip(x[1:], y[1:], strict=True):
            at = max(float(value), 0.0)
            assert share == pytest.approx(float((drawn <= at + 1e-6).double().mean()))
        assert x[1] == pytest.approx(max(float(drawn.min()), typical / 1_000))


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize(("last", "scale"), [(2.0, "linear"), (0.2, "log")])
def test_values_by_step_are_a_line_for_each_trial(last: float, scale: str) -> None:
    curves = {"0003-confirm-1": {10: 9.0, 20: last}, "0003-confirm-2": {10: 8.0}}
    figure: Any = pictures.by_step(
        curves, marked="0003-confirm-1", axis="distance", title="t", floor=0.5
    )
    (axes,) = figure.axes
    first, second, floor = axes.get_lines()
    np.testing.assert_array_equal(first.get_xydata(), [(10, 9.0), (20, last)])
    np.testing.assert_array_equal(second.get_xydata(), [(10, 8.0)])
    assert first.get_linewidth() > second.get_linewidth()
    assert set(floor.get_ydata()) == {0.5}
    assert (axes.get_yscale(), axes.get_ylabel()) == (scale, "distance")


@pytest.mark.usefixtures("figures")
def test_a_sheet_has_its_blocks_side_by_side_with_titles_at_their_pictures() -> None:
    first = pictures.SheetBlock(
        torch.rand(2, 3, 1, 8, 8), "one", rows=("a", "b"), columns=("x", "y", "z")
    )
    second = pictures.SheetBlock(torch.rand(2, 1, 1, 8, 8), "two")
    figure: Any = pictures.sheet([first, second], title="sheet")
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    left, right = figure.axes
    for axes, block in ((left, first), (right, second)):
        shown = np.asarray(axes.get_images()[0].get_array())
        flat = block.samples.flatten(0, 1)
        np.testing.assert_array_equal(shown, pictures.grid(flat, columns=block.samples.shape[1]))
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["x", "y", "z"]
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["a", "b"]
    height, width = np.asarray(left.get_images()[0].get_array()).shape[:2]
    cell = (width - 2) / 3
    assert left.get_xticks() == pytest.approx([1 + cell / 2, 1 + 1.5 * cell, 1 + 2.5 * cell])
    assert left.get_yticks() == pytest.approx([height / 4 + 0.5, 3 * height / 4 - 0.5])
    assert len(right.get_xticks()) == len(right.get_yticks()) == 0
