"""Throughput: what the search itself costs where training costs next to nothing.

    python benchmarks/throughput.py [--trials 1000] [--concurrent 32] [--growth 2] [--memory 1.2]

A user's own generator of two numbers (it moves the noise) learns where a few 2-D points lie, one
step to a report, ten reports a trial. So the wall time is that of everything around training:
proposing, handing out, evaluating, storing, recording. Stated are

    seconds   of wall time a trial: from the start of this process to the result, so that its
              imports, Ray's start, the workers' imports and the last delivery to MLflow count; and
              from the end of the first trial to that of the last
    first     when the first report came, since the start of this process
    stages    when each stage began, since the end of the last trial; the champion is registered
              once MLflow has all trials
    growth    time that the last hundred trials took, over that of the second hundred (the first
              waits for workers)
    memory    the driver's resident set while the last quarter of the trials ends, over that of the
              first quarter (medians); the workers and Ray's own processes are not in it
    missing   reports and outcomes that Optuna, the trials' folders or MLflow lack

It exits with 0 if nothing is missing, and growth and memory keep within their limits.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from torch import Tensor, nn, zeros

from benchmarks.machine import machine
from gan_tune.service import Watcher

REPORTS = 10

MODULE = "benchmarks.throughput"
"""Where workers import the networks from; as a script this module has another name."""

LIMITS = {"growth": 2.0, "memory": 1.2}
"""What a run may come to at most. With 400 trials 1.15 and 1.04 were measured on two cores: TPE
looks at all trials that it knows, and a trial leaves some 0.13 MiB on the driver, beside 1 GiB of
libraries. At that pace a thousand come to 1.6 and 1.1. Were all work for a trial to grow with their
number, growth would be 6."""


class Generator(nn.Module):
    """z ~ N(0, I) in two dimensions, moved by two numbers."""

    def __init__(self, shape: tuple[int, ...], latent: int = 2) -> None:
        super().__init__()
        self.shift = nn.Parameter(zeros(2))

    def forward(self, z: Tensor) -> Tensor:
        """[B, 2] → [B, 2]."""
        return z + self.shift


class Discriminator(nn.Module):
    """A linear logit: points [B, 2] → [B, 1]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.logit = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.logit(x)
        return logits


class Meter(Watcher):
    """A watcher that notes, as each trial ends, the time and the driver's resident set.

    Times are in seconds since the process began.
    """

    def __init__(self) -> None:
        self.ended: list[tuple[float, int]] = []
        self.reported: float | None = None
        self.stages: list[tuple[float, str]] = []
        self._driver = psutil.Process()

    def now(self) -> float:
        return time.time() - float(self._driver.create_time())

    def trial_reported(self, job: Any, result: Any, grid: Any) -> None:
        if self.reported is None:
            self.reported = self.now()

    def trial_ended(self, job: Any, ending: Any) -> None:
        self.ended.append((self.now(), self._driver.memory_info().rss))

    def end(self) -> None:
        self.stage("no trial runs any more")

    def stage(self, text: str) -> None:
        self.stages.append((self.now(), text))

    def after_the_last(self) -> str:
        """The stages after the last trial's end, with the seconds since then."""
        last = self.ended[-1][0]
        return ", ".join(f"{at - last:.1f} {text}" for at, text in self.stages if at >= last)

    def seconds(self, first: int, last: int) -> float:
        """From the end of one trial to the end of another, counted in the order of their ends."""
        return self.ended[last][0] - self.ended[first][0]

    def mebibytes(self, quarter: int) -> float:
        """The median resident set while a quarter of the trials ended."""
        size = len(self.ended) // 4
        return median(rss for _, rss in self.ended[quarter * size :][:size]) / 2**20

    def ratios(self) -> dict[str, float]:
        """What :data:`LIMITS` are for; no growth of fewer than 400 trials."""
        found = {"memory": self.mebibytes(3) / self.mebibytes(0)}
        if len(self.ended) >= 400:
            found["growth"] = self.seconds(-101, -1) / self.seconds(99, 199)
        return found


