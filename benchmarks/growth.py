"""How the driver's time and memory grow with the trials: no training, no Ray, no MLflow.

    python benchmarks/growth.py [--trials 10000] [--slots 32] [--scheduler asha]

The conductor leads a search as always: Optuna's journal and the trials' folders lie on the disk,
TPE proposes, the stopping rule decides. The workers are simulated: each trial reports a curve that
falls to a bound which its setting decides. TPE proposes the last 20 settings before each number in
the table, and random search the others, which would take hours otherwise. Stated are

    proposal  seconds of TPE for one setting (median of 20)
    driver    seconds of all else that the driver does for a trial (mean of 100): it hands out,
              takes in reports, keeps folders and the journal, decides
    memory    the driver's resident set

and the time that a second command needs to take the search up again.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from optuna.samplers import BaseSampler, RandomSampler

from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import stopping_rule
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.study import Study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result
from gan_tune.words.outcomes import Outcome

REPORTS, STEPS = 10, 100
WINDOW = 100
"""Trials over which the driver's time is taken."""
BY_TPE = 20
"""Trials before each number in the table that TPE proposes."""
ENDS = (100, 300, 1_000, 3_000, 10_000)


def space(trials: int, scheduler: str) -> SearchSpace:
    rate = {"log_uniform": [1e-5, 1e-1]}
    tree = {
        "name": "growth",
        "objective": {"metric": "energy_distance", "mode": "min"},
        "budget": {"trials": trials, "steps": STEPS, "evaluations": REPORTS, "minutes": 10_000},
        "search": {"sampler": "tpe", "scheduler": scheduler},
        "confirm": {"top": 3, "seeds": 2},
        "trial": {
            "data": {"name": "ring", "size": 500, "batch_size": 64},
            "generator": {
                "name": "mlp",
                "latent": 4,
                "output": "linear",
                "hidden": {"choice": [[8], [8, 8]]},
            },
            "discriminator": {"name": "mlp", "hidden": [8]},
            "loss": {"choice": ["non_saturating", "least_squares", "hinge"]},
            "generator_optimizer": {
                "choice": [
                    {"name": "adam", "lr": rate, "beta1": {"uniform": [0.0, 0.9]}},
                    {"name": "sgd", "lr": rate},
                ]
            },
            "discriminator_optimizer": {"name": "adam", "lr": rate},
        },
    }
    return SearchSpace.load(tree, catalogue())


@dataclass
class Clocks:
    """What is measured, trial by trial in the order of their proposals."""

    proposals: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def line(self, end: int) -> str:
        """The figures of the last trials up to number ``end``."""
        proposal = median(self.proposals[end - BY_TPE : end])
        spans = self.totals[end - 1] - self.totals[max(0, end - 1 - WINDOW)]
        inside = sum(self.proposals[max(0, end - WINDOW) : end])
        rest = (spans - inside) / min(WINDOW, end - 1)
        mebibytes = self.memory[end - 1] / 2**20
        return f"| {end:,} | {proposal:.4f} | {rest:.4f} | {mebibytes:.0f} |"


class MeteredStudy(Study):
    """A study that notes the seconds of each proposal, most of which are random."""

    clocks: Clocks

    def _sampler(self, proposal: int) -> BaseSampler:
        by_tpe = any(end - BY_TPE <= proposal < end for end in ENDS)
        return super()._sampler(proposal) if by_tpe else RandomSampler(seed=proposal)

    def ask(self) -> Job:
        began = time.perf_counter()
        job = super().ask()
        self.clocks.proposals.append(time.perf_counter() - began)
        return job


def report(job: Job, place: int) -> Result:
    """The ``place``-th report of a trial: a curve that falls to a bound given by its setting."""
    digits = int(job.config.digest()[:8], 16) / 16**8
    value = 1.0 + digits + 1.0 / place
    scalars = {"energy_distance": value} | {f"figure_{i}": value for i in range(20)}
    step = STEPS * place // REPORTS
    outcome: Outcome | None = "completed" if place == REPORTS else None
    return Result(step, scalars, value, value, outcome, int(time.time() * 1000), 0.01, 0.01)


def lead(study: MeteredStudy, home: Storage, slots: int, clocks: Clocks) -> None:
    """Run a search to its end; the running trials report in turn."""
    driver, began = psutil.Process(), time.perf_counter()
    folders = TrialFolders(home)
    rule = stopping_rule(study.space)
    resumed = resume_search(study, folders, rule)
    conductor = Conductor(study, home, rule, resumed, slots=slots, limit=slots)
    running: deque[tuple[Job, int]] = deque()
    while True:
        while isinstance(job := conductor.next_job(), Job):
            running.append((job, len(folders[job.name].report_steps())))
            if len(clocks.totals) < len(clocks.proposals):
                clocks.totals.append(time.perf_counter() - began)
                clocks.memory.append(driver.memory_info().rss)
        if not running:
            return
        job, done = running.popleft()
        result = report(job, done + 1)
        folders[job.name].write_report(result)
        if not conductor.reported(job.name, result):
            running.append((job, done + 1))


def metered(folder: Path, checked: SearchSpace, clocks: Clocks) -> MeteredStudy:
    study = open_study(folder / "study.journal", checked)
    study.__class__ = MeteredStudy
    assert isinstance(study, MeteredStudy)
    study.clocks = clocks
    return study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--scheduler", default="asha")
    options: Any = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {options.slots} slots")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clocks, checked = Clocks(), space(options.trials, options.scheduler)
        home = open_storage(folder)
        lead(metered(folder, checked, clocks), home, options.slots, clocks)
        print("| trials | proposal, s | driver, s a trial | memory, MiB |\n|---|---|---|---|")
        for end in (end for end in ENDS if end <= options.trials):
            print(clocks.line(end))
        began = time.perf_counter()
        study = open_study(folder / "study.journal", checked)
        resume_search(study, TrialFolders(home), stopping_rule(checked))
        size = (folder / "study.journal").stat().st_size / 2**20
        seconds = time.perf_counter() - began
        print(f"taken up again in {seconds:.1f} s; the journal holds {size:.0f} MiB")


if __name__ == "__main__":
    main()
