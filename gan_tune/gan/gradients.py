"""Gradient rules: applied to a network's gradients between autograd and the optimizer.

Each is a pure function of three lists in the same order: gradients (any shapes), the parameters
they belong to, and the output dimension of each parameter (:func:`output_dimensions`). It returns
the new gradients. The keyword arguments may be tensors. All of it works under
:func:`torch.func.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from gan_tune.gan.tensor_lists import norms, scaled

__all__ = [
    "GRADIENT_CLIPS",
    "clip_adaptively",
    "clip_by_norm",
    "clip_by_value",
    "normalise",
    "output_dimensions",
    "total_norm",
    "unclipped",
    "was_clipped",
]

Positive = Annotated[float, Field(gt=0, le=1e30)]

VANISHING = 1e-12
"""Lower limit of norms in a division, so that a gradient of zero stays zero."""


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm over all gradients together, a scalar."""
    norm: Tensor = torch.linalg.vector_norm(norms(gradients))
    return norm


def was_clipped(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """1 if a rule changed the gradients, else 0: a scalar of their dtype.

    Compares the norm of each tensor, which costs a fraction of comparing all components. A change
    that alters no norm beyond the rounding of its type counts as no change.
    """
    given, ruled = norms(before), norms(after)
    return (given != ruled).any().to(given.dtype)


def output_dimensions(network: nn.Module) -> list[int]:
    """The dimension of each trained parameter that counts the outputs of its layer.

    It is the first one, except in a transposed convolution, whose weights are
    [inputs, outputs, ...].
    """
    transposed = {
        id(weight)
        for layer in network.modules()
        if isinstance(layer, nn.modules.conv._ConvTransposeNd)
        for weight in layer.parameters()  # a parametrized one has another name
        if weight.ndim > 1
    }
    return [int(id(p) in transposed) for p in network.parameters() if p.requires_grad]


def unclipped(
    gradients: Sequence[Tensor], parameters: Sequence[Tensor], outputs: Sequence[int]
) -> list[Tensor]:
    """The gradients, unchanged."""
    return list(gradients)


def clip_by_norm(
    gradients: Sequence[Tensor],
    parameters: Sequence[Tensor],
    outputs: Sequence[int],
    *,
    max_norm: Positive,
) -> list[Tensor]:
    """g · min(1, max_norm / ‖g‖), ‖g‖ over all gradients together (Pascanu et al. 2013)."""
    scale = (max_norm / (total_norm(gradients) + VANISHING)).clamp(max=1.0)
    return scaled(gradients, scale)


def clip_by_value(
    gradients: Sequence[Tensor],
    parameters: Sequence[Tensor],
    outputs: Sequence[int],
    *,
    max_value: Positive,
) -> list[Tensor]:
    """Each component limited to [−max_value, max_value]."""
    return [g.clamp(-max_value, max_value) for g in gradients]


def clip_adaptively(
    gradients: Sequence[Tensor],
    parameters: Sequence[Tensor],
    outputs: Sequence[int],
    *,
    clipping: Positive = 0.01,
    eps: Positive = 1e-3,
) -> list[Tensor]:
    """Unit by unit, g · min(1, clipping · max(‖w‖, eps) / ‖g‖).

    Adaptive gradient clipping, AGC (Brock et al. 2021, equation 3). A unit is the part of a
    parameter that yields one output of its layer: a row of a matrix, or the kernels of an output
    map of a (transposed) convolution. A vector is one unit. All layers are clipped, including the
    last one, which the paper excludes in a classifier.
    """
    clipped = []
    for g, w, out in zip(gradients, parameters, outputs, strict=True):
        longest = clipping * _unit_norm(w.detach(), out).clamp(min=eps)
        clipped.append(g * (longest / _unit_norm(g, out)).clamp(max=1.0))
    return clipped


def _unit_norm(x: Tensor, out: int) -> Tensor:
    """Norm of each unit of a parameter, in a shape that broadcasts against it, always above 0."""
    dims = tuple(d for d in range(x.ndim) if d != out) or None
    norm: Tensor = torch.linalg.vector_norm(x, dim=dims, keepdim=True)
    return norm.clamp(min=VANISHING)


def normalise(
    gradients: Sequence[Tensor],
    parameters: Sequence[Tensor],
    outputs: Sequence[int],
    *,
    scale: Positive = 1.0,
) -> list[Tensor]:
    """scale · g / ‖g‖, ‖g‖ over all gradients together: only the direction is kept.

    Small gradients are enlarged too, so it helps against vanishing and exploding ones.
    """
    factor = scale / total_norm(gradients).clamp(min=VANISHING)
    return scaled(gradients, factor)


GRADIENT_CLIPS: dict[str, Callable[..., list[Tensor]]] = {
    "none": unclipped,
    "norm": clip_by_norm,
    "value": clip_by_value,
    "adaptive": clip_adaptively,
    "normalise": normalise,
}
