"""What cut a trial off, and what becomes of it: the setting's doing told from the machine's.

This is the only place that tells them apart. Everything here is pure.

    kind        what was seen                               what becomes of the trial
    exception   its own code raised one                     again; then it has failed
    memory      memory ran out, or Ray killed it for that   again alone; then it has failed
    death       its worker died, and nobody knows why       again; failed the fourth time
    machine     node, disk, storage or network failed       again; put aside the fourth time
    preempted   its node was taken away                     again, however often
    unfit       its node cannot train, see `on_ray.proof`   again, however often

Only what happened since the trial's last progress counts, except for memory: a trial that was
killed for it once stays one to be tried alone. A trial that is put aside keeps its checkpoint. The
next command continues it.

Where there are or were other nodes, a trial waits until some others have begun, since the place
that is free at once is the one on which it was cut off. Exceptions and deaths on one node only make
no setting fail unless that node has trained others meanwhile, and not before the fourth time:
`failing_nodes` may find that they are the node's. Otherwise the trial is put aside then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gan_tune.errors import DeviceError, StorageError
from gan_tune.storage.patience import is_outage
from gan_tune.words.wording import in_one_line

__all__ = [
    "SHARED",
    "Action",
    "Fault",
    "Kind",
    "Ruling",
    "fault_of",
    "ruling_on",
    "same_everywhere",
]

Kind = Literal["exception", "memory", "death", "machine", "preempted", "unfit"]
Action = Literal["again", "elsewhere", "later", "alone", "aside", "failed"]

EXCEPTIONS, KILLS, DEATHS, MACHINES = 2, 2, 4, 4
"""How many faults of a kind end a trial's tries."""

ALIKE = 3
"""If nothing has worked yet, the same fault of so many settings is no setting's own, and the same
on so many nodes no node's."""

SMALLER = "take a smaller batch or network, or give a trial more room: resources.cpu, resources.gpu"

DEAD_DEVICE = (
    "uncorrectable ecc",
    "unspecified launch failure",
    "hardware stack error",
    "devices are busy or unavailable",
    "no cuda-capable device",
    "no cuda gpus are available",
    "gpu is lost",
    "driver shutting down",
    "cuda error: unknown error",
)
"""What CUDA says of a device that failed. An illegal address is not among it: it may be the
setting's own code, which a fresh worker shows."""

NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


@dataclass(frozen=True)
class Fault:
    """What cut a trial off on a worker.

    Attributes:
        kind: see the table above.
        text: the cause, one line.
        node: the address of the worker's node; empty if it is not known.
        node_id: of the same; empty if it is not known.
        others: the ids of the other nodes that could train it, as far as one knows.
        doubted: of these, the ones that are put aside since they cut off settings.
        node_works: whether a trial has reported from the node since it first cut this setting off.
        node_gone: whether the node died, which says nothing of other nodes and settings.
    """

    kind: Kind
    text: str
    node: str = ""
    node_id: str = ""
    others: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()
    node_works: bool = False
    node_gone: bool = False


@dataclass(frozen=True)
class Ruling:
    """What becomes of a trial: whether it is tried ``again``, after some others and so perhaps
    ``elsewhere``, ``later``, ``alone``, put ``aside``, or has ``failed``; and why, one line.
    """

    action: Action
    text: str


def fault_of(error: BaseException) -> Fault:
    """An error that was raised in a worker while it trained.

    torch's `OutOfMemoryError` is known by its name, so that this needs no torch.
    """
    text = in_one_line(error)
    names = {each.__name__ for each in type(error).__mro__}
    said = text.lower()
    if names & {"OutOfMemoryError", "MemoryError"} or any(sign in said for sign in NO_MEMORY):
        return Fault("memory", text)
    if isinstance(error, StorageError | DeviceError):
        return Fault("machine", str(error).splitlines()[0])
    if is_outage(error) or any(sign in said for sign in DEAD_DEVICE):
        return Fault("machine", text)
    return Fault("exception", text)


def ruling_on(faults: Sequence[Fault], *, kills: int = 0, works: bool = True) -> Ruling:
    """What becomes of a trial after its last fault.

    Args:
        faults: those since the trial's last progress, at least one, in their order.
        kills: how many of kind `memory` came before that progress.
        works: whether any trial of the search has reported. If not, an exception may be no
            setting's own, so its trial is tried once more when no other is left.
    """
    last = faults[-1]
    counts = {kind: sum(fault.kind == kind for fault in faults) for kind in _LIMITS}
    counts["memory"] += kills
    if last.kind == "memory" and counts["memory"] >= KILLS:
        return Ruling("failed", f"out of memory, also when it ran alone: {SMALLER}: {last.text}")
    nodes = {fault.node_id for fault in faults if fault.kind in SHARED and fault.node_id}
    one_node = any(fault.others for fault in faults) and len(nodes) <= 1
    where = f"{last.text} (node {last.node})" if last.node else last.text
    exceptions = DEATHS if one_node else EXCEPTIONS
    if one_node and not last.node_works and counts["exception"] + counts["death"] >= DEATHS:
        return Ruling("aside", where)
    if last.kind == "death" and counts["death"] >= DEATHS:
        return Ruling("failed", f"its worker died {DEATHS} times without progress: {last.text}")
    if last.kind == "exception" and counts["exception"] >= exceptions:
        last_time = works or counts["exception"] > EXCEPTIONS
        return Ruling("failed" if last_time else "later", last.text)
    if last.kind == "machine" and counts["machine"] >= MACHINES:
        return Ruling("aside", where)
    if counts["memory"]:
        return Ruling("alone", where)
    return Ruling("elsewhere" if one_node and last.kind in SHARED else "again", where)


_LIMITS: tuple[Kind, ...] = ("exception", "memory", "death", "machine")


def same_everywhere(last: Mapping[int, Fault]) -> str | None:
    """The fault that ends a search in which no trial has reported yet; None if there is none.

    ``last`` is the last fault of each setting, in the order in which they came. Out of memory is
    each setting's own. What a machine says may name a trial's files, and numbers; the rest of it is
    compared. It must have come on each node that could train now, or on enough of them.
    """
    shared = [fault for fault in last.values() if fault.kind in SHARED and not fault.node_gone]
    counts = Counter(map(_cause, shared))
    cause, count = next(iter(counts.most_common(1)), ("", 0))
    if count < ALIKE:
        return None
    alike = [fault for fault in shared if _cause(fault) == cause]
    nodes = {fault.node_id for fault in alike if fault.node_id}
    now = shared[-1]
    able = (now.others | {now.node_id}) - now.doubted - {""}
    return alike[0].text if able <= nodes or len(nodes) >= ALIKE else None


def _cause(fault: Fault) -> str:
    return re.sub(r"/\S+|\d+", "#", fault.text) if fault.kind == "machine" else fault.text


SHARED: tuple[Kind, ...] = ("exception", "death", "machine")
"""The kinds that settings may share, so that none of them is to blame."""
