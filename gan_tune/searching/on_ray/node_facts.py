"""What a node is and can do, for `gan-tune doctor`: asked of this node, or of all of a cluster."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gan_tune.cluster.ray_internals import uses_tokens
from gan_tune.errors import StorageError
from gan_tune.gan.device import accelerators, trial_device
from gan_tune.searching.on_ray.proof import versions, why_device_unfit, why_storage_unfit
from gan_tune.storage.storage import Storage
from gan_tune.words.wording import last_line

__all__ = ["NodeFacts", "facts_here", "facts_of_nodes"]

SHARED_MEMORY = "/dev/shm"  # nosec B108: its size is read, nothing is written
NODE_SECONDS = 120.0
"""How long a node may take to install the uploaded files and start a process."""
PORTS = {"node manager": "NodeManagerPort", "object manager": "ObjectManagerPort"}
"""The ports on which nodes talk to each other, and what Ray's list of nodes calls them."""
KNOCK_SECONDS = 5.0
"""How long a port may take to accept a connection."""
SEES_GPUS = {"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}}
"""Some releases of Ray hide the GPUs from a process that asks for none, unless told not to."""


@dataclass(frozen=True)
class NodeFacts:
    """What was found on a node.

    Attributes:
        node: its address.
        versions: of gan_tune, torch, ray and python.
        gpus: how many torch finds.
        gpu_fault: why a step on a GPU fails; empty if it works, or without GPUs.
        storage_fault: why the storage cannot be used there; empty if it can.
        shared_memory: bytes of `/dev/shm`; None on a system that has none.
        tokens: whether its Ray asks for a token.
        ray_gpus: how many Ray manages there; None without a cluster.
        object_store: bytes of Ray's object store there; None without a cluster.
        skew: seconds by which its clock is ahead of the driver's; 0 on the driver.
        closed: the ports of Ray there that cannot be reached from the driver.
        unanswered: why the node could not be asked; the other fields say nothing then.
    """

    node: str
    versions: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    gpu_fault: str = ""
    storage_fault: str = ""
    shared_memory: int | None = None
    tokens: bool = True
    ray_gpus: int | None = None
    object_store: int | None = None
    skew: float = 0.0
    closed: Sequence[str] = ()
    unanswered: str = ""


def facts_here(storage: Storage | None, word: str, *, node: str = "this machine") -> NodeFacts:
    """What is found where this runs.

    Args:
        storage: in which the driver left ``word``; None: it is not looked at.
        word: what must be read there.
        node: the name of this machine.
    """
    gpus = accelerators()
    return NodeFacts(
        node,
        versions={**versions(), "python": platform.python_version()},
        gpus=gpus,
        gpu_fault=(why_device_unfit(lambda: trial_device(gpu=True)) or "") if gpus else "",
        storage_fault="" if storage is None else _storage_fault(storage, word),
        shared_memory=_shared_memory(),
        tokens=uses_tokens(),
    )


def _storage_fault(storage: Storage, word: str) -> str:
    try:
        return why_storage_unfit(storage.patient(0), word) or ""
    except StorageError as error:
        return str(error)


def _shared_memory() -> int | None:
    return shutil.disk_usage(SHARED_MEMORY).total if os.path.isdir(SHARED_MEMORY) else None


def facts_of_nodes(storage: Storage | None, word: str) -> list[NodeFacts]:
    """What is found on each node of the cluster that this process has joined."""

    @ray.remote(num_cpus=0, max_restarts=0)
    class Examiner:
        def facts(self, storage: Storage | None, word: str, node: str) -> NodeFacts:
            return facts_here(storage, word, node=node)

        def now(self) -> float:
            return time.time()

    nodes = [node for node in ray.nodes() if node["Alive"]]
    there = [
        Examiner.options(  # type: ignore[attr-defined]
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            runtime_env=SEES_GPUS,
        ).remote()
        for node in nodes
    ]
    asked = [
        examiner.facts.remote(storage, word, node["NodeManagerAddress"])
        for node, examiner in zip(nodes, there, strict=True)
    ]
    return [_found(*each) for each in zip(nodes, there, asked, strict=True)]


def _found(node: Mapping[str, Any], examiner: Any, asked: ray.ObjectRef[NodeFacts]) -> NodeFacts:
    """A node's answer, with what Ray knows of it and how far its clock is ahead."""
    try:
        facts = ray.get(asked, timeout=NODE_SECONDS)
        before = time.time()
        now = ray.get(examiner.now.remote(), timeout=NODE_SECONDS)
        skew = now - (before + time.time()) / 2
    except RayError as error:
        reason = last_line(error).strip() or type(error).__name__
        return NodeFacts(node["NodeManagerAddress"], unanswered=reason)
    finally:
        ray.kill(examiner)
    has = node["Resources"]
    return NodeFacts(
        **{
            **vars(facts),
            "ray_gpus": int(has.get("GPU", 0)),
            "object_store": int(has.get("object_store_memory", 0)),
            "skew": skew,
            "closed": [port for port in PORTS if not _is_open(node, port)],
        }
    )


def _is_open(node: Mapping[str, Any], port: str) -> bool:
    """Whether a port of a node accepts connections of this machine."""
    try:
        where = (node["NodeManagerAddress"], node[PORTS[port]])
        with socket.create_connection(where, timeout=KNOCK_SECONDS):
            return True
    except OSError:
        return False
