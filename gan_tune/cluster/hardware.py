"""What the nodes of a cluster have, and can compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gan_tune.cluster.ray_internals import started_here
from gan_tune.errors import ClusterError, UnfitNodesError
from gan_tune.space import Resources
from gan_tune.words.wording import last_line

__all__ = ["GpuNode", "at_once", "gpu_nodes", "has_idle_gpu", "nodes_by", "on_gpu_node"]

Answer = TypeVar("Answer")

TOUCH = 0.01
"""The share of a GPU that a question occupies, so that it need not wait for a whole one."""
ANSWER_SECONDS = 120.0
"""How long a node may take to start a process that imports torch."""


def nodes_by(
    able: Callable[[], bool], resources: Resources
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The nodes that could run a trial, by whether ``able()`` is false or true there.

    Each is node id → address. A Ray that was started here has this machine alone, so nothing is
    asked. For trials on GPUs, ``able`` runs where it sees one.

    Raises:
        ClusterError: a node does not answer.
    """
    if started_here():
        return {}, {}
    kind = "GPU" if resources.gpus else "CPU"
    nodes = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get(kind)
    }
    asked = {node: _asked(node, able, min(resources.gpus, 1)) for node in nodes}
    found: dict[bool, dict[str, str]] = {False: {}, True: {}}
    for node, answer in asked.items():
        found[bool(_answer(answer, nodes[node], ANSWER_SECONDS))][node] = nodes[node]
    return found[False], found[True]


@dataclass(frozen=True)
class GpuNode:
    """A node of the cluster that has GPUs.

    Attributes:
        id, address: of the node.
        cores: CPUs that Ray manages there.
        gpus: GPUs that Ray manages there, at least 1.
    """

    id: str
    address: str
    cores: float
    gpus: int


def gpu_nodes() -> list[GpuNode]:
    """The nodes that have GPUs now."""
    return [
        GpuNode(
            node["NodeID"],
            node["NodeManagerAddress"],
            node["Resources"].get("CPU", 0.0),
            int(node["Resources"]["GPU"]),
        )
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("GPU", 0) >= 1
    ]


def has_idle_gpu() -> bool:
    """Whether no task occupies any part of some GPU of the cluster."""
    return bool(ray.available_resources().get("GPU", 0) >= 1)


def on_gpu_node(
    node: GpuNode,
    question: Callable[..., Answer],
    *given: Any,
    seconds: float = ANSWER_SECONDS,
) -> Answer:
    """What ``question(*given)`` returns in a fresh process on a node, which sees one of its GPUs.

    Raises:
        ClusterError: it fails there, or does not answer within ``seconds``.
    """
    return _answer(_asked(node.id, question, TOUCH, *given), node.address, seconds)


def at_once(
    question: Callable[..., Answer],
    *given: Any,
    resources: Resources,
    count: int,
    seconds: float = ANSWER_SECONDS,
    node: str = "",
) -> list[Answer]:
    """What ``question(*given)`` returns ``count`` times at once, each where a trial fits.

    ``node`` is the id of the one where all of them run; empty: any.

    Raises:
        ClusterError: it fails, or does not answer within ``seconds``.
    """

    # A process that has used a GPU would keep its memory: each ends with its answer.
    @ray.remote(
        num_cpus=resources.cpu,
        num_gpus=resources.gpus,
        max_retries=0,
        max_calls=1 if resources.gpus else 0,
    )
    def ask(*given: Any) -> Answer:
        return question(*given)

    there = NodeAffinitySchedulingStrategy(node, soft=False) if node else "DEFAULT"
    shared = [ray.put(each) for each in given]
    answers = [ask.options(scheduling_strategy=there).remote(*shared) for _ in range(count)]
    return [_answer(answer, "of a trial", seconds) for answer in answers]


def _asked(
    node: str, question: Callable[..., Answer], gpu: float, *given: Any
) -> ray.ObjectRef[Answer]:
    # A process that has used a GPU would keep its memory: each ends with its answer.
    @ray.remote(num_cpus=0, num_gpus=gpu, max_calls=1, max_retries=0)
    def ask(*given: Any) -> Answer:
        return question(*given)

    there = NodeAffinitySchedulingStrategy(node, soft=False)
    answer: ray.ObjectRef[Answer] = ask.options(scheduling_strategy=there).remote(*given)
    return answer


def _answer(answer: ray.ObjectRef[Answer], address: str, seconds: float) -> Answer:
    try:
        return ray.get(answer, timeout=seconds)
    except GetTimeoutError:
        raise UnfitNodesError(
            f"no answer from a node {address} within {seconds:g} s; the same command tries again"
        ) from None
    except RayError as error:
        reason = last_line(error).strip() or type(error).__name__
        raise ClusterError(f"node {address} cannot run gan-tune: {reason}") from None
