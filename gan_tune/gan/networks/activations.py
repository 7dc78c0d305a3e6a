"""The hidden activations of a network while it trains, for the penalties that look at them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["ActivationRecorder", "hidden_activations"]


def hidden_activations(network: nn.Module) -> list[nn.Module]:
    """The activation layers of a network but its last, which is the output's."""
    kinds = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.SiLU, nn.GELU)
    output = getattr(network, "output", None)
    return [
        layer for layer in network.modules() if isinstance(layer, kinds) and layer is not output
    ]


class ActivationRecorder:
    """Keeps what the hidden layers of a network give, [batch, units, ...] each, while it trains."""

    def __init__(self, network: nn.Module) -> None:
        self.kept: list[Tensor] = []
        for layer in hidden_activations(network):
            layer.register_forward_hook(self._keep)

    def _keep(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if layer.training:  # those of thousands of samples to be judged would only fill the memory
            self.kept.append(output)
