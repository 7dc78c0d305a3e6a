"""What cut a trial off, and what becomes of it: the table of rules, and the errors of Ray."""

from __future__ import annotations

import errno
import pickle
from dataclasses import replace
from typing import Any

import pytest
import ray.exceptions
import torch

from gan_tune.errors import DeviceError, StorageError
from gan_tune.searching.on_ray.losses import CutOff, fault_from_ray
from gan_tune.searching.rules.faults import Fault, fault_of, ruling_on, same_everywhere

ONE: dict[str, Fault] = {
    letter: Fault(kind, f"{kind} it was")  # type: ignore[arg-type]
    for letter, kind in {
        "e": "exception", "o": "memory", "d": "death", "m": "machine", "p": "preempted",
    }.items()
}  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "kills", "action"),
    [
        ("e", 0, "again"), ("ee", 0, "failed"), ("de", 0, "again"), ("eme", 0, "failed"),
        ("o", 0, "alone"), ("oo", 0, "failed"), ("o", 1, "failed"), ("om", 0, "alone"),
        ("m", 1, "alone"), ("d", 0, "again"), ("ddd", 0, "again"), ("dddd", 0, "failed"),
        ("mmm", 0, "again"), ("mmmm", 0, "aside"), ("mmmd", 0, "again"), ("pppppppp", 0, "again"),
        ("dddp", 0, "again"), ("mmmmp", 0, "again"), ("eo", 0, "alone"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_trial(seen: str, kills: int, action: str) -> None:
    ruling = ruling_on([ONE[letter] for letter in seen], kills=kills)
    assert ruling.action == action
    assert ONE[seen[-1]].text in ruling.text
    assert "\n" not in ruling.text


@pytest.mark.parametrize(
    ("seen", "action"), [("e", "again"), ("ee", "later"), ("eee", "failed"), ("dddd", "failed")]
)
def test_what_becomes_of_a_trial_while_none_has_reported(seen: str, action: str) -> None:
    assert ruling_on([ONE[letter] for letter in seen], works=False).action == action


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        ("ea", "elsewhere"), ("ea ea", "elsewhere"), ("ea eb", "failed"), ("ea ea ea ea", "aside"),
        ("ea ea ea ea+", "failed"), ("ea ea+", "elsewhere"), ("da da da da+", "failed"),
        ("da", "elsewhere"), ("ma", "elsewhere"), ("ma mb", "again"), ("pa", "again"),
        ("pb ea", "elsewhere"), ("oa ma", "alone"), ("ma ma ma ma", "aside"),
        ("da da da da", "aside"), ("da ea da ea", "aside"), ("da da da db", "failed"),
        ("e?", "elsewhere"), ("d? d? d? d?", "aside"), ("ea e?", "elsewhere"),
        ("ea ea!", "elsewhere"), ("ea ea ea ea!", "aside"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_trial_where_there_are_other_nodes(seen: str, action: str) -> None:
    """`ea+`: an exception on node a, which has trained others since the first one; `e?`: on one
    that is not known; `ea!`: on a after all others have gone."""
    faults = [
        replace(
            ONE[letter],
            node_id=node.strip("?"),
            others=frozenset() if "!" in more else frozenset({"others"}),
            node_works="+" in more,
        )
        for letter, node, *more in seen.split()
    ]
    assert ruling_on(faults).action == action


@pytest.mark.parametrize(
    ("seen", "same"),
    [("", None), ("ee", None), ("eee", "e"), ("ooo", None), ("emdee", "e"), ("eemm", None)],
)
def test_the_same_fault_of_several_settings(seen: str, same: str | None) -> None:
    found = same_everywhere(dict(enumerate(ONE[letter] for letter in seen)))
    assert found == (same and ONE[same].text)


@pytest.mark.parametrize(
    ("seen", "same"),
    [
        ("ea ea ea", False), ("ea ea ea eb", False), ("ea ea ea eb ec", True),
        ("ea eb ec", True), ("da da da db dc", True), ("ea ea ea db dc", False),
        ("ea ea ea db", False), ("ea ea ea e?", False), ("e? e? e?", False),
        ("ea ea ea eb ec e?", True), ("ea ea eb ma ec", True),
    ],
)  # fmt: skip
def test_the_same_fault_on_one_node_is_not_the_same_everywhere(seen: str, same: bool) -> None:
    """Of three nodes."""
    last = {}
    for setting, (letter, node) in enumerate(seen.split()):
        others = frozenset("abc") - {node}
        last[setting] = replace(ONE[letter], node_id=node.strip("?"), others=others)
    assert (same_everywhere(last) is not None) == same


@pytest.mark.parametrize(
    ("seen", "nodes", "doubted", "same"),
    [
        ("ea ea ea db", "ab", "", False),  # b is well but for one worker's death
        ("ea ea eb", "ab", "", True),
        ("ea ea ea", "a", "", True),
        ("e? e? e?", "a", "", False),  # the only one there is asked for its name
        ("ea ea ea", "ab", "b", True),  # b fails by something else
        ("da da db", "ab", "a", True),
    ],
)
def test_the_nodes_that_could_train_now_are_asked(
    seen: str, nodes: str, doubted: str, same: bool
) -> None:
    last = {}
    for setting, (letter, node) in enumerate(seen.split()):
        fault = replace(ONE[letter], node_id=node.strip("?"), doubted=frozenset(doubted))
        last[setting] = replace(fault, others=frozenset(nodes) - {node})
    assert (same_everywhere(last) is not None) == same


def test_the_same_fault_on_three_of_many_nodes_is_the_same_everywhere() -> None:
    many = frozenset(map(str, range(100)))
    last = {n: replace(ONE["e"], node_id=str(n), others=many - {str(n)}) for n in range(3)}
    assert same_everywhere(last) == ONE["e"].text
    assert same_everywhere({n: last[n] for n in range(2)}) is None


def test_the_node_is_named() -> None:
    assert ruling_on([Fault("machine", "OSError: full", "10.0.0.7")]).text.endswith(
        "(node 10.0.0.7)"
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no"), "exception"),
        (RuntimeError("mat1 and mat2"), "exception"),
        (FileNotFoundError(errno.ENOENT, "no such file"), "exception"),
        (OSError(errno.ENOSPC, "no space left on device"), "machine"),
        (OSError(errno.EROFS, "read-only file system"), "machine"),
        (OSError(errno.EIO, "input/output error"), "machine"),
        (OSError(errno.ESTALE, "stale file handle"), "machine"),
        (ConnectionResetError("gone"), "machine"),
        (TimeoutError(), "machine"),
        (StorageError("storage: cannot write /x: disk full"), "machine"),
        (DeviceError("no cuda here"), "machine"),
        (
            torch.AcceleratorError("CUDA error: unspecified launch failure\nFor debugging"),
            "machine",
        ),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "machine"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "exception"),
        (torch.AcceleratorError("CUDA error: an illegal memory access"), "exception"),
        (torch.AcceleratorError("CUDA error: unknown error"), "machine"),
        (MemoryError(), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublas`"), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), "memory"),
    ],
    ids=str,
)
def test_an_error_in_a_worker(error: Exception, kind: str) -> None:
    fault = fault_of(error)
    assert fault.kind == kind
    assert fault.text


def actor_error(text: str, **fields: Any) -> ray.exceptions.RayActorError:
    return ray.exceptions.RayActorError(error_msg=text, **fields)


EXIT = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: GanTrainable\n"
    "\tip: 10.0.0.7\nThe actor is dead because its worker process has died. Worker exit type: "
    "SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code 2. "
    "End of file. Some common causes include: (1) the process was killed by the OOM killer due to "
    "high memory usage, (2) ray stop --force was called."
)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (None, Fault("death", "its worker died")),
        (
            actor_error(EXIT),
            Fault(
                "death",
                "its worker died: Worker unexpectedly exits with a connection error code 2",
                "10.0.0.7",
            ),
        ),
        (
            ray.exceptions.OutOfMemoryError(
                "1 worker(s) were killed due to the node running low on memory. Memory on the "
                "node was 15.2GB / 15.6GB (0.97)"
            ),
            Fault("memory", "Ray killed its worker: its node's memory was full (15.2GB / 15.6GB)"),
        ),
        (
            actor_error("The actor died because its node has died. Node Id: 12"),
            Fault("machine", "its node died"),
        ),
        (actor_error("x", preempted=True), Fault("preempted", "its node was taken away")),
        (
            actor_error("Traceback\nImportError: no torch", actor_init_failed=True),
            Fault("machine", "its worker could not start: ImportError: no torch"),
        ),
        (
            ray.exceptions.OutOfDiskError("the disk is full"),
            Fault("machine", "OutOfDiskError: the disk is full"),
        ),
        (
            ray.exceptions.RaySystemError("odd"),
            Fault("machine", "RaySystemError: System error: odd"),
        ),
    ],
    ids=str,
)
def test_what_ray_says(error: Exception | None, fault: Fault) -> None:
    found = fault_from_ray(error)
    assert found.kind == fault.kind
    assert found.text.startswith(fault.text)
    assert found.node == fault.node


def test_a_fault_travels_from_the_worker() -> None:
    fault = Fault("machine", "OSError: full", "10.0.0.7")
    assert pickle.loads(pickle.dumps(CutOff(fault))).fault == fault
