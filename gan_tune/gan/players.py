"""A player: a network with all that its training steps need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from gan_tune.gan.estimators import PresentLoss, backprop
from gan_tune.gan.gradients import output_dimensions, unclipped
from gan_tune.gan.input_gradients import Network
from gan_tune.gan.penalties import BoundPenalty

__all__ = ["PLAYERS", "Gradients", "Player", "PlayerName"]

PlayerName = Literal["discriminator", "generator"]
PLAYERS: tuple[PlayerName, ...] = ("generator", "discriminator")
"""The players, in the order in which checkpoints store their weights."""

Gradients = Sequence[Tensor]


@dataclass(eq=False)
class Player:
    """One of the two networks that train against each other.

    Attributes:
        name: which of the two.
        network: the module whose parameters are trained.
        optimizer: updates these parameters, at the learning rate ``rate`` · ``schedule``.
        estimate: its gradient estimator, from :data:`gan_tune.gan.estimators.ESTIMATORS`.
        clip: its gradient rule, from :data:`gan_tune.gan.gradients.GRADIENT_CLIPS`.
        schedule: factor on the rate at a step, from :data:`gan_tune.gan.schedules.SCHEDULES`.
        penalties: the penalties in its objective.
        weight_limit: largest |weight| after each step; 0: no limit.
        state_kind: identifies the layout of the optimizer's state. A fork inherits only a state of
            the same kind.
        parameters: the network's trained parameters, in its order.
        output_dims: for each parameter, the dimension that counts the outputs of its layer.
    """

    name: PlayerName
    network: nn.Module
    optimizer: torch.optim.Optimizer
    estimate: Callable[..., Gradients]
    clip: Callable[..., Gradients]
    schedule: Callable[[int, int], float]
    rate: float
    penalties: tuple[BoundPenalty, ...] = ()
    weight_limit: float = 0.0
    state_kind: str = ""
    parameters: list[Tensor] = field(init=False)
    output_dims: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = trained(self.network)
        self.output_dims = output_dimensions(self.network)

    def gradients(
        self,
        present_loss: PresentLoss,
        objective: Callable[[Network], Tensor],
        random: torch.Generator,
    ) -> Gradients:
        """The gradients of an objective, by the player's estimator.

        ``present_loss()`` is the objective at the present weights, and records figures; all but
        ``backprop`` may call only ``objective``, so it is then called for the figures alone.
        """
        if self.estimate is not backprop:
            with torch.no_grad():
                present_loss()
        return self.estimate(present_loss, objective, self.network, random)

    @property
    def is_clipped(self) -> bool:
        """Whether a rule may change its gradients."""
        return self.clip is not unclipped

    def clipped(self, gradients: Gradients) -> Gradients:
        """The gradients after the player's gradient rule."""
        return self.clip(gradients, self.parameters, self.output_dims)

    def step(self, gradients: Gradients, *, step: int, steps: int) -> None:
        """Update by these gradients, at the learning rate of step ``step`` out of ``steps``."""
        rate = self.rate * self.schedule(step, steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.limit_weights()

    @torch.no_grad()
    def limit_weights(self) -> None:
        """Clip all weights to their limit."""
        if limit := self.weight_limit:
            torch._foreach_clamp_min_(self.parameters, -limit)
            torch._foreach_clamp_max_(self.parameters, limit)


def trained(network: nn.Module) -> list[Tensor]:
    """The parameters of a network that are trained, in its order."""
    return [p for p in network.parameters() if p.requires_grad]
