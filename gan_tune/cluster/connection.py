"""Joining a Ray cluster, or starting Ray on this machine alone."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gan_tune.cluster.ray_internals import (
    draining_nodes,
    forget_own_token,
    keeping_own_handler,
    off_the_screen,
    start_on_loopback,
    started_here,
)
from gan_tune.cluster.temporary_folder import ray_folder
from gan_tune.errors import ClusterAwayError, ClusterError, StorageError, UnfitNodesError
from gan_tune.space import Resources
from gan_tune.storage.storage import Storage
from gan_tune.words.wording import first_line, last_line

__all__ = [
    "ANOTHER_TOKEN",
    "NOT_SENT",
    "Places",
    "check_address",
    "connected",
    "cores",
    "fitting",
    "slots",
]

logger = logging.getLogger("gan_tune")

KNOCK_SECONDS = 5.0
"""How long an address may take to accept a connection."""

JOIN_SECONDS = 60.0
"""How long Ray may take to accept a process, once something listens at the address."""

SHARED_SECONDS = 120.0
"""How long a node may take to install the uploaded files and write one file."""

NOT_SENT = [
    ".git", ".venv", "venv", ".env", "__pycache__", "*.pyc", "gan_tune_runs", "mlruns",
    "mlartifacts", "mlflow.db*", "node_modules",
]  # fmt: skip
"""Files of the working folder that are not uploaded, in addition to .gitignore and .rayignore."""

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
"""Ray's own lines off the screen: gan-tune prints what matters."""

SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The variable in which `ray job submit` passes its runtime environment to the command."""


@contextmanager
def connected(
    address: str | None, storage: Storage | None, *, cpus: int | None = None, preload: str = ""
) -> Iterator[None]:
    """Use Ray within the block; if this process already runs Ray, that is used.

    Args:
        address: of a running cluster that this machine is a node of (`HOST:PORT`, `auto`);
            default RAY_ADDRESS; without either, or for `local`, Ray is started on this machine and
            listens on loopback alone. It asks for a token that is never on disk, and keeps its
            files where no other user can enter.
        storage: every node of a cluster must reach it; checked here. Nodes that do not are named;
            no trial can prove itself there. None: nothing is checked.
        cpus: how many CPUs a Ray started here manages; default all.
        preload: module that each worker of a Ray started here imports first; default none.

    Raises:
        ClusterError: no cluster answers there, it refuses the token, or a node cannot run gan-tune.
        UnfitNodesError: Ray could not start here.
        StorageError: no node sees the storage.
    """
    if ray.is_initialized():
        yield
        return
    address = _resolved(address)
    with ExitStack() as ending:
        ending.enter_context(off_the_screen())
        ending.enter_context(keeping_own_handler())
        if address == "local":
            folder = ending.enter_context(ray_folder())
            ending.callback(_shut_down)
            options = {"num_cpus": cpus, "_temp_dir": folder, **QUIET}
            try:
                start_on_loopback(preload, include_dashboard=False, **options)
            except Exception as error:  # Ray raises no class of its own where a process is too slow
                raise UnfitNodesError(
                    f"Ray could not start on this machine ({first_line(error)}); try again"
                ) from None
        else:
            ending.callback(_shut_down)
            _join(address)
            if storage is not None:
                _check_shared(storage)
        yield


def _shut_down() -> None:
    """Leave Ray while Python collects no garbage.

    Any thread may collect it, also the one that delivers to MLflow. An ``ObjectRef`` among it asks
    Ray to forget it, and a Ray that is being shut down ends the whole process at that.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if collecting:
            gc.enable()


def slots(resources: Resources, limit: int | None, *, without: Collection[str] = ()) -> int:
    """How many trials run at a time on what the cluster has now, at least 1.

    ``without`` are the ids of nodes that are left out.

    If no trial fits yet but the cluster may grow, ``limit`` trials wait at a time, so that an
    autoscaler sees them all.

    Raises:
        ClusterError: one trial needs more than this machine has, and Ray was started here.
    """
    nodes = _nodes(without)
    if found := fitting(resources, limit, without=without).slots:
        return found
    best_cpu = max((node.get("CPU", 0) for node in nodes), default=0)
    best_gpu = max((node.get("GPU", 0) for node in nodes), default=0)
    lack = (
        f"resources: one trial needs cpu: {resources.cpu:g}, gpu: {resources.gpus:g}, but no node "
        f"has that; the most there is: cpu: {best_cpu:g}, gpu: {best_gpu:g}"
    )
    if started_here():
        raise ClusterError(lack)
    logger.warning("%s; waiting for the cluster to grow", lack)
    return limit or 1


