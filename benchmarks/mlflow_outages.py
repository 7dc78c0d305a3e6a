"""What a tracking server that is gone or slow costs a search.

    python benchmarks/mlflow_outages.py [--trials 6] [--steps 6000] [--turns 3]

The same search runs on one Ray before one MLflow server, in turns:

    undisturbed  nothing happens
    gone         after a third of its reports no connection is accepted for 60 s
    slow         each call takes 500 ms more

Stated are the seconds of the search, to its champion, and those of the whole command, which at its
end delivers for 30 s more at most; and the ratio of each search to the undisturbed one of its turn,
median with quartiles.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

import ray

from benchmarks.interleaved import in_turns, ratios
from benchmarks.machine import machine
from benchmarks.mlflow_servers import Proxy, serving
from benchmarks.table import Asked, table
from gan_tune import service
from gan_tune.record.mlflow_store import connect
from gan_tune.searching.jobs import Job
from gan_tune.storage.trial_records import Result
from gan_tune.watching.watcher import Watcher

EVALUATIONS = 20
GONE_SECONDS, SLOW_SECONDS = 60.0, 0.5
ASKED = 1.03
"""The largest ratio asked for."""


class AfterReports(Watcher):
    """Calls ``then`` once, after so many reports."""

    def __init__(self, reports: int, then: Callable[[], None]) -> None:
        self._left, self._then = reports, then

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        self._left -= 1
        if self._left == 0:
            self._then()


def gone(proxy: Proxy) -> None:
    """Accept no connection for a while."""
    proxy.is_down = True
    threading.Timer(GONE_SECONDS, lambda: setattr(proxy, "is_down", False)).start()


def slow(proxy: Proxy) -> None:
    """Delay each call from now on."""
    proxy.delay = SLOW_SECONDS


FAULTS: Mapping[str, tuple[float, Callable[[Proxy], None]]] = {
    "undisturbed": (0.0, lambda proxy: None),
    "gone": (1 / 3, gone),
    "slow": (0.0, slow),
}
"""Side → after which share of the reports what happens."""


class Searches:
    """Runs the search, once for each side and turn, each with a name of its own."""

    def __init__(self, storage: Path, proxy: Proxy, trials: int, steps: int) -> None:
        self._storage, self._proxy, self._trials, self._steps = storage, proxy, trials, steps
        self._names = 0
        self.commands: dict[str, list[float]] = {side: [] for side in FAULTS}

    def run(self, side: str) -> float:
        """The seconds of a search."""
        self._proxy.is_down, self._proxy.delay = False, 0.0
        share, fault = FAULTS[side]
        reports = max(1, int(share * self._trials * EVALUATIONS))
        self._names += 1
        began = time.perf_counter()
        result = service.search(
            service.load_space(
                "points",
                overrides=[
                    f"name=outage{self._names}",
                    f"budget.trials={self._trials}",
                    f"budget.steps={self._steps}",
                    f"budget.evaluations={EVALUATIONS}",
                    "budget.minutes=600",
                    "search.scheduler=none",
                    "search.sampler=random",
                    "search.experience=none",
                    "confirm.top=0",
                ],
            ),
            storage=self._storage,
            tracking_uri=self._proxy.uri,
            watcher=AfterReports(reports, lambda: fault(self._proxy)),
        )
        self.commands[side].append(time.perf_counter() - began)
        assert result.seconds is not None
        return result.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        connect(f"sqlite:///{folder}/empty.db")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        with serving(folder / "server", folder / "empty.db") as server, Proxy(server.port) as proxy:
            searches = Searches(folder / "runs", proxy, options.trials, options.steps)
            sides = {side: partial(searches.run, side) for side in FAULTS}
            taken = in_turns(sides, options.turns)
        ray.shutdown()
    print(f"{machine()}, load {load:.1f} when it began\n")
    rows, as_asked = [], True
    for side, seconds in taken.items():
        beside = ratios(seconds, taken["undisturbed"])
        as_asked &= beside.median <= ASKED
        asked = Asked.at_most(ASKED, beside.median) if side != "undisturbed" else ("", "")
        command = median(searches.commands[side][1:])
        rows.append([side, f"{median(seconds):.1f}", f"{command:.1f}", f"{beside:.3f}", *asked])
    print(table(["server", "search, s", "command, s", "ratio", "asked", ""], rows))
    sys.exit(not as_asked)


if __name__ == "__main__":
    main()
