"""The nodes that a search uses no more, with the reason: for its workers, and for its readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from gan_tune.errors import StorageError
from gan_tune.storage.places import NODES
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored

__all__ = ["NodeAside", "NodesAside", "nodes_aside"]


@dataclass(frozen=True)
class NodeAside:
    """A node that gets no trials.

    Attributes:
        address: of the node.
        state: `failing`: it cut off settings and other nodes did not; `unfit`: its workers fail
            their proof; `leaving`: it is being taken away.
        reason: one line.
    """

    address: str
    state: Literal["failing", "unfit", "leaving"]
    reason: str

    def __str__(self) -> str:
        return f"{self.address}: {self.reason}"


@dataclass(frozen=True)
class _Note:
    """The content of `nodes.json`: the nodes by their ids."""

    nodes: Mapping[str, NodeAside] = field(default_factory=dict)


class NodesAside:
    """The nodes put aside by the command that works on a search, by their ids.

    Args:
        home: the search's folder.
    """

    def __init__(self, home: Storage) -> None:
        self._home = home
        self._nodes: dict[str, NodeAside] = {}

    @property
    def nodes(self) -> Mapping[str, NodeAside]:
        """The nodes by their ids."""
        return self._nodes

    def put(self, node: str, aside: NodeAside) -> bool:
        """Put a node aside; False if that is known. Unfit workers follow from other states.

        Raises:
            StorageError: the folder cannot be written.
        """
        known = self._nodes.get(node)
        if known is not None and (known == aside or aside.state == "unfit"):
            return False
        self._write({**self._nodes, node: aside})
        return True

    def take_back(self, node: str, state: Literal["failing", "unfit"]) -> NodeAside | None:
        """A node of this state has shown that it can train; returns what was known, if it was so.

        Raises:
            StorageError: the folder cannot be written.
        """
        aside = self._nodes.get(node)
        if aside is None or aside.state != state:
            return None
        self._write({key: each for key, each in self._nodes.items() if key != node})
        return aside

    def _write(self, nodes: dict[str, NodeAside]) -> None:
        self._home.write_json(NODES, asdict(_Note(nodes)))
        self._nodes = nodes


def nodes_aside(home: Storage) -> Mapping[str, NodeAside]:
    """The nodes that are put aside, by their ids; none if that cannot be read."""
    try:
        note = read_stored(home, NODES, _Note)
    except StorageError:
        return {}
    return {} if note is None else note.nodes
