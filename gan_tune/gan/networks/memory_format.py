"""The order in memory of a convolution's maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["channels_last"]


def channels_last(network: nn.Module) -> None:
    """Have each convolution of a network take its input channels last, and so return its output.

    Weights keep their order: the fused optimizers would copy them at each step.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_pre_hook(_reorder)


def _reorder(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    maps, *rest = inputs
    return (_channels_last(maps), *rest)


def _channels_last(maps: Tensor) -> Tensor:
    """Maps [batch, C, H, W] channels last. Those of one channel are in both orders, and torch then
    takes the strides for the hint."""
    if maps.ndim == 4 and maps.shape[1] == 1 and maps.is_contiguous():
        _, _, height, width = maps.shape
        return maps.as_strided(maps.shape, (height * width, 1, width, 1))
    return maps.contiguous(memory_format=torch.channels_last)
