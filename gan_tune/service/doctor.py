"""`gan-tune doctor`: check what a search needs, on this machine or on every node of a cluster."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import GanTuneError
from gan_tune.storage.places import DEFAULT_STORAGE, DRIVER
from gan_tune.words.wording import masked

if TYPE_CHECKING:
    from gan_tune.searching.on_ray.node_facts import NodeFacts
    from gan_tune.storage.storage import Storage

__all__ = ["Check", "checks_of_nodes", "doctor"]

SKEW_SECONDS = 2.0
"""By how much a node's clock may differ: times in the record and in logs would mislead."""
LEAST_SHARED_MEMORY = 1 << 30
"""Bytes that Ray's object store should find on this machine; Docker's default has a 16th."""


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        what: such as `storage`.
        where: the node, or what was asked.
        ok: whether it is as a search needs it.
        text: what was found; if it is not ``ok``, also what to do.
    """

    what: str
    where: str
    ok: bool
    text: str


def doctor(
    address: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    *,
    tracking_uri: str | None = None,
) -> list[Check]:
    """Check what a search needs. No Ray is started.

    What is written to the storage and to MLflow is deleted again. A missing folder is made.

    Args:
        address: of a Ray cluster (`HOST:PORT`, `auto`), each node of which is asked; default
            RAY_ADDRESS. Without either, this machine alone is checked.
        storage: folder or URI that is to hold searches.
        tracking_uri: of MLflow; default MLFLOW_TRACKING_URI, else `mlflow.db` in this folder.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    checks: list[Check] = []
    with _left_word(storage, checks) as (home, word):
        checks += _of_nodes(home, word, address if address != "local" else None)
    return [*checks, _of_mlflow(tracking_uri)]


# -------------------------------------------------------------------- what is asked


@contextmanager
def _left_word(storage: str | Path, checks: list[Check]) -> Iterator[tuple[Storage | None, str]]:
    """A folder in the storage with a random word for the nodes, both removed afterwards.

    If it cannot be made, that is added to ``checks``, and there is no folder.
    """
    from gan_tune.storage.storage import open_storage

    home, word = None, uuid.uuid4().hex
    try:
        home = open_storage(storage).below(f".doctor-{word[:8]}").patient(0)
        home.write(DRIVER, word.encode())
    except GanTuneError as error:
        home = None
        checks.append(Check("storage", "this machine", False, str(error)))
    try:
        yield home, word
    finally:
        if home is not None:
            with suppress(GanTuneError, OSError):  # what was found counts more than what is left
                home.delete(DRIVER)
                if home.folder is not None:
                    home.folder.rmdir()


def _of_nodes(home: Storage | None, word: str, address: str | None) -> list[Check]:
    from gan_tune.cluster.connection import check_address, connected
    from gan_tune.searching.on_ray.node_facts import facts_here, facts_of_nodes

    here = facts_here(home, word)
    if not address:
        return checks_of_nodes(here, [here], stored=home is not None)
    try:
        check_address(address)
        with connected(address, None):
            nodes = facts_of_nodes(home, word)
    except GanTuneError as error:
        return [Check("cluster", address, False, str(error))]
    checks = checks_of_nodes(here, nodes, stored=home is not None)
    return [Check("cluster", address, True, f"nodes that run: {len(nodes)}"), *checks]


def _of_mlflow(tracking_uri: str | None) -> Check:
    from gan_tune.record.mlflow_store import connect
    from gan_tune.record.tracking_uri import locate, sqlite_path
    from gan_tune.registry.rights import try_rights

    shown = masked(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "this folder")
    try:
        uri = locate(tracking_uri)
        shown = masked(uri)
        if uri.startswith("sqlite:") and not Path(sqlite_path(uri)).exists():
            return Check("MLflow", shown, True, "the first search makes it")
        connect(uri, create=False)
        try_rights(uri)
    except GanTuneError as error:
        return Check("MLflow", shown, False, str(error))
    return Check("MLflow", shown, True, "it answers; runs and models may be written")


