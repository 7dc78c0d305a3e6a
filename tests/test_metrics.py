"""Metrics against independent plain formulas, and the judge that computes them all."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats
import torch
from conftest import real_fashion_mnist

from benchmarks.train_classifiers import EPOCHS
from gan_tune.data.by_name import load_dataset
from gan_tune.data.columns import Column
from gan_tune.data.dataset import SPLITS, Dataset, Mixture, Split
from gan_tune.errors import DataError
from gan_tune.metrics import (
    BEST_NEAR_ONE,
    METRICS,
    Judge,
    Models,
    build_judge,
    features,
    frechet,
    inception,
    metric_names,
)
from gan_tune.metrics.classifier import (
    BATCH,
    Classifier,
    _batches,
    architecture_of,
    classifier_accuracy,
    train_classifier,
)
from gan_tune.metrics.code_sparsity import code_figures, hoyer_sparsity
from gan_tune.metrics.comparisons import COMPARISONS, MAX_PAIRED
from gan_tune.metrics.energy import energy_distance
from gan_tune.metrics.features import SHIPPED_WEIGHTS, build_extractor, shipped_record
from gan_tune.metrics.frechet import (
    frechet_distance,
    gaussian_distance,
    gaussian_reference,
    gaussian_statistics,
)
from gan_tune.metrics.inputs import MAX_PROBED, choose
from gan_tune.metrics.kernel import kernel_distance, kernel_reference, polynomial_kernel
from gan_tune.metrics.matrix import as_matrix
from gan_tune.metrics.models import Cost
from gan_tune.metrics.modes import (
    covered_modes,
    high_quality_share,
    modes_covered,
    reverse_kl,
    sigma_ratio,
    sigma_ratio_max,
    sigma_ratio_min,
)
from gan_tune.metrics.neighbours import neighbour_figures, neighbour_reference
from gan_tune.metrics.probe import WEIGHT_DECAY, linear_probe_accuracy, ridge_scores
from gan_tune.metrics.sliced import DIRECTIONS, directions, sliced_wasserstein
from gan_tune.metrics.variety import variety

SQUARE = Mixture(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), 0.05)
DISTANCES: dict[str, Callable[..., float]] = {
    "frechet_distance": frechet_distance,
    "energy_distance": energy_distance,
    "kernel_distance": kernel_distance,
    "sliced_wasserstein": sliced_wasserstein,
}
SCALING = {"frechet_distance": 2, "energy_distance": 0.5, "sliced_wasserstein": 1}
"""How a distance grows with the scale of the samples: as this power. The kernel has a constant."""


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
    wider = replace(real, root=2 * real.root, variance=4 * real.variance)
    assert gaussian_distance(real, wider) == pytest.approx(real.variance, rel=1e-9)


@pytest.mark.parametrize(
    ("counts", "width", "kind"),
    [
        ((500, 300), 7, "triangular"),
        ((400, 700), 300, "triangular"),
        ((400, 20), 40, "triangular"),
        ((20, 400), 40, "samples"),
        ((20, 30), 40, "samples"),
        ((30, 20), 40, "samples"),
    ],
)
def test_frechet_of_wide_features_agrees_with_symmetric_roots(
    counts: tuple[int, int], width: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of singular values of the samples' product, against roots of the covariances."""
    real, fake = normal(counts[0], width, 1), normal(counts[1], width, 2)
    monkeypatch.setattr(frechet, "NARROW", width)
    by_roots = frechet_distance(real, fake)
    monkeypatch.setattr(frechet, "NARROW", 0)
    reference = gaussian_reference(real)
    assert reference.triangular == (kind == "triangular")
    assert len(reference.root) == min(counts[0], width)
    np.testing.assert_allclose(reference.covariance, np.cov(real, rowvar=False), atol=1e-9)
    assert frechet_distance(real, fake) == pytest.approx(by_roots, rel=1e-7)
    if min(counts) > width:
        assert by_roots == pytest.approx(plain_frechet(real, fake), rel=1e-6)


def test_frechet_of_wide_features_that_depend_on_each_other() -> None:
    width = frechet.NARROW + 44
    real, fake = normal(width + 50, 8, 1), normal(width + 50, 8, 2)
    spread = scipy.linalg.qr(np.random.RandomState(0).randn(width, width))[0][:8]
    expected = plain_frechet(real, fake)
    assert frechet_distance(real @ spread, fake @ spread) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(real @ spread, real @ spread) == pytest.approx(0, abs=1e-5)


def test_energy_agrees_with_scipy_in_one_dimension() -> None:
    real, fake = normal(400, 1, 1), normal(250, 1, 2)
    expected = scipy.stats.energy_distance(real[:, 0], fake[:, 0])
    assert energy_distance(real, fake) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("counts", "width"), [((40, 30), 2), ((1500, 1100), 2), ((200, 300), 5)])
def test_energy_agrees_with_brute_force(counts: tuple[int, int], width: int) -> None:
    real, fake = normal(counts[0], width, 1), normal(counts[1], width, 2)
    assert energy_distance(real, fake) == pytest.approx(plain_energy(real, fake), rel=1e-6)


