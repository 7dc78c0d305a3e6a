"""Metrics against independent plain formulas, and the judge that computes them all."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch

from gan_tune.gan import idx
from gan_tune.gan.data import Dataset, Mixture, Split, load_dataset
from gan_tune.metrics import METRICS, Judge, build_judge, features, metric_names
from gan_tune.metrics.classifier import (
    Classifier,
    architecture_of,
    classifier_accuracy,
    train_classifier,
)
from gan_tune.metrics.energy import energy_distance
from gan_tune.metrics.features import SHIPPED_WEIGHTS, build_extractor, shipped_record
from gan_tune.metrics.frechet import frechet_distance, gaussian_distance, gaussian_statistics
from gan_tune.metrics.matrix import as_matrix
from gan_tune.metrics.modes import (
    covered_modes,
    high_quality_share,
    modes_covered,
    sigma_ratio,
    sigma_ratio_max,
    sigma_ratio_min,
)
from gan_tune.metrics.train_shipped import EPOCHS
from gan_tune.metrics.variety import variety

SQUARE = Mixture(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), 0.05)
DISTANCES: dict[str, Callable[..., float]] = {
    "frechet_distance": frechet_distance,
    "energy_distance": energy_distance,
}


def normal(count: int, width: int, seed: int) -> np.ndarray:
    random = np.random.RandomState(seed)
    return random.randn(count, width) @ random.randn(width, width) + random.randn(width)


# Distances


def plain_frechet(real: np.ndarray, fake: np.ndarray) -> float:
    covariances = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    cross = np.real(scipy.linalg.sqrtm(covariances[0] @ covariances[1]))
    shift = np.sum((real.mean(0) - fake.mean(0)) ** 2)
    return float(shift + np.trace(covariances[0] + covariances[1] - 2 * cross))


def plain_energy(real: np.ndarray, fake: np.ndarray) -> float:
    def mean(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1)).mean())

    return math.sqrt(2 * mean(real, fake) - mean(real, real) - mean(fake, fake))


@pytest.mark.parametrize("width", [1, 2, 7, 64])
def test_frechet_agrees_with_sqrtm(width: int) -> None:
    real, fake = normal(500, width, 1), normal(300, width, 2)
    if width == 1:
        # sqrtm wants matrices; for one coordinate the formula is (m1 - m2)^2 + (s1 - s2)^2.
        expected = (real.mean() - fake.mean()) ** 2 + (real.std(ddof=1) - fake.std(ddof=1)) ** 2
    else:
        expected = plain_frechet(real, fake)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_rank_deficient_covariances() -> None:
    random = np.random.RandomState(0)
    # 20 samples in 40 dimensions. Both covariances live in the first 8 coordinates, where sqrtm of
    # the full-rank blocks gives the answer.
    real, fake = np.zeros((20, 40)), np.zeros((30, 40))
    real[:, :8], fake[:, :8] = normal(20, 8, 1), normal(30, 8, 2)
    rotation = scipy.linalg.qr(random.randn(40, 40))[0]
    expected = plain_frechet(real[:, :8], fake[:, :8])
    assert frechet_distance(real @ rotation, fake @ rotation) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_known_gaussians() -> None:
    real = gaussian_statistics(normal(100, 3, 0))
    fake = replace(real, mean=real.mean + np.array([3, 0, 4]))
    assert gaussian_distance(real, fake) == pytest.approx(25, rel=1e-9)
    wider = replace(real, covariance=4 * real.covariance)
    assert gaussian_distance(real, wider) == pytest.approx(np.trace(real.covariance), rel=1e-9)


def test_energy_agrees_with_scipy_in_one_dimension() -> None:
    real, fake = normal(400, 1, 1), normal(250, 1, 2)
    expected = scipy.stats.energy_distance(real[:, 0], fake[:, 0])
    assert energy_distance(real, fake) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("counts", "width"), [((40, 30), 2), ((1500, 1100), 2), ((200, 300), 5)])
def test_energy_agrees_with_brute_force(counts: tuple[int, int], width: int) -> None:
    real, fake = normal(counts[0], width, 1), normal(counts[1], width, 2)
    assert energy_distance(real, fake) == pytest.approx(plain_energy(real, fake), rel=1e-6)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_behave_as_such(name: str) -> None:
    distance = DISTANCES[name]
    real, fake = normal(300, 4, 1), normal(200, 4, 2)
    there = distance(real, fake)
    assert there > 0.1
    assert distance(fake, real) == pytest.approx(there, rel=1e-9)
    assert distance(real, real.copy()) == pytest.approx(0, abs=1e-6)
    assert distance(real[:5], fake[:5]) == pytest.approx(distance(fake[:5], real[:5]), rel=1e-9)
    order = np.random.RandomState(0).permutation(len(fake))
    assert distance(real, fake[order]) == pytest.approx(there, rel=1e-9)
    assert distance(real + 5, fake + 5) == pytest.approx(there, rel=1e-9)
    power = {"frechet_distance": 2, "energy_distance": 0.5}[name]
    assert distance(3 * real, 3 * fake) == pytest.approx(there * 3**power, rel=1e-9)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_take_tensors_and_refuse_what_does_not_fit(name: str) -> None:
    distance = DISTANCES[name]
    real, fake = normal(30, 4, 1), normal(20, 4, 2)
    tensors = torch.tensor(real, requires_grad=True), torch.tensor(fake)
    assert distance(*tensors) == distance(real, fake)
    with pytest.raises(ValueError, match=r"columns|number of features"):
        distance(real, fake[:, :3])
    with pytest.raises(ValueError, match=r"must be \[N, D\]"):
        distance(real, fake[0])
    assert as_matrix(real.astype(np.float32)).dtype == np.float64


# Modes


def test_modes_by_brute_force() -> None:
    fake = SQUARE.draw(400, seed=3).astype(np.float64)
    fake[:150] *= 1.07
    hits, good = [0] * 4, 0
    for x, y in fake:
        distances = [math.hypot(x - a, y - b) for a, b in SQUARE.modes]
        if min(distances) <= 3 * SQUARE.sigma:
            good += 1
            hits[distances.index(min(distances))] += 1
    assert high_quality_share(SQUARE, fake) == pytest.approx(good / 400, rel=1e-12)
    assert modes_covered(SQUARE, fake) == sum(hit >= 25 for hit in hits)


def test_a_mode_wants_a_quarter_of_its_share() -> None:
    fake = np.repeat(SQUARE.modes, [25, 24, 1, 350], axis=0)
    assert covered_modes(SQUARE, fake).tolist() == [True, False, False, True]
    assert modes_covered(SQUARE, fake) == 2


def test_only_good_samples_cover_a_mode() -> None:
    assert modes_covered(SQUARE, SQUARE.modes + 4 * SQUARE.sigma) == 0
    assert high_quality_share(SQUARE, SQUARE.modes + 4 * SQUARE.sigma) == 0


def test_truth_scores_as_theory_says() -> None:
    fake = SQUARE.draw(40_000, seed=0)
    assert high_quality_share(SQUARE, fake) == pytest.approx(1 - math.exp(-4.5), abs=2e-3)
    np.testing.assert_allclose(sigma_ratio(SQUARE, fake), 1, rtol=0.04)


def test_sigma_ratio_sees_shrunken_and_missing_modes() -> None:
    fake = SQUARE.draw(8000, seed=0).astype(np.float64)
    nearest = np.linalg.norm(fake[:, None] - SQUARE.modes[None], axis=2).argmin(1)
    fake[nearest == 0] *= 0.5  # this mode lies at 0
    fake = fake[nearest != 3]
    ratios = sigma_ratio(SQUARE, fake)
    np.testing.assert_allclose(ratios, [0.5, 1, 1, np.nan], rtol=0.08)
    assert sigma_ratio_min(SQUARE, fake) == np.nanmin(ratios)
    assert sigma_ratio_max(SQUARE, fake) == np.nanmax(ratios)


def test_sigma_ratio_bears_strays() -> None:
    fake = SQUARE.draw(8000, seed=0)
    fake[::10] += 0.3
    np.testing.assert_allclose(sigma_ratio(SQUARE, fake), 1, rtol=0.25)


def test_sigma_ratio_without_any_mode_is_zero() -> None:
    assert sigma_ratio_min(SQUARE, SQUARE.modes + 9) == 0
    assert sigma_ratio_max(SQUARE, SQUARE.modes + 9) == 0


def test_variety() -> None:
    real = normal(300, 4, 1)
    assert variety(real, real) == pytest.approx(1)
    assert variety(real, 0.3 * real + 7) == pytest.approx(0.3)
    assert variety(real, np.ones((50, 4))) == 0
    expected = math.sqrt(np.trace(np.cov(0.2 * real[:90].T)) / np.trace(np.cov(real.T)))
    assert variety(real, 0.2 * real[:90]) == pytest.approx(expected, rel=0.02)


# Features


@pytest.mark.parametrize("name", EPOCHS)
def test_shipped_record_is_complete(name: str) -> None:
    record = shipped_record(name)
    assert record is not None
    assert record["command"] == f"python -m gan_tune.metrics.train_shipped {name}"
    assert {"identity", "architecture", "seed", "epochs", "torch_version"} <= set(record)
    assert (SHIPPED_WEIGHTS / f"{name}.safetensors").stat().st_size < 1_000_000


@pytest.mark.parametrize(("name", "least"), [("digits", 0.97), ("fashion_mnist", 0.905)])
def test_shipped_weights_reproduce_their_record(name: str, least: float) -> None:
    dataset = shipped_dataset(name)
    record = shipped_record(name)
    assert record is not None
    assert record["data_digest"] == dataset.digest
    assert record["train_count"] == len(dataset.train)
    extractor = build_extractor(dataset)
    assert isinstance(extractor, features.ClassifierFeatures)
    assert extractor.identity == record["identity"]
    for split in ("selection", "test"):
        accuracy = classifier_accuracy(extractor.weights, dataset, split)
        # Another processor rounds otherwise, which may turn a picture at the edge of two classes.
        assert accuracy == pytest.approx(
            record[f"{split}_accuracy"], abs=max(1.5 / len(dataset.split(split)), 5e-4)
        )
        assert accuracy >= least


def shipped_dataset(name: str) -> Dataset:
    if name == "fashion_mnist":
        if not idx.DEBIAN_FASHION_MNIST.is_dir():
            pytest.skip("Debian's package dataset-fashion-mnist is not installed")
        return load_dataset(name, root=str(idx.DEBIAN_FASHION_MNIST))
    return load_dataset(name)


def toy_pictures(shape: tuple[int, ...], *, labelled: bool, count: int = 240) -> Dataset:
    """Pictures whose class is which half is bright."""
    random = np.random.RandomState(0)
    labels = random.randint(0, 2, count).astype(np.int64)
    brightness = random.randint(0, 100, (count, 1, 1, 1))
    pictures = (brightness + random.randint(0, 4, (count, *shape))).astype(np.uint8)
    half = shape[2] // 2
    for picture, label in zip(pictures, labels, strict=True):
        picture[:, :, label * half : (label + 1) * half] += 100
    cuts = (slice(0, 160), slice(160, 200), slice(200, count))
    return Dataset(
        "toy",
        "pictures",
        *(pictures[cut] for cut in cuts),
        *(labels[cut] if labelled else None for cut in cuts),
    )


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 20, 41), (1, 64, 64)])
def test_folding_batch_norms_changes_nothing(shape: tuple[int, ...]) -> None:
    dataset = toy_pictures(shape, labelled=True)
    architecture = architecture_of(dataset)
    assert architecture.features == (32 if shape == (1, 8, 8) else 64)
    torch.manual_seed(0)
    network = Classifier(architecture)
    pictures = torch.rand(16, *shape)
    network(pictures)  # gives the batch norms running statistics
    expected = network.eval()(pictures)
    torch.testing.assert_close(network.fuse()(pictures), expected, rtol=1e-4, atol=1e-5)


def test_training_is_repeatable_and_leaves_the_global_generator_alone() -> None:
    dataset = toy_pictures((1, 8, 8), labelled=True)
    before = torch.random.get_rng_state()
    first, second = (train_classifier(dataset, epochs=20) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)
    assert classifier_accuracy(first, dataset, "test") == 1


def test_other_labelled_pictures_train_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path))
    dataset = toy_pictures((3, 12, 12), labelled=True)
    first = build_extractor(dataset)
    assert [path.suffix for path in (tmp_path / "classifiers").iterdir()] == [".safetensors"]
    monkeypatch.setattr(features, "train_classifier", None)
    assert build_extractor(dataset).identity == first.identity
    assert dataset.digest[:8] in first.identity


def test_a_shipped_name_with_other_data_does_not_get_shipped_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path))
    dataset = replace(toy_pictures((1, 8, 8), labelled=True), name="digits")
    assert build_extractor(dataset).identity != shipped_record("digits")["identity"]


def test_unlabelled_pictures_go_by_principal_components() -> None:
    dataset = toy_pictures((1, 12, 12), labelled=False)
    extractor = build_extractor(dataset)
    assert extractor.identity == f"pca64-{dataset.digest[:8]}"
    train = extractor(torch.tensor(dataset.train).float() / 255)
    assert train.shape == (160, 64)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
    assert (np.diff(train.var(0)) <= 1e-9).all()


# The judge

JUDGED: dict[str, Callable[[], Dataset]] = {
    "digits": lambda: load_dataset("digits"),
    "ring": lambda: load_dataset("ring"),
    "grid": lambda: load_dataset("grid", size=5000),
    "gaussian": lambda: load_dataset("gaussian", size=1000),
    "unlabelled": lambda: toy_pictures((3, 16, 16), labelled=False),
    "points in 3-D": lambda: Dataset("own", "points", *(points3(seed) for seed in range(3))),
}


def points3(seed: int) -> np.ndarray:
    return np.random.RandomState(seed).randn(500, 3).astype(np.float32)


@pytest.fixture(scope="module", params=JUDGED)
def judged(request: pytest.FixtureRequest) -> tuple[Dataset, Judge]:
    dataset = JUDGED[request.param]()
    return dataset, build_judge(dataset, "selection")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))


def real_samples(dataset: Dataset, judge: Judge, split: Split = "test") -> torch.Tensor:
    samples = torch.tensor(dataset.split(split)[: judge.count]).float()
    return samples / 255 if dataset.kind == "pictures" else samples


def test_judge_computes_what_applies(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    values = judge(real_samples(dataset, judge))
    assert tuple(values) == judge.names == metric_names(dataset)
    for name, value in values.items():
        assert isinstance(value, float)
        assert math.isfinite(value)
        assert METRICS[name].applies(dataset.kind, mixture=dataset.mixture is not None)


@pytest.mark.parametrize("name", METRICS)
def test_each_metric_is_judged_somewhere_and_prefers_real_samples(name: str) -> None:
    metric = METRICS[name]
    dataset = load_dataset("ring", size=5000)
    judge = build_judge(dataset, "selection")
    real = real_samples(dataset, judge)
    # Everything on one half of the plane and blown up: wrong by every metric but those of width.
    poor = real.abs() * 1.5 + 0.02 * torch.randn(real.shape, generator=torch.Generator())
    good, bad = judge(real)[name], judge(poor)[name]
    if name in ("sigma_ratio_min", "variety"):
        assert good == pytest.approx(1, abs=0.1)
    elif metric.mode == "min" and metric.distance:
        assert good < bad / 5
    elif metric.mode == "max":
        assert good > bad


def test_floor_is_positive_and_small(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    noise = torch.rand(judge.count, *dataset.shape, generator=torch.Generator().manual_seed(0))
    values = judge(noise)
    assert set(judge.floor) == {name for name in judge.names if METRICS[name].distance}
    for name, floor in judge.floor.items():
        assert 0 < floor < values[name] / 3


def test_judge_pickles_small_and_to_identical_results(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    values = judge(samples)
    sent = pickle.dumps(judge)
    assert len(sent) < 2_000_000
    assert pickle.loads(sent)(samples) == values
    assert judge(samples) == values


def test_versions_name_extractor_split_and_count(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    other = build_judge(dataset, "test")
    assert other.count == judge.count == min(len(dataset.selection), len(dataset.test))
    for name in judge.names:
        tail = f"{judge.extractor.identity}/selection/{judge.count}"
        assert judge.versions[name] == f"{name}/{tail}"
        assert judge.comparable(name) == judge.versions[name].replace("/selection", "")
        assert other.comparable(name) == judge.comparable(name)
        assert other.versions[name] != judge.versions[name]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_samples_score_nan(judged: tuple[Dataset, Judge], value: float) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    samples[3, 0] = value
    values = judge(samples)
    assert tuple(values) == judge.names
    assert all(math.isnan(entry) for entry in values.values())


def test_huge_or_equal_samples_do_not_raise(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    for constant in (0.0, 1e30):
        values = judge(torch.full((judge.count, *dataset.shape), constant))
        assert values["variety"] == pytest.approx(0, abs=1e-3)
        assert all(math.isfinite(value) for value in values.values())


def test_judge_wants_its_count_and_shape(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    with pytest.raises(ValueError, match="samples must be"):
        judge(samples[:-1])
    with pytest.raises(ValueError, match="samples must be"):
        judge(samples[:, None])


def test_pictures_are_judged_as_they_would_be_saved() -> None:
    dataset = load_dataset("digits")
    judge = build_judge(dataset, "selection")
    samples = real_samples(dataset, judge)
    beyond = samples.clone()
    beyond[samples == 0] = -3
    beyond[samples == 1] = 7
    assert judge(beyond) == judge(samples)


def test_strides_do_not_matter(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    strided = torch.empty(*samples.shape[::-1]).permute(*reversed(range(samples.ndim)))
    strided.copy_(samples)
    assert judge(strided) == judge(samples)


def test_selection_and_test_judges_see_each_other_alike(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    other = build_judge(dataset, "test")
    there = judge(real_samples(dataset, judge, "test"))
    back = other(real_samples(dataset, other, "selection"))
    for name in judge.floor:
        assert there[name] == pytest.approx(back[name], rel=1e-9)


def test_order_of_samples_does_not_matter(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    order = torch.randperm(judge.count, generator=torch.Generator().manual_seed(0))
    expected = judge(samples)
    for name, value in judge(samples[order]).items():
        assert value == pytest.approx(expected[name], rel=1e-6)


def test_judging_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    dataset = load_dataset("digits")
    judge = build_judge(dataset, "selection")
    judge(real_samples(dataset, judge))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_reference_features_come_from_the_split_alone() -> None:
    dataset = load_dataset("ring", size=100)
    moved = replace(dataset, test=dataset.test + 1)
    samples = real_samples(dataset, build_judge(dataset, "selection"))
    judged_on: dict[str, Any] = {
        split: build_judge(moved, split)(samples)["frechet_distance"]
        for split in ("selection", "test")
    }
    assert judged_on["test"] > 1 > judged_on["selection"]


def test_records_are_json_without_paths() -> None:
    for path in SHIPPED_WEIGHTS.glob("*.json"):
        record = json.loads(path.read_text())
        assert not any(
            isinstance(value, str) and value.startswith("/") for value in record.values()
        )
