"""The hidden activations of a network during training, for the penalties that use them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["ActivationRecorder", "hidden_activations"]


def hidden_activations(network: nn.Module) -> list[nn.Module]:
    """All activation layers of a network except the last, which is the output's."""
    kinds = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.SiLU, nn.GELU)
    output = getattr(network, "output", None)
    return [
        layer for layer in network.modules() if isinstance(layer, kinds) and layer is not output
    ]


class ActivationRecorder:
    """Keeps the outputs of a network's hidden layers, [batch, units, ...] each, during training."""

    def __init__(self, network: nn.Module) -> None:
        self.kept: list[Tensor] = []
        for layer in hidden_activations(network):
            layer.register_forward_hook(self._keep)

    def _keep(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if layer.training:  # in evaluation, those of thousands of samples would fill the memory
            self.kept.append(output)