def plain_kernel(real: np.ndarray, fake: np.ndarray) -> float:
    def k(x: np.ndarray, y: np.ndarray) -> float:
        return (math.fsum(x * y) / len(x) + 1) ** 3

    def own(points: np.ndarray) -> float:
        count = len(points)
        pairs = [k(points[i], points[j]) for i in range(count) for j in range(count) if i != j]
        return math.fsum(pairs) / (count * (count - 1))

    across = math.fsum(k(x, y) for x in real for y in fake) / (len(real) * len(fake))
    return own(real) + own(fake) - 2 * across


@pytest.mark.parametrize("width", [1, 2, 9])
def test_kernel_distance_agrees_with_loops(width: int) -> None:
    real, fake = normal(40, width, 1), normal(30, width, 2)
    assert kernel_distance(real, fake) == pytest.approx(plain_kernel(real, fake), rel=1e-6)


@pytest.mark.parametrize("width", [3, 40])
def test_kernel_distance_of_many_samples_is_that_of_all_pairs(width: int) -> None:
    real, fake = normal(700, width, 1), normal(600, width, 2)
    scaled = real / 10, fake / 10
    reference = kernel_reference(scaled[0])
    assert (reference.moments is None) == (width == 40)  # both ways are tried
    own = [polynomial_kernel(x, x) for x in scaled]
    means = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in own]
    expected = sum(means) - 2 * polynomial_kernel(*scaled).mean()
    assert kernel_distance(*scaled) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_equal_distributions_scatters_around_zero() -> None:
    random = np.random.RandomState(0)
    values = [kernel_distance(random.randn(60, 3), random.randn(60, 3)) for _ in range(400)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0 < max(values)


@pytest.mark.parametrize("width", [1, 2, 9])
def test_sliced_wasserstein_agrees_with_optimal_assignment(width: int) -> None:
    real, fake = normal(40, width, 1), normal(40, width, 2)
    costs = []
    for line in directions(width):
        costs_of_pairs = (real @ line)[:, None] - (fake @ line)[None]
        pairs = scipy.optimize.linear_sum_assignment(costs_of_pairs**2)
        costs.append((costs_of_pairs**2)[pairs].mean())
    expected = math.sqrt(np.mean(costs))
    assert sliced_wasserstein(real, fake) == pytest.approx(expected, rel=1e-6)


def test_sliced_wasserstein_of_a_shift() -> None:
    real, shift = normal(100, 2, 1), np.array([3.0, 4.0])
    # In two dimensions (u.shift)^2 is |shift|^2 / 2 on average, over many directions.
    assert sliced_wasserstein(real, real + shift) == pytest.approx(5 / math.sqrt(2), rel=0.15)
    lines = directions(7)
    np.testing.assert_allclose(np.linalg.norm(lines, axis=1), 1)
    assert lines.shape == (DIRECTIONS, 7)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_behave_as_such(name: str) -> None:
    distance = DISTANCES[name]
    real, fake = normal(200, 4, 1), normal(200, 4, 2)
    there = distance(real, fake)
    assert there > 0.1
    assert distance(fake, real) == pytest.approx(there, rel=1e-9)
    # The unbiased estimate leaves out each sample beside itself, and so comes out below 0 here.
    floor = 0 if name != "kernel_distance" else plain_kernel(real, real)
    assert distance(real, real.copy()) == pytest.approx(floor, abs=1e-6)
    assert distance(real[:5], fake[:5]) == pytest.approx(distance(fake[:5], real[:5]), rel=1e-9)
    order = np.random.RandomState(0).permutation(len(fake))
    assert distance(real, fake[order]) == pytest.approx(there, rel=1e-9)
    if name in SCALING:
        assert distance(real + 5, fake + 5) == pytest.approx(there, rel=1e-9)
        grown = distance(3 * real, 3 * fake)
        assert grown == pytest.approx(there * 3 ** SCALING[name], rel=1e-9)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_take_tensors_and_refuse_what_does_not_fit(name: str) -> None:
    distance = DISTANCES[name]
    real, fake = normal(30, 4, 1), normal(30, 4, 2)
    tensors = torch.tensor(real, requires_grad=True), torch.tensor(fake)
    assert distance(*tensors) == distance(real, fake)
    with pytest.raises(ValueError, match=r"columns|number of features|one shape|mismatch"):
        distance(real, fake[:, :3])
    with pytest.raises(ValueError, match=r"must be \[N, D\]"):
        distance(real, fake[0])
    assert as_matrix(real.astype(np.float32)).dtype == np.float64


# Neighbours


def plain_neighbours(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    def radius(points: np.ndarray, i: int, k: int) -> float:
        return sorted(math.dist(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    def inside(balls: np.ndarray, points: np.ndarray, k: int) -> np.ndarray:
        """Whether ball i holds point j."""
        radii = [radius(balls, i, k) for i in range(len(balls))]
        return np.array(
            [
                [math.dist(ball, x) <= r for x in points]
                for ball, r in zip(balls, radii, strict=True)
            ]
        )

    return {
        "precision": inside(real, fake, 3).any(0).mean(),
        "recall": inside(fake, real, 3).any(0).mean(),
        "density": inside(real, fake, 5).sum() / (5 * len(fake)),
        "coverage": inside(real, fake, 5).any(1).mean(),
    }


@pytest.mark.parametrize(("width", "shift"), [(1, 0.3), (2, 1.0), (9, 0.5)])
def test_neighbour_figures_agree_with_loops(width: int, shift: float) -> None:
    random = np.random.RandomState(0)
    real, fake = random.randn(50, width) + 100, 0.7 * random.randn(40, width) + 100 + shift
    figures = asdict(neighbour_figures(neighbour_reference(real), fake))
    assert figures == pytest.approx(plain_neighbours(real, fake), rel=1e-6)
    assert len(set(figures.values())) > 2  # none of them is the other


def test_neighbour_figures_of_many_samples_are_those_of_all_pairs() -> None:
    random = np.random.RandomState(0)
    real, fake = random.randn(1300, 6), 0.8 * random.randn(1100, 6) + 0.3
    across = scipy.spatial.distance.cdist(real, fake)
    radii = {
        k: [np.sort(scipy.spatial.distance.cdist(x, x))[:, k] for x in (real, fake)] for k in (3, 5)
    }
    inside = across <= radii[5][0][:, None]
    assert asdict(neighbour_figures(neighbour_reference(real), fake)) == pytest.approx(
        {
            "precision": (across <= radii[3][0][:, None]).any(0).mean(),
            "recall": (across <= radii[3][1]).any(1).mean(),
            "density": inside.sum() / (5 * len(fake)),
            "coverage": inside.any(1).mean(),
        },
        rel=1e-12,
    )


def test_neighbour_figures_of_known_cases() -> None:
    real = normal(200, 3, 1)
    reference = neighbour_reference(real)
    same = neighbour_figures(reference, real)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    far = neighbour_figures(reference, real + 1e3)
    assert asdict(far) == dict.fromkeys(asdict(far), 0)
    collapsed = neighbour_figures(reference, np.repeat(real[:1], 200, axis=0))
    assert collapsed.precision == 1
    assert collapsed.recall <= 1 / 200
    assert collapsed.coverage <= 0.1
    half = neighbour_figures(reference, real[real[:, 0] > np.median(real[:, 0])])
    assert half.precision == 1
    assert half.recall < 0.8
    few = neighbour_figures(neighbour_reference(real[:2]), real[:3])
    assert few.density > 0


# Modes


def test_reverse_kl_by_counting() -> None:
    fake = np.repeat(SQUARE.modes, [10, 30, 0, 60], axis=0) + 0.4
    expected = sum(q * math.log(q / 0.25) for q in (0.1, 0.3, 0.6))
    assert reverse_kl(SQUARE, fake - 0.2) == pytest.approx(expected, rel=1e-9)
    assert reverse_kl(SQUARE, SQUARE.modes) == pytest.approx(0, abs=1e-12)
    assert reverse_kl(SQUARE, SQUARE.modes[:1]) == pytest.approx(math.log(4))


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


def test_sigma_ratio_by_brute_force() -> None:
    """Mode by mode in plain Python; the distances of a round Gaussian's samples are Rayleigh's."""
    fake = SQUARE.draw(3001, seed=4).astype(np.float64)
    nearest = np.linalg.norm(fake[:, None] - SQUARE.modes[None], axis=2).argmin(1)
    fake += 0.2 * nearest[:, None] * (fake - SQUARE.modes[nearest])  # each mode wider than the last
    expected = []
    for mode in range(4):
        own = [point for point, m in zip(fake.tolist(), nearest, strict=True) if m == mode]
        centre = [statistics.median(x) for x in zip(*own, strict=True)]
        median = statistics.median(math.dist(point, centre) for point in own)
        expected.append(median / scipy.stats.rayleigh(scale=SQUARE.sigma).median())
    np.testing.assert_allclose(sigma_ratio(SQUARE, fake), expected, rtol=1e-6)


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


# Sparsity


def test_code_figures_by_loops() -> None:
    random = np.random.RandomState(0)
    codes = random.randn(60, 7) * 10.0 ** np.arange(-3, 4)
    codes[random.rand(60, 7) < 0.3] = 0
    codes[:, 2] = 0
    codes[::4, 3] *= 1e-3
    hoyer, zeros, dead = [], 0, 0
    for h in codes:
        ratio = sum(map(abs, h)) / math.sqrt(sum(value**2 for value in h))
        hoyer.append((math.sqrt(7) - ratio) / (math.sqrt(7) - 1))
    for unit in codes.T:
        rms = math.sqrt(sum(value**2 for value in unit) / len(unit))
        dead += rms == 0
        zeros += sum(abs(value) < 0.01 * rms or rms == 0 for value in unit)
    figures = code_figures(codes)
    assert figures.hoyer_sparsity == pytest.approx(np.mean(hoyer), rel=1e-6)
    assert figures.zero_share == pytest.approx(zeros / codes.size, rel=1e-6)
    assert figures.dead_unit_share == pytest.approx(dead / 7)
    assert asdict(code_figures(1e-6 * codes)) == pytest.approx(asdict(figures), rel=1e-9)


def test_hoyer_sparsity_of_known_codes() -> None:
    codes = np.array([[1.0, 1, -1, 1], [0, -5, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(hoyer_sparsity(codes), [0, 1, 0], atol=1e-12)
    assert hoyer_sparsity(np.ones((3, 1))).tolist() == [0, 0, 0]


def test_dead_and_broken_codes() -> None:
    dead = code_figures(np.zeros((5, 3)))
    assert (dead.hoyer_sparsity, dead.zero_share, dead.dead_unit_share) == (0, 1, 1)
    broken = code_figures(np.array([[1.0, math.nan], [1, 2]]))
    assert all(math.isnan(value) for value in asdict(broken).values())


# Probe


@pytest.mark.parametrize("width", [4, 150])
def test_linear_probe_agrees_with_least_squares(width: int) -> None:
    """Weight decay is more samples: sqrt(alpha) times each unit vector, with targets of 0."""
    random = np.random.RandomState(0)
    labels = random.randint(0, 3, 150)
    scale = 10.0 ** random.randint(0, 3, width)
    points = (random.randn(150, width) + 7) * scale
    points[:, :2] += 0.9 * labels[:, None] * scale[:2]
    train, test = slice(0, 100), slice(100, 150)
    x = (points - points[train].mean(0)) / points[train].std(0)
    y = np.eye(3)[labels[train]]
    decay = math.sqrt(WEIGHT_DECAY) * np.c_[np.eye(width), np.zeros(width)]
    rows = np.r_[np.c_[x[train], np.ones(100)], decay]
    weights = np.linalg.lstsq(rows, np.r_[y, np.zeros((width, 3))])[0]
    scores = np.c_[x[test], np.ones(50)] @ weights
    np.testing.assert_allclose(ridge_scores(x[train], y, x[test]), scores, atol=1e-9)
    expected = (scores.argmax(1) == labels[test]).mean()
    assert 0.4 < expected < 0.95
    given = points[train], labels[train], points[test], labels[test]
    assert linear_probe_accuracy(*given) == pytest.approx(expected, abs=1e-12)
    moved, others = 3 * points - 5, 2 - labels  # other units, and other names of the classes
    again = linear_probe_accuracy(moved[train], others[train], moved[test], others[test])
    assert again == pytest.approx(expected, abs=1e-12)


def test_linear_probe_refuses_labels_that_do_not_fit() -> None:
    points = np.ones((4, 2))
    with pytest.raises(ValueError, match="two labels"):
        linear_probe_accuracy(points, np.zeros(4, int), points, np.zeros(4, int))
    with pytest.raises(ValueError, match="one label for each sample"):
        linear_probe_accuracy(points, np.arange(4), points, np.arange(3))


def test_linear_probe_of_broken_features_is_nan() -> None:
    points, labels = np.ones((4, 2)), np.array([0, 1, 0, 1])
    assert math.isnan(linear_probe_accuracy(points, labels, points * math.inf, labels))


# Features


@pytest.mark.parametrize("name", EPOCHS)
def test_shipped_record_is_complete(name: str) -> None:
    record = shipped_record(name)
    assert record is not None
    assert record["command"] == f"python benchmarks/train_classifiers.py {name}"
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
    return real_fashion_mnist() if name == "fashion_mnist" else load_dataset(name)


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
    monkeypatch.setattr(features, "train_classifier", pytest.fail)
    assert build_extractor(dataset).identity == first.identity
    assert dataset.digest[:8] in first.identity


def test_a_shipped_name_with_other_data_does_not_get_shipped_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path))
    dataset = replace(toy_pictures((1, 8, 8), labelled=True), name="digits")
    assert build_extractor(dataset).identity != shipped_record("digits")["identity"]


def test_labels_may_be_any_whole_numbers() -> None:
    dataset = toy_pictures((1, 8, 8), labelled=True)
    assert dataset.train_labels is not None
    far = replace(dataset, train_labels=np.where(dataset.train_labels == 1, 10**9, 7))
    assert architecture_of(far).classes == 2
    weights, expected = (train_classifier(d, epochs=2) for d in (far, dataset))
    assert all((weights[name] == expected[name]).all() for name in expected)


def one_class() -> Dataset:
    dataset = toy_pictures((1, 12, 12), labelled=True)
    assert dataset.train_labels is not None
    return replace(dataset, train_labels=np.zeros_like(dataset.train_labels))


@pytest.mark.parametrize(
    "pictures",
    [lambda: toy_pictures((1, 12, 12), labelled=False), one_class],
    ids=["unlabelled", "one class"],
)
def test_pictures_without_classes_go_by_principal_components(
    pictures: Callable[[], Dataset],
) -> None:
    dataset = pictures()
    extractor = build_extractor(dataset)
    assert extractor.identity == f"pca64-{dataset.digest[:8]}"
    train = extractor(torch.tensor(dataset.train).float() / 255)
    assert train.shape == (160, 64)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
    assert (np.diff(train.var(0)) <= 1e-9).all()


def test_a_table_is_judged_alike_in_any_units() -> None:
    units = np.array([1, 1e3, 1e-3], np.float32)
    metres, others = (
        Dataset("own", "points", *(factor * points3(seed) for seed in range(3)))
        for factor in (np.float32(1), units)
    )
    fake = torch.tensor(points3(9) * np.array([0.5, 1, 1], np.float32))
    names = ("frechet_distance", "energy_distance", "sliced_wasserstein", "coverage")
    one = build_judge(metres, "selection")(fake)
    same = build_judge(others, "selection")(fake * torch.tensor(units))
    for name in names:
        assert same[name] == pytest.approx(one[name], rel=1e-4), name
    constant = Dataset("own", "points", *(np.ones((50, 2), np.float32) for _ in range(3)))
    features = build_extractor(constant)(torch.tensor([[1.0, 3.0]]))
    np.testing.assert_array_equal(features, [[0, 2]])


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


def networks(dataset: Dataset) -> Models:
    """Fixed networks that stand in for a trial's: linear maps of the flattened sample."""
    width = math.prod(dataset.shape)
    drawn = torch.randn(width, 6, generator=torch.Generator().manual_seed(0)) / width**0.5
    return Models(
        discriminator_features=lambda x: x.flatten(1) @ drawn,
        encode=lambda x: (x.flatten(1) @ drawn).relu(),
        reconstruct=lambda x: 0.5 * x,
        generator_cost=lambda: Cost(7, 5.0),
    )


def test_judge_computes_what_applies(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    values = judge(samples, models=networks(dataset))
    cheap = tuple(name for name in metric_names(dataset) if not METRICS[name].costly)
    assert tuple(values) == judge.names == cheap
    for value in values.values():
        assert isinstance(value, float)
        assert math.isfinite(value)
    without = judge(samples)
    assert without == {name: values[name] for name in values if METRICS[name].model is None}
    only = judge(samples, Models(encode=networks(dataset).encode))
    assert set(only) == {*without, *(n for n in values if METRICS[n].model == "encode")}


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].model])
def test_metrics_of_networks_see_real_samples_only(name: str) -> None:
    dataset = load_dataset("digits")
    judge = build_judge(dataset, "selection", extra=[name])
    models = networks(dataset)
    samples = real_samples(dataset, judge)
    expected = judge(samples, models)[name]
    assert judge(samples * 0.3, models)[name] == expected
    real = torch.tensor(dataset.selection).float() / 255
    train = torch.tensor(dataset.train).float() / 255
    codes = models.encode(real)
    labels = dataset.train_labels, dataset.selection_labels
    by_hand = {
        "reconstruction_error": lambda: float(((real - 0.5 * real) ** 2).double().mean()),
        "linear_probe_accuracy": lambda: linear_probe_accuracy(
            models.discriminator_features(train),
            labels[0],
            models.discriminator_features(real),
            labels[1],
        ),
        "code_probe_accuracy": lambda: linear_probe_accuracy(
            models.encode(train), labels[0], codes, labels[1]
        ),
        "generator_parameters": lambda: 7,
        "generator_multiply_adds": lambda: 5.0,
    }
    figures = asdict(code_figures(codes))
    assert expected == pytest.approx(
        figures[name] if name in figures else by_hand[name](),
        rel=1e-5,
        abs=0.01 * ("probe" in name),
    )


def test_costly_metrics_are_computed_where_asked_for() -> None:
    dataset = load_dataset("digits")
    judge = build_judge(dataset, "selection", extra=["frechet_distance", "linear_probe_accuracy"])
    assert "linear_probe_accuracy" in judge.names
    assert {"code_probe_accuracy", "fid"}.isdisjoint(judge.names)
    values = judge(real_samples(dataset, judge), networks(dataset))
    assert 0.5 < values["linear_probe_accuracy"] <= 1
    assert judge.versions["linear_probe_accuracy"] == (
        "linear_probe_accuracy/discriminator_features-ridge/selection/300"
    )


def test_what_does_not_apply_is_refused() -> None:
    ring = load_dataset("ring", size=100)
    assert {"fid", "linear_probe_accuracy"}.isdisjoint(metric_names(ring))
    with pytest.raises(ValueError, match="fid"):
        build_judge(ring, "selection", extra=["fid"])
    toy = toy_pictures((1, 8, 8), labelled=True)
    one_label = replace(toy, train_labels=np.zeros_like(toy.train_labels))
    assert "linear_probe_accuracy" in metric_names(toy)
    assert "linear_probe_accuracy" not in metric_names(one_label)


def test_a_probe_that_finds_one_label_alone_is_refused() -> None:
    """The other one is so rare that none of the samples tried has it."""
    ring = load_dataset("ring", size=5000)
    labels = {f"{split}_labels": np.zeros(len(ring.split(split)), np.int64) for split in SPLITS}
    unseen = np.setdiff1d(np.arange(5000), choose(5000, MAX_PROBED))
    labels["train_labels"][unseen[0]] = 1
    with pytest.raises(DataError, match="two labels"):
        build_judge(replace(ring, **labels), "selection", extra=["linear_probe_accuracy"])  # type: ignore[arg-type]


def test_probes_take_no_more_than_their_share() -> None:
    ring = load_dataset("ring", size=5000)
    labelled = replace(ring, **{f"{s}_labels": halves(ring.split(s)) for s in SPLITS})
    judge = build_judge(labelled, "test", extra=["linear_probe_accuracy"])
    seen: list[int] = []

    def counting(samples: torch.Tensor) -> torch.Tensor:
        seen.append(len(samples))
        return samples

    values = judge(real_samples(labelled, judge), Models(discriminator_features=counting))
    assert sum(seen) == 2 * MAX_PROBED
    assert values["linear_probe_accuracy"] > 0.98  # a line parts the halves


def halves(points: np.ndarray) -> np.ndarray:
    return (points[:, 0] > 0.3).astype(np.int64)


@pytest.mark.parametrize(
    "name",
    [name for name in METRICS if "points" in METRICS[name].kinds and METRICS[name].model is None],
)
def test_each_metric_is_judged_somewhere_and_prefers_real_samples(name: str) -> None:
    metric = METRICS[name]
    dataset = load_dataset("ring", size=5000)
    if metric.needs_columns:
        dataset = replace(dataset, columns=(Column("x", "double"), Column("y", "double")))
    if metric.needs_no_mixture:
        dataset = replace(dataset, mixture=None)
    judge = build_judge(dataset, "selection", extra=[name])
    real = real_samples(dataset, judge)
    # Everything on one half of the plane and blown up: wrong by every metric but those of width.
    poor = real.abs() * 1.5 + 0.02 * torch.randn(real.shape, generator=torch.Generator())
    good, bad = judge(real)[name], judge(poor)[name]
    if name in BEST_NEAR_ONE:
        assert good == pytest.approx(1, abs=0.1)
    elif metric.mode == "min" and metric.distance:
        assert good < bad / 5
    elif metric.mode == "max":
        assert good > bad
    else:
        assert good < bad


TELL_COLLAPSE = {
    "frechet_distance",
    "kernel_distance",
    "sliced_wasserstein",
    "energy_distance",
    "recall",
    "coverage",
    "modes_covered",
    "reverse_kl",
    "variety",
    "distinct_share",
}


def test_metrics_of_spread_tell_a_collapsed_generator(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    real = real_samples(dataset, judge)
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    collapsed = real[:1] + 1e-3 * noise * real.std()
    good, bad = judge(real), judge(collapsed)
    for name in TELL_COLLAPSE & set(good):
        if METRICS[name].needs_mixture and len(dataset.mixture.modes) == 1:
            continue  # of one mode there is nothing to lose
        worse = bad[name] - good[name]
        assert worse > 0 if METRICS[name].mode == "min" else worse < 0, name


def test_floor_is_small(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    values = judge(torch.zeros(judge.count, *dataset.shape))
    assert set(judge.floor) == {name for name in judge.names if METRICS[name].distance}
    for name, floor in judge.floor.items():
        assert abs(floor) < values[name] / 2
        assert floor > 0 or name == "kernel_distance"  # whose floor is noise around 0


def test_judge_pickles_small_and_to_identical_results(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    samples, models = real_samples(dataset, judge), networks(dataset)
    values = judge(samples, models)
    sent = pickle.dumps(judge)
    assert len(sent) < 2_000_000
    assert pickle.loads(sent)(samples, models) == values
    assert judge(samples, models) == values


def test_versions_name_extractor_split_and_count(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    other = build_judge(dataset, "test")
    assert other.count == judge.count == min(len(dataset.selection), len(dataset.test))
    for name in judge.names:
        comparison = COMPARISONS[METRICS[name].comparison]
        seen = METRICS[name].model or judge.extractor.identity
        if name == "distinct_share":
            seen = {"pictures": "thumbnails16", "points": "coordinates"}[dataset.kind]
        count = min(judge.count, comparison.limit or judge.count)
        assert judge.versions[name] == f"{name}/{seen}/selection/{count}"
        assert judge.comparable(name) == judge.versions[name].replace("/selection", "")
        assert other.comparable(name) == judge.comparable(name)
        assert other.versions[name] != judge.versions[name]


def test_fewer_of_large_samples_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset("digits")
    monkeypatch.setattr("gan_tune.metrics.judge.MAX_VALUES", 100 * 64 + 63)
    assert build_judge(dataset, "selection").count == 100


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_samples_score_nan(judged: tuple[Dataset, Judge], value: float) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    samples[3, 0] = value
    values = judge(samples, networks(dataset))
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
        assert there[name] == pytest.approx(back[name], rel=1e-9, abs=1e-9)


def test_order_of_samples_does_not_matter(judged: tuple[Dataset, Judge]) -> None:
    dataset, judge = judged
    samples = real_samples(dataset, judge)
    order = torch.randperm(judge.count, generator=torch.Generator().manual_seed(0))
    expected = judge(samples)
    for name, value in judge(samples[order]).items():
        limit = COMPARISONS[METRICS[name].comparison].limit
        in_order = name == "distinct_share"  # of two that are close, the later one is left out
        if not in_order and (limit is None or judge.count <= limit):  # else it sees other samples
            assert value == pytest.approx(expected[name], rel=1e-6)


def test_no_more_than_the_limit_is_compared() -> None:
    dataset = load_dataset("ring", size=5000)
    judge = build_judge(dataset, "selection")
    samples = real_samples(dataset, judge)
    chosen = np.random.RandomState(0).choice(judge.count, MAX_PAIRED, replace=False)
    real, fake = dataset.selection[chosen], samples[chosen]
    values = judge(samples)
    assert values["kernel_distance"] == pytest.approx(kernel_distance(real, fake), rel=1e-9)
    assert values["sliced_wasserstein"] == pytest.approx(sliced_wasserstein(real, fake), rel=1e-9)
    figures = asdict(neighbour_figures(neighbour_reference(real), fake))
    assert {name: values[name] for name in figures} == pytest.approx(figures, rel=1e-9)


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


# Inception


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in a file of the published one's form."""
    package = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")

    class Unloaded(package.FeatureExtractorInceptionV3):
        def load_state_dict(self, *args: Any, **options: Any) -> None:
            pass

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Unloaded(
            "inception", ["2048"], feature_extractor_weights_path=folder / "empty.pth"
        )
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def test_fid_is_the_frechet_distance_on_inception_features(
    random_inception: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch_fidelity.feature_extractor_inceptionv3 as package

    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(random_inception))
    # An early layer of few pictures: all the rest is the same, but it takes seconds.
    monkeypatch.setattr(inception, "LAYER", "64")
    inception._load.cache_clear()
    dataset = toy_pictures((1, 8, 8), labelled=False, count=208)
    dataset = replace(dataset, selection=dataset.selection[:8])
    judge = build_judge(dataset, "selection", extra=["fid"])
    samples = real_samples(dataset, judge) * 0.8 + 0.1
    network = package.FeatureExtractorInceptionV3(
        "own", ["64"], feature_extractor_weights_path=random_inception
    )
    seen = []
    for pictures in (torch.tensor(dataset.selection), (samples * 255).round().to(torch.uint8)):
        seen.append(network(pictures.repeat(1, 3, 1, 1))[0].double().numpy())
    value = judge(samples)["fid"]
    assert value == pytest.approx(plain_frechet(*seen), rel=1e-6)
    assert judge.floor["fid"] > 0
    name = f"inception-{hashlib.sha256(random_inception.read_bytes()).hexdigest()[:8]}"
    assert judge.versions["fid"] == f"fid/{name}/selection/{judge.count}"
    assert pickle.loads(pickle.dumps(judge))(samples)["fid"] == value
    with pytest.raises(DataError, match="weights of the reference"):
        inception.fid_to(replace(judge.references["inception"], identity="other"), samples)
    inception._load.cache_clear()


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_features(
    random_inception: Path, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(random_inception))
    pictures = torch.rand(2, channels, 12, 12, generator=torch.Generator().manual_seed(0))
    found = inception.inception_features()(pictures)
    assert found.shape == (2, 2048)
    assert found.dtype == np.float64
    # Grey is what it would be in colour.
    expanded = pictures.expand(-1, 3, -1, -1)
    np.testing.assert_array_equal(inception.inception_features()(expanded), found)


def test_fid_without_package_or_weights_says_how_to_get_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = toy_pictures((1, 8, 8), labelled=False)
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(tmp_path / "none.pth"))
    with pytest.raises(DataError, match=r"torch-fidelity .* weights .*none\.pth") as caught:
        build_judge(dataset, "selection", extra=["fid"])
    assert "\n" not in str(caught.value)
    monkeypatch.delenv(inception.WEIGHTS_VARIABLE)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError, match=inception.WEIGHTS_VARIABLE):
        inception.inception_features()
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(DataError, match="pip install"):
        inception.inception_features()


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps(print, protocol=2)])
def test_broken_inception_weights_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    pytest.importorskip("torch_fidelity")
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(path))
    with pytest.raises(DataError, match=r"weights\.pth: must hold"):
        inception.inception_features()


def test_inception_weights_of_another_network_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch_fidelity")
    path = tmp_path / "weights.pth"
    torch.save({"other": torch.zeros(1)}, path)
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(path))
    with pytest.raises(DataError, match=r"weights\.pth: must hold"):
        inception.inception_features()


# Small and unlike numbers of samples: where one stands for the other, only these can tell.


@pytest.mark.parametrize("fake_count", [2, 3, 5, 9])
@pytest.mark.parametrize("real_count", [2, 3, 4, 5, 6, 7])
def test_few_samples_have_no_more_neighbours_than_there_are(
    real_count: int, fake_count: int
) -> None:
    """A set of k samples or fewer takes the largest k that it has."""
    random = np.random.RandomState(real_count)
    real, fake = random.randn(real_count, 2), 0.6 * random.randn(fake_count, 2) + 0.2
    figures = asdict(neighbour_figures(neighbour_reference(real), fake))

    def held(balls: np.ndarray, points: np.ndarray, wanted: int) -> tuple[list[list[bool]], int]:
        """Whether ball i holds point j, and the k taken."""
        k = min(wanted, len(balls) - 1)
        radii = [sorted(math.dist(ball, other) for other in balls)[k] for ball in balls]
        pairs = zip(balls, radii, strict=True)
        return [[math.dist(ball, x) <= r * (1 + 1e-12) for x in points] for ball, r in pairs], k

    near, _ = held(real, fake, 3)
    back, _ = held(fake, real, 3)
    dense, k = held(real, fake, 5)
    assert figures == pytest.approx(
        {
            "precision": sum(any(column) for column in zip(*near, strict=True)) / fake_count,
            "recall": sum(any(column) for column in zip(*back, strict=True)) / real_count,
            "density": sum(map(sum, dense)) / (k * fake_count),
            "coverage": sum(map(any, dense)) / real_count,
        }
    )


@pytest.mark.parametrize("train", [30, 200])
@pytest.mark.parametrize("sizes", [(40, 90), (90, 40)])
@pytest.mark.parametrize("split", ["selection", "test"])
def test_the_smaller_split_says_how_many_samples_both_judges_ask_for(
    split: Any, sizes: tuple[int, int], train: int
) -> None:
    counts = (train, *sizes)
    dataset = Dataset("own", "points", *(points3(i)[:count] for i, count in enumerate(counts)))
    judge = build_judge(dataset, split)
    assert judge.count == 40
    assert {version.rpartition("/")[2] for version in judge.versions.values()} == {"40"}
    samples = torch.tensor(points3(3)[:40])
    assert tuple(judge(samples, networks(dataset))) == judge.names
    own = dataset.split(split)
    chosen = own if len(own) == 40 else own[choose(len(own), 40)]
    real, fake = (judge.extractor(x) for x in (torch.tensor(chosen), samples))
    figures = asdict(neighbour_figures(neighbour_reference(real), fake))
    assert {name: judge(samples)[name] for name in figures} == pytest.approx(figures)


def test_fid_without_its_package_is_told_though_the_weights_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(path))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(DataError, match=r"^fid needs torch-fidelity \(pip install .*: import of"):
        inception.inception_features()


