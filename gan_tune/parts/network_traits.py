"""What a trial's networks are made of, as far as the rules between parts ask.

The networks that come with gan-tune say so by their arguments (`norm`); a user's own has to be
built to be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from gan_tune.config import Part, TrialConfig
from gan_tune.errors import DataError
from gan_tune.gan.estimators import estimator_refuses
from gan_tune.gan.game import hidden_activations
from gan_tune.gan.networks import NETWORKS, build_network, has_batch_norm, has_spectral_norm
from gan_tune.parts.trial_data import dataset_of

__all__ = ["Anatomy", "anatomy", "is_own", "look_at", "once_per_network"]

Shape = tuple[int, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Anatomy:
    """What is in a network.

    Attributes:
        batch_norm: whether it has batch norm.
        spectral_norm: whether a layer of it has spectral norm.
        obstacle: why differences of values cannot estimate its gradient, None where they can.
        activations: whether it has hidden activation layers to look at.
    """

    batch_norm: bool
    spectral_norm: bool
    obstacle: str | None
    activations: bool


def is_own(config: TrialConfig, role: str) -> bool:
    """Whether the network of a role is a user's own."""
    part: Part = getattr(config, role)
    return part.name != "none" and part.name not in NETWORKS[role]


def anatomy(config: TrialConfig, player: str) -> Anatomy | None:
    """What the generator or discriminator is made of; None where it, or the data, has a fault."""
    try:
        shape = dataset_of(config.data).shape
    except DataError:
        return None
    return _anatomy(player, getattr(config, player), shape)


def once_per_network(
    look: Callable[[str, Part, Shape], T],
) -> Callable[[str, Part, Shape], T]:
    """A function of a network's role, its part and the samples' shape that remembers its results.

    Arguments of a part may be lists, which no cache of the standard library takes.
    """
    known: dict[str, T] = {}

    def remembering(role: str, part: Part, shape: Shape) -> T:
        key = json.dumps([role, part.tree(), shape], sort_keys=True, default=repr)
        if key not in known:
            known[key] = look(role, part, shape)
        return known[key]

    return remembering


def look_at(role: str, part: Part, shape: Shape, look: Callable[[nn.Module], T]) -> T:
    """What ``look`` finds in a new network: on no real memory, unless it cannot do that.

    Raises:
        Exception: a user's network may raise anything.
    """

    def on(device: str) -> T:
        with torch.device(device), torch.random.fork_rng(devices=[]):
            return look(build_network(role, shape, name=part.name, args=part.args))

    try:
        return on("meta")
    except Exception:
        return on("cpu")


@once_per_network
def _anatomy(role: str, part: Part, shape: Shape) -> Anatomy | None:
    try:
        return look_at(role, part, shape, _dissected)
    except Exception:
        return None


def _dissected(network: nn.Module) -> Anatomy:
    return Anatomy(
        batch_norm=has_batch_norm(network),
        spectral_norm=has_spectral_norm(network),
        obstacle=estimator_refuses(network),
        activations=bool(hidden_activations(network)),
    )
