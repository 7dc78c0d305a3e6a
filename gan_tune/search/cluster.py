"""Joining a Ray cluster, or starting Ray on this machine alone."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import gan_tune
from gan_tune.errors import ClusterError, StorageError
from gan_tune.search.storage import Storage
from gan_tune.space import Resources

__all__ = ["connected", "slots"]

logger = logging.getLogger("gan_tune")

CONNECT_SECONDS = 5.0
NOT_SENT = [
    ".git", ".venv", "venv", "__pycache__", "*.pyc", "gan_tune_runs", "mlruns", "mlartifacts",
    "mlflow.db*", "node_modules", "*.safetensors",
]  # fmt: skip
"""What of the working folder does not travel to the nodes."""


@contextmanager
def connected(address: str | None, storage: Storage, *, cpus: int | None = None) -> Iterator[None]:
    """Ray for the time of the block.

    Args:
        address: of a running cluster (`HOST:PORT`, `auto`, `ray://...`); default RAY_ADDRESS;
            without either, Ray is started on this machine for the block.
        storage: every node of a cluster must reach it; checked here.
        cpus: how many CPUs a Ray started here manages; default all.

    Raises:
        ClusterError: nothing answers at the address within some seconds.
        StorageError: a node does not see the storage.
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address == "local":
        address = None
    _quiet_ray()
    already = ray.is_initialized()
    if not already:
        if address is None:
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        else:
            _join(address)
            _check_shared(storage)
    try:
        yield
    finally:
        if not already:
            ray.shutdown()


def slots(resources: Resources, limit: int | None) -> int:
    """How many trials run at a time on what the cluster has now, at least 1.

    Raises:
        ClusterError: no single node of a cluster that does not grow has what one trial needs.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fitting = sum(_fits(node, resources) for node in nodes)
    if fitting == 0:
        best_cpu = max((node.get("CPU", 0) for node in nodes), default=0)
        best_gpu = max((node.get("GPU", 0) for node in nodes), default=0)
        lack = (
            f"resources: one trial needs cpu: {resources.cpu:g}, gpu: {resources.gpu:g}, but the "
            f"largest node has cpu: {best_cpu:g}, gpu: {best_gpu:g}"
        )
        if not os.environ.get("RAY_ADDRESS") and len(nodes) == 1:
            raise ClusterError(lack)
        logger.warning("%s; waiting for the cluster to grow", lack)
    return max(1, min(fitting, limit) if limit else fitting)


def _fits(node: dict[str, float], resources: Resources) -> int:
    by_cpu = int(node.get("CPU", 0) / resources.cpu)
    return min(by_cpu, int(node.get("GPU", 0) / resources.gpu)) if resources.gpu else by_cpu


def _join(address: str) -> None:
    _probe(address)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            runtime_env={
                "working_dir": os.getcwd(),
                "py_modules": [str(Path(gan_tune.__file__).parent)],
                "excludes": NOT_SENT,
            },
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ClusterError(
            f"--address: must be a running Ray cluster: {address!r}: {reason}"
        ) from None


def _probe(address: str) -> None:
    """Knock at the address first: Ray itself would try for a minute."""
    if address == "auto":
        return
    place = urlparse(address if "://" in address else f"ray://{address}")
    try:
        host, port = place.hostname, place.port
        if not host or not port:
            raise ValueError("must be HOST:PORT")
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            pass
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"--address: must be a running Ray cluster: {address!r}: {error}"
        ) from None


def _check_shared(storage: Storage) -> None:
    """Have every node write a file that this process then reads."""

    @ray.remote(num_cpus=0, max_retries=0)
    def touch(storage: Storage, path: str) -> None:
        storage.write(path, b"here")

    for node in (node for node in ray.nodes() if node["Alive"]):
        path = f".node-{node['NodeID'][:12]}"
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        try:
            ray.get(touch.options(scheduling_strategy=here).remote(storage, path), timeout=120)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().split("\n")[-1]
            raise StorageError(
                f"storage: node {node['NodeManagerAddress']} must be able to write "
                f"{storage.uri}: {reason}"
            ) from None
        if storage.read(path) != b"here":
            raise StorageError(
                f"storage: must be shared by all nodes (NFS or s3://...), but what node "
                f"{node['NodeManagerAddress']} writes to {storage.uri} is not seen here"
            )
        storage.delete(path)


def _quiet_ray() -> None:
    """Ray's own lines off the screen: gan-tune prints what matters."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)
