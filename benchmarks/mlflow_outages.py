"""What a tracking server that is gone or slow costs a search.

    python benchmarks/mlflow_outages.py [--trials 6] [--steps 6000] [--turns 3]

The same search runs on one Ray before one MLflow server, in turns:

    undisturbed  nothing happens
    gone         after a third of its reports no connection is accepted for 60 s
    registering  the same from when it exports the champion, until the command ends
    for good     after a third of its reports no connection is accepted, until the command ends
    slow         after the first report each call takes 500 ms more

Stated are the seconds of the search, to its champion, and those of the whole command, which at its
end delivers for 30 s more at most; and the ratio of each search to the undisturbed one of its turn,
median with quartiles. Then the server is well again, `sync` delivers what waits, and what the
search's folder has is counted that MLflow lacks: outcomes, values and points of metrics, pictures,
runs, and the champion's version. Asked: nothing.
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
from mlflow import MlflowClient

from benchmarks.interleaved import in_turns, ratios
from benchmarks.kills import POINTS, differing, in_folders, in_mlflow
from benchmarks.machine import machine
from benchmarks.mlflow_servers import Proxy, serving
from benchmarks.table import Asked, table
from gan_tune import service
from gan_tune.record.mlflow_store import connect
from gan_tune.searching.jobs import Job
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result
from gan_tune.watching.watcher import Watcher

EVALUATIONS = 20
TRIAL = "gan_tune.trial"
GONE_SECONDS, SLOW_SECONDS = 60.0, 0.5
ASKED = 1.03
"""The largest ratio asked for."""


class AfterReports(Watcher):
    """Calls ``then`` once, after so many reports, or (None) as the champion is exported."""

    def __init__(self, reports: int | None, then: Callable[[], None]) -> None:
        self._left, self._then = reports or 0, then
        self._exporting = reports is None

    def stage(self, text: str) -> None:
        if self._exporting and text.startswith("exporting"):
            self._then()

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        self._left -= 1
        if self._left == 0:
            self._then()


def gone(proxy: Proxy) -> threading.Timer:
    """Accept no connection for a while."""
    proxy.is_down = True
    back = threading.Timer(GONE_SECONDS, lambda: setattr(proxy, "is_down", False))
    back.start()
    return back


def slow(proxy: Proxy) -> None:
    """Delay each call from now on."""
    proxy.delay = SLOW_SECONDS


def for_good(proxy: Proxy) -> None:
    """Accept no connection any more."""
    proxy.is_down = True


FAULTS: Mapping[str, tuple[float | None, Callable[[Proxy], threading.Timer | None]]] = {
    "undisturbed": (0.0, lambda proxy: None),
    "gone": (1 / 3, gone),
    "registering": (None, gone),
    "for good": (1 / 3, for_good),
    "slow": (0.0, slow),
}
"""Side → after which share of the reports, or (None) at the champion's export, what happens."""


def missing(home: Storage, uri: str) -> list[str]:
    """What a search's folder has and MLflow lacks."""
    client, name = MlflowClient(uri), home.uri.rsplit("/", 1)[-1]
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return ["the experiment"]
    runs = client.search_runs([experiment.experiment_id])
    of_trials = {run.data.tags["gan_tune.trial"]: run for run in runs if TRIAL in run.data.tags}
    result = service.load_result(name, home.folder.parent if home.folder else "")
    trials = TrialFolders(home).names()
    held = in_folders(home, trials, lambda report: {result.metric: report.value, POINTS: 1})
    lacking = differing(held, in_mlflow(uri, of_trials.values(), result.metric))
    lacking += [f"{trial}: its run" for trial in trials if trial not in of_trials]
    for trial in of_trials.keys() & set(trials):
        files = client.list_artifacts(of_trials[trial].info.run_id, "images")
        if sum(file.path.endswith(".png") for file in files) != len(
            TrialFolders(home)[trial].grid_steps()
        ):
            lacking.append(f"{trial}: pictures")
    lacking += [f"{run.info.run_id}: RUNNING" for run in runs if run.info.status == "RUNNING"]
    versions = client.search_model_versions(f"name = '{name}'")
    return lacking if len(versions) == 1 else [*lacking, f"{len(versions)} versions"]


class Searches:
    """Runs the search, once for each side and turn, each with a name of its own."""

    def __init__(self, storage: Path, proxy: Proxy, trials: int, steps: int) -> None:
        self._storage, self._proxy, self._trials, self._steps = storage, proxy, trials, steps
        self._names = 0
        self.commands: dict[str, list[float]] = {side: [] for side in FAULTS}
        self._back: threading.Timer | None = None
        self.missing: dict[str, int] = dict.fromkeys(FAULTS, 0)

    def run(self, side: str) -> float:
        """The seconds of a search."""
        share, fault = FAULTS[side]
        reports = None if share is None else max(1, int(share * self._trials * EVALUATIONS))
        self._names += 1
        name = f"outage{self._names}"
        began = time.perf_counter()
        result = service.search(
            service.load_space(
                "points",
                overrides=[
                    f"name={name}",
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
            watcher=AfterReports(reports, lambda: self._disturb(fault)),
        )
        self.commands[side].append(time.perf_counter() - began)
        assert result.seconds is not None
        if self._back is not None:  # the command has ended before the outage
            self._back.cancel()
        self._proxy.is_down, self._proxy.delay, self._back = False, 0.0, None
        waiting = service.sync(name, self._storage, tracking_uri=self._proxy.uri).waiting
        lacking = missing(open_storage(self._storage / name), self._proxy.uri)
        lacking = [waiting, *lacking] if waiting else lacking
        for line in lacking:
            print(f"{side}: MLflow lacks {line}", flush=True)
        self.missing[side] += len(lacking)
        return result.seconds

    def _disturb(self, fault: Callable[[Proxy], threading.Timer | None]) -> None:
        self._back = fault(self._proxy)


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
        as_asked &= not searches.missing[side]
        command = median(searches.commands[side][1:])
        lacks = str(searches.missing[side])
        times = f"{median(seconds):.1f}", f"{command:.1f}", f"{beside:.3f}"
        rows.append([side, *times, *asked, lacks])
    header = ["server", "search, s", "command, s", "ratio", "asked", "", "missing after sync"]
    print(table(header, rows))
    sys.exit(not as_asked)


if __name__ == "__main__":
    main()
