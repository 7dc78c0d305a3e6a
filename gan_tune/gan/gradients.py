"""Gradient rules: what happens to a network's gradients between autograd and the optimizer.

Each is a pure function of a list of gradients (any shapes) that returns the new list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

__all__ = ["GRADIENT_CLIPS", "clip_by_norm", "clip_by_value", "total_norm", "unclipped"]

Positive = Annotated[float, Field(gt=0)]


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm over all gradients together, a scalar."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients))))
    return norm


def unclipped(gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients as they are."""
    return list(gradients)


def clip_by_norm(gradients: Sequence[Tensor], *, max_norm: Positive) -> list[Tensor]:
    """g · min(1, max_norm / ‖g‖), ‖g‖ over all gradients together (Pascanu et al. 2013)."""
    scale = (max_norm / (total_norm(gradients) + 1e-12)).clamp(max=1.0)
    return list(torch._foreach_mul(list(gradients), scale))


def clip_by_value(gradients: Sequence[Tensor], *, max_value: Positive) -> list[Tensor]:
    """Each component limited to [−max_value, max_value]."""
    return [g.clamp(-max_value, max_value) for g in gradients]


GRADIENT_CLIPS: dict[str, Callable[..., list[Tensor]]] = {
    "none": unclipped,
    "norm": clip_by_norm,
    "value": clip_by_value,
}
