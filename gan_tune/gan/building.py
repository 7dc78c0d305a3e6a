"""Builds a game from a trial config. The parts of a game get plain arguments, never a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_tune.config import Part, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.data.placement import resident
from gan_tune.data.scaling import scaling_of
from gan_tune.gan.augment import AUGMENTS, View, noise_level
from gan_tune.gan.averages import Lookahead, MovingAverage
from gan_tune.gan.batches import Batches
from gan_tune.gan.device import free_memory
from gan_tune.gan.estimators import ESTIMATORS
from gan_tune.gan.evaluation import Evaluation
from gan_tune.gan.game import RANDOM_STREAMS, Game, Pace
from gan_tune.gan.gradients import GRADIENT_CLIPS
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import NETWORKS, build_network
from gan_tune.gan.objectives import Autoencoder
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import PENALTIES, applies_to, bound_penalty
from gan_tune.gan.players import Player, PlayerName, trained
from gan_tune.gan.precision import Rounding, lay_out, resolved, rounding
from gan_tune.gan.randomness import seeded
from gan_tune.gan.schedules import SCHEDULES
from gan_tune.gan.sparsity import SPARSITIES, Sparsity
from gan_tune.gan.trial_networks import TrialNetworks, WithEncoder, build_networks
from gan_tune.gan.updates import UPDATES
from gan_tune.words.readable import gibibytes

__all__ = ["build_game"]


def build_game(config: TrialConfig, dataset: Dataset, device: torch.device) -> Game:
    """The game of a trial before its first step; `auto` is resolved for the device."""
    config = resolved(config, dataset.kind, device)
    networks, global_random = _networks(config, dataset.shape, device)
    scaling = scaling_of(dataset, config.data.args["scale"])
    batches = Batches(
        resident(dataset.train, device, scaling=scaling, free=free_memory(device)),
        size=config.data.args["batch_size"],
        latent=config.generator.args["latent"],
        device=device,
    )
    sparsity = _made(SPARSITIES, config.sparsity)()
    evaluation = Evaluation(
        networks, batches, scaling=scaling, sparsity=sparsity, shape=dataset.shape, seed=config.seed
    )
    players = _players(config, networks)
    rounded = rounding(config.precision, device)
    return Game(
        *players,
        networks,
        batches,
        evaluation,
        loss=_made(LOSSES, config.loss)(),
        pace=Pace(config.steps, config.d_steps, config.block.both, config.block.generator),
        random={name: seeded(config.seed, name, device) for name in RANDOM_STREAMS},
        global_random=global_random,
        view=_view(config),
        update=UPDATES[config.update.name],
        autoencoder=_autoencoder(config, networks, sparsity, rounded),
        average=_average(config, networks),
        lookahead=_lookahead(config, *players),
        rounded=rounded,
    )


def _networks(
    config: TrialConfig, shape: tuple[int, ...], device: torch.device
) -> tuple[TrialNetworks, dict[str, Tensor]]:
    def build(role: str, part: Part) -> Callable[[], nn.Module]:
        code = config.generator.args["latent"] if role == "encoder" else None

        def built() -> nn.Module:
            network = build_network(role, shape, name=part.name, args=part.args, code=code)
            lay_out(network, config.precision)
            return network

        return built

    _check_room(config, shape)
    return build_networks(
        build("generator", config.generator),
        build("discriminator", config.discriminator),
        None if config.encoder.name == "none" else build("encoder", config.encoder),
        shape=shape,
        seed=config.seed,
        device=device,
        averaged=bool(config.ema),
        record_activations=any(PENALTIES[p.name].takes == "activations" for p in config.penalties),
    )


def _check_room(config: TrialConfig, shape: tuple[int, ...]) -> None:
    """Check that there is memory for the weights of the shipped networks, and their gradients.

    Linux would promise it, and end the process once they are written.

    Raises:
        MemoryError: there is not.
    """
    needed = 0
    for role in NETWORKS:
        part: Part = getattr(config, role)
        if part.name == "none" or ":" in part.name:  # a user's own may need a real device
            continue
        code = config.generator.args["latent"] if role == "encoder" else None
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            network = build_network(role, shape, name=part.name, args=part.args, code=code)
        needed += sum(2 * p.numel() * p.element_size() for p in network.parameters())
    free = free_memory(torch.device("cpu"))  # where each is built, whatever its device
    if needed > free:
        held = f"{gibibytes(needed)} of weights and gradients"
        raise MemoryError(f"its networks have {held}, but {gibibytes(free)} are free")


def _players(config: TrialConfig, networks: TrialNetworks) -> tuple[Player, Player]:
    """Discriminator and generator. The generator's player also trains the encoder, if any."""
    generator = networks.generator
    if networks.encoder is not None:
        generator = WithEncoder(generator, networks.encoder)
    return (
        _player(
            "discriminator",
            networks.discriminator,
            config.discriminator_optimizer,
            gradient=config.discriminator_gradient,
            clip=config.discriminator_gradient_clip,
            schedule=config.discriminator_schedule,
            penalties=config.penalties,
            weight_limit=config.weight_clip,
        ),
        _player(
            "generator",
            generator,
            config.generator_optimizer,
            gradient=config.generator_gradient,
            clip=config.generator_gradient_clip,
            schedule=config.generator_schedule,
            penalties=config.penalties,
        ),
    )


