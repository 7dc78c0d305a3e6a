"""Gradient estimators by name: pure functions of an objective and a network.

Each returns the gradient of L(w) = objective(network) as a list of tensors, in the order and the
shapes of ``[p for p in network.parameters() if p.requires_grad]``. ``present_loss()`` returns L
at the present weights; only there may the caller record figures. ``random`` is the source of every
draw, on the network's device. All but ``backprop`` use only the objective's
values, so it need not be differentiable. :func:`estimator_refuses` says for which networks they
do not work.

ε balances two errors: that of the difference (of order ε, or ε² for central differences) and the
rounding of the values, about 1e-7·L/ε in float32. In float32 the best ε is near 1e-3, the default.
No ε works in half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from gan_tune.gan.estimators.perturbed import (
    Objective,
    PresentLoss,
    coordinate_losses,
    copies_per_chunk,
    direction_losses,
    parameters,
)
from gan_tune.gan.networks import has_spectral_norm

__all__ = [
    "ESTIMATORS",
    "OBSTACLES",
    "backprop",
    "central_difference",
    "estimator_refuses",
    "forward_difference",
    "random_directions",
]

Step = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=2**20)]


def backprop(
    present_loss: PresentLoss, objective: Objective, network: nn.Module, random: torch.Generator
) -> list[Tensor]:
    """∇L(w), by reverse-mode differentiation. The only exact estimator."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return list(torch.autograd.grad(present_loss(), trained, materialize_grads=True))


@torch.no_grad()
def forward_difference(
    present_loss: PresentLoss,
    objective: Objective,
    network: nn.Module,
    random: torch.Generator,
    *,
    epsilon: Step = 1e-3,
) -> list[Tensor]:
    """(L(w + ε e_i) − L(w)) / ε for every coordinate i; its error is of order ε."""
    base = present_loss()
    ahead = coordinate_losses(objective, network, step=epsilon)
    return [(a - base) / epsilon for a in ahead]


@torch.no_grad()
def central_difference(
    present_loss: PresentLoss,
    objective: Objective,
    network: nn.Module,
    random: torch.Generator,
    *,
    epsilon: Step = 1e-3,
) -> list[Tensor]:
    """(L(w + ε e_i) − L(w − ε e_i)) / 2ε for every coordinate i; its error is of order ε²."""
    ahead = coordinate_losses(objective, network, step=epsilon)
    behind = coordinate_losses(objective, network, step=-epsilon)
    return [(a - b) / (2 * epsilon) for a, b in zip(ahead, behind, strict=True)]


@torch.no_grad()
def random_directions(
    present_loss: PresentLoss,
    objective: Objective,
    network: nn.Module,
    random: torch.Generator,
    *,
    directions: Count = 64,
    epsilon: Step = 1e-3,
) -> list[Tensor]:
    """Mean over m directions u ~ N(0, I) of (L(w + εu) − L(w − εu)) / 2ε · u.

    Unbiased up to order ε², and noisy: with n coordinates the expected cosine between it and the
    gradient is about sqrt(m / (m + n)). Source: Nesterov and Spokoiny 2017, Random gradient-free
    minimization of convex functions; as simultaneous perturbation (SPSA), Spall 1992.
    """
    w = parameters(network)
    device = next(iter(w.values())).device
    still = {name: torch.zeros(1, *p.shape, dtype=p.dtype, device=device) for name, p in w.items()}
    chunk = copies_per_chunk(
        lambda: direction_losses(objective, network, still, step=epsilon), device
    )
    total = {name: torch.zeros_like(p) for name, p in w.items()}
    for start in range(0, directions, chunk):
        count = min(chunk, directions - start)
        u = {
            name: torch.randn(count, *p.shape, generator=random, dtype=p.dtype, device=device)
            for name, p in w.items()
        }
        ahead = direction_losses(objective, network, u, step=epsilon)
        behind = direction_losses(objective, network, u, step=-epsilon)
        slopes = (ahead - behind) / (2 * epsilon)
        for name in w:
            total[name] += torch.einsum("c,c...->...", slopes, u[name])
    return [t / directions for t in total.values()]


ESTIMATORS: dict[str, Callable[..., list[Tensor]]] = {
    "backprop": backprop,
    "forward_difference": forward_difference,
    "central_difference": central_difference,
    "random_directions": random_directions,
}

OBSTACLES: Mapping[str, Callable[[nn.Module], bool]] = MappingProxyType(
    {
        "half precision is too coarse for finite differences": lambda network: any(
            p.dtype in (torch.float16, torch.bfloat16) for p in network.parameters()
        ),
        "differences of values cannot be taken through batch statistics, whose running averages "
        "change in each forward pass": lambda network: any(
            isinstance(m, nn.modules.batchnorm._NormBase) and m.track_running_stats
            for m in network.modules()
        ),
        "differences of values cannot be taken through spectral norm, whose power iteration goes "
        "on in each forward pass": has_spectral_norm,
        "differences of values cannot be taken through dropout, which draws other numbers in each "
        "forward pass": lambda network: any(
            isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in network.modules()
        ),
    }
)
"""Reason why differences of values cannot estimate a gradient → whether a network has it."""


def estimator_refuses(network: nn.Module) -> str | None:
    """The first of the :data:`OBSTACLES` that a network has; None if it has none.

    Differences compare the values of perturbed copies. So the network must be a fixed function of
    its weights and its input, in float32 or better. ``backprop`` does not need this.
    """
    return next((reason for reason, found in OBSTACLES.items() if found(network)), None)
