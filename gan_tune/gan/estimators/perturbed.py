"""An objective at many perturbed copies of a network's weights, evaluated as batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import debug_unwrap, functional_call, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from gan_tune.gan.estimators.columns import Perturbed, Recorder, linear_layer, traced

__all__ = ["Network", "Objective", "coordinate_losses", "direction_losses"]

Network = Callable[[Tensor], Tensor]
Objective = Callable[[Network], Tensor]
"""A player's loss, a scalar, as a function of the player's network.

It must be a plain function of the network: equal batches and noise at each call, no randomness of
its own, and nothing that differentiates (penalties on D's gradient) or leaves the tensors.
"""
Copy = Callable[[Tensor], Network]
"""The network with one coordinate moved, by the coordinate's index in the flattened parameter."""

CHUNK_BYTES = {"cpu": 2**21}
"""What the largest value of a chunk's copies may take together: on a CPU as much as its caches
hold, elsewhere so much that the number of launches no longer counts."""
OTHER_CHUNK_BYTES = 2**28


def parameters(network: nn.Module) -> dict[str, Tensor]:
    """The parameters to be trained, by name, in the order of ``network.parameters()``."""
    return {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}


def coordinate_losses(objective: Objective, network: nn.Module, *, step: float) -> list[Tensor]:
    """L(w + step·e_i) for each coordinate i of each parameter, in the parameters' shapes.

    Weights and biases of linear layers go the short way of :mod:`~gan_tune.gan.estimators.columns`.
    For the others vmap batches the layer that holds them and what follows it.
    """
    graph = traced(network)
    recorder = Recorder(graph) if graph is not None else None
    size = largest_value(objective, recorder or network)
    if recorder is not None and recorder.overwritten:
        recorder = None
    losses = []
    for name, parameter in parameters(network).items():
        copy, own = _replaced(network, name, parameter, step), parameter.nbytes
        if (
            recorder is not None
            and (layer := linear_layer(recorder.graph_module, name)) is not None
        ):
            copy, own = _columns(recorder, layer, name, step, otherwise=copy), 0
        losses.append(_at_each(objective, copy, parameter, size + own))
    return losses


def _at_each(objective: Objective, copy: Copy, parameter: Tensor, size: int) -> Tensor:
    indices = torch.arange(parameter.numel(), device=parameter.device)
    loss = vmap(lambda index: objective(copy(index)), chunk_size=_chunk(size, parameter.device))
    return loss(indices).view_as(parameter)


def _replaced(network: nn.Module, name: str, parameter: Tensor, step: float) -> Copy:
    positions = torch.arange(parameter.numel(), device=parameter.device).view_as(parameter)

    def copy(index: Tensor) -> Network:
        moved = {name: parameter + step * (positions == index).to(parameter.dtype)}
        return lambda x: functional_call(network, moved, (x,))

    return copy


def _columns(
    recorder: Recorder, layer: fx.Node, name: str, step: float, *, otherwise: Copy
) -> Copy:
    def copy(index: Tensor) -> Network:
        records = iter(recorder.records)

        def perturbed(x: Tensor) -> Tensor:
            record = next(records)
            if debug_unwrap(x) is not x:  # the input itself depends on the copy, as in net(net(x))
                return otherwise(index)(x)
            run = Perturbed(recorder.graph_module, record, layer, name=name, index=index, step=step)
            output: Tensor = run.run(x)
            return output

        return perturbed

    return copy


def direction_losses(
    objective: Objective, network: nn.Module, directions: dict[str, Tensor], *, step: float
) -> Tensor:
    """L(w + step·u) for each direction u, [count], of parameters [count, *shape]."""

    def loss(direction: dict[str, Tensor]) -> Tensor:
        moved = {name: w + step * direction[name] for name, w in parameters(network).items()}
        return objective(lambda x: functional_call(network, moved, (x,)))

    return vmap(loss)(directions)


def directions_per_chunk(objective: Objective, network: nn.Module) -> int:
    """How many copies of all parameters fit a chunk."""
    own = parameters(network).values()
    size = largest_value(objective, network) + sum(w.nbytes for w in own)
    return _chunk(size, next(iter(own)).device)


def largest_value(objective: Objective, network: Network) -> int:
    """The bytes of the largest tensor on the way to the objective."""
    seen = _Largest()
    with seen:
        objective(network)
    return seen.bytes


def _chunk(size: int, device: torch.device) -> int:
    return max(1, CHUNK_BYTES.get(device.type, OTHER_CHUNK_BYTES) // size)


class _Largest(TorchDispatchMode):
    """Notes the size of the largest result of any operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 1

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.bytes = max(self.bytes, result.nbytes)
        return result
