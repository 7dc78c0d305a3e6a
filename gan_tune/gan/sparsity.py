"""Sparsity of a code h [batch, units]: a transform before decoding, and a penalty.

The autoencoder uses the generator as its decoder. It minimises reconstruction error + penalty(h);
the decoder's input is transform(h). A weight or a target may be a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from gan_tune.metrics.code_sparsity import IDLE

__all__ = [
    "SPARSITIES",
    "Sparsity",
    "activity_divergence",
    "idle_share",
    "keep_largest",
    "mean_magnitude",
]

Weight = Annotated[float, Field(ge=0, le=1e30)]
Target = Annotated[float, Field(gt=0, lt=1)]
Units = Annotated[int, Field(ge=1)]


def mean_magnitude(h: Tensor) -> Tensor:
    """mean |h| over batch and units, a scalar."""
    return h.abs().mean()


def activity_divergence(h: Tensor, target: float | Tensor) -> Tensor:
    """Σ_j KL(ρ ‖ ρ̂_j) with ρ̂_j = mean over the batch of σ(h_j), ρ = ``target`` (Ng 2011).

    A unit is an entry of dimension 1: for maps [batch, units, H, W] the mean is also over the
    positions. It is computed from log σ(±h), so it is finite and has a gradient even if every
    σ(h_j) rounds to 0 or 1.
    """
    by_unit = h.transpose(0, 1).flatten(1)
    log_count = math.log(by_unit.shape[1])
    log_active = logsigmoid(by_unit).logsumexp(1) - log_count
    log_idle = logsigmoid(-by_unit).logsumexp(1) - log_count
    rho = torch.as_tensor(target, dtype=h.dtype)
    entropy = torch.special.entr(rho) + torch.special.entr(1 - rho)
    divergence: Tensor = -(rho * log_active + (1 - rho) * log_idle + entropy).sum()
    return divergence


def keep_largest(h: Tensor, k: int) -> Tensor:
    """Keep each sample's k entries of largest |h|, set the others to 0 (Makhzani and Frey 2013)."""
    kept = h.abs().topk(min(k, h.shape[1]), dim=1).indices
    return h * torch.zeros_like(h).scatter(1, kept, 1.0)


def idle_share(h: Tensor) -> Tensor:
    """Share of the entries of h [batch, units, ...] under 1 % of their unit's root mean square.

    The threshold is relative, so scaling all of a unit's values changes nothing. A unit that is
    always 0 is idle.
    """
    by_unit = h.detach().transpose(0, 1).flatten(1)
    rms = by_unit.square().mean(1, keepdim=True).sqrt()
    return ((by_unit.abs() < IDLE * rms) | (rms == 0)).float().mean()


@dataclass(frozen=True)
class Sparsity:
    """How codes are made sparse.

    Attributes:
        transform: codes [batch, units] → the codes that are decoded, in the same shape.
        penalty: the encoder's codes → a scalar that the autoencoder minimises.
    """

    transform: Callable[[Tensor], Tensor]
    penalty: Callable[[Tensor], Tensor]


def _unchanged(h: Tensor) -> Tensor:
    return h


def _free(h: Tensor) -> Tensor:
    return h.new_zeros(())


def none() -> Sparsity:
    """A dense code."""
    return Sparsity(_unchanged, _free)


def l1(*, weight: Weight) -> Sparsity:
    """Ω(h) = weight · mean |h|."""
    return Sparsity(_unchanged, lambda h: weight * mean_magnitude(h))


def kl(*, weight: Weight, target: Target = 0.05) -> Sparsity:
    """Ω(h) = weight · Σ_j KL(target ‖ mean over the batch of σ(h_j)) (Ng 2011).

    Each unit is rarely active.
    """
    return Sparsity(_unchanged, lambda h: weight * activity_divergence(h, target))


def k_sparse(*, k: Units) -> Sparsity:
    """T keeps the ``k`` largest |h| of each sample; there is no Ω (Makhzani and Frey 2013).

    ``k`` is at most the size of the code.
    """
    return Sparsity(partial(keep_largest, k=k), _free)


SPARSITIES: dict[str, Callable[..., Sparsity]] = {
    "none": none,
    "l1": l1,
    "kl": kl,
    "k_sparse": k_sparse,
}
