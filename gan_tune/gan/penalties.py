"""Penalties added to a player's objective: pure functions, combined freely with any loss.

There are three kinds. A *discriminator penalty* is a function of D with its gradient, a real and a
fake batch, and its random numbers. A *weight penalty* is a function of a network's parameters. An
*activation penalty* is a function of the generator's hidden activations. The weight, the target
and the noise may be tensors. All of it works under :func:`torch.func.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from gan_tune.gan.input_gradients import Discriminator, Network
from gan_tune.gan.sparsity import Target, activity_divergence, mean_magnitude

__all__ = [
    "EVERY",
    "PENALTIES",
    "BoundPenalty",
    "Draws",
    "Penalty",
    "activation_kl",
    "activation_l1",
    "applies_to",
    "bound_penalty",
    "dragan",
    "gradient_penalty",
    "l1",
    "l2",
    "r1",
    "r2",
]

EVERY = Annotated[int, Field(ge=1, le=1000)]
"""Lazy regularisation (Karras et al. 2020, appendix B), an additional argument of all discriminator
penalties: a penalty is computed at each k-th D step only, with k times its weight. Training does
this, so the functions below have no such argument."""

Weight = Annotated[float, Field(ge=0, le=1e30)]
Size = Annotated[float, Field(ge=0, le=1e30)]
Whose = Literal["both", "generator", "discriminator"]
Draws = tuple[Tensor, ...]


def draw_nothing(real: Tensor, fake: Tensor, random: torch.Generator) -> Draws:
    """Draw nothing, for penalties that need no random numbers."""
    return ()


@dataclass(frozen=True)
class Penalty:
    """A penalty, the kind of its input, and the function that draws its random numbers.

    - "discriminator": ``function(discriminator, real, fake, *draws, weight=...)`` with D as a
      :class:`~gan_tune.gan.input_gradients.Discriminator` and batches real and fake
      [batch, *shape].
    - "weights": ``function(parameters, weight=..., network=...)``.
    - "activations": ``function(activations, weight=...)`` with one tensor [batch, units, ...] for
      each hidden layer of the generator.

    All return a scalar. ``draw(real, fake, random)`` returns the ``draws`` of a discriminator
    penalty; ``random`` is a random number generator on the samples' device.
    """

    function: Callable[..., Tensor]
    takes: Literal["discriminator", "weights", "activations"]
    draw: Callable[[Tensor, Tensor, torch.Generator], Draws] = draw_nothing


@dataclass(frozen=True)
class BoundPenalty:
    """A penalty with its arguments, computed at every ``every``-th step of D.

    It is called with what the penalty takes, followed by its random numbers.
    """

    function: Callable[..., Tensor]
    takes: str
    draw: Callable[[Tensor, Tensor, torch.Generator], Draws] = draw_nothing
    every: int = 1

    def __call__(self, *inputs: Any) -> Tensor:
        return self.function(*inputs)

    def is_due(self, d_step: int) -> bool:
        """Whether it is computed after ``d_step`` steps of the discriminator."""
        return d_step % self.every == 0


def bound_penalty(
    penalty: Penalty, *, weight: Weight, every: int = 1, **knobs: Any
) -> BoundPenalty:
    """Bind a penalty's arguments. With ``every`` = k, it is computed with k times ``weight``."""
    function = partial(penalty.function, weight=weight * every, **knobs)
    return BoundPenalty(function, penalty.takes, penalty.draw, every)


def _squared_gradient(gradient: Network, x: Tensor) -> Tensor:
    """E‖∇D(x)‖² over a batch x [batch, ...]."""
    return gradient(x).flatten(1).square().sum(1).mean()


def _slope_error(gradient: Network, x: Tensor, target: float | Tensor) -> Tensor:
    """E(‖∇D(x)‖ − target)² over a batch x [batch, ...]."""
    # vector_norm has a finite derivative (0) where D is flat; the root of a sum has not.
    slope: Tensor = torch.linalg.vector_norm(gradient(x).flatten(1), dim=1)
    return (slope - target).square().mean()


def r1(discriminator: Discriminator, real: Tensor, fake: Tensor, *, weight: Weight) -> Tensor:
    """(γ/2) E‖∇D(x)‖² on real data (Mescheder et al. 2018, equation 9); ``weight`` is γ ≥ 0."""
    return 0.5 * weight * _squared_gradient(discriminator.gradient, real)


