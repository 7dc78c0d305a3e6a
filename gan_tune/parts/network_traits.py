"""Traits of a trial's networks that decide which parts go together.

The traits of shipped networks follow from their arguments (`norm`). A user's own network is built
and examined.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gan_tune.config import Part, TrialConfig
from gan_tune.config.import_path import calls_own_parts, raising_exceptions
from gan_tune.errors import DataError, Fault
from gan_tune.gan.estimators import estimator_refuses
from gan_tune.gan.networks import NETWORKS, build_network, has_batch_norm, has_spectral_norm
from gan_tune.gan.networks.activations import hidden_activations
from gan_tune.parts.trial_data import dataset_of
from gan_tune.words.wording import shown

__all__ = [
    "NetworkTraits",
    "built_and_asked",
    "features_fault",
    "is_users_own",
    "may_be_built",
    "once_per_network",
    "traits_of",
]

Shape = tuple[int, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class NetworkTraits:
    """What a network contains.

    Attributes:
        batch_norm: whether it has batch norm.
        spectral_norm: whether a layer of it has spectral norm.
        obstacle: why differences of values cannot estimate its gradient; None if they can.
        activations: whether it has hidden activation layers.
    """

    batch_norm: bool
    spectral_norm: bool
    obstacle: str | None
    activations: bool


def is_users_own(config: TrialConfig, role: str) -> bool:
    """Whether the network of a role is a user's own."""
    part: Part = getattr(config, role)
    return part.name != "none" and part.name not in NETWORKS[role]


def may_be_built(config: TrialConfig, role: str) -> bool:
    """Whether a check may build the network of a role: a user's own only where it may be called."""
    return calls_own_parts() or not is_users_own(config, role)


def traits_of(config: TrialConfig, player: str) -> NetworkTraits | None:
    """Traits of the generator or discriminator; None if it or the data have a fault.

    None also for a user's own where :func:`calls_own_parts` is false.
    """
    if not may_be_built(config, player):
        return None
    try:
        shape = dataset_of(config.data).shape
    except DataError:
        return None
    return _traits(player, getattr(config, player), shape)


def once_per_network(
    ask: Callable[[str, Part, Shape], T],
) -> Callable[[str, Part, Shape], T]:
    """Cache a function of a network's role, its part and the samples' shape.

    Arguments of a part may be lists, which `functools.cache` does not allow.
    """
    known: dict[str, T] = {}

    def remembering(role: str, part: Part, shape: Shape) -> T:
        key = json.dumps([role, part.tree(), shape], sort_keys=True, default=repr)
        if key not in known:
            known[key] = ask(role, part, shape)
        return known[key]

    return remembering


def built_and_asked(role: str, part: Part, shape: Shape, ask: Callable[[nn.Module], T]) -> T:
    """Build a network and return the result of ``ask`` for it.

    It is built on the meta device, which needs no memory; on the CPU if that fails.

    Raises:
        Exception: a user's network may raise anything.
    """

    def on(device: str) -> T:
        with torch.device(device), torch.random.fork_rng(devices=[]), raising_exceptions():
            return ask(build_network(role, shape, name=part.name, args=part.args))

    try:
        return on("meta")
    except Exception:
        return on("cpu")


def features_fault(features: Any, samples: Tensor) -> Fault | None:
    """What is wrong with a discriminator's ``features``, which must map samples to [batch, ...]."""
    found = features(samples) if callable(features) else features
    shape = tuple(found.shape) if isinstance(found, Tensor) else None
    if shape is not None and shape[:1] == (len(samples),) and 0 not in shape:
        return None
    rule = f"its `features` must map {tuple(samples.shape)} to ({len(samples)}, features)"
    return Fault("discriminator", rule, shown(found if shape is None else shape))


@once_per_network
def _traits(role: str, part: Part, shape: Shape) -> NetworkTraits | None:
    try:
        return built_and_asked(role, part, shape, _read_traits)
    except Exception:
        return None


def _read_traits(network: nn.Module) -> NetworkTraits:
    return NetworkTraits(
        batch_norm=has_batch_norm(network),
        spectral_norm=has_spectral_norm(network),
        obstacle=estimator_refuses(network),
        activations=bool(hidden_activations(network)),
    )
