"""A simulated search, whose driver's time and memory `scaling.py` measures.

The conductor leads a search as always: Optuna's journal and the trials' folders lie on the disk,
TPE proposes, the stopping rule decides. The workers are simulated: each trial reports a curve that
falls to a bound which its setting decides. TPE proposes the last 20 settings before each number of
:data:`ENDS`, and random search the others, which would take hours otherwise.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from optuna.samplers import BaseSampler, RandomSampler

from gan_tune.parts.all_parts import catalogue
from gan_tune.record.spool import DatasetInfo, SearchEntry
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import stopping_rule
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.study import Study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result
from gan_tune.words.outcomes import Outcome

REPORTS, STEPS = 10, 100
WINDOW = 100
"""Trials over which the driver's time is taken."""
BY_TPE = 20
"""Trials before each number of :data:`ENDS` that TPE proposes."""
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


def entry(search: str) -> SearchEntry:
    """What MLflow is told of such a search."""
    return SearchEntry(
        search=search,
        experiment=search,
        metric="energy_distance",
        mode="min",
        code_version="1",
        space_text=f"name: {search}\n",
        params={},
        tags={},
        dataset=DatasetInfo("ring", "0", "ring", {"train": 500}),
    )


@dataclass
class Clocks:
    """What is measured, trial by trial in the order of their proposals."""

    proposals: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


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
