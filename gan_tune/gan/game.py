"""The game of the two players, one step at a time.

A :class:`Game` holds all state that training changes. With the update `alternating`, one call of
:meth:`Game.train_step` does this (with ``d_steps`` > 1, the first three lines are repeated)::

    batch = draw()                           real samples x, noise z, generated samples G(z)
    g = gradients("discriminator", batch)    of loss.discriminator(D(x), D(G(z))) + penalties
    descend("discriminator", g)              clip g, set the learning rate, step the optimizer
    g = gradients("generator", batch)        of loss.generator(D(x), D(G(z))) + penalties,
    descend("generator", g)                  on the same batch, against the updated D
    lookahead.pull_back(...)                 averages of weights, if the trial uses them
    average.follow(...)

The objectives are in :mod:`~gan_tune.gan.objectives`, other orders of the steps in
:mod:`~gan_tune.gan.updates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gan_tune.gan.augment import View
from gan_tune.gan.averages import Lookahead, MovingAverage
from gan_tune.gan.batches import Batches
from gan_tune.gan.evaluation import Evaluation
from gan_tune.gan.figures import Figures
from gan_tune.gan.input_gradients import Network, by_autograd
from gan_tune.gan.losses import Loss
from gan_tune.gan.objectives import (
    Autoencoder,
    DiscriminatorObjective,
    GeneratorObjective,
    discriminator_objective,
    generator_objective,
)
from gan_tune.gan.players import PLAYERS, Gradients, Player, PlayerName
from gan_tune.gan.precision import Rounding, exact
from gan_tune.gan.trial_networks import TrialNetworks
from gan_tune.gan.updates import alternating

__all__ = ["RANDOM_STREAMS", "Game", "Pace", "Round"]

RANDOM_STREAMS = ("data", "latent", "view", "penalty", "gradient")
"""The random draws of training; each has its own random generator."""


class Round(NamedTuple):
    """A batch of scaled real samples x, and G(z), [batch, *shape] each, with z [batch, latent].

    ``activations`` are the generator's hidden activations for G(z), if a penalty uses them.
    """

    real: Tensor
    z: Tensor
    fake: Tensor
    activations: Sequence[Tensor]


@dataclass(frozen=True)
class Pace:
    """How long a game lasts, and how often the discriminator makes a step.

    In each cycle of ``both`` + ``alone`` steps, the last ``alone`` train the generator only.
    """

    steps: int
    d_steps: int = 1
    both: int = 1
    alone: int = 0

    def d_steps_at(self, step: int) -> int:
        """How many discriminator steps come before this step of the generator."""
        return self.d_steps if step % (self.both + self.alone) < self.both else 0


class Game:
    """Two players that train against each other.

    Attributes:
        step, d_step: steps of the generator and the discriminator so far, without looks ahead.
        players: the two players by name.
        view: what the discriminator sees of samples: augmented, with noise.
        update: the order of the two players' steps, from :data:`gan_tune.gan.updates.UPDATES`.
        autoencoder, average, lookahead: None if the trial does not use them.
        rounded: the precision of the networks. Gradient penalties are always exact.
        figures: the figures recorded for the steps.
        random, global_random: generators of :data:`RANDOM_STREAMS`; the state of torch's own.
    """

    def __init__(
        self,
        discriminator: Player,
        generator: Player,
        networks: TrialNetworks,
        batches: Batches,
        evaluation: Evaluation,
        *,
        loss: Loss,
        pace: Pace,
        random: Mapping[str, torch.Generator],
        global_random: dict[str, Tensor],
        view: View,
        update: Callable[[Game, int], None] = alternating,
        autoencoder: Autoencoder | None = None,
        average: MovingAverage | None = None,
        lookahead: Lookahead | None = None,
        rounded: Rounding = exact,
    ) -> None:
        self.players = {"generator": generator, "discriminator": discriminator}
        self.networks, self.batches, self.evaluation = networks, batches, evaluation
        self.loss, self.pace, self.update, self.view = loss, pace, update, view
        self.autoencoder, self.average, self.lookahead = autoencoder, average, lookahead
        self.rounded, self.random, self.global_random = rounded, random, global_random
        self.figures = Figures()
        self.step, self.d_step, self._extrapolating = 0, 0, False
        # One pass over real and fake samples is cheaper; right only if D judges each sample alone.
        self._together = not networks.mixes_samples

    def train_step(self) -> None:
        """The discriminator steps that are due, then one step of the generator."""
        self.update(self, self.pace.d_steps_at(self.step))
        self.step += 1
        if self.lookahead is not None and self.lookahead.is_due(self.step):
            self.lookahead.pull_back(self.weights())
            self.players["discriminator"].limit_weights()  # the first averages had no limit
        if self.average is not None:
            self.average.follow(self.step)
        self.evaluation.outdate()

    def draw(self) -> Round:
        """A batch of real samples, and a batch of generated ones with its graph."""
        real = self.batches.real(self.random["data"])
        z = self.batches.noise(self.random["latent"])
        return Round(real, z, *self.networks.drawn(z, self.rounded))

    def gradients(self, player: PlayerName, batch: Round) -> Gradients:
        """The gradients of a player's objective, by the player's own estimator."""
        is_d = player == "discriminator"
        return self._discriminator_gradients(batch) if is_d else self._generator_gradients(batch)

    def _discriminator_gradients(self, batch: Round) -> Gradients:
        player = self.players["discriminator"]
        real, fake = self._viewed(batch.real), self._viewed(batch.fake.detach())
        due = [penalty for penalty in player.penalties if penalty.is_due(self.d_step)]
        draws = [penalty.draw(real, fake, self.random["penalty"]) for penalty in due]

        def objective(discriminator: Network) -> DiscriminatorObjective:
            return discriminator_objective(
                self.rounded(discriminator),
                real,
                fake,
                loss=self.loss,
                together=self._together,
                parameters=player.parameters,
                penalties=due,
                draws=draws,
                differentiable=lambda _: by_autograd(discriminator),
            )

        def present_loss() -> Tensor:
            found = objective(player.network)
            self.figures.note_discriminator(found, boundary=self.loss.boundary)
            return found.total

        random = self.random["gradient"]
        return player.gradients(present_loss, lambda network: objective(network).total, random)

    def _generator_gradients(self, batch: Round) -> Gradients:
        player = self.players["generator"]
        draws = self.view.draw(batch.fake, self.random["view"], self.step)
        real = self._viewed(batch.real) if self.loss.generator_needs_real else None

        def objective(fake: Tensor) -> GeneratorObjective:
            return generator_objective(
                self.rounded(self.networks.discriminator),
                real,
                self.view(fake, draws),
                loss=self.loss,
                together=self._together,
                parameters=player.parameters,
                activations=batch.activations,
                penalties=player.penalties,
                autoencoder=self.autoencoder,
                data=batch.real,
            )

        def present_loss() -> Tensor:
            found = objective(batch.fake)  # drawn for the discriminator, and used again
            self.figures.note_generator(found)
            return found.total

        random = self.random["gradient"]
        return player.gradients(present_loss, lambda g: objective(g(batch.z)).total, random)

    def descend(self, player: PlayerName, gradients: Gradients) -> None:
        """Clip, schedule and apply a player's gradients."""
        mover = self.players[player]
        clipped = mover.clipped(gradients)
        self.figures.note_gradients(player, gradients, clipped if mover.is_clipped else None)
        mover.step(clipped, step=self.step, steps=self.pace.steps)
        if player == "discriminator" and not self._extrapolating:
            self.d_step += 1

    @contextmanager
    def extrapolated(self) -> Iterator[None]:
        """Restore the present weights of both players when the block ends.

        ``d_step`` does not count its steps: a lazy penalty is due for both gradients or for none.
        """
        before = [weight.detach().clone() for weight in self.weights()]
        self._extrapolating = True
        try:
            yield
        finally:
            self._extrapolating = False
            with torch.no_grad():
                torch._foreach_copy_(self.weights(), before)

    def weights(self) -> list[Tensor]:
        """All trained parameters; the generator's come first."""
        return [p for name in PLAYERS for p in self.players[name].parameters]

    def _viewed(self, samples: Tensor) -> Tensor:
        """The discriminator's view of samples at this step, with newly drawn random numbers."""
        return self.view(samples, self.view.draw(samples, self.random["view"], self.step))
