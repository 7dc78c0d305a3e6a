"""One of gan-tune's own generators as its weights and its config, without pickle and without code.

`generator.safetensors` holds tensors, `generator.json` the name and arguments of one of gan-tune's
own networks. Whatever the two files hold, reading them builds such a network or fails: the network
is built without memory, its tensors must have the names, shapes and types of those in the file, and
only then does it get them. torch promises no more of its `pt2` format than that the same release
reads it; these two files are read by any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from gan_tune.config.arguments import signature_arguments
from gan_tune.data.scaling import UNDO
from gan_tune.gan.networks import GENERATORS, build_network, without_parametrizations
from gan_tune.model.export import ExportedGenerator
from gan_tune.model.generator_config import CONFIG, GeneratorConfig, config_to_json
from gan_tune.words.wording import first_line, must_be_one_of, shown

__all__ = ["WEIGHTS", "built_from", "is_own", "stored_files", "weights_of"]

WEIGHTS = "generator.safetensors"
NETWORK = "network."
"""What precedes the names of the network's tensors; the others belong to the scaling."""


class _Scaling(NamedTuple):
    """What :class:`ExportedGenerator` needs of a scaling."""

    kind: str
    pictures: bool
    tensors: Mapping[str, Tensor]


def is_own(config: GeneratorConfig | None) -> bool:
    """Whether a generator's network is one of gan-tune's own."""
    return config is not None and config.network is not None and config.network.name in GENERATORS


def weights_of(module: nn.Module) -> bytes:
    """The content of a module's `generator.safetensors`."""
    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    own = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in module.state_dict().items()
    }
    return bytes(safetensors.torch.save(own))


def stored_files(module: nn.Module, config: GeneratorConfig) -> dict[str, bytes]:
    """The two files of a generator by name; the config holds the digest of the weights."""
    weights = weights_of(module)
    return {CONFIG: config_to_json(replace(config, sha256=_digest(weights))), WEIGHTS: weights}


def built_from(config: GeneratorConfig, weights: bytes) -> ExportedGenerator:
    """The generator of a config and weights, on the CPU, in eval mode.

    Raises:
        ValueError: the config is of no network of gan-tune's own, or the weights are damaged or of
            another network.
    """
    scaling = config.scaling or "none"
    if scaling not in UNDO:
        raise ValueError(must_be_one_of("scaling", scaling, UNDO))
    if config.sha256 is not None and config.sha256 != _digest(weights):
        raise ValueError(f"{WEIGHTS} is damaged, or not that of {CONFIG}: its digest differs")
    try:
        tensors = safetensors.torch.load(weights)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{WEIGHTS} is damaged: {first_line(error)}") from None
    network = _without_memory(config)
    of_network = {n.removeprefix(NETWORK): t for n, t in tensors.items() if n.startswith(NETWORK)}
    _check_same(network, of_network)
    network.load_state_dict(of_network, assign=True)
    of_scaling = {n: t for n, t in tensors.items() if not n.startswith(NETWORK)}
    generator = ExportedGenerator(
        network, _Scaling(scaling, config.pictures, of_scaling), config=config
    ).eval()
    _check_samples(generator, config)
    return generator


def _digest(weights: bytes) -> str:
    return hashlib.sha256(weights).hexdigest()


def _without_memory(config: GeneratorConfig) -> nn.Module:
    """The network on the meta device, its arguments checked as those of a space file."""
    name = config.network.name if config.network is not None else "none"
    if config.network is None or name not in GENERATORS:
        raise ValueError(must_be_one_of("network", name, GENERATORS))
    given = config.network.args
    known = signature_arguments(GENERATORS[name])
    if unknown := [key for key in given if key not in known]:
        raise ValueError(must_be_one_of(f"argument of the network {name}", unknown[0], known))
    args = {}
    for key, value in given.items():
        try:
            args[key] = known[key].check(value)
        except ValidationError as error:
            rule = error.errors()[0]["msg"]
            raise ValueError(f"network.{key}: {rule}: {shown(value)}") from None
    if args.get("latent") != config.latent:
        raise ValueError(f"latent must be that of the network: {config.latent}")
    # Spectral norm draws start vectors for its iteration.
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        network = build_network("generator", config.shape, name=name, args=args)
        return without_parametrizations(network)


def _check_same(network: nn.Module, found: Mapping[str, Tensor]) -> None:
    """Check that the tensors are those of the network, by name, shape and type."""
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            raise ValueError(f"{WEIGHTS} lacks {name!r:.60}")
        if name not in wanted:
            raise ValueError(f"{WEIGHTS} has {name!r:.60}, which its network does not have")
        kinds = [(tuple(t.shape), t.dtype) for t in (wanted[name], found[name])]
        if kinds[0] != kinds[1]:
            raise ValueError(f"{WEIGHTS}: {name} must be {kinds[0]}, but is {kinds[1]}")


@torch.no_grad()
def _check_samples(generator: ExportedGenerator, config: GeneratorConfig) -> None:
    """Check the scaling's tensors by their use, since only the samples tell their shapes."""
    try:
        samples = generator(torch.zeros(2, config.latent))
    except (KeyError, RuntimeError, IndexError, TypeError) as error:
        raise ValueError(f"{WEIGHTS}: the scaling does not fit: {first_line(error)}") from None
    if tuple(samples.shape) != (2, *config.shape):
        rule = f"must make samples {config.shape}"
        raise ValueError(f"{WEIGHTS} {rule}, but makes {tuple(samples.shape[1:])}")
