"""The workers that failed their proof, and occupy their places until they pass it."""

from __future__ import annotations

import time
from collections.abc import Callable

from gan_tune.errors import UnfitNodesError
from gan_tune.searching.rules.faults import Fault

__all__ = ["UnfitWorkers"]

UNFIT_SECONDS = 30.0
"""How long a search goes on while every worker that is up has failed its proof."""
STARTING_SECONDS = 300.0
"""The same while others may still come up: they load an image or libraries, some from far away."""


class UnfitWorkers:
    """Knows which of Tune's trials are held by an unfit worker, by their ids."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults: dict[str, Fault] = {}
        self._clock = clock
        self._alone_since: float | None = None
        self._asked = clock()

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._faults

    def note(self, trial_id: str, fault: Fault) -> bool:
        """Note that a worker failed its proof; False if that is known."""
        known = trial_id in self._faults
        self._faults[trial_id] = fault
        return not known

    def forget(self, trial_id: str) -> bool:
        """A worker has passed its proof, or is gone; returns whether it was unfit."""
        return self._faults.pop(trial_id, None) is not None

    def has(self, node_id: str) -> bool:
        """Whether a worker on this node has failed its proof."""
        return any(fault.node_id == node_id for fault in self._faults.values())

    def error(self, *, others: bool, places: int = 0) -> UnfitNodesError | None:
        """The error to end with if for a while no worker but these was up (``others``).

        ``places``: on the nodes that are not put aside. If there are some, others may come up.
        While the search itself waits for its storage it does not ask, and that time does not count.
        """
        waited, self._asked = self._clock() - self._asked, self._clock()
        if not self._faults or others:
            self._alone_since = None
            return None
        if self._alone_since is None or waited >= UNFIT_SECONDS:
            self._alone_since = self._clock()
        patience = STARTING_SECONDS if places else UNFIT_SECONDS
        if self._clock() - self._alone_since < patience:
            return None
        reasons = sorted({f"{fault.text} (node {fault.node})" for fault in self._faults.values()})
        return UnfitNodesError(
            f"no node can train; the same command goes on with the search: {reasons[0]}"
        )
