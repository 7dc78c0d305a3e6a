"""Operations on lists of tensors: with one kernel for all, or one by one under vmap.

A GAN's networks are small: one launch per tensor would cost more than the arithmetic. PyTorch has
no batching rules for its multi-tensor kernels, so under :func:`torch.func.vmap` each tensor has its
own call.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["blended", "norms", "scaled"]


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of each tensor, [tensors]."""
    if _transformed():
        return torch.stack([torch.linalg.vector_norm(t) for t in tensors])
    return torch.stack(torch._foreach_norm(list(tensors)))


def scaled(tensors: Sequence[Tensor], factor: Tensor) -> list[Tensor]:
    """factor · t for each tensor t; ``factor`` is a scalar."""
    if _transformed():
        return [t * factor for t in tensors]
    return list(torch._foreach_mul(list(tensors), factor))


def blended(tensors: Sequence[Tensor], others: Sequence[Tensor], share: float) -> list[Tensor]:
    """(1 − share) · t + share · o for each pair of tensors t and o."""
    if _transformed():
        return [torch.lerp(t, o, share) for t, o in zip(tensors, others, strict=True)]
    return list(torch._foreach_lerp(list(tensors), list(others), share))


def _transformed() -> bool:
    """Whether a transform of :mod:`torch.func` is active."""
    return torch._C._are_functorch_transforms_active()
