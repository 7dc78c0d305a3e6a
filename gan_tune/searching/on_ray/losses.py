"""What Ray says when a worker is lost, as a fault."""

from __future__ import annotations

import re
from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from gan_tune.searching.rules.faults import Fault, fault_of
from gan_tune.words.wording import first_line, last_line

__all__ = ["CutOff", "fault_from_ray"]

NODE_DIED, NODE_TAKEN = "its node has died", "node was terminated expectedly"
LOW_ON_MEMORY = "low on memory"
"""How Ray says so. Its list of what may have killed a worker names memory after every death."""


class CutOff(Exception):
    """Carries a fault from a worker to the driver."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def fault_from_ray(error: BaseException | None) -> Fault:
    """The fault behind an error of Ray; None is a worker of which nothing is known."""
    if error is None:
        return Fault("death", "its worker died")
    if isinstance(error, RayTaskError):
        cause: Any = error.cause
        return cause.fault if isinstance(cause, CutOff) else fault_of(cause or error)
    text = str(error)
    node = _found(r"\bip: (\S+)", text)
    if isinstance(error, OutOfMemoryError) or LOW_ON_MEMORY in text:
        return Fault("memory", f"Ray killed its worker: {_memory(text)}", node)
    if not isinstance(error, RayActorError):
        return Fault("machine", f"{type(error).__name__}: {_reason(text)}", node)
    if error.preempted or NODE_TAKEN in text:
        return Fault("preempted", "its node was taken away", node)
    if error.actor_init_failed:
        return Fault("machine", f"its worker could not start: {last_line(text)}", node)
    if NODE_DIED in text:
        return Fault("machine", "its node died", node, node_gone=True)
    return Fault("death", f"its worker died: {_reason(text)}", node)


def _reason(text: str) -> str:
    """What Ray says of a death, without its list of what may have been the cause."""
    detail = _found(r"Worker exit detail: ([^\n]*)", text) or first_line(text)
    return detail.split(". ")[0].strip().rstrip(".")


def _memory(text: str) -> str:
    used = _found(r"([0-9.]+ ?[KMGT]i?B ?/ ?[0-9.]+ ?[KMGT]i?B)", text)
    return f"its node's memory was full ({used})" if used else "its node's memory was full"


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""
