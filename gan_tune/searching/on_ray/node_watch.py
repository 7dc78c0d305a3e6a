"""Watches the nodes of the cluster: one that fails, or is being taken away, is put aside."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from gan_tune.cluster.ray_internals import draining_nodes
from gan_tune.errors import StorageError
from gan_tune.searching.on_ray.proof import ASIDE
from gan_tune.searching.rules.failing_nodes import FailingNodes
from gan_tune.searching.rules.faults import Fault
from gan_tune.storage.nodes_aside import NodeAside, NodesAside
from gan_tune.storage.places import NODES
from gan_tune.storage.storage import Storage

__all__ = ["NodeWatch"]

LOOK_SECONDS = 2.0
"""Seconds between two looks for nodes that are being taken away."""

STUCK_SECONDS = 60.0
"""Seconds after which a failing node is tried once more if nothing trains: others have room, but
another search may occupy it."""


class NodeWatch:
    """Knows on which nodes trials report and are cut off, and puts nodes aside.

    A node that is put aside is noted in the search's folder, where its workers see it: they train
    nothing more there. While the storage is away, none is put aside.

    Args:
        home: the search's folder.
        note: says that a node is put aside.
        addresses: the nodes that are alive and have room for a trial: id → address.
        leaving: the ids of those that are being taken away.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        home: Storage,
        note: Callable[[str], None],
        addresses: Callable[[], Mapping[str, str]],
        leaving: Callable[[], set[str]] = draining_nodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._aside = home, NodesAside(home.patient(0))
        self._note, self._clock = note, clock
        self._addresses, self._leaving = addresses, leaving
        self._failing = FailingNodes()
        self._last: dict[str, str] = {}  # trial → the node from which it last reported
        self._to_clear: dict[str, str] = {}  # node → why, until the storage takes it
        self._forgiven: set[str] = set()
        self._looked = -LOOK_SECONDS
        self._stuck_since: float | None = None

    @property
    def aside(self) -> frozenset[str]:
        """The ids of the nodes that are put aside."""
        return frozenset(self._aside.nodes)

    def begin(self) -> None:
        """Forget the nodes that an earlier command put aside, since one may have been mended.

        Raises:
            StorageError: the search's folder cannot be written, also after a while.
        """
        self._home.delete(NODES)

    def reported(self, trial: str, node: str) -> None:
        """A trial has reported from a node."""
        self._last[trial] = node
        if self._failing.reported(node):
            self._clear(node, "a trial on it has reported")

    def unfit(self, fault: Fault) -> None:
        """A worker has failed its proof, which its trial's message says."""
        reason = fault.text.removeprefix(ASIDE)
        self._put(fault.node_id, NodeAside(fault.node, "unfit", reason), told=True)

    def is_fit(self, node: str) -> None:
        """A worker trains on a node, and none there has failed its proof."""
        with suppress(StorageError):
            self._aside.take_back(node, "unfit")

    def cut_off(self, trial: str, setting: int, fault: Fault) -> Fault:
        """A trial was cut off: its node may be put aside. Returns the fault with what is known."""
        addresses = self._addresses()
        node = fault.node_id or self._node_of(trial, fault.node, addresses)
        aside = self._aside.nodes
        failing = {each for each in aside if aside[each].state == "failing"}
        unable = {node} | (aside.keys() - failing)
        known = replace(
            fault,
            node=fault.node or addresses.get(node, ""),
            node_id=node,
            others=frozenset(addresses.keys() - unable),
            doubted=frozenset(failing),
            node_works=self._failing.works(node, setting),
        )
        if not node:
            return known
        found = self._failing.cut_off(node, setting, known)
        if found.reason is not None and node in addresses:
            self._put(node, NodeAside(addresses[node], "failing", found.reason))
        if found.cleared is not None:
            self._clear(found.cleared, "what it cut off is cut off on others, too")
        return known

    def _node_of(self, trial: str, address: str, addresses: Mapping[str, str]) -> str:
        """The node from which a trial last reported, or the only one of an address."""
        if trial in self._last:
            return self._last[trial]
        there = [node for node, found in addresses.items() if address in ("", found)]
        return there[0] if len(there) == 1 else ""

    def look(self, *, trains: bool) -> None:
        """Put nodes aside that are being taken away; looked for once in a while.

        ``trains`` is whether any trial trains now.
        """
        if self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        for node, why in [*self._to_clear.items()]:
            self._clear(node, why)
        self._forgive(trains)
        if leaving := self._leaving():
            for node, address in self._addresses().items():
                if node in leaving:
                    self._put(node, NodeAside(address, "leaving", "it is being taken away"))

    def _put(self, node: str, aside: NodeAside, *, told: bool = False) -> None:
        self._to_clear.pop(node, None)
        with suppress(StorageError):
            if node and self._aside.put(node, aside) and not told:
                self._note(
                    f"node {aside.address} gets no more trials of this command: {aside.reason}"
                )

    def _forgive(self, trains: bool) -> None:
        """Try failing nodes once more after a while in which nothing trained.

        If no other node is there, another one is waited for: nothing could tell then whether it is
        the node that fails, or the settings.
        """
        aside = self._aside.nodes
        failing = {node for node in aside if aside[node].state == "failing"} - self._forgiven
        if trains or not failing or not self._addresses().keys() - aside.keys():
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = self._clock()
        elif self._clock() - self._stuck_since >= STUCK_SECONDS:
            self._forgiven |= failing
            for node in failing:
                self._failing.forgive(node)
                self._clear(node, "no other trains anything")

    def _clear(self, node: str, why: str) -> None:
        self._to_clear[node] = why
        with suppress(StorageError):
            aside = self._aside.take_back(node, "failing")
            del self._to_clear[node]
            if aside is not None:
                self._note(f"node {aside.address} gets trials again: {why}")