def space(points: Path, trials: int, concurrent: int) -> dict[str, Any]:
    rate = {"log_uniform": [1e-4, 1e-2]}
    return {
        "name": "throughput",
        "objective": {"metric": "energy_distance", "mode": "min"},
        "budget": {"trials": trials, "steps": REPORTS, "evaluations": REPORTS},
        "search": {"scheduler": "none"},
        "confirm": {"top": 0},
        "resources": {"cpu": (os.cpu_count() or 1) / concurrent},
        "trial": {
            "data": {"name": "npz", "path": str(points), "batch_size": 8},
            "generator": f"{MODULE}:Generator",
            "discriminator": f"{MODULE}:Discriminator",
            "loss": "non_saturating",
            "generator_optimizer": {"name": "sgd", "lr": rate},
            "discriminator_optimizer": {"name": "sgd", "lr": rate},
        },
    }


def missing(folder: Path, trials: int) -> dict[str, int]:
    """What is not there, of ``trials`` outcomes and REPORTS reports each."""
    from mlflow import MlflowClient

    from gan_tune.searching.study.opening import study_as_it_stands
    from gan_tune.storage.storage import open_storage
    from gan_tune.storage.trial_folder import TrialFolders

    home = open_storage(folder / "runs" / "throughput")
    study = study_as_it_stands(folder / "runs" / "throughput" / "study.journal")
    told = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    folders = TrialFolders(home)
    names = folders.names()
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("throughput")
    assert experiment is not None
    rule = "attributes.status = 'FINISHED' and tags.`gan_tune.kind` = 'search'"
    runs = client.search_runs([experiment.experiment_id], rule, max_results=50_000)
    recorded = [client.get_metric_history(r.info.run_id, "energy_distance") for r in runs]
    pictures = [client.list_artifacts(r.info.run_id, "images") for r in runs]
    reports = trials * REPORTS
    return {
        "outcomes in Optuna": trials - len(told),
        "reports in Optuna": reports - sum(len(t.intermediate_values) for t in told),
        "outcomes in folders": trials - sum(folders[name].ending() is not None for name in names),
        "reports in folders": reports - sum(len(folders[name].reports()) for name in names),
        "outcomes in MLflow": trials - len(runs),
        "reports in MLflow": reports - sum(map(len, recorded)),
        "pictures in MLflow": reports
        - sum(file.path.endswith(".png") for files in pictures for file in files),
    }


def beyond(found: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """The ratios that exceed their limits, in words."""
    return [
        f"{name}: must be at most {limits[name]:g}, but is {ratio:.3f}"
        for name, ratio in found.items()
        if ratio > limits[name]
    ]


def main() -> None:
    from gan_tune import service

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=1000, help="400 or more, to see growth")
    parser.add_argument("--concurrent", type=int, default=32)
    for name, limit in LIMITS.items():
        parser.add_argument(f"--{name}", type=float, default=limit, help="at most this ratio")
    options = parser.parse_args()
    print(f"{machine()}, {options.concurrent} trials at a time", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        points = folder / "points.npz"
        np.savez(points, x=np.random.default_rng(0).normal([1.0, -1.0], 1.0, (400, 2)))
        meter = Meter()
        service.search(
            space(points, options.trials, options.concurrent),
            storage=folder / "runs",
            tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
            watcher=meter,
        )
        meter.stage("the result")
        seconds = meter.now()
        lacking = missing(folder, options.trials)
    began, ended = (meter.ended[place][0] for place in (0, -1))
    print(
        f"seconds: {seconds / options.trials:.3f} a trial, {seconds:.0f} in all; the first trial "
        f"had ended after {began:.0f}, the last after {ended:.0f}: "
        f"{(ended - began) / (options.trials - 1):.3f} a trial between them"
    )
    print(f"first:   the first report came after {meter.reported:.1f} s")
    print(f"stages:  {meter.after_the_last()}")
    ratios = meter.ratios()
    if "growth" in ratios:
        print(
            f"growth:  {ratios['growth']:.2f}: {meter.seconds(99, 199):.1f} s for the second "
            f"hundred trials, {meter.seconds(-101, -1):.1f} s for the last"
        )
    quarters = ", ".join(f"{meter.mebibytes(quarter):.0f}" for quarter in range(4))
    print(f"memory:  {ratios['memory']:.3f}: {quarters} MiB of the driver, quarter by quarter")
    print(f"missing: {lacking}")
    exceeded = beyond(ratios, {name: getattr(options, name) for name in LIMITS})
    print("".join(f"{line}\n" for line in exceeded), end="")
    sys.exit(bool(exceeded) or any(lacking.values()))


if __name__ == "__main__":
    main()
