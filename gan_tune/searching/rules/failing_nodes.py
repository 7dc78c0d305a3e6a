"""Which node cuts off settings while others do not: the node's doing told from the settings'."""

from __future__ import annotations

from dataclasses import dataclass

from gan_tune.searching.rules.faults import SHARED, Fault

__all__ = ["DIFFERENT", "Accusation", "FailingNodes"]

DIFFERENT = 3
"""So many different settings cut off on a node, one after another, put it aside."""


@dataclass(frozen=True)
class Accusation:
    """What one more trial that was cut off says of nodes.

    Attributes:
        reason: why its node is to be put aside; None: it is not.
        cleared: another node, which need not stay aside: this setting is cut off everywhere.
    """

    reason: str | None = None
    cleared: str | None = None


class FailingNodes:
    """Counts the settings that each node has cut off since its own last report.

    A setting that is cut off on a second node, too, counts for neither: it is its own fault. The
    same holds for what settings need more of than others, as memory. A node is to blame only where
    another one, which could train, has cut off none since its own last report.
    """

    def __init__(self) -> None:
        self._cut_off: dict[str, dict[int, Fault]] = {}
        self._ever: dict[str, set[int]] = {}

    def reported(self, node: str) -> bool:
        """A trial on this node has reported; returns whether that clears the node."""
        return len(self._cut_off.pop(node, ())) >= DIFFERENT

    def works(self, node: str, setting: int) -> bool:
        """Whether a node has reported since it first cut off a setting."""
        ever = setting in self._ever.get(node, ())
        return ever and setting not in self._cut_off.get(node, ())

    def cut_off(self, node: str, setting: int, fault: Fault) -> Accusation:
        """A trial was cut off on this node, which knows the others."""
        if fault.kind not in SHARED:
            return Accusation()
        self._ever.setdefault(node, set()).add(setting)
        for other, settings in self._cut_off.items():
            if other != node and settings.pop(setting, None) is not None:
                is_cleared = len(settings) == DIFFERENT - 1
                return Accusation(cleared=other if is_cleared else None)
        here = self._cut_off.setdefault(node, {})
        here[setting] = fault
        if len(here) < DIFFERENT or all(self._cut_off.get(other) for other in fault.others):
            return Accusation()
        reason = f"{len(here)} settings were cut off on it and none on others: {fault.text}"
        return Accusation(reason)
