"""Gradients of a player's objective: by backpropagation, or from the objective's values only."""

from gan_tune.gan.estimators.estimators import (
    ESTIMATORS,
    OBSTACLES,
    backprop,
    central_difference,
    estimator_refuses,
    forward_difference,
    random_directions,
)
from gan_tune.gan.estimators.perturbed import Network, Objective, PresentLoss

__all__ = [
    "ESTIMATORS",
    "OBSTACLES",
    "Network",
    "Objective",
    "PresentLoss",
    "backprop",
    "central_difference",
    "estimator_refuses",
    "forward_difference",
    "random_directions",
]