def r2(discriminator: Discriminator, real: Tensor, fake: Tensor, *, weight: Weight) -> Tensor:
    """(γ/2) E‖∇D(G(z))‖² on generated data (Mescheder et al. 2018); ``weight`` is γ ≥ 0."""
    return 0.5 * weight * _squared_gradient(discriminator.gradient, fake)


def draw_shares(real: Tensor, fake: Tensor, random: torch.Generator) -> Draws:
    """The share of the real sample in each pair, uniform in [0, 1): [batch, 1, ...]."""
    shape = (len(real), *[1] * (real.ndim - 1))
    return (torch.rand(shape, generator=random, device=real.device, dtype=real.dtype),)


def gradient_penalty(
    discriminator: Discriminator,
    real: Tensor,
    fake: Tensor,
    share: Tensor,
    *,
    weight: Weight,
    target: Size = 1.0,
) -> Tensor:
    """λ E(‖∇D(x̂)‖ − target)², x̂ between x and G(z) (Gulrajani et al. 2017, equation 3).

    ``share`` [batch, 1, ...] is the share of x in x̂, uniform in [0, 1). ``weight`` is λ, 10 in the
    paper. ``target`` 0 gives the zero-centred variant.
    """
    return weight * _slope_error(discriminator.gradient, torch.lerp(fake, real, share), target)


def draw_noise(real: Tensor, fake: Tensor, random: torch.Generator) -> Draws:
    """Standard normal noise in the shape of the real samples."""
    return (torch.randn(real.shape, generator=random, device=real.device, dtype=real.dtype),)


def dragan(
    discriminator: Discriminator,
    real: Tensor,
    fake: Tensor,
    delta: Tensor,
    *,
    weight: Weight,
    target: Size = 1.0,
    noise: Size = 0.5,
) -> Tensor:
    """λ E(‖∇D(x + noise · s · δ)‖ − target)², s the batch's deviation over all values.

    ``delta`` is δ ~ N(0, 1) in the shape of x. ``weight`` is λ, 10 in the paper (Kodali et al.
    2017, equation 4). The noise is relative to the data, as in the authors' code, where it is
    uniform.
    """
    perturbed = real + noise * real.std(correction=0) * delta
    return weight * _slope_error(discriminator.gradient, perturbed, target)


def l1(parameters: Iterable[Tensor], *, weight: Weight, network: Whose = "both") -> Tensor:
    """weight · Σ|w| over all parameters of the networks that ``network`` names."""
    return weight * torch.stack([p.abs().sum() for p in parameters]).sum()


def l2(parameters: Iterable[Tensor], *, weight: Weight, network: Whose = "both") -> Tensor:
    """(weight/2) · Σw² over all parameters of the networks that ``network`` names."""
    return 0.5 * weight * torch.stack([p.square().sum() for p in parameters]).sum()


def activation_l1(activations: Sequence[Tensor], *, weight: Weight) -> Tensor:
    """weight · Σ over hidden layers of mean |h|: sparse features in the generator."""
    return weight * torch.stack([mean_magnitude(h) for h in activations]).sum()


def activation_kl(
    activations: Sequence[Tensor], *, weight: Weight, target: Target = 0.05
) -> Tensor:
    """weight · Σ over hidden units of KL(target ‖ mean σ(h)): each unit is rarely active.

    h is not rescaled. A ReLU's values are at least 0, so σ(h) ≥ ½. Those of ELU and tanh are at
    least −1, so σ(h) > 0.27. A lower target cannot be reached; the penalty then only pulls toward
    these bounds.
    """
    return weight * torch.stack([activity_divergence(h, target) for h in activations]).sum()


PENALTIES: dict[str, Penalty] = {
    "l1": Penalty(l1, takes="weights"),
    "l2": Penalty(l2, takes="weights"),
    "r1": Penalty(r1, takes="discriminator"),
    "r2": Penalty(r2, takes="discriminator"),
    "gradient_penalty": Penalty(gradient_penalty, takes="discriminator", draw=draw_shares),
    "dragan": Penalty(dragan, takes="discriminator", draw=draw_noise),
    "activation_l1": Penalty(activation_l1, takes="activations"),
    "activation_kl": Penalty(activation_kl, takes="activations"),
}


def applies_to(penalty: Penalty, args: Mapping[str, Any], player: str) -> bool:
    """Whether a penalty with these arguments enters the objective of ``player``."""
    if penalty.takes == "weights":
        return args.get("network", "both") in ("both", player)
    return player == ("discriminator" if penalty.takes == "discriminator" else "generator")
