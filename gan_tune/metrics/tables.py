"""How tables are judged column by column, pair by pair, and by a discriminator of their own."""

from __future__ import annotations

import numpy as np

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = [
    "column_distances",
    "correlation_difference",
    "detection_accuracy",
    "ks_max",
    "ks_median",
]

TREES = 50


def column_distances(real: Samples, fake: Samples) -> FloatMatrix:
    """sup over t of |F(t) − G(t)| for each column of [N, D] and [M, D]: float64 [D] in [0, 1].

    F and G are the shares of rows that are at most t: the Kolmogorov-Smirnov statistic.
    """
    from scipy.stats import ks_2samp

    pairs = zip(as_matrix(real).T, as_matrix(fake).T, strict=True)
    return np.array([ks_2samp(x, y, method="asymp").statistic for x, y in pairs])


def ks_median(real: Samples, fake: Samples) -> float:
    """The median of :func:`column_distances`."""
    return float(np.median(column_distances(real, fake)))


def ks_max(real: Samples, fake: Samples) -> float:
    """The largest of :func:`column_distances`."""
    return float(column_distances(real, fake).max())


def correlation_difference(real: Samples, fake: Samples) -> float:
    """The largest |r(i, j) − s(i, j)| over pairs of columns of [N, D] and [M, D], in [0, 2].

    r and s are Spearman's rank correlations, real and generated. That of a constant column is 0.
    """
    return float(np.abs(_rank_correlations(real) - _rank_correlations(fake)).max())


def _rank_correlations(samples: Samples) -> FloatMatrix:
    from scipy.stats import rankdata

    ranks = rankdata(as_matrix(samples), axis=0)
    ranks -= ranks.mean(0)
    norms = np.linalg.norm(ranks, axis=0)
    unit = ranks / np.where(norms > 0, norms, 1)
    correlations: FloatMatrix = unit.T @ unit
    np.fill_diagonal(correlations, 1)
    return correlations


def detection_accuracy(real: Samples, fake: Samples) -> float:
    """Held-out accuracy, in [0, 1], of boosted trees that tell real rows from generated ones.

    They are fitted to every second row of both, [N, D], and tried on the others. 0.5 is a guess.

    Source: the classifier two-sample test of Lopez-Paz and Oquab, Revisiting classifier two-sample
    tests, 2017.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = as_matrix(real), as_matrix(fake)
    fitted, tried = (np.concatenate([x[start::2], y[start::2]]) for start in (0, 1))
    truth, answers = (np.repeat([0, 1], [len(x[start::2]), len(y[start::2])]) for start in (0, 1))
    trees = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=0)
    return float(trees.fit(fitted, truth).score(tried, answers))
