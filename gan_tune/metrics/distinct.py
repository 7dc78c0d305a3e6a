"""How many samples are distinct, compared with as many real ones.

A generator that draws the same few samples over and over may have the data's total variance, so
that :mod:`gan_tune.metrics.variety` does not see it. Here samples that lie close together count
once. What is close depends on the spread of the data alone, so that noise hides no repetition and
smooth samples are not taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix
from gan_tune.metrics.pair_distances import squared_distances
from gan_tune.metrics.variety import total_variance

__all__ = [
    "CLOSE",
    "THUMBNAIL",
    "DistinctReference",
    "distinct_count",
    "distinct_reference",
    "distinct_share",
    "thumbnails",
]

THUMBNAIL = 16
"""Largest side in pixels of pictures that are compared: noise of single pixels averages out."""
CLOSE = 0.15
"""Two samples are one if they are closer than this share of the root mean square distance of two
real ones. Noise of a tenth of the data's deviation puts two samples at a tenth of it."""
ROUNDING = 1e-12
"""Squared distances below this share of the samples' variance are rounding errors."""


@dataclass(frozen=True)
class DistinctReference:
    """Real samples, reduced to the distance below which two are one, and to how many are left.

    ``space`` names what is compared, for the metric's version.
    """

    radius: float
    count: int
    space: str


def thumbnails(pictures: Tensor) -> FloatMatrix:
    """Pictures [N, C, H, W] on any device, averaged to at most 16 pixels a side: [N, D]."""
    height, width = (min(side, THUMBNAIL) for side in pictures.shape[2:])
    small = adaptive_avg_pool2d(pictures.detach().float(), (height, width))
    return as_matrix(small.flatten(1).cpu().to(torch.float64))


def distinct_count(samples: Samples, radius: float) -> int:
    """How many of the samples [N, D] remain, in order, of which none is within ``radius`` of an
    earlier one that remains."""
    points = as_matrix(samples)
    remains, number = np.ones(len(points), dtype=bool), 0
    limit = max(radius**2, ROUNDING * total_variance(points))
    for block in squared_distances(points, points):
        for row in block:
            if remains[number]:
                remains[number + 1 :] &= row[number + 1 :] > limit
            number += 1
    return int(remains.sum())


def distinct_reference(real: Samples, *, space: str) -> DistinctReference:
    """The reference of real samples [N, D]."""
    radius = CLOSE * (2 * total_variance(real)) ** 0.5
    return DistinctReference(radius, distinct_count(real, radius), space)


def distinct_share(reference: DistinctReference, fake: Samples) -> float:
    """Distinct ones among generated samples [N, D], over those among as many real samples.

    About 1 for samples as varied as the data, k / N or a little more for k samples over and over.

    Source: the birthday paradox test of Arora and Zhang, Do GANs actually learn the distribution?
    An empirical study, 2017, with a distance in place of the eye.
    """
    return distinct_count(fake, reference.radius) / reference.count
