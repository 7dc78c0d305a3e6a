"""Linear probe: how well a linear classifier predicts the labels from a representation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gan_tune.metrics.matrix import Samples, as_matrix

__all__ = ["INVERSE_L2", "linear_probe_accuracy"]

INVERSE_L2 = 0.1
"""scikit-learn's C. On a few hundred standardised features and a few thousand samples it prevents
overfitting."""
MAX_ITERATIONS = 1_000


def linear_probe_accuracy(
    train_features: Samples,
    train_labels: NDArray[np.int64],
    test_features: Samples,
    test_labels: NDArray[np.int64],
) -> float:
    """Accuracy in 0..1 on the test features of a logistic regression fitted to the training ones.

    Features are [N, F] and [M, F], labels [N] and [M]. Each feature is scaled to mean 0 and
    variance 1 over the training samples; multinomial, with an L2 penalty, by L-BFGS from 0, so it
    is deterministic. NaN where a feature is not finite.

    Source: Alain and Bengio, Understanding intermediate layers using linear classifier probes,
    2016; Donahue et al., Adversarial Feature Learning, 2017 (on a GAN's features).

    Raises:
        ValueError: counts that do not fit, or training labels of one class only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = as_matrix(train_features), as_matrix(test_features)
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return math.nan
    regression = LogisticRegression(C=INVERSE_L2, max_iter=MAX_ITERATIONS)
    probe = make_pipeline(StandardScaler(), regression).fit(train, train_labels)
    return float(probe.score(test, test_labels))
