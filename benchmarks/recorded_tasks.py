"""Searches simulated on the recorded tasks, and what experience and samplers are worth there.

    python benchmarks/recorded_tasks.py steps [--seeds 30] [--settings 60] [--tasks digits ...]
    python benchmarks/recorded_tasks.py samplers [...]

A forest is fitted to the runs of a task in `recordings/`, which have two reports each. On it, with
a simulated clock, run the searches of `surrogate.py`. A task takes part if the forest orders
settings that it has not seen with a rank correlation of at least :data:`RANK`, cross-validated.

``steps``: gan-tune with experience of other things than the task's and without, against the
docs-style search; in what share of its steps they come to its final best. ``samplers``: gan-tune
with other samplers than its own, without experience; the logarithm of its final best over
theirs, paired by seed.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from math import log
from multiprocessing import get_context
from statistics import median
from typing import Any

import numpy as np
from optuna.samplers import BaseSampler
from scipy import stats

from benchmarks.curves import Curve, Forest, fidelity
from benchmarks.experience.learning import carried, families
from benchmarks.experience.recording import Recording, read_all
from benchmarks.forest_sampler import ForestSampler
from benchmarks.machine import machine
from benchmarks.surrogate import (
    PROCESSES,
    Event,
    Plan,
    best_by,
    docs_style_search,
    gan_tune_search,
    median_and_quartiles,
    random_search,
    steps_to,
)
from benchmarks.table import table
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.study.origins import Start
from gan_tune.searching.study.seeds import sampler_seeds
from gan_tune.space import SearchSpace

RANK = 0.7
"""The rank correlation that a forest must have."""
TREES = 400
EXPERIENCE = 8
"""Settings of other tasks that are tried first, as in a search."""

OWN = "tpe"
WITH, WITHOUT, DOCS, RANDOM = "with experience", "without", "docs-style", "random"


def forest_sampler(space: SearchSpace, proposal: int, *, local: float) -> BaseSampler:
    """The sampler of a proposal."""
    seeds = sampler_seeds(space.search.seed, proposal)
    return ForestSampler(space, seeds.proposal, local=local)


SAMPLERS: Mapping[str, tuple[str, ...] | Callable[[SearchSpace, int], BaseSampler]] = {
    OWN: (),
    "tpe, one range at a time": ("search.sampler={name: tpe, multivariate: false}",),
    "tpe, 96 candidates": ("search.sampler={name: tpe, candidates: 96}",),
    "gp": ("search.sampler=gp",),
    "random": ("search.sampler=random",),
    "forest": partial(forest_sampler, local=0.5),
    "forest, mostly nearby": partial(forest_sampler, local=0.9),
    "tpe, nothing stopped": ("search.scheduler=none",),
}
"""What is compared with gan-tune as it is, the first: name → overrides, or another sampler."""


@cache
def recordings() -> Mapping[str, Recording]:
    """All recorded tasks."""
    return read_all()


@cache
def task_space(task: str, overrides: tuple[str, ...] = ()) -> SearchSpace:
    """A task's space as it was recorded, with the search's defaults."""
    tree: dict[str, Any] = dict(recordings()[task].head["space"])
    tree.pop("search")
    return SearchSpace.load(tree, catalogue(), check_data=False, overrides=overrides)


def curves_of(task: str) -> list[Curve]:
    """A task's runs as curves. How varied their samples were is not recorded: as the data."""
    space, found = task_space(task), []
    steps = [0, *task_space(task).config(recordings()[task].runs[0].setting, seed=0).report_steps]
    grid = [after for _, after in pairwise(steps)]
    for number, run in enumerate(recordings()[task].runs):
        count = len(run.values)
        found.append(
            Curve(
                setting=number,
                replicate=0,
                params=run.setting,
                outcome="diverged" if run.values[-1] is None else run.outcome,
                seconds=run.seconds,
                steps=grid[:count],
                values=run.values,
                variety=[1.0] * count,
                logits=[None] * count,
            )
        )
    assert grid[-1] == space.steps
    return [curve for curve in found if None not in curve.values[:-1]]


fitted = partial(Forest, trees=TREES)


def experience_for(task: str) -> tuple[Start, ...]:
    """The settings that recordings of other things than a task's would have it try first."""
    others = families(recordings())[recordings()[task].head["base"]].without(task)
    settings = carried(others, others.portfolio(EXPERIENCE), task_space(task))
    return tuple(
        Start(f"experience {place}", setting) for place, (_, setting) in enumerate(settings, 1)
    )


# ---------------------------------------------------------------- the searches of one seed


