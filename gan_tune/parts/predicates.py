"""Pure predicates of a trial config, used by the rules between parts."""

from __future__ import annotations

import math
from functools import lru_cache

from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.errors import DataError
from gan_tune.gan.penalties import PENALTIES, applies_to
from gan_tune.parts.network_traits import is_users_own, traits_of
from gan_tune.parts.trial_data import dataset_of

__all__ = [
    "activity_is_out_of_reach",
    "compares_pairs",
    "has_lazy_penalty",
    "has_obstacle",
    "has_penalty",
    "is_estimated",
    "is_pictures",
    "is_points",
    "k_exceeds_code",
    "looks_ahead_without_momentum",
    "norm_of",
    "output_of",
    "penalises_slope",
    "points_lie_beyond",
    "sample_shape",
    "sees_no_activations",
    "users_own_has_batch_norm",
    "users_own_has_spectral_norm",
    "warms_up_to_the_end",
]

GRADIENT_PENALTIES = frozenset(
    name for name, penalty in PENALTIES.items() if penalty.takes == "discriminator"
)

LEAST_MEAN_ACTIVITY = {"relu": 1 / 2, "elu": 1 / (1 + math.e), "tanh": 1 / (1 + math.e)}
"""Infimum of σ(h) over the range of an activation: h > 0, or h > −1; 0 for the others."""


def penalises_slope(config: TrialConfig) -> bool:
    """Whether a penalty depends on the discriminator's slope."""
    return any(part.name in GRADIENT_PENALTIES for part in config.penalties)


def compares_pairs(config: TrialConfig) -> bool:
    """Whether the loss compares each real logit with a fake one."""
    return config.loss.name == "relativistic"


def has_penalty(config: TrialConfig, player: str) -> bool:
    """Whether any penalty enters the objective of ``player``."""
    return any(applies_to(PENALTIES[p.name], dict(p.args), player) for p in config.penalties)


def norm_of(config: TrialConfig, player: str) -> str:
    """The normalisation of a player's network, as its argument `norm` says."""
    return str(getattr(config, player).args.get("norm", "none"))


def is_estimated(config: TrialConfig, player: str) -> bool:
    """Whether a player's gradient is estimated from values, not backpropagated."""
    return bool(getattr(config, f"{player}_gradient").name != "backprop")


def users_own_has_batch_norm(config: TrialConfig) -> bool:
    """Whether a user's own discriminator has batch norm; shipped ones have the argument `norm`."""
    found = traits_of(config, "discriminator") if is_users_own(config, "discriminator") else None
    return found is not None and found.batch_norm


def has_obstacle(config: TrialConfig, player: str, network: str, reason: str) -> bool:
    """Whether a user's own network prevents the estimate of a player's gradient."""
    if not (is_estimated(config, player) and is_users_own(config, network)):
        return False
    found = traits_of(config, network)
    return found is not None and found.obstacle == reason


def users_own_has_spectral_norm(config: TrialConfig) -> bool:
    """Whether a user's own discriminator has spectral norm in a layer."""
    found = traits_of(config, "discriminator") if is_users_own(config, "discriminator") else None
    return found is not None and found.spectral_norm


def sees_no_activations(config: TrialConfig) -> bool:
    """Whether a penalty needs activations, but the generator has none."""
    if not any(PENALTIES[part.name].takes == "activations" for part in config.penalties):
        return False
    found = traits_of(config, "generator")
    return found is not None and not found.activations


def sample_shape(config: TrialConfig) -> tuple[int, ...]:
    """The shape of one sample: (D,) of points, (C, H, W) of pictures, () of missing data."""
    try:
        return dataset_of(config.data).shape
    except DataError:
        return ()  # a separate fault


def is_points(config: TrialConfig) -> bool:
    """Whether the data are points."""
    return len(sample_shape(config)) == 1


def is_pictures(config: TrialConfig) -> bool:
    """Whether the data are pictures."""
    return len(sample_shape(config)) == 3


def points_lie_beyond(config: TrialConfig, low: float, high: float) -> bool:
    """Whether points lie outside of low..high."""
    try:
        least, most = _extent(dataset_of(config.data))
    except DataError:
        return False
    return is_points(config) and not low <= least <= most <= high


@lru_cache(maxsize=8)
def _extent(dataset: Dataset) -> tuple[float, float]:
    return float(dataset.train.min()), float(dataset.train.max())


def output_of(config: TrialConfig) -> str:
    """The generator's output activation, as its argument says."""
    return str(config.generator.args.get("output"))


def has_lazy_penalty(config: TrialConfig) -> bool:
    """Whether a penalty is computed at each k-th step only."""
    return any(part.args.get("every", 1) > 1 for part in config.penalties)


def activity_is_out_of_reach(config: TrialConfig) -> bool:
    """Whether a penalty's target is below the smallest possible activity of the generator."""
    least = LEAST_MEAN_ACTIVITY.get(str(config.generator.args.get("activation")), 0.0)
    return any(p.name == "activation_kl" and p.args["target"] < least for p in config.penalties)


def looks_ahead_without_momentum(config: TrialConfig, player: str) -> bool:
    """Whether an optimizer uses `nesterov` without a momentum."""
    args = getattr(config, f"{player}_optimizer").args
    return bool(args.get("nesterov")) and args["momentum"] == 0


def warms_up_to_the_end(config: TrialConfig, player: str) -> bool:
    """Whether a player's learning rate still rises when the training ends."""
    return bool(getattr(config, f"{player}_schedule").args.get("warm_up", 0) >= config.steps)


def k_exceeds_code(config: TrialConfig) -> bool:
    """Whether k-sparse codes would keep more units than the code has."""
    latent = config.generator.args.get("latent")
    k = config.sparsity.args.get("k")
    return isinstance(latent, int) and isinstance(k, int) and k > latent
