"""One short training step of a trial that has a user's own networks.

What builds and runs may still fail in training: a forward pass under `torch.no_grad`, one that
changes its input in place. Or it trains, but nothing reaches its weights. The step shows it before
a search begins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_tune.config import Block, Part, TrialConfig
from gan_tune.config.import_path import raising_exceptions
from gan_tune.data.dataset import Dataset
from gan_tune.errors import Fault
from gan_tune.gan.building import build_game
from gan_tune.gan.networks import NETWORKS
from gan_tune.gan.trial_networks import TrialNetworks
from gan_tune.parts.network_traits import is_users_own
from gan_tune.words.wording import in_one_line

__all__ = ["training_faults"]

BATCH, ROWS = 4, 16
RULE = "cannot be trained: one training step fails"
NO_GRADIENT = "its output has no gradient, as under torch.no_grad or after detach"
MEANINGS: Mapping[str, str] = {
    "does not require grad": NO_GRADIENT,
    "in-place operation": "it changes a tensor in place that the gradient needs, such as its input",
}
"""Words of torch's errors → what they mean for a network."""
DECIDE = (
    *NETWORKS, "loss", "penalties", "generator_gradient", "discriminator_gradient", "update",
    "augment", "sparsity", "precision",
)  # fmt: skip
"""Fields of a trial config by which a step fails or not; the others change only numbers."""

_known: dict[str, tuple[Fault, ...]] = {}


def training_faults(
    config: TrialConfig, dataset: Dataset, shipped: Callable[[str, Mapping[str, Any]], Part]
) -> tuple[Fault, ...]:
    """The faults of a user's own networks that one training step shows.

    ``shipped(role, args)`` is a shipped network with these arguments. With it in place of the other
    network of the user, a step shows which one is at fault. Random samples stand in for the data.
    """
    own = [role for role in NETWORKS if is_users_own(config, role)]
    if not own:
        return ()
    tree = config.tree()
    key = json.dumps([dataset.kind, dataset.shape, *(tree[name] for name in DECIDE)], default=str)
    if key not in _known:
        _known[key] = tuple(_faults(config, dataset, own, shipped))
    return _known[key]


def _faults(
    config: TrialConfig,
    dataset: Dataset,
    own: list[str],
    shipped: Callable[[str, Mapping[str, Any]], Part],
) -> Iterator[Fault]:
    reason = _why_not(config, dataset)
    if reason is None:
        return
    latent = {"latent": config.generator.args["latent"]}
    found = False
    for role in own:
        others = {o: shipped(o, latent if o == "generator" else {}) for o in own if o != role}
        alone = reason if not others else _why_not(config.model_copy(update=others), dataset)
        if alone is not None:
            found = True
            yield Fault(role, RULE, alone)
    if not found:
        yield Fault(own[0], f"{RULE} with this {' and '.join(own[1:])}", reason)


def _why_not(config: TrialConfig, dataset: Dataset) -> str | None:
    """Why a step of this trial on the CPU fails, on a few samples of the data set's shape."""
    random = np.random.RandomState(0)
    if dataset.kind == "pictures":
        rows = random.randint(0, 256, (ROWS, *dataset.shape)).astype(np.uint8)
        scale = config.data.args["scale"]
    else:
        rows, scale = random.standard_normal((ROWS, *dataset.shape)).astype(np.float32), "none"
    small = Dataset(dataset.name, dataset.kind, train=rows, selection=rows, test=rows)
    data = Part(name=config.data.name, args={"batch_size": BATCH, "scale": scale})
    short = config.model_copy(update={"data": data, "d_steps": 1, "block": Block()})
    try:
        with torch.random.fork_rng(devices=[]), raising_exceptions():
            game = build_game(short, small, torch.device("cpu"))
            game.train_step()
            return _without_effect(config, dataset.shape, game.networks)
    except Exception as error:  # a user's network may raise anything
        text = in_one_line(error)
        meaning = next((meaning for words, meaning in MEANINGS.items() if words in text), None)
        return f"{meaning} ({text})" if meaning else text


def _reached(output: Tensor, tensors: Sequence[Tensor]) -> bool:
    """Whether a gradient reaches any of these tensors."""
    found = torch.autograd.grad(output.sum(), tensors, allow_unused=True)
    return any(gradient is not None for gradient in found)


def _without_effect(
    config: TrialConfig, shape: tuple[int, ...], networks: TrialNetworks
) -> str | None:
    """Why a network of the user learns nothing, although its step went through; or None.

    The step takes a gradient that is not there as 0.
    """
    if config.generator_gradient.name != "backprop":  # then values are enough
        return None
    latent = config.generator.args["latent"]
    inputs = {"generator": (latent,), "discriminator": shape, "encoder": shape}
    for role in (role for role in NETWORKS if is_users_own(config, role)):
        x = torch.randn(BATCH, *inputs[role], requires_grad=role == "discriminator")
        network = networks.by_name()[role]
        output: Tensor = network(x)
        weights = [p for p in network.parameters() if p.requires_grad]
        if not output.requires_grad or not _reached(output, weights):
            return NO_GRADIENT
        if x.requires_grad and not _reached(network(x), [x]):
            return "no gradient passes through it to the samples, from which the generator learns"
    return None