def four_sides(forest: Forest, plan: Plan, seed: int) -> dict[str, list[Event]]:
    """A search of each side."""
    bare = replace(plan, starts=())
    return {
        WITH: gan_tune_search(forest, plan, seed)[0],
        WITHOUT: gan_tune_search(forest, bare, seed)[0],
        DOCS: docs_style_search(forest, bare, seed),
        RANDOM: random_search(forest, bare, seed),
    }


def each_sampler(forest: Forest, plan: Plan, seed: int) -> dict[str, float]:
    """Sampler → the final best of a search with it."""
    found = {}
    for name, change in SAMPLERS.items():
        its = replace(plan, sampler=change) if callable(change) else replace(plan, overrides=change)
        found[name] = best_by(gan_tune_search(forest, its, seed)[0], plan.budget)
    return found


# ---------------------------------------------------------------- in words


def shares(runs: Sequence[Mapping[str, Sequence[Event]]], side: str, budget: float) -> list[float]:
    """Steps to the docs-style search's final best, over those that it took itself."""
    found = []
    for run in runs:
        value = best_by(run[DOCS], budget)
        found.append(steps_to(run[side], value) / steps_to(run[DOCS], value))
    return found


def steps_row(
    task: str, rank: float, runs: Sequence[Mapping[str, Sequence[Event]]], budget: float
) -> list[str]:
    """A line of the table of ``steps``."""
    finals = [f"{median(best_by(run[s], budget) for run in runs):.4g}" for s in runs[0]]
    ratios = [median_and_quartiles(shares(runs, side, budget)) for side in (WITH, WITHOUT)]
    return [task, f"{rank:.2f}", *ratios, *finals]


def samplers_row(name: str, gains: Mapping[str, Sequence[float]]) -> list[str]:
    """A line of the table of ``samplers``: mean and 95 % interval of each task, and of all."""
    pooled = [gain for task in gains.values() for gain in task]
    return [name, *(_mean(task) for task in gains.values()), _mean(pooled)]


def _mean(gains: Sequence[float]) -> str:
    if len(set(gains)) == 1:
        return f"{gains[0]:+.2f}"
    half = stats.sem(gains) * stats.t.ppf(0.975, len(gains) - 1)
    return f"{np.mean(gains):+.2f} ± {half:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("figure", choices=["steps", "samplers"])
    parser.add_argument("--tasks", nargs="+", choices=recordings(), help="default: all")
    parser.add_argument("--seeds", type=int, default=30, help="searches of each side")
    parser.add_argument("--settings", type=int, default=60, help="budget, in trials' full lengths")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time")
    options = parser.parse_args()
    print(f"{machine()}; a budget of {options.settings} full lengths, {options.seeds} seeds")
    known: list[list[str]] = []
    gains: dict[str, dict[str, list[float]]] = {name: {} for name in SAMPLERS}
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), initializer=_quiet) as pool:
        for task in options.tasks or recordings():
            space, curves = task_space(task), curves_of(task)
            rank = fidelity(fitted, space.dimensions(), curves).rank
            print(f"{task}: rank correlation {rank:.2f}", flush=True)
            if rank < RANK:
                continue
            plan = Plan(
                float(options.settings * space.steps),
                options.workers,
                starts=experience_for(task),
                space=partial(task_space, task),
            )
            forest, seeds = fitted(space.dimensions(), curves), range(options.seeds)
            if options.figure == "steps":
                runs = list(pool.map(partial(four_sides, forest, plan), seeds))
                known.append(steps_row(task, rank, runs, plan.budget))
                print(" | ".join(known[-1]), flush=True)
                continue
            bare = replace(plan, starts=())  # with them the forest's best is known at once
            bests = list(pool.map(partial(each_sampler, forest, bare), seeds))
            for name in SAMPLERS:
                gains[name][task] = [log(best[OWN] / best[name]) for best in bests]
                print(f"  {name}: {_mean(gains[name][task])}", flush=True)
    if options.figure == "steps":
        sides = (WITH, WITHOUT, DOCS, RANDOM)
        head = [
            "task",
            "rank",
            f"steps, {WITH}",
            f"steps, {WITHOUT}",
            *(f"best, {s}" for s in sides),
        ]
        print("\n" + table(head, known))
    else:
        tasks = list(gains[OWN])
        print("\n" + table(["", *tasks, "all"], [samplers_row(n, g) for n, g in gains.items()]))


def _quiet() -> None:
    """Ray says of each NaN that Optuna does not take it, and Optuna of each ended study."""
    logging.disable(logging.WARNING)


if __name__ == "__main__":
    main()
