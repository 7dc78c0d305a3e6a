"""Penalties added to a player's objective: pure functions, combined freely with any loss.

Two kinds: a *discriminator penalty* sees D as a function and a batch of each side; a *weight
penalty* sees a network's parameters. The weight may be a tensor, so that trials can be stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

__all__ = ["PENALTIES", "Penalty", "l1", "l2", "r1", "r2"]

Weight = Annotated[float, Field(ge=0)]
Network = Literal["both", "generator", "discriminator"]


@dataclass(frozen=True)
class Penalty:
    """A penalty and what it is a function of."""

    function: Callable[..., Tensor]
    of: Literal["discriminator", "weights"]


def _squared_gradient(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """E‖∇D(x)‖² over a batch x [batch, ...], differentiable in D's parameters."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.flatten(1).square().sum(1).mean()


def r1(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, weight: Weight
) -> Tensor:
    """(γ/2) E‖∇D(x)‖² on real data (Mescheder et al. 2018, equation 9); ``weight`` is γ ≥ 0."""
    return 0.5 * weight * _squared_gradient(discriminator, real)


def r2(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, weight: Weight
) -> Tensor:
    """(γ/2) E‖∇D(G(z))‖² on generated data (Mescheder et al. 2018); ``weight`` is γ ≥ 0."""
    return 0.5 * weight * _squared_gradient(discriminator, fake)


def l1(parameters: Iterable[Tensor], *, weight: Weight, network: Network = "both") -> Tensor:
    """weight · Σ|w| over all parameters of a network; ``network`` says whose."""
    return weight * torch.stack([p.abs().sum() for p in parameters]).sum()


def l2(parameters: Iterable[Tensor], *, weight: Weight, network: Network = "both") -> Tensor:
    """(weight/2) · Σw² over all parameters of a network; ``network`` says whose."""
    return 0.5 * weight * torch.stack([p.square().sum() for p in parameters]).sum()


PENALTIES: dict[str, Penalty] = {
    "l1": Penalty(l1, of="weights"),
    "l2": Penalty(l2, of="weights"),
    "r1": Penalty(r1, of="discriminator"),
    "r2": Penalty(r2, of="discriminator"),
}


def applies_to(penalty: Penalty, args: dict[str, Any], player: str) -> bool:
    """Whether a penalty with these arguments enters the objective of ``player``."""
    if penalty.of == "discriminator":
        return player == "discriminator"
    return args.get("network", "both") in ("both", player)