class Places(NamedTuple):
    """The trials that can run at a time, and the nodes that have room for one."""

    slots: int
    nodes: int


def fitting(resources: Resources, limit: int | None, *, without: Collection[str] = ()) -> Places:
    """How many trials, at most ``limit``, fit on what the cluster has now; 0 or more."""
    each = [fits for node in _nodes(without) if (fits := _fits(node, resources))]
    return Places(min(sum(each), limit or sum(each)), len(each))


def with_room(resources: Resources, without: Collection[str] = ()) -> dict[str, str]:
    """The nodes that are alive and large enough for a trial: id → address."""
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] not in without and _fits(node["Resources"], resources)
    }


def _nodes(without: Collection[str]) -> list[dict[str, float]]:
    """What the nodes have that are alive, stay so as far as is known, and are not left out."""
    without = {*without, *draining_nodes()}
    return [
        node["Resources"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in without
    ]


def cores() -> int:
    """How many CPUs the cluster has now, at least 1."""
    return max(
        1, int(sum(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]))
    )


def _fits(node: dict[str, float], resources: Resources) -> int:
    by_cpu = _whole(node.get("CPU", 0), resources.cpu)
    if not resources.gpus:
        return by_cpu
    gpus = int(node.get("GPU", 0))
    if resources.gpus > 1:
        return min(by_cpu, gpus // int(resources.gpus))
    return min(by_cpu, gpus * _whole(1, resources.gpus))  # a trial's share lies on one GPU


def _whole(amount: float, share: float) -> int:
    return int(amount / share + 1e-9)  # 0.3 / 0.1 is 2.9999999999999996


# -------------------------------------------------------------------- joining


def check_address(address: str | None) -> None:
    """Check that the cluster of :func:`connected` accepts this process, before anything starts.

    Raises:
        ClusterError: no cluster answers there, or it refuses the token.
    """
    address = _resolved(address)
    if address == "local" or ray.is_initialized():
        return
    forget_own_token()
    _knock(address)
    if refusal := _refusal(address):
        raise _unreachable(address, refusal)


def _resolved(address: str | None) -> str:
    if address in (None, "", "auto"):  # as Ray itself: RAY_ADDRESS says which one `auto` is
        return os.environ.get("RAY_ADDRESS") or address or "local"
    return str(address)


def _join(address: str) -> None:
    check_address(address)
    try:
        ray.init(address=address, runtime_env=_travelling(), **QUIET)
    except (RayError, OSError, RuntimeError, ValueError) as error:
        reason = _lines_joined(error)
        if size := re.search(r"Package size \((.+?)\) exceeds the maximum size of (\S+iB)", reason):
            raise ClusterError(
                f"working folder: at most {size[2]} of it can travel to the nodes (name in "
                f".rayignore what need not): {os.getcwd()!r}: {size[1]}"
            ) from None
        raise _unreachable(address, reason) from None


def _unreachable(
    address: str, reason: str, kind: type[ClusterError] = ClusterError
) -> ClusterError:
    return kind(
        f"--address: must be of a running Ray cluster that this machine is a node of: "
        f"{address!r}: {reason}"
    )


def _knock(address: str) -> None:
    """Check that something listens at the address: Ray itself would try for two minutes."""
    if address == "auto":
        return
    if "://" in address:
        raise ClusterError(
            f"--address: must be HOST:PORT or auto, but got {address!r}: a search runs on a node "
            "of the cluster; from outside, hand it over with `gan-tune submit`"
        )
    host, _, port = address.rpartition(":")
    try:
        if not host or not port.isdecimal():
            raise ValueError("must be HOST:PORT")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS):
            pass
    except (OSError, OverflowError, ValueError) as error:
        is_away = isinstance(error, ConnectionError | TimeoutError)
        kind = ClusterAwayError if is_away else ClusterError
        raise _unreachable(address, _lines_joined(error), kind) from None


