"""Linear probe: how well a linear classifier predicts the labels from a representation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gan_tune.metrics.matrix import FloatMatrix, Samples, as_matrix

__all__ = ["PROBE", "WEIGHT_DECAY", "linear_probe_accuracy", "ridge_scores"]

PROBE = "ridge"
"""The classifier, in the versions of the metrics: up to 0.2.0 it was a logistic regression, whose
accuracies differ."""
WEIGHT_DECAY = 1.0
"""On the sum of squares of the weights, beside errors that are summed over some 2,000 samples. From
32 features to 4,096, as many as samples among them, neither a third of it nor three times as much
was better by more than a hundredth; a tenth of it overfits, ten times as much loses two."""


def linear_probe_accuracy(
    train_features: Samples,
    train_labels: NDArray[np.int64],
    test_features: Samples,
    test_labels: NDArray[np.int64],
) -> float:
    """Accuracy in 0..1 on the test features of a linear classifier fitted to the training ones.

    Features are [N, F] and [M, F], labels [N] and [M]. Each feature is scaled to mean 0 and
    variance 1 over the training samples. The class with the largest of :func:`ridge_scores` is
    predicted: a closed form, where logistic regression needs up to a thousand passes and is right
    more often on some features, less often on others. NaN where a feature is not finite.

    Source: Alain and Bengio, Understanding intermediate layers using linear classifier probes,
    2016; Donahue et al., Adversarial Feature Learning, 2017 (on a GAN's features).

    Raises:
        ValueError: counts that do not fit, or training labels of one class only.
    """
    from sklearn.preprocessing import StandardScaler

    train, test = as_matrix(train_features), as_matrix(test_features)
    classes, targets = np.unique(train_labels, return_inverse=True)
    counts = (len(train), len(train_labels)), (len(test), len(test_labels))
    if any(samples != labels for samples, labels in counts):
        raise ValueError(f"there must be one label for each sample: {counts}")
    if len(classes) < 2:
        raise ValueError(f"a linear probe needs at least two labels: {classes.tolist()}")
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return math.nan
    scaler = StandardScaler().fit(train)
    scores = ridge_scores(
        scaler.transform(train), np.eye(len(classes))[targets], scaler.transform(test)
    )
    return float((classes[scores.argmax(axis=1)] == test_labels).mean())


def ridge_scores(x: FloatMatrix, y: FloatMatrix, test: FloatMatrix) -> FloatMatrix:
    """t W + b for test features t [M, F], where W and b minimise |x W + b - y|^2 + alpha |W|^2.

    Features x are [N, F] with mean 0, targets y are [N, K]; the scores are [M, K]. So b is the mean
    of y, and W = (x^T x + alpha)^-1 x^T (y - b) = x^T (x x^T + alpha)^-1 (y - b): the smaller of
    the two matrices is factored.

    Source: Hoerl and Kennard, Ridge regression, 1970.
    """
    from scipy.linalg import solve

    b = y.mean(axis=0)
    few = x.shape[1] <= len(x)
    gram = x.T @ x if few else x @ x.T
    gram.flat[:: len(gram) + 1] += WEIGHT_DECAY
    solved = solve(gram, x.T @ (y - b) if few else y - b, assume_a="pos")
    scores: FloatMatrix = (test if few else test @ x.T) @ solved + b
    return scores