def _player(
    name: PlayerName,
    network: nn.Module,
    optimizer: Part,
    *,
    gradient: Part,
    clip: Part,
    schedule: Part,
    penalties: Sequence[Part],
    weight_limit: float = 0.0,
) -> Player:
    own = [p for p in penalties if applies_to(PENALTIES[p.name], p.args, name)]
    return Player(
        name,
        network,
        optimizer=_made(OPTIMIZERS, optimizer)(trained(network)),
        estimate=_made(ESTIMATORS, gradient),
        clip=_made(GRADIENT_CLIPS, clip),
        schedule=_made(SCHEDULES, schedule),
        rate=optimizer.args["lr"],
        penalties=tuple(bound_penalty(PENALTIES[p.name], **p.args) for p in own),
        weight_limit=weight_limit,
        state_kind=_state_kind(optimizer),
    )


def _state_kind(optimizer: Part) -> str:
    """Identifies the layout of an optimizer's state.

    With and without momentum, some optimizers keep different tensors.
    """
    return f"{optimizer.name} with momentum" if optimizer.args.get("momentum") else optimizer.name


def _view(config: TrialConfig) -> View:
    noise = partial(noise_level, steps=config.steps, **dict(config.instance_noise))
    return View(AUGMENTS[config.augment.name], config.augment.args, noise)


def _autoencoder(
    config: TrialConfig, networks: TrialNetworks, sparsity: Sparsity, rounded: Rounding
) -> Autoencoder | None:
    if networks.encoder is None or networks.decoder is None:
        return None
    encoder, decoder = rounded(networks.encoder), rounded(networks.decoder)
    return Autoencoder(encoder, decoder, sparsity, config.reconstruction_weight)


def _average(config: TrialConfig, networks: TrialNetworks) -> MovingAverage | None:
    if networks.average is None:
        return None
    reach = config.ema_reach
    return MovingAverage(networks.average, networks.generator, ema=config.ema, reach=reach)


def _lookahead(config: TrialConfig, discriminator: Player, generator: Player) -> Lookahead | None:
    if not config.lookahead.every:
        return None
    weights = [*generator.parameters, *discriminator.parameters]
    return Lookahead(weights, every=config.lookahead.every, alpha=config.lookahead.alpha)


def _made(parts: Mapping[str, Callable[..., Any]], part: Part) -> Callable[..., Any]:
    """A part with its arguments bound."""
    function = parts[part.name]
    return partial(function, **part.args) if part.args else function
