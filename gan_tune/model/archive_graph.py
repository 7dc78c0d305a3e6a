"""The graph that torch has read from an archive: no value of a tensor decides what it computes.

A trial run in a child process shows what a graph costs only if another input costs the same. So
sizes may come from sizes alone. A file may have a tensor where a size belongs (torch takes its
value then, as `Tensor.item` does), or a mask as index. torch checks neither as it reads the file,
so the graph is checked, and indices are checked as it runs.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator, OpOverload
from torch.fx import GraphModule, Node

__all__ = ["MASKS", "fix_costs"]

MASKS = (torch.bool, torch.uint8)
"""Types of indices that choose as many elements as are true."""
GUARDS = "_guards_fn"
"""The module in which torch compares the sizes of inputs."""


def fix_costs(module: nn.Module) -> None:
    """Check that no value decides a size, and have the indices checked while it runs.

    Raises:
        ValueError: a value would; names the place.
    """
    if not isinstance(module, GraphModule):
        raise ValueError(f"must be a graph, but is a {type(module).__name__}")
    _outputs(module, ())
    for inner in module.modules():
        if not isinstance(inner, GraphModule):
            continue
        indexing = torch.ops.aten.index.Tensor
        for node in inner.graph.find_nodes(op="call_function", target=indexing):
            node.target = _indexed
        inner.recompile()


def _indexed(tensor: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """`aten::index` of numbers."""
    if any(index is not None and index.dtype in MASKS for index in indices):
        raise ValueError("must have numbers as indices, but has a mask")
    chosen: Tensor = torch.ops.aten.index.Tensor(tensor, indices)
    return chosen


def _outputs(module: GraphModule, given: Sequence[bool]) -> list[bool]:
    """Which of a graph's outputs are sizes, of ``given`` inputs that are; the others are tensors.

    Raises:
        ValueError: a size comes from a tensor; names the place.
    """
    sizes: set[Node] = set()
    of_subgraph: dict[Node, list[bool]] = {}
    inputs = module.graph.find_nodes(op="placeholder")
    sizes.update(node for node, is_size in zip(inputs, given, strict=False) if is_size)
    for node in module.graph.nodes:
        if node.op == "output":
            return [output in sizes for output in _nodes(node.args)]
        if node.op == "call_module" and node.target == GUARDS:
            continue
        if node.op not in ("placeholder", "get_attr", "call_function"):
            raise ValueError(f"must call operators alone: {node.op} {node.target}")
        if node.op != "call_function":
            continue
        if isinstance(node.target, HigherOrderOperator):
            of_subgraph[node] = _outputs(*_subgraph(module, node, sizes))
        elif node.target is operator.getitem:
            source, place = node.args
            if not isinstance(place, int):
                raise ValueError(f"{node}: must have a number as place: {place}")
            found = of_subgraph.get(source, [])
            if place < len(found) and found[place]:
                sizes.add(node)
        elif isinstance(node.target, OpOverload):
            _check_kinds(node, node.target, sizes)
            if all("int" in str(result.type) for result in node.target._schema.returns):
                sizes.add(node)
        else:  # arithmetic of Python, on sizes
            _check_sizes(node, node.all_input_nodes, sizes)
            sizes.add(node)
    return []


def _subgraph(
    module: GraphModule, node: Node, sizes: set[Node]
) -> tuple[GraphModule, Sequence[bool]]:
    """The graph that a node runs, and which of its inputs are sizes."""
    for i, argument in enumerate(node.args):
        if isinstance(argument, Node) and argument.op == "get_attr":
            inner = module.get_submodule(str(argument.target))
            if isinstance(inner, GraphModule):
                return inner, [further in sizes for further in node.args[i + 1 :]]
            break
    raise ValueError(f"{node}: must run a graph")


def _check_kinds(node: Node, target: OpOverload, sizes: set[Node]) -> None:
    """Check of an operator that arguments which are no tensors are given no tensors."""
    declared = {argument.name: argument.type for argument in target._schema.arguments}
    given = {**dict(zip(declared, node.args, strict=False)), **node.kwargs}
    for name, value in given.items():
        if "Tensor" not in str(declared.get(name)):
            _check_sizes(node, _nodes(value), sizes)


def _check_sizes(node: Node, used: Iterable[Node], sizes: set[Node]) -> None:
    for other in used:
        if other not in sizes:
            raise ValueError(f"{node}: must not take a number from a tensor's values: {other}")


def _nodes(value: Any) -> Iterator[Node]:
    """Each node in an argument of any shape."""
    found: list[Node] = []
    torch.fx.node.map_arg(value, found.append)
    yield from found
