"""An objective at many perturbed copies of a network's weights, evaluated as batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import debug_unwrap, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from gan_tune.gan.estimators.columns import NodeRecorder, Perturbed, linear_layer, traced
from gan_tune.gan.reweighted import reweighted

__all__ = [
    "Network",
    "Objective",
    "PresentLoss",
    "coordinate_losses",
    "copies_per_chunk",
    "direction_losses",
]

Network = Callable[[Tensor], Tensor]
Objective = Callable[[Network], Tensor]
"""A player's loss, a scalar, as a function of the player's network.

It must be a pure function of the network: the same batches and noise at each call, and no random
numbers. It must not differentiate (as penalties on D's gradient do) or convert tensors to numbers.
"""
PresentLoss = Callable[[], Tensor]
"""The value of an objective at the present weights."""
Copy = Callable[[Tensor], Network]
"""Index of a coordinate in the flattened parameter → the network with that coordinate perturbed."""

CHUNK_BYTES = {"cpu": 2**23}
"""Memory limit for the largest tensor of a chunk's copies together. On a CPU it is the size of the
caches; elsewhere it is so large that the number of launches does not matter."""
OTHER_CHUNK_BYTES = 2**28


def parameters(network: nn.Module) -> dict[str, Tensor]:
    """The trained parameters by name, in the order of ``network.parameters()``."""
    return {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}


def coordinate_losses(objective: Objective, network: nn.Module, *, step: float) -> list[Tensor]:
    """L(w + step·e_i) for each coordinate i of each parameter, in the parameters' shapes.

    Weights and biases of linear layers use the faster :mod:`~gan_tune.gan.estimators.columns`. For
    other parameters, vmap batches the layer that holds them and all that follows it.
    """
    recorder = _recorded(objective, network)
    losses = []
    for name, parameter in parameters(network).items():
        copy = _replaced(network, name, parameter, step)
        if (
            recorder is not None
            and (layer := linear_layer(recorder.graph_module, name)) is not None
        ):
            copy = _columns(recorder, layer, name, step, otherwise=copy)
        losses.append(_at_each(objective, copy, parameter))
    return losses


def _recorded(objective: Objective, network: nn.Module) -> NodeRecorder | None:
    """The unperturbed calls of the network; None where they cannot be recorded."""
    graph = traced(network)
    if graph is None:
        return None
    recorder = NodeRecorder(graph)
    objective(recorder)
    return None if recorder.overwritten else recorder


def _at_each(objective: Objective, copy: Copy, parameter: Tensor) -> Tensor:
    def losses(chunk: Tensor) -> Tensor:
        values: Tensor = vmap(lambda index: objective(copy(index)))(chunk)
        return values

    indices = torch.arange(parameter.numel(), device=parameter.device)
    chunks = indices.split(copies_per_chunk(partial(losses, indices[:1]), parameter.device))
    return torch.cat([losses(chunk) for chunk in chunks]).view_as(parameter)


def _replaced(network: nn.Module, name: str, parameter: Tensor, step: float) -> Copy:
    positions = torch.arange(parameter.numel(), device=parameter.device).view_as(parameter)

    def copy(index: Tensor) -> Network:
        moved = {name: parameter + step * (positions == index).to(parameter.dtype)}
        return reweighted(network, moved)

    return copy


def _columns(
    recorder: NodeRecorder, layer: fx.Node, name: str, step: float, *, otherwise: Copy
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
        return objective(reweighted(network, moved))

    losses: Tensor = vmap(loss)(directions)
    return losses


def copies_per_chunk(one: Callable[[], object], device: torch.device) -> int:
    """How many copies fit into a chunk, judged by the largest intermediate value of one copy."""
    seen = _Largest()
    with seen:
        one()
    return max(1, CHUNK_BYTES.get(device.type, OTHER_CHUNK_BYTES) // seen.bytes)


class _Largest(TorchDispatchMode):
    """Notes the size of the largest result of any operation; a view takes no memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 1

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func.is_view:
            self.bytes = max(self.bytes, result.nbytes)
        return result
