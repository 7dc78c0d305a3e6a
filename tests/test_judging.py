"""The judge of pictures without labels: made once, and kept by the search."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from benchmarks.failing_generators import checkered, unlabelled
from benchmarks.failing_generators import patches as colour_patches
from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset, cut
from gan_tune.data.scaling import in_data_space
from gan_tune.errors import DataError, StorageError
from gan_tune.metrics import build_judge, patches
from gan_tune.metrics.features import (
    FeatureExtractor,
    as_safetensors,
    build_extractor,
    save_weights,
)
from gan_tune.service.running.judging import keep_judge, own_extractor
from gan_tune.storage.places import JUDGE_ARRAYS, JUDGE_NOTE, SEARCH_NOTE
from gan_tune.storage.storage import Storage, open_storage


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patches, "FILTERS", 16)


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "runs").below("search")


def unlabelled_digits() -> Dataset:
    none = dict.fromkeys(("train_labels", "selection_labels", "test_labels"))
    return replace(load_dataset("digits"), **none)  # type: ignore[arg-type]


def features(extractor: FeatureExtractor, dataset: Dataset) -> np.ndarray:  # type: ignore[type-arg]
    return extractor(in_data_space(torch.tensor(dataset.test[:50])))


def without_energies(features: patches.PatchFeatures) -> patches.PatchFeatures:
    """As an earlier version made them."""
    later = ("directions", "energies.mean", "energies.deviation")
    arrays = {name: array for name, array in features.arrays.items() if name not in later}
    return patches.PatchFeatures("patches-1-a", features.shape, arrays)


def test_a_new_search_keeps_what_its_patches_are_compared_with(home: Storage) -> None:
    dataset = unlabelled_digits()
    begun = own_extractor(dataset, home)
    assert begun.identity.startswith("patches-2-")
    keep_judge(dataset, begun, home)
    patches.FILTERS = 8  # what is trained now would differ
    kept = own_extractor(dataset, home)
    assert kept.identity == begun.identity
    assert np.array_equal(features(kept, dataset), features(begun, dataset))
    home.write(JUDGE_ARRAYS, b"torn")
    with pytest.raises(
        StorageError, match=r"judge\.safetensors: must hold the arrays of the search"
    ):
        own_extractor(dataset, home)


SIGNALLING = np.array([0x7F800001], np.uint32).view(np.float32)
"""A NaN that numpy warns of where it is converted."""


@pytest.mark.parametrize(
    "changed",
    [
        *({"filters": np.zeros(s, np.float32)} for s in [(0, 1, 3, 3), (5, 1, 0, 0), (5, 0, 3, 3)]),
        {"filters": np.zeros(5, np.float32)},
        {"answers.components": np.resize(SIGNALLING, (64, 512))},
    ],
)
def test_arrays_without_entries_or_numbers_are_refused(
    changed: dict[str, NDArray[np.float32]], home: Storage
) -> None:
    dataset = unlabelled_digits()
    begun = own_extractor(dataset, home)
    keep_judge(dataset, begun, home)
    damaged = dict(begun.arrays) | changed  # type: ignore[attr-defined]
    home.write(JUDGE_ARRAYS, as_safetensors(damaged))
    with pytest.raises(StorageError, match="must hold the arrays of the search: "):
        own_extractor(dataset, home)
    (cached,) = Path(os.environ["GAN_TUNE_CACHE"], "patches").iterdir()
    save_weights(cached, damaged)
    with pytest.raises(DataError, match="must hold what was fitted to these pictures"):
        build_extractor(dataset, unlabelled="patches")


def test_a_search_that_began_without_a_choice_keeps_the_components(home: Storage) -> None:
    dataset = unlabelled_digits()
    home.write_json(SEARCH_NOTE, {"metric": "frechet_distance"})
    begun = own_extractor(dataset, home)
    assert begun.identity == build_extractor(dataset).identity
    assert begun.identity.startswith("pca64-")
    keep_judge(dataset, begun, home)
    assert home.read(JUDGE_NOTE) is None
    assert own_extractor(dataset, home).identity == begun.identity


def test_it_is_stored_as_it_was_fitted(home: Storage) -> None:
    dataset = unlabelled_digits()
    fitted = patches.fit_patches(dataset)
    begun = own_extractor(dataset, home)
    keep_judge(dataset, begun, home)
    for found in (begun, own_extractor(dataset, home)):
        assert isinstance(found, patches.PatchFeatures)
        assert fitted.keys() == found.arrays.keys()
        for name, array in fitted.items():
            np.testing.assert_array_equal(found.arrays[name], array)


def test_weights_are_stored_whatever_the_order_of_their_axes(tmp_path: Path) -> None:
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    given = {"turned": weights.T, "columns": np.asfortranarray(weights), "some": weights[:, ::2]}
    save_weights(tmp_path / "w.safetensors", given)
    found = load_file(tmp_path / "w.safetensors")
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_search_of_an_earlier_version_keeps_its_judge_without_energies(home: Storage) -> None:
    dataset = unlabelled_digits()
    now = own_extractor(dataset, home)
    assert isinstance(now, patches.PatchFeatures)
    keep_judge(dataset, without_energies(now), home)
    kept = own_extractor(dataset, home)
    assert kept.identity == "patches-1-a"
    seen = features(kept, dataset)
    assert np.array_equal(seen, features(now, dataset)[:, : seen.shape[1]])


@pytest.mark.parametrize("name", ["digits", "ring"])
def test_labels_and_points_leave_no_choice(name: str, home: Storage) -> None:
    dataset = load_dataset(name)
    extractor = own_extractor(dataset, home)
    assert extractor.identity == build_extractor(dataset).identity
    keep_judge(dataset, extractor, home)
    assert home.read(JUDGE_NOTE) is None


def test_it_is_made_once_for_the_same_data_and_sees_the_train_split_alone() -> None:
    dataset = unlabelled_digits()
    first = build_extractor(dataset, unlabelled="patches")
    patches.FILTERS = 8
    assert build_extractor(dataset, unlabelled="patches").identity == first.identity
    others = replace(dataset, selection=dataset.test, test=dataset.selection)
    patches.FILTERS = 16
    again = build_extractor(others, unlabelled="patches")
    assert np.array_equal(features(again, dataset), features(first, dataset))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 128, 128), (3, 20, 33), (1, 9, 128)])
def test_grey_and_colour_pictures_of_any_size_have_features(shape: tuple[int, ...]) -> None:
    random = np.random.RandomState(0)
    pictures = random.randint(256, size=(60, *shape)).astype(np.uint8)
    dataset = cut("noise", "pictures", pictures, None, held_out=10)
    extractor = build_extractor(dataset, unlabelled="patches")
    judge = build_judge(dataset, "selection", extractor=extractor)
    assert (
        judge.versions["frechet_distance"] == f"frechet_distance/{extractor.identity}/selection/10"
    )
    found = judge(in_data_space(torch.tensor(dataset.train[:10])))
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("spoil", ["blurred", "speckled", "one picture", "paler"])
def test_spoilt_pictures_are_farther_than_real_ones(spoil: str) -> None:
    dataset = unlabelled_digits()
    judge = build_judge(
        dataset, "selection", extractor=build_extractor(dataset, unlabelled="patches")
    )
    drawn = np.random.RandomState(1).permutation(dataset.train)[: judge.count]
    real = in_data_space(torch.tensor(drawn))
    random = torch.Generator().manual_seed(0)
    spoilt = {
        "blurred": torch.nn.functional.avg_pool2d(real, 3, 1, 1),
        "speckled": torch.where(torch.rand(real.shape, generator=random) < 0.05, 1.0, real),
        "one picture": real[:1].expand_as(real),
        "paler": 0.7 * real,
    }[spoil]
    near, far = judge(real)["frechet_distance"], judge(spoilt)["frechet_distance"]
    assert far > 3 * near


def test_a_checkerboard_in_photographs_is_told_by_the_energies() -> None:
    """Real patches have none, so their own components hardly see it."""
    whole = unlabelled(colour_patches())
    dataset = replace(whole, train=whole.train[:1000], selection=whole.train[1000:1300])
    extractor = patches.PatchFeatures("now", dataset.shape, patches.fit_patches(dataset))
    rises = []
    for each in (without_energies(extractor), extractor):
        judge = build_judge(dataset, "selection", extractor=each)
        real = dataset.train[: judge.count]
        near, far = (
            judge(in_data_space(torch.tensor(part)))["frechet_distance"]
            for part in (real, checkered(real, 0.1))
        )
        rises.append(far - near)
    assert rises[1] > 2 * rises[0]
