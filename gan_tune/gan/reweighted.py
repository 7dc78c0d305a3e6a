"""A network called with other values for its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["reweighted"]


def reweighted(network: nn.Module, values: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """The network with its parameters replaced by ``values``, by name, wherever they are shared.

    Each module is replaced under one of its names only. If a module has two names, torch's own
    ``tie_weights`` replaces shared parameters twice and restores the wrong ones.
    """
    given = {id(network.get_parameter(name)): value for name, value in values.items()}
    places = {
        f"{place}.{name}" if place else name: given[id(p)]
        for place, module in network.named_modules()
        for name, p in module.named_parameters(recurse=False, remove_duplicate=False)
        if id(p) in given
    }

    def call(x: Tensor) -> Tensor:
        output: Tensor = functional_call(network, places, (x,), tie_weights=False)
        return output

    return call
