"""Networks with one perturbed weight: only the values that depend on it are computed again.

A change e of W[i, j] in a linear layer W h + b changes only unit i of its output, by e·h[j]. A
change e of b[i] changes only unit i, by e. Such a change is a *column*. Elementwise activations map
a column to a column. The next linear layer turns it into a rank-one change of its output; from
there on the network runs as usual. The values that do not depend on the weight are recorded once.

The network is read by :mod:`torch.fx`, so any traceable graph works, not only a chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

__all__ = ["Column", "NodeRecorder", "Perturbed", "Record", "linear_layer", "traced"]

ELEMENTWISE = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardswish,
    nn.Identity,
    nn.LeakyReLU,
    nn.Mish,
    nn.ReLU,
    nn.SELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Tanh,
)

Record = Mapping[fx.Node, Any]
"""The value of each node in one unperturbed call of the network."""


@dataclass(frozen=True)
class Column:
    """Activations [..., n] that differ from ``base`` at one unit: base + delta ⊗ e_unit.

    Under vmap all copies share ``base``. Each copy has its own ``unit`` (a scalar index) and
    ``delta`` [...].
    """

    base: Tensor
    unit: Tensor
    delta: Tensor

    def dense(self) -> Tensor:
        units = torch.arange(self.base.shape[-1], device=self.base.device)
        return torch.where(units == self.unit, self.base + self.delta.unsqueeze(-1), self.base)

    def through_linear(self, weight: Tensor, base: Tensor) -> Tensor:
        """W (h + δ e_i) + b, given ``base`` = W h + b."""
        return base + self.delta.unsqueeze(-1) * _at(weight, self.unit)

    def through_elementwise(self, activation: nn.Module, base: Tensor) -> Column:
        """f(h + δ e_i), given ``base`` = f(h)."""
        changed = activation(_at(self.base, self.unit) + self.delta)
        return Column(base, self.unit, changed - _at(base, self.unit))


def _at(tensor: Tensor, index: Tensor) -> Tensor:
    """tensor[..., index] for a scalar index that vmap may have batched."""
    return tensor.index_select(-1, index.unsqueeze(0)).squeeze(-1)


def traced(network: nn.Module) -> fx.GraphModule | None:
    """The network as a graph that shares its parameters; None if it cannot be traced."""
    if network._forward_hooks or network._forward_pre_hooks:  # a trace would omit them
        return None
    try:
        return fx.symbolic_trace(network)
    except Exception:  # a forward pass that branches on its input may fail in any way
        return None


def linear_layer(graph: fx.GraphModule, name: str) -> fx.Node | None:
    """The only use of a parameter, if it is the weight or bias of a linear layer.

    None if its change is no column: the layer is of another type, has hooks or parametrizations,
    or is called or shared several times.
    """
    target, _, _ = name.rpartition(".")
    names = Counter(id(p) for _, p in graph.named_parameters(remove_duplicate=False))
    calls = [n for n in graph.graph.nodes if n.op == "call_module" and n.target == target]
    if len(calls) != 1 or not _is_plain(graph.get_submodule(target), (nn.Linear,)):
        return None
    read_elsewhere = any(n.op == "get_attr" and n.target == name for n in graph.graph.nodes)
    shared = names[id(graph.get_parameter(name))] > 1
    return None if read_elsewhere or shared else calls[0]


def _is_plain(module: nn.Module, types: tuple[type[nn.Module], ...]) -> bool:
    """Whether the module behaves as one of ``types``: it is no subclass and has no hooks."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    return type(module) in types and not hooks


class NodeRecorder(fx.Interpreter):
    """Runs the unperturbed network and keeps the value of each node, call after call.

    Attributes:
        records: one for each call.
        overwritten: whether a later operation changed a kept value in place.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.graph_module = graph
        self.records: list[dict[fx.Node, Any]] = []
        self.overwritten = False

    def __call__(self, x: Tensor) -> Tensor:
        self.records.append({})
        self._versions: list[tuple[Tensor, int]] = []
        output: Tensor = self.run(x)
        self.overwritten |= any(t._version != version for t, version in self._versions)
        return output

    def run_node(self, n: fx.Node) -> Any:
        value = self.records[-1][n] = super().run_node(n)
        if isinstance(value, Tensor):
            self._versions.append((value, value._version))
        return value


class Perturbed(fx.Interpreter):
    """One call of the network with ``step`` added to coordinate ``index`` of a linear layer.

    Args:
        graph: the traced network.
        record: the same call of the unperturbed network.
        layer: the linear layer, from :func:`linear_layer`.
        name: the parameter, the layer's weight or bias.
        index: a scalar, the coordinate's place in the flattened parameter.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        record: Record,
        layer: fx.Node,
        *,
        name: str,
        index: Tensor,
        step: float,
    ) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.record, self.layer = record, layer
        self.of_bias = name.endswith("bias")
        self.index, self.step = index, step
        self.changed: set[fx.Node] = set()

    def run_node(self, n: fx.Node) -> Any:
        if n is self.layer:
            self.changed.add(n)
            return self._entry()
        if self.changed.isdisjoint(n.all_input_nodes):
            return self.record[n]
        self.changed.add(n)
        value = self.env[n.all_input_nodes[0]]
        if n.op == "call_module" and isinstance(value, Column):
            module = self.fetch_attr(str(n.target))
            if _is_plain(module, (nn.Linear,)):
                return value.through_linear(module.weight, self.record[n])
            if _is_plain(module, ELEMENTWISE):
                return value.through_elementwise(module, self.record[n])
        return super().run_node(n)

    def _entry(self) -> Column:
        base, inputs = self.record[self.layer], self.record[self.layer.all_input_nodes[0]]
        if self.of_bias:
            return Column(base, self.index, torch.full_like(base[..., 0], self.step))
        fan_in = inputs.shape[-1]
        unit = torch.div(self.index, fan_in, rounding_mode="floor")
        return Column(base, unit, self.step * _at(inputs, self.index % fan_in))

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[Any, Any]:
        arguments = super().fetch_args_kwargs_from_env(n)
        dense: tuple[Any, Any] = fx.node.map_aggregate(
            arguments, lambda value: value.dense() if isinstance(value, Column) else value
        )
        return dense