def _refusal(address: str) -> str | None:
    """Why Ray does not accept a process at the address; None if it does.

    A separate process tries it, because Ray writes its warnings directly to stderr, tries a wrong
    token for 20 seconds, and kills a process that does not find a cluster.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _TRIAL_JOIN, address],
        env={name: value for name, value in os.environ.items() if name != SUBMITTED},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as joining:
        patience = threading.Timer(JOIN_SECONDS, joining.kill)
        patience.start()
        try:
            said = ""
            for line in joining.stderr or ():
                said = line.strip() or said
                for sign, meaning in _SIGNS.items():
                    if sign in line:
                        return meaning
            return (said or "it gives no reason") if joining.wait() else None
        finally:
            patience.cancel()
            joining.kill()


_TRIAL_JOIN = """
import logging, sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
except Exception as error:
    sys.exit(" ".join(str(error).split()))
"""

ANOTHER_TOKEN = (
    "it wants another token: set RAY_AUTH_MODE=token, and the cluster's token in RAY_AUTH_TOKEN, "
    "the file RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"
)

_SIGNS = {
    "InvalidAuthToken": ANOTHER_TOKEN,
    "no authentication token was found": ANOTHER_TOKEN,
    "Failed to connect to GCS": "what listens there does not answer as Ray does",
}
"""Ray's messages while it keeps trying, and their meaning."""


def _travelling() -> dict[str, Any]:
    """The uploads to the nodes: the working folder (a user's own parts) and gan_tune itself."""
    modules = [str(Path(__file__).parents[1])]
    submitted = json.loads(os.environ.get(SUBMITTED, "{}")).get("runtime_env") or {}
    if submitted:
        # Ray refuses keys that both give; with this it takes ours, and keeps the job's others.
        os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"
        modules += submitted.get("py_modules", [])
    return {"working_dir": os.getcwd(), "py_modules": modules, "excludes": NOT_SENT}


# -------------------------------------------------------------------- storage


def _check_shared(storage: Storage) -> None:
    """Check the storage: every node writes a file, which this process then reads.

    Raises:
        GanTuneError: none of those that have CPUs can. Where some can, a warning names the others.
    """

    @ray.remote(num_cpus=0, max_retries=0)
    def touch(storage: Storage, path: str) -> None:
        storage.write(path, b"here")

    nodes = {f".node-{node['NodeID'][:12]}": node for node in ray.nodes() if node["Alive"]}
    touched = {
        path: touch.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(storage, path)
        for path, node in nodes.items()
    }
    ray.wait(list(touched.values()), num_returns=len(touched), timeout=SHARED_SECONDS)
    faults: dict[str, ClusterError | StorageError] = {}
    for path, reference in touched.items():
        where = nodes[path]["NodeManagerAddress"]
        try:
            ray.get(reference, timeout=0)
        except RayError as error:
            faults[path] = _node_failed(where, storage, error)
            continue
        if storage.read(path) == b"here":
            storage.delete(path)
        else:
            faults[path] = StorageError(
                f"storage: must be shared by all nodes (NFS or s3://...), but what node {where} "
                f"writes to {storage.uri} is not seen here"
            )
    train = {path for path, node in nodes.items() if node["Resources"].get("CPU")}
    if faults and train <= faults.keys():
        raise next(iter(faults.values()))
    for fault in faults.values():
        logger.warning("a node is of no use to this search: %s", fault)


def _node_failed(where: str, storage: Storage, error: RayError) -> ClusterError | StorageError:
    cause = error.cause if isinstance(error, RayTaskError) else None
    if isinstance(cause, StorageError):
        return StorageError(f"storage: node {where} must be able to write {storage.uri}: {cause}")
    return ClusterError(f"node {where} cannot run gan-tune: {last_line(error).strip()}")


def _lines_joined(error: BaseException) -> str:
    return " ".join(str(error).split())
