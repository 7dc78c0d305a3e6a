"""A worker's proof, before its first trial, that it can do what it must.

The driver leaves a file in the search's folder. A worker reads it there, writes a file of its own
and reads that back, has the driver's versions of gan-tune, torch and Ray, and makes a training step
on its device. A node whose share is not mounted, whose disk is full or whose GPU is broken fails.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ray
import torch

from gan_tune.errors import DeviceError, StorageError
from gan_tune.searching.rules.faults import Fault
from gan_tune.storage.nodes_aside import nodes_aside
from gan_tune.storage.places import DRIVER
from gan_tune.storage.storage import Storage
from gan_tune.version import __version__
from gan_tune.words.wording import in_one_line

__all__ = [
    "ASIDE",
    "Expected",
    "leave_for_workers",
    "versions",
    "why_aside",
    "why_device_unfit",
    "why_storage_unfit",
    "why_unfit",
]


ASIDE = "its node is put aside: "
"""How the message of a trial begins whose worker has failed its proof."""


@dataclass(frozen=True)
class Expected:
    """What workers must find: the driver's random ``word`` in its file, and its ``versions``."""

    word: str
    versions: Mapping[str, str]


def versions() -> dict[str, str]:
    """The versions that driver and workers must share. Of torch, without the build (`+cpu`)."""
    return {
        "gan_tune": __version__,
        "torch": torch.__version__.partition("+")[0],
        "ray": ray.__version__,
    }


def leave_for_workers(search: Storage) -> Expected:
    """Write the driver's file; returns what workers must find.

    Raises:
        StorageError: it cannot be written.
    """
    expected = Expected(uuid.uuid4().hex, versions())
    search.write(DRIVER, expected.word.encode())
    return expected


def why_unfit(search: Storage, expected: Expected, device: Callable[[], str]) -> Fault | None:
    """Why this worker can train no trial; None if it can. Nothing is waited for.

    ``device`` returns the trials' device, or raises an error if there is none here.
    """
    node, node_id = ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id()
    try:
        reason = (
            why_aside(search, node_id)
            or _of_versions(expected.versions)
            or why_storage_unfit(search.patient(0), expected.word)
            or why_device_unfit(device)
        )
    except StorageError as error:
        reason = str(error)
    if reason is None:
        return None
    return Fault("unfit", f"{ASIDE}{reason}", node, node_id)


def why_aside(search: Storage, node_id: str) -> str | None:
    """Why the driver has put this node aside; None if it has not."""
    aside = nodes_aside(search.patient(0)).get(node_id)
    return None if aside is None or aside.state == "unfit" else aside.reason


def _of_versions(expected: Mapping[str, str]) -> str | None:
    own = versions()
    others = [
        f"{name} {own[name]} instead of {v}" for name, v in expected.items() if own[name] != v
    ]
    return f"it has {', '.join(others)}" if others else None


def why_storage_unfit(search: Storage, word: str) -> str | None:
    """What keeps a worker from using the driver's storage; None if nothing does.

    Raises:
        StorageError: it cannot be read or written.
    """
    found = search.read(DRIVER)
    if found is None or found.decode(errors="replace") != word:
        return f"storage: must be the driver's (is a share mounted?): {search.uri}"
    own, path = uuid.uuid4().hex.encode(), f".proof-{uuid.uuid4().hex[:8]}"
    search.write(path, own)
    found = search.read(path)
    search.delete(path)
    return None if found == own else f"storage: a file must read back as written: {search.uri}"


def why_device_unfit(find: Callable[[], str]) -> str | None:
    """What keeps a device from a step: forward, backward, back to the host; None if nothing."""
    try:
        device = find()
        weight = torch.ones(8, 8, device=device, requires_grad=True)
        (weight @ weight).sum().backward()
        assert weight.grad is not None
        total = float(weight.grad.sum())
    except DeviceError as error:
        return str(error)
    except Exception as error:  # whatever a broken device raises
        return f"a step on its device: {in_one_line(error)}"
    return None if total == 1024.0 else f"{device}: must add up to 1024, but gives {total:g}"