# -------------------------------------------------------------------- what is made of it


def checks_of_nodes(here: NodeFacts, nodes: Sequence[NodeFacts], *, stored: bool) -> list[Check]:
    """Each node's checks, by subject: one line if all are well, otherwise one for each that is not.

    Args:
        here: what was found on the driver.
        nodes: what was found on each node; in a search without a cluster the driver alone.
        stored: whether the storage was looked at.
    """
    silent = [each for each in nodes if each.unanswered]
    asked = [each for each in nodes if not each.unanswered]
    checks = [
        Check("node", each.node, False, f"it cannot run gan-tune: {each.unanswered}")
        for each in silent
    ]
    shown = ", ".join(f"{name} {version}" for name, version in here.versions.items())
    subjects: list[tuple[str, Callable[[NodeFacts], str], str]] = [
        ("versions", lambda node: _other_versions(here, node), shown),
        ("GPUs", _gpu_fault, f"torch finds {sum(node.gpus for node in asked)}"),
        ("shared memory", _memory_fault, "it holds Ray's object store"),
    ]
    if stored:
        subjects.append(("storage", lambda node: node.storage_fault, "written and read back"))
    if any(node.ray_gpus is not None for node in asked):
        subjects += [
            ("ports", _port_fault, "Ray's are reached from here"),
            ("token", _token_fault, "Ray asks for a token"),
            ("clock", _clock_fault, f"within {SKEW_SECONDS:g} s of this machine's"),
        ]
    for what, fault_of, well in subjects if asked else []:
        faults = [(node.node, fault) for node in asked if (fault := fault_of(node))]
        checks += [Check(what, node, False, fault) for node, fault in faults]
        if not faults:
            where = asked[0].node if len(asked) == 1 else "all nodes"
            checks.append(Check(what, where, True, well))
    return checks


def _other_versions(here: NodeFacts, node: NodeFacts) -> str:
    others = [
        f"{name} {node.versions.get(name)} instead of {version}"
        for name, version in here.versions.items()
        if node.versions.get(name) != version
    ]
    return f"{', '.join(others)}: install the same there as here" if others else ""


def _gpu_fault(node: NodeFacts) -> str:
    if node.gpu_fault:
        return f"{node.gpu_fault}: mend its driver, or leave the node out"
    if node.ray_gpus is None or node.ray_gpus == node.gpus:
        return ""
    found = f"Ray manages {node.ray_gpus}, but torch finds {node.gpus}: "
    if node.ray_gpus > node.gpus:
        return found + "check nvidia-smi, and that torch is built for these GPUs"
    return found + f"start Ray there with --num-gpus {node.gpus}, if trials are to use them all"


def _port_fault(node: NodeFacts) -> str:
    if not node.closed:
        return ""
    return (
        f"Ray's {' and '.join(node.closed)} cannot be reached from here: open the ports between "
        "nodes (ray start --node-manager-port, --object-manager-port fix them)"
    )


def _token_fault(node: NodeFacts) -> str:
    if node.tokens:
        return ""
    return (
        "whoever reaches its ports can run code: set RAY_AUTH_MODE=token and a token on every "
        "node before `ray start`"
    )


def _memory_fault(node: NodeFacts) -> str:
    from gan_tune.searching.on_ray.node_facts import SHARED_MEMORY

    wanted = LEAST_SHARED_MEMORY if node.object_store is None else node.object_store
    if node.shared_memory is None or node.shared_memory >= wanted:
        return ""
    return (
        f"{SHARED_MEMORY} has {node.shared_memory / 2**30:.2f} GiB, Ray's object store wants "
        f"{wanted / 2**30:.2f}: make it larger (docker run --shm-size), or Ray uses a slow disk"
    )


def _clock_fault(node: NodeFacts) -> str:
    if abs(node.skew) <= SKEW_SECONDS:
        return ""
    way = "ahead of" if node.skew > 0 else "behind"
    return f"{abs(node.skew):.1f} s {way} this machine's: run a time service (chrony) on both"
