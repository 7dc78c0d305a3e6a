"""Distinct samples: repeated ones are told at every noise, honest ones never."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_tune.config import CollapseRule
from gan_tune.data.by_name import load_dataset
from gan_tune.data.scaling import in_data_space
from gan_tune.metrics import build_judge, metric_names
from gan_tune.metrics.distinct import (
    DistinctReference,
    distinct_count,
    distinct_reference,
    distinct_share,
    thumbnails,
)

LIMIT = CollapseRule().distinct
random = np.random.RandomState(0)


def test_every_sample_within_the_radius_of_an_earlier_one_is_left_out() -> None:
    line = np.arange(10.0)[:, None]
    assert distinct_count(line, 0.5) == 10
    assert distinct_count(line, 1.0) == 5
    assert distinct_count(line, 100.0) == 1
    assert distinct_count(np.repeat(line, 3, axis=0), 0.0) == 10


def test_it_counts_as_a_plain_loop_does() -> None:
    points = random.standard_normal((300, 3))
    kept: list[NDArray[np.float64]] = []
    for point in points:
        if all(np.linalg.norm(point - other) > 0.6 for other in kept):
            kept.append(point)
    assert distinct_count(points, 0.6) == len(kept)


def test_neither_the_scale_nor_the_place_of_the_data_matters() -> None:
    real, fake = random.standard_normal((2, 200, 5))
    fake[50:] = fake[:150]
    one = distinct_share(distinct_reference(real, space=""), fake)
    moved = distinct_reference(1000 * real + 7, space="")
    assert distinct_share(moved, 1000 * fake + 7) == one


@cache
def pictures_of(name: str) -> tuple[NDArray[np.uint8], DistinctReference, int]:
    dataset = load_dataset(name)
    count = min(len(dataset.selection), 200)
    return dataset.train, distinct_reference(_small(dataset.selection[:count]), space=""), count


def _small(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return thumbnails(in_data_space(torch.tensor(pictures)))


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("kinds", [1, 2, 5, 10, 50])
def test_few_pictures_over_and_over_are_told(kinds: int, noise: float) -> None:
    train, reference, count = pictures_of("digits")
    repeated = train[random.randint(kinds, size=count)].astype(np.float64)
    repeated += noise * train.std() * random.standard_normal(repeated.shape)
    shown = distinct_share(reference, _small(repeated.clip(0, 255).round().astype(np.uint8)))
    assert shown < LIMIT
    assert CollapseRule().shows(1.0, shown)


def test_training_data_raise_no_alarm_in_any_draw() -> None:
    train, reference, count = pictures_of("digits")
    for _ in range(50):
        drawn = train[random.choice(len(train), count, replace=False)]
        assert distinct_share(reference, _small(drawn)) > 2 * LIMIT


def test_two_points_of_a_table_are_told() -> None:
    real = random.standard_normal((500, 5)) * [1, 1, 1, 30, 0.1]
    reference = distinct_reference(real / real.std(0), space="")
    two = real[random.randint(2, size=500)] / real.std(0)
    assert distinct_share(reference, two) < 0.01
    assert distinct_share(reference, random.standard_normal((500, 5))) > 2 * LIMIT


def test_large_pictures_are_compared_in_small() -> None:
    assert thumbnails(torch.rand(2, 3, 128, 96)).shape == (2, 3 * 16 * 16)
    assert thumbnails(torch.rand(2, 1, 8, 128)).shape == (2, 8 * 16)


def test_only_data_without_a_known_mixture_have_it() -> None:
    assert "distinct_share" in metric_names(load_dataset("digits"))
    assert "distinct_share" not in metric_names(load_dataset("ring"))
    judge = build_judge(load_dataset("digits"), "selection")
    assert judge.versions["distinct_share"] == "distinct_share/thumbnails16/selection/300"
