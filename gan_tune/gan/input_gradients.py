"""The discriminator for penalties: its logits, and their gradient with respect to the samples.

There are two ways to compute the gradient; they agree up to rounding. Training uses
:func:`by_autograd`, which works for any network. :func:`by_transform` is for several trials that
are trained as one batch under :func:`torch.func.vmap`, where autograd cannot be called. The network
must then be a pure function that changes none of its buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad

__all__ = ["Discriminator", "Network", "by_autograd", "by_transform"]

Network = Callable[[Tensor], Tensor]


class Discriminator(NamedTuple):
    """D as a function of samples x [batch, *shape].

    Attributes:
        logits: D(x), [batch, 1].
        gradient: ∇D(x), [batch, *shape], differentiable in D's parameters.
    """

    logits: Network
    gradient: Network


def by_autograd(network: Network) -> Discriminator:
    """D with its gradient by :func:`torch.autograd.grad`."""

    def gradient(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        (slopes,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
        return slopes

    return Discriminator(network, gradient)


def by_transform(network: Network) -> Discriminator:
    """D with its gradient by :func:`torch.func.grad`."""

    def gradient(x: Tensor) -> Tensor:
        slopes: Tensor = grad(lambda samples: network(samples).sum())(x)
        return slopes

    return Discriminator(network, gradient)
