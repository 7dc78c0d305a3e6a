"""Which node cuts off settings while others train: the node's doing told from the settings'."""

from __future__ import annotations

from gan_tune.searching.rules.faults import SHARED, Fault

__all__ = ["DIFFERENT", "FailingNodes"]

DIFFERENT = 3
"""So many different settings cut off on a node, one after another, put it aside."""


class FailingNodes:
    """Counts the settings that each node has cut off since its own last report.

    A setting that is cut off on a second node, too, counts for neither: it is its own fault. The
    same holds for what settings need more of than others, as memory.
    """

    def __init__(self) -> None:
        self._cut_off: dict[str, dict[int, Fault]] = {}
        self._train_since: dict[str, set[str]] = {}
        self._train: set[str] = set()

    def reported(self, node: str) -> None:
        """A trial on this node has reported."""
        self._train.add(node)
        self._cut_off.pop(node, None)
        self._train_since.pop(node, None)
        for others in self._train_since.values():
            others.add(node)

    def others_train(self, node: str) -> bool:
        """Whether any other node has reported."""
        return bool(self._train - {node})

    def cut_off(self, node: str, setting: int, fault: Fault) -> str | None:
        """A trial was cut off on this node; returns why the node is to be put aside, if it is."""
        if fault.kind not in SHARED:
            return None
        for other, settings in self._cut_off.items():
            if other != node and settings.pop(setting, None) is not None:
                return None
        here = self._cut_off.setdefault(node, {})
        others = self._train_since.setdefault(node, set())
        here[setting] = fault
        if len(here) < DIFFERENT or not others:
            return None
        return f"{len(here)} settings were cut off on it while other nodes train: {fault.text}"
