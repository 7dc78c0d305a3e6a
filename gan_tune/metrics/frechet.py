"""Fréchet distance between two sets of samples, each approximated by a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = ["GaussianStatistics", "frechet_distance", "gaussian_distance", "gaussian_statistics"]


@dataclass(frozen=True, eq=False)
class GaussianStatistics:
    """Mean [D] and unbiased covariance [D, D] of ``count`` samples, float64."""

    mean: FloatMatrix
    covariance: FloatMatrix
    count: int


def gaussian_statistics(samples: Samples) -> GaussianStatistics:
    """Mean and covariance of samples [N, D].

    Raises:
        ValueError: not [N, D], or fewer than 2 samples.
    """
    matrix = as_matrix(samples)
    if len(matrix) < 2:
        raise ValueError(f"a covariance needs at least 2 samples: {len(matrix)}")
    mean = matrix.mean(axis=0)
    centred = matrix - mean
    return GaussianStatistics(mean, centred.T @ centred / (len(matrix) - 1), len(matrix))


def gaussian_distance(real: GaussianStatistics, fake: GaussianStatistics) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), 0 or more.

    With A = S1^1/2 and B = S2^1/2 the matrix under the root is (AB)(AB)^T, so the trace of its root
    is the sum of the singular values of AB. These are real and at least 0 for covariances of any
    rank. They are also more exact than roots of eigenvalues, since the root magnifies rounding
    errors.

    Source: Dowson and Landau, The Fréchet distance between multivariate normal distributions, 1982;
    Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium, 2017.
    """
    product = _square_root(real.covariance) @ _square_root(fake.covariance)
    cross = np.linalg.svd(product, compute_uv=False).sum()
    shift = np.square(real.mean - fake.mean).sum()
    distance = shift + np.trace(real.covariance) + np.trace(fake.covariance) - 2 * cross
    return max(0.0, float(distance))


def frechet_distance(real: Samples, fake: Samples) -> float:
    """Fréchet distance between the Gaussians fitted to two sets of features [N, D], [M, D].

    In squared units of the features, 0 or more. Its expected value is larger for fewer samples.

    Raises:
        ValueError: not [N, D], fewer than 2 samples, or different D.
    """
    statistics = gaussian_statistics(real), gaussian_statistics(fake)
    if statistics[0].mean.shape != statistics[1].mean.shape:
        widths = [len(entry.mean) for entry in statistics]
        raise ValueError(f"real and fake must have one number of features: {widths}")
    return gaussian_distance(*statistics)


def _square_root(covariance: FloatMatrix) -> FloatMatrix:
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root: FloatMatrix = (vectors * np.sqrt(eigenvalues.clip(min=0))) @ vectors.T
    return root
