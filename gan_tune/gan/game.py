"""The game of the two players, one step at a time.

Holds all state that training changes. Evaluation is elsewhere. The players' objectives are in
:mod:`~gan_tune.gan.objectives`, the order of their steps in :mod:`~gan_tune.gan.updates`. One
alternating step of :meth:`Game.train_step` runs in this order::

    batch = draw()                                       real samples x and generated ones G(z)
    g = gradients("discriminator", batch)                objective, penalties, estimation rule
    descend("discriminator", g)                          clip, schedule, optimizer
    g = gradients("generator", batch)                    the same batch, the new discriminator
    descend("generator", g)                              clip, schedule, optimizer
    lookahead.pull_back(...), average.follow(...)        averages of weights, if they are on
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
from gan_tune.gan.estimators import backprop
from gan_tune.gan.evaluation import Evaluation
from gan_tune.gan.figures import Figures
from gan_tune.gan.input_gradients import Network
from gan_tune.gan.losses import Loss
from gan_tune.gan.objectives import (
    Autoencoder,
    DiscriminatorObjective,
    GeneratorObjective,
    discriminator_objective,
    generator_objective,
)
from gan_tune.gan.players import PLAYERS, Gradients, Player, PlayerName
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
        step: generator steps done so far; ``d_step`` the discriminator's.
        figures: the figures recorded for the steps.
        random: the generators of :data:`RANDOM_STREAMS`.
        global_random: the state of torch's global generators, as a user's network left it.
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
    ) -> None:
        self.players = {"generator": generator, "discriminator": discriminator}
        self.networks, self.batches, self.evaluation = networks, batches, evaluation
        self.loss, self.pace, self.update, self.view = loss, pace, update, view
        self.autoencoder, self.average, self.lookahead = autoencoder, average, lookahead
        self.random, self.global_random = random, global_random
        self.figures = Figures()
        self.step, self.d_step, self._ahead = 0, 0, False
        # One pass over real and fake together is cheaper, but would mix their statistics.
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
        return Round(real, z, *self.networks.drawn(z))

    def gradients(self, player: PlayerName, batch: Round) -> Gradients:
        """The gradients of a player's objective, by the player's own estimator."""
        if player == "discriminator":
            return self._discriminator_gradients(batch)
        return self._generator_gradients(batch)

    def _discriminator_gradients(self, batch: Round) -> Gradients:
        player = self.players["discriminator"]
        real, fake = self._seen(batch.real), self._seen(batch.fake.detach())
        due = [penalty for penalty in player.penalties if penalty.is_due(self.d_step)]
        draws = [penalty.draw(real, fake, self.random["penalty"]) for penalty in due]

        def objective(discriminator: Network) -> DiscriminatorObjective:
            return discriminator_objective(
                discriminator,
                real,
                fake,
                loss=self.loss,
                together=self._together,
                parameters=player.parameters,
                penalties=due,
                draws=draws,
            )

        def here() -> Tensor:
            found = objective(player.network)
            self.figures.note_discriminator(found, boundary=self.loss.boundary)
            return found.total

        return self._estimate(player, here, lambda network: objective(network).total)

    def _generator_gradients(self, batch: Round) -> Gradients:
        player = self.players["generator"]
        draws = self.view.draw(batch.fake, self.random["view"], self.step)
        real = self._seen(batch.real) if self.loss.generator_needs_real else None

        def objective(fake: Tensor) -> GeneratorObjective:
            return generator_objective(
                self.networks.discriminator,
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

        def here() -> Tensor:
            found = objective(batch.fake)  # drawn for the discriminator, and used again
            self.figures.note_generator(found)
            return found.total

        return self._estimate(player, here, lambda network: objective(network(batch.z)).total)

    def _estimate(
        self, player: Player, here: Callable[[], Tensor], objective: Callable[[Network], Tensor]
    ) -> Gradients:
        if player.estimate is not backprop:
            with torch.no_grad():
                here()  # for the figures, which perturbed copies do not record
        return player.estimate(here, objective, player.network, self.random["gradient"])

    def descend(self, player: PlayerName, gradients: Gradients) -> None:
        """Clip, schedule and apply a player's gradients."""
        moving = self.players[player]
        clipped = moving.clipped(gradients)
        self.figures.note_gradients(player, gradients, clipped if moving.is_clipped else None)
        moving.step(clipped, step=self.step, steps=self.pace.steps)
        if player == "discriminator" and not self._ahead:
            self.d_step += 1

    @contextmanager
    def extrapolated(self) -> Iterator[None]:
        """Restore the present weights of both players when the block ends.

        Steps inside the block do not count. So a lazy penalty is in both gradients or in neither.
        """
        before = [weight.detach().clone() for weight in self.weights()]
        self._ahead = True
        try:
            yield
        finally:
            self._ahead = False
            with torch.no_grad():
                torch._foreach_copy_(self.weights(), before)

    def weights(self) -> list[Tensor]:
        """All trained parameters; the generator's come first."""
        return [p for name in PLAYERS for p in self.players[name].parameters]

    def _seen(self, samples: Tensor) -> Tensor:
        """What the discriminator sees of samples at this step."""
        return self.view(samples, self.view.draw(samples, self.random["view"], self.step))
