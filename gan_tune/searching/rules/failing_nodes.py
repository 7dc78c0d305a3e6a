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
    there is a witness: another one, which could train, and has cut off nothing since its own last
    report. If the node has ever reported, the witness must have, too.
    """

    def __init__(self) -> None:
        self._own: dict[str, set[int]] = {}  # node → the settings that only it has cut off
        self._since: dict[str, dict[int, bool]] = {}  # → setting → whether it has reported since
        self._reported: set[str] = set()
        self._doubtful: set[str] = set()  # have cut off something since their own last report

    def reported(self, node: str) -> bool:
        """A trial on this node has reported; returns whether that clears the node."""
        self._reported.add(node)
        self._doubtful.discard(node)
        self._since[node] = dict.fromkeys(self._since.get(node, ()), True)
        return len(self._own.pop(node, ())) >= DIFFERENT

    def forgive(self, node: str) -> None:
        """Count anew what a node cuts off."""
        self._own.pop(node, None)

    def works(self, node: str, setting: int) -> bool:
        """Whether a node has reported since it first cut off a setting."""
        return self._since.get(node, {}).get(setting, False)

    def cut_off(self, node: str, setting: int, fault: Fault) -> Accusation:
        """A trial was cut off on this node, which knows the others."""
        if fault.kind not in SHARED:
            return Accusation()
        self._doubtful.add(node)
        self._since.setdefault(node, {}).setdefault(setting, False)
        for other, settings in self._own.items():
            if other != node and setting in settings:
                settings.remove(setting)
                is_cleared = len(settings) == DIFFERENT - 1
                return Accusation(cleared=other if is_cleared else None)
        here = self._own.setdefault(node, set())
        here.add(setting)
        if len(here) < DIFFERENT or not self._has_witness(node, fault.others):
            return Accusation()
        reason = f"{len(here)} settings were cut off on it and none on others: {fault.text}"
        return Accusation(reason)

    def _has_witness(self, node: str, others: frozenset[str]) -> bool:
        witnesses = others - self._doubtful
        return bool(witnesses & self._reported if node in self._reported else witnesses)
