"""Optimizers by name: thin, fully annotated fronts of torch's own.

The fused or foreach kernels are chosen because a GAN's networks are small: one launch per step
instead of one per parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

__all__ = ["OPTIMIZERS", "adam", "rmsprop", "sgd"]

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[float, Field(ge=0)]


def adam(
    parameters: Iterable[Tensor],
    *,
    lr: Rate,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Size = 0.0,
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015). ``weight_decay`` is L2, added to the gradient."""
    return torch.optim.Adam(
        parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay, fused=True
    )


def rmsprop(
    parameters: Iterable[Tensor],
    *,
    lr: Rate,
    alpha: Decay = 0.99,
    eps: Rate = 1e-8,
    momentum: Decay = 0.0,
    weight_decay: Size = 0.0,
) -> torch.optim.Optimizer:
    """RMSprop (Hinton 2012). ``alpha`` is the decay of the squared gradients' average."""
    return torch.optim.RMSprop(
        parameters,
        lr=lr,
        alpha=alpha,
        eps=eps,
        momentum=momentum,
        weight_decay=weight_decay,
        foreach=True,
    )


def sgd(
    parameters: Iterable[Tensor],
    *,
    lr: Rate,
    momentum: Decay = 0.0,
    nesterov: bool = False,
    weight_decay: Size = 0.0,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent. ``nesterov`` needs a momentum above 0."""
    return torch.optim.SGD(
        parameters,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
        weight_decay=weight_decay,
        fused=True,
    )


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": adam,
    "rmsprop": rmsprop,
    "sgd": sgd,
}
