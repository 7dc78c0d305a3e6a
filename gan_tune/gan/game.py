"""The game of the two players: their networks, objectives, gradients and steps.

Everything of a trial that moves while it trains, and nothing that judges it. Several trials of one
shape could be trained as one: all parts are pure functions of tensors.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from gan_tune.config import Part, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.data.placement import resident
from gan_tune.data.scaling import scaling_of
from gan_tune.gan import checkpoint
from gan_tune.gan.augment import AUGMENTS, instance_noise, noise_level
from gan_tune.gan.averages import follow, statistics_batches, take_batch_statistics
from gan_tune.gan.estimators import ESTIMATORS
from gan_tune.gan.gradients import (
    GRADIENT_CLIPS,
    output_dimensions,
    total_norm,
    unclipped,
    was_clipped,
)
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import build_network, mixes_samples
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import PENALTIES, applies_to
from gan_tune.gan.randomness import global_generators, global_state, seeded, seeded_globals
from gan_tune.gan.schedules import SCHEDULES
from gan_tune.gan.sparsity import SPARSITIES, idle_share
from gan_tune.gan.updates import UPDATES

__all__ = ["PLAYERS", "Game", "Player", "Round", "hidden_activations"]

Player = Literal["generator", "discriminator"]
PLAYERS: tuple[Player, ...] = ("generator", "discriminator")

EVALUATION_BATCH = 2_000

Network = Callable[[Tensor], Tensor]
Gradients = Sequence[Tensor]


class Round(NamedTuple):
    """One batch of each side, scaled: x and G(z), [batch, *shape], with z [batch, latent].

    ``activations`` are the generator's hidden ones while it drew G(z), where a penalty reads them.
    """

    real: Tensor
    z: Tensor
    fake: Tensor
    activations: Sequence[Tensor]


class Game:
    """Two networks that train against each other, and an encoder where there is one.

    ``figures`` are scalars of the last step; ``sums`` are totals and ``peaks`` largest values since
    :meth:`begin_window`, over ``window`` steps of each player.
    """

    def __init__(self, config: TrialConfig, dataset: Dataset, device: torch.device) -> None:
        self.config, self.device = config, device
        self.scaling = scaling_of(dataset, config.data.args["scale"])
        self.shape = dataset.shape
        self._data = resident(dataset.train, device, scaling=self.scaling)
        self.batch: int = config.data.args["batch_size"]
        self.latent: int = config.generator.args["latent"]
        self._build(dataset)
        self.step = 0
        self._d_steps = 0
        self._ahead = False
        self.figures: dict[str, Tensor] = {}
        self.begin_window()

        self._players: dict[Player, nn.Module] = {
            "generator": WithEncoder(self.generator, self.encoder)
            if self.encoder
            else self.generator,
            "discriminator": self.discriminator,
        }
        self.parameters: dict[Player, list[Tensor]] = {
            player: [p for p in network.parameters() if p.requires_grad]
            for player, network in self._players.items()
        }
        self._outputs = {
            player: output_dimensions(network) for player, network in self._players.items()
        }
        parts = {
            "generator": (
                config.generator_optimizer,
                config.generator_gradient,
                config.generator_gradient_clip,
                config.generator_schedule,
            ),
            "discriminator": (
                config.discriminator_optimizer,
                config.discriminator_gradient,
                config.discriminator_gradient_clip,
                config.discriminator_schedule,
            ),
        }
        self._optimizers: dict[Player, torch.optim.Optimizer] = {}
        self._estimators: dict[str, Callable[..., Gradients]] = {}
        self._clips: dict[str, Callable[..., Gradients]] = {}
        self._schedules: dict[str, Callable[[int, int], float]] = {}
        for player in PLAYERS:
            optimizer, gradient, clip, schedule = parts[player]
            self._optimizers[player] = _made(OPTIMIZERS, optimizer)(self.parameters[player])
            self._estimators[player] = _made(ESTIMATORS, gradient)
            self._clips[player] = _made(GRADIENT_CLIPS, clip)
            self._schedules[player] = _made(SCHEDULES, schedule)
        self._rates = {player: parts[player][0].args["lr"] for player in PLAYERS}
        self._state_kinds = {player: _state_kind(parts[player][0]) for player in PLAYERS}
        self._loss = _made(LOSSES, config.loss)()
        self._sparsity = _made(SPARSITIES, config.sparsity)()
        self._augment = _made(AUGMENTS, config.augment)
        self._update = UPDATES[config.update.name]
        self._random = {
            name: seeded(config.seed, name, device)
            for name in ("data", "latent", "view", "penalty", "gradient")
        }
        self._slow = self._fast_weights() if config.lookahead.every else []
        self._settled: dict[nn.Module, int] = {}

    def _build(self, dataset: Dataset) -> None:
        """The networks, initialised from the trial's seed, and the generators' state after it."""
        config, device = self.config, self.device

        def built(role: str, part: Part) -> nn.Module:
            # On the CPU first, so that every device starts from the same weights.
            code = self.latent if role == "encoder" else None
            return build_network(role, dataset.shape, name=part.name, args=part.args, code=code).to(
                device
            )

        with seeded_globals(config.seed, "networks", device):
            self.generator = built("generator", config.generator)
            self.discriminator = built("discriminator", config.discriminator)
            self.encoder = None
            if config.encoder.name != "none":
                self.encoder = built("encoder", config.encoder)
            self._globals = global_state(device)
            # One pass over real and fake together is cheaper, but would mix their statistics.
            self._joint = not mixes_samples(self.discriminator, dataset.shape)
        # Of the same weights as the generator, with batch statistics of its own: those of codes are
        # not those of noise, and neither's running averages would serve the other.
        self.decoder = _sharing_weights(self.generator) if self.encoder else None
        self.average: nn.Module | None = None
        if config.ema:
            with seeded_globals(config.seed, "networks", device):
                self.average = built("generator", config.generator)
        # Never trained: what it has of its own is taken anew wherever it serves.
        self.average_decoder = (
            _sharing_weights(self.average).eval()
            if self.average is not None and self.decoder is not None
            else None
        )
        self._activations: list[Tensor] = []
        if any(PENALTIES[part.name].of == "activations" for part in config.penalties):
            for layer in hidden_activations(self.generator):
                layer.register_forward_hook(self._note_activation)

    def _note_activation(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if layer.training:  # those of thousands of samples to be judged would only fill the memory
            self._activations.append(output)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks by name."""
        found = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
            "decoder": self.decoder,
            "average": self.average,
        }
        return {name: network for name, network in found.items() if network is not None}

    # ---------------------------------------------------------------- one step

    def train_step(self) -> None:
        """One step of the generator, after those of the discriminator that are due."""
        self._update(self, self.config.d_steps if self._discriminator_is_due() else 0)
        self.step += 1
        self.window += 1
        every = self.config.lookahead.every
        if every and self.step % every == 0:
            self._look_back()
        if self.average is not None:
            follow(
                list(self.average.parameters()),
                list(self.generator.parameters()),
                step=self.step,
                ema=self.config.ema,
                reach=self.config.ema_reach,
            )

    def _discriminator_is_due(self) -> bool:
        block = self.config.block
        return self.step % (block.both + block.generator) < block.both

    def draw(self) -> Round:
        """A batch of real data, and one of the generator's with its graph."""
        chosen = torch.randint(
            len(self._data), (self.batch,), generator=self._random["data"], device=self.device
        )
        real = self._data.batch(chosen)
        z = torch.randn(
            self.batch, self.latent, generator=self._random["latent"], device=self.device
        )
        self._activations.clear()
        return Round(real, z, self.generator(z), list(self._activations))

    def gradients(self, player: Player, batch: Round) -> Gradients:
        """∇ of a player's objective, by the player's own rule of estimation."""
        objective = getattr(self, f"_{player}_objective")(batch)
        network, estimate = self._players[player], self._estimators[player]
        if estimate is not ESTIMATORS["backprop"]:
            with torch.no_grad():
                objective(network)  # for the figures: perturbed copies leave none
        return estimate(objective, network, self._random["gradient"])

    def descend(self, player: Player, gradients: Gradients) -> None:
        """Clip, schedule and apply a player's gradients."""
        parameters, optimizer = self.parameters[player], self._optimizers[player]
        norm = total_norm(gradients)
        clipped = self._clips[player](gradients, parameters, self._outputs[player])
        self.figures[f"{player}_gradient_norm"] = norm
        self._add(f"{player}_gradient_norm", norm)
        if self._clips[player] is not unclipped:
            self._add(f"{player}_clipped_share", was_clipped(gradients, clipped))
        self._note_peak(f"{player}_gradient_norm_max", norm)
        rate = self._rates[player] * self._schedules[player](self.step, self.config.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        for parameter, gradient in zip(parameters, clipped, strict=True):
            parameter.grad = gradient
        optimizer.step()
        if player == "discriminator":
            self._d_steps += not self._ahead
            self._limit_weights()

    @contextmanager
    def extrapolated(self) -> Iterator[None]:
        """Come back to the present weights of both players when the block ends.

        Steps in it do not count, so that a lazy penalty is in the gradients there and back or in
        neither.
        """
        before = self._fast_weights()
        self._ahead = True
        yield
        self._ahead = False
        with torch.no_grad():
            torch._foreach_copy_(self._weights(), before)

    # ---------------------------------------------------------------- the objectives

    def _discriminator_objective(self, batch: Round) -> Callable[[Network], Tensor]:
        real, fake = self._view(batch.real), self._view(batch.fake.detach())

        def objective(discriminator: Network) -> Tensor:
            real_logits, fake_logits = self._logits(discriminator, real, fake)
            loss: Tensor = self._loss.discriminator(real_logits, fake_logits)
            loss = loss + self._discriminator_penalties(discriminator, real, fake)
            if discriminator is self.discriminator:
                self._note_discriminator(loss, real_logits, fake_logits)
            return loss

        return objective

    def _generator_objective(self, batch: Round) -> Callable[[Network], Tensor]:
        def objective(generator: Network) -> Tensor:
            # What the generator has drawn for the discriminator serves here, too.
            own = generator is self._players["generator"]
            fake = self._view(batch.fake if own else generator(batch.z))
            if self._loss.generator_needs_real:
                real_logits, fake_logits = self._logits(
                    self.discriminator, self._view(batch.real), fake
                )
            else:
                real_logits = fake_logits = self.discriminator(fake)
            loss: Tensor = self._loss.generator(real_logits, fake_logits)
            if own:
                self.figures["generator_loss"] = loss.detach()
            total: Tensor = loss + self._generator_penalties(batch)
            return total

        return objective

    def _logits(self, network: Network, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        if not self._joint:
            return network(real), network(fake)
        logits = network(torch.cat((real, fake)))
        return logits[: len(real)], logits[len(real) :]

    def _discriminator_penalties(self, network: Network, real: Tensor, fake: Tensor) -> Any:
        total: Any = 0.0
        for penalty, args in self._penalties_of("discriminator"):
            if penalty.of == "weights":
                total = total + penalty.function(self.parameters["discriminator"], **args)
                continue
            every = args.pop("every")
            if self._d_steps % every == 0:
                args["weight"] = args["weight"] * every
                total = total + penalty.function(
                    network, real, fake, self._random["penalty"], **args
                )
        return total

    def _generator_penalties(self, batch: Round) -> Any:
        total: Any = 0.0
        for penalty, args in self._penalties_of("generator"):
            of = self.parameters["generator"] if penalty.of == "weights" else batch.activations
            total = total + penalty.function(of, **args)
        if batch.activations:
            shares = torch.stack([idle_share(h) for h in batch.activations])
            self.figures["generator_idle_share"] = shares.mean()
        return total + self._autoencoding(batch.real)

    def _penalties_of(self, player: Player) -> Iterator[tuple[Any, dict[str, Any]]]:
        for part in self.config.penalties:
            penalty, args = PENALTIES[part.name], dict(part.args)
            if applies_to(penalty, args, player):
                yield penalty, args

    def _autoencoding(self, real: Tensor) -> Any:
        """w_rec · E(x − G(T(E(x))))² + Omega(E(x)), where there is an encoder."""
        if self.encoder is None or self.decoder is None:
            return 0.0
        code = self.encoder(real)
        error = (self.decoder(self._sparsity.transform(code)) - real).square().mean()
        penalty = self._sparsity.penalty(code)
        self.figures["training_reconstruction_error"] = error.detach()
        self.figures["sparsity_penalty"] = torch.as_tensor(penalty).detach()
        return self.config.reconstruction_weight * error + penalty

    def _view(self, samples: Tensor) -> Tensor:
        """What the discriminator sees of samples: augmented and noisy, where it is asked for."""
        noise = self.config.instance_noise
        samples = self._augment(samples, self._random["view"])
        std = noise_level(self.step, self.config.steps, **dict(noise))
        return instance_noise(samples, self._random["view"], std=std) if std else samples

    # ---------------------------------------------------------------- figures

    def begin_window(self) -> None:
        """Start to sum anew, as after each report."""
        self.figures = {}
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.peaks: dict[str, Tensor] = {}
        self.window = 0

    def means(self) -> dict[str, float]:
        """Means over the window, and largest values in it."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        return means | {name: float(peak) for name, peak in self.peaks.items()}

    def _note_discriminator(self, loss: Tensor, real_logits: Tensor, fake_logits: Tensor) -> None:
        real_logits, fake_logits = real_logits.detach(), fake_logits.detach()
        self.figures["discriminator_loss"] = loss.detach()
        largest = torch.maximum(real_logits.abs().max(), fake_logits.abs().max())
        self._note_peak("discriminator_logit_max", largest)
        boundary = self._loss.boundary
        if boundary is None:  # only differences count: is each real logit above its fake one?
            right_real = right_fake = real_logits > fake_logits
        else:
            right_real, right_fake = real_logits > boundary, fake_logits < boundary
        self._add("discriminator_accuracy_real", right_real.float().mean())
        self._add("discriminator_accuracy_fake", right_fake.float().mean())

    def _note_peak(self, name: str, figure: Tensor) -> None:
        # Not a number stays: torch.maximum passes it on.
        self.peaks[name] = torch.maximum(self.peaks[name], figure) if name in self.peaks else figure

    def _add(self, name: str, figure: Tensor) -> None:
        self.sums[name] = self.sums[name] + figure if name in self.sums else figure
        self.counts[name] = self.counts.get(name, 0) + 1

    # ---------------------------------------------------------------- averages of weights

    @torch.no_grad()
    def _look_back(self) -> None:
        """Lookahead: slow ← slow + α (fast − slow), and both players go on from there."""
        torch._foreach_lerp_(self._slow, self._weights(), self.config.lookahead.alpha)
        torch._foreach_copy_(self._weights(), self._slow)
        self._limit_weights()  # the first averages are of weights that nothing limited

    @torch.no_grad()
    def _limit_weights(self) -> None:
        if limit := self.config.weight_clip:
            torch._foreach_clamp_min_(self.parameters["discriminator"], -limit)
            torch._foreach_clamp_max_(self.parameters["discriminator"], limit)

    def _weights(self) -> list[Tensor]:
        return [p for player in PLAYERS for p in self.parameters[player]]

    def _fast_weights(self) -> list[Tensor]:
        return [p.detach().clone() for p in self._weights()]

    def encode(self, real: Tensor) -> Tensor:
        """Codes [N, code] of scaled samples, as the generator gets them."""
        assert self.encoder is not None
        code: Tensor = self._sparsity.transform(self.encoder(real))
        return code

    def reconstruct(self, real: Tensor) -> Tensor:
        """G(T(E(x))) in data space."""
        assert self.decoder is not None
        decoder = self.decoder
        if self.average_decoder is not None:
            decoder = self.average_decoder
            self._settle(decoder, self.decoder, self._codes)
        samples: Tensor = decoder(self.encode(real))
        return self.scaling.undo(samples)

    def evaluated(self, function: Network) -> Network:
        """A function of samples in data space; the networks are in eval mode, without a graph."""

        def call(samples: Tensor) -> Tensor:
            for network in self.networks.values():
                network.eval()
            with torch.no_grad():
                parts = samples.to(self.device).split(EVALUATION_BATCH)
                result = torch.cat([function(self.scaling.apply(part)) for part in parts])
            for network in self.networks.values():
                network.train()
            return result

        return call

    def judged(self) -> nn.Module:
        """The generator that is judged, drawn, kept and exported: the average where it is on."""
        if self.average is None:
            return self.generator
        self._settle(self.average, self.generator, self._noise)
        return self.average

    def _settle(
        self,
        average: nn.Module,
        source: nn.Module,
        inputs: Callable[[torch.Generator], Tensor],
    ) -> None:
        """Give an average the other buffers of its source, but batch statistics of its own.

        The source's running averages are of other weights: of those that each step had come to.
        """
        if self._settled.get(average) == self.step:
            return
        self._settled[average] = self.step
        for mine, its in zip(average.buffers(), source.buffers(), strict=True):
            mine.copy_(its)
        random = seeded(self.config.seed, "statistics", self.device)
        count = statistics_batches(self.shape, EVALUATION_BATCH)
        with seeded_globals(self.config.seed, "noise in statistics", self.device):
            take_batch_statistics(average, (inputs(random) for _ in range(count)))

    def _noise(self, random: torch.Generator) -> Tensor:
        return torch.randn(EVALUATION_BATCH, self.latent, generator=random, device=self.device)

    def _codes(self, random: torch.Generator) -> Tensor:
        chosen = torch.randint(
            len(self._data), (EVALUATION_BATCH,), generator=random, device=self.device
        )
        return self.encode(self._data.batch(chosen))

    # ---------------------------------------------------------------- state

    @contextmanager
    def own_kernels(self, matmul_precision: str = "highest") -> Iterator[None]:
        """Run with deterministic kernels if the trial asks for them, and with any if not.

        And multiply matrices in this precision, whatever the process has.
        """
        outer = torch.get_deterministic_debug_mode()
        matmuls = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
        by_backend = [matmul.fp32_precision for matmul in matmuls]
        try:
            outer_precision = torch.get_float32_matmul_precision()
        except RuntimeError:  # it was set backend by backend, which no one word can say
            outer_precision = "highest"
        _use_deterministic_kernels("error" if self.config.deterministic else "default")
        torch.set_float32_matmul_precision(matmul_precision)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(outer_precision)
            for matmul, precision in zip(matmuls, by_backend, strict=True):
                matmul.fp32_precision = precision
            _use_deterministic_kernels(outer)

    @contextmanager
    def own_random_state(self) -> Iterator[None]:
        """Run with the trial's own state of torch's global generators."""
        with global_generators(self._globals, self.device):
            yield

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the state, by name; valid until the next step."""
        tensors = {
            f"{name}/{key}": tensor
            for name, network in self.networks.items()
            for key, tensor in network.state_dict().items()
        }
        tensors |= {f"random/{name}": random.get_state() for name, random in self._random.items()}
        tensors |= {f"torch/{name}": state for name, state in self._globals.items()}
        tensors |= {f"slow/{i}": tensor for i, tensor in enumerate(self._slow)}
        for name, optimizer in self._optimizers.items():
            tensors |= checkpoint.optimizer_tensors(optimizer, f"{name}_optimizer")
        return tensors

    def scalars(self) -> dict[str, Any]:
        """The rest of the state."""
        return {"step": self.step, "d_steps": self._d_steps, "optimizers": self._state_kinds}

    def load(self, saved: checkpoint.Checkpoint) -> None:
        """Take up a state: of this game, or of one with the same networks and other settings.

        What such a one did not have begins anew: the averages at its weights, and the state of an
        optimizer of another kind.
        """
        for name, network in self.networks.items():
            network.load_state_dict(saved.under(name) or saved.under("generator"))
        for name, random in self._random.items():
            random.set_state(saved.tensors[f"random/{name}"])
        self._globals = saved.under("torch")
        if self._slow:
            slow = saved.under("slow")
            moved = [slow[str(i)].to(self.device) for i in range(len(slow))]
            self._slow = moved or self._fast_weights()
        for player, optimizer in self._optimizers.items():
            if saved.scalars["optimizers"][player] == self._state_kinds[player]:
                checkpoint.load_optimizer(optimizer, saved.under(f"{player}_optimizer"))
        self.step, self._d_steps = saved.scalars["step"], saved.scalars["d_steps"]
        self._settled.clear()


class WithEncoder(nn.Module):
    """A generator whose player trains the encoder as well."""

    def __init__(self, generator: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.generator(z)
        return samples


def _made(parts: Mapping[str, Callable[..., Any]], part: Part) -> Callable[..., Any]:
    function = parts[part.name]
    return partial(function, **part.args) if part.args else function


def _state_kind(optimizer: Part) -> str:
    """What an optimizer's state is of: with momentum and without, some keep unlike tensors."""
    return f"{optimizer.name} with momentum" if optimizer.args.get("momentum") else optimizer.name


def _sharing_weights(network: nn.Module) -> nn.Module:
    """A copy with the same parameters, and buffers of its own."""
    return copy.deepcopy(network, {id(p): p for p in network.parameters()})


def _use_deterministic_kernels(debug_mode: int | str) -> None:
    """:func:`torch.use_deterministic_algorithms` without importing torch's compiler.

    That import takes a worker over a second. Only a user's network calls the compiler, which then
    is imported already, unless that happens as late as in `forward`.
    """
    torch.set_deterministic_debug_mode(debug_mode)
    if "torch._inductor.config" in sys.modules:
        torch.use_deterministic_algorithms(
            torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )


def hidden_activations(network: nn.Module) -> list[nn.Module]:
    """The activation layers of a network but its last, which is the output's."""
    kinds = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.SiLU, nn.GELU)
    output = getattr(network, "output", None)
    return [
        layer for layer in network.modules() if isinstance(layer, kinds) and layer is not output
    ]
