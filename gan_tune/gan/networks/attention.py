"""Self-attention over the positions of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SelfAttention"]


class SelfAttention(nn.Module):
    """y = x + γ · W_v h(x) · softmax_j(f(x_j)ᵀ g(x_i)), SAGAN (Zhang et al. 2019, equations 1–3).

    Feature maps [batch, C, H, W] → the same shape. γ starts at zero, so a network first learns from
    local neighbourhoods. f and g have C/8 maps, h has C/2. No layer has a bias: a bias of f (the
    keys) would shift all scores of a position equally, and the softmax would cancel it.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        small, middle = max(1, maps // 8), max(1, maps // 2)
        self.key = nn.Conv2d(maps, small, 1, bias=False)
        self.query = nn.Conv2d(maps, small, 1, bias=False)
        self.value = nn.Conv2d(maps, middle, 1, bias=False)
        self.out = nn.Conv2d(middle, maps, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        f, g, h = (layer(x).flatten(2) for layer in (self.key, self.query, self.value))
        # Written out, because torch's fused attention cannot be differentiated twice.
        attention = (g.mT @ f).softmax(2)  # [batch, HW attending, HW attended], rows sum to 1
        attended = (h @ attention.mT).unflatten(2, x.shape[2:])
        out: Tensor = x + self.gain * self.out(attended)
        return out