def test_the_metrics_are_what_they_are() -> None:
    """What is compared with a floor, and of what less is better: each by its name, not its flag."""
    distances = {"frechet_distance", "kernel_distance", "energy_distance", "sliced_wasserstein"}
    distances_of_tables = {"ks_median", "ks_max", "correlation_difference"}
    all_distances = distances | distances_of_tables | {"fid"}
    assert all_distances <= {name for name, metric in METRICS.items() if metric.distance}
    assert METRICS["detection_accuracy"].mode == "min"
    more = {name for name, metric in METRICS.items() if metric.mode == "max"}
    assert {"precision", "recall", "density", "coverage", "modes_covered"} <= more
    assert {"high_quality_share", "linear_probe_accuracy", "code_probe_accuracy"} <= more
    less = {"reverse_kl", "reconstruction_error", "generator_parameters", *distances, "fid"}
    assert not more & less
    assert less <= METRICS.keys()
    ring, digits = (build_judge(load_dataset(name), "selection") for name in ("ring", "digits"))
    assert set(ring.floor) == distances & set(ring.names)
    assert set(digits.floor) == distances & set(digits.names)
    assert {"frechet_distance", "kernel_distance"} <= set(digits.floor) & set(ring.floor)


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
@pytest.mark.parametrize("count", [3, 300, 700])
def test_a_classifier_is_trained_for_so_many_whole_batches(count: int, steps: int) -> None:
    """A pass goes through all samples once, but for a rest that fills no batch."""
    drawn = list(_batches(count, steps, torch.Generator().manual_seed(0)))
    size = min(BATCH, count)
    assert [len(batch) for batch in drawn] == [size] * steps
    each = count // size
    for start in range(0, steps - each + 1, each):
        seen = torch.cat(drawn[start : start + each]).tolist()
        assert len(set(seen)) == each * size
        assert set(seen) <= set(range(count))


def test_a_classifiers_weights_are_those_of_its_seed_whatever_was_drawn_before() -> None:
    dataset = toy_pictures((1, 8, 8), labelled=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = train_classifier(dataset, epochs=1)
        torch.manual_seed(2)
        again, other = (train_classifier(dataset, epochs=1, seed=seed) for seed in (0, 1))
    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)
