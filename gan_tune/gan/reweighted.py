"""A network called with other values for its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["reweighted"]


def reweighted(network: nn.Module, values: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """The network with ``values`` for parameters by name, wherever these are shared.

    Each module counts under one of its names only: torch's own tying of weights swaps those of a
    module with two names twice, and then puts back what the first swap left there.
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
