"""Searches compared at equal numbers of training steps, on curves that real GANs have left.

A surrogate answers a setting with the recorded curve of its nearest neighbour, or with the mean of
a forest fitted to all curves. So a search over hundreds of GANs takes seconds, and speed plays no
part. On it, with the same seeds and workers:

- gan-tune: its conductor, study, sampler, stopping and collapse rules, with the defaults;
- docs-style: Ray's own OptunaSearch and ASHAScheduler with theirs, on current values;
- random: independent settings, nothing stopped.

    python benchmarks/surrogate.py steps [--surrogate nearest] [--seeds 30] [--settings 60]
    python benchmarks/surrogate.py divergence [--seeds 20] [--trials 200] [--share 0.3]

`--set search.scheduler=none` and the like change gan-tune's side. `record_curves.py` makes the
curves; they lie beside this file.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf, isfinite, log, nan
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from optuna.samplers import BaseSampler
from scipy import stats

from benchmarks.curves import (
    CURVES,
    SURROGATES,
    Curve,
    Fidelity,
    Nearest,
    Recording,
    Surrogate,
    decide,
    diverging,
    fidelity,
    load_space,
    random_setting,
    read_curves,
    recording,
)
from benchmarks.machine import machine
from gan_tune.config import CollapseRule
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import stopping_rule
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.origins import Start
from gan_tune.space import SearchSpace
from gan_tune.space.ranges import Suggest
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result
from gan_tune.words.outcomes import Outcome

PROCESSES = 2
MEMORY = Path("/dev/shm")
UNLIMITED = 1_000_000
MARKS = (1 / 12, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 1.0)
"""Shares of the budget in the table."""


# ---------------------------------------------------------------- the simulated clock


@dataclass
class Trial:
    """A trial under way: the curve it follows, and how many reports it has made."""

    name: str
    curve: Curve
    reports: int = 0

    @property
    def interval(self) -> int:
        """Steps to the next report."""
        before = self.curve.steps[self.reports - 1] if self.reports else 0
        return self.curve.steps[self.reports] - before

    @property
    def value(self) -> float | None:
        """The newest report's."""
        return self.curve.values[self.reports - 1]

    @property
    def ended(self) -> bool:
        """Whether the curve goes no further."""
        return self.reports == len(self.curve.steps)


class Side(Protocol):
    """One way to search."""

    def start(self) -> Trial | None:
        """The next trial, None if there is none any more."""
        ...

    def heard(self, trial: Trial) -> bool:
        """Hear a trial's newest report; whether the trial ends with it."""
        ...


@dataclass(frozen=True)
class Event:
    """A report: steps spent by all trials until then, whose it is, and the objective."""

    spent: int
    trial: str
    value: float | None


def simulate(side: Side, *, budget: float, workers: int) -> list[Event]:
    """All reports of a search until ``budget`` steps are spent, or nothing is left to run.

    A step takes as long on each worker, evaluations and starts take no time.
    """
    order = count()  # at one moment, the trial begun first reports first
    running: list[tuple[int, int, Trial]] = []
    events: list[Event] = []
    spent = now = 0

    def start() -> None:
        if (trial := side.start()) is not None:
            heappush(running, (now + trial.interval, next(order), trial))

    for _ in range(workers):
        start()
    while running and spent < budget:
        now, begun, trial = heappop(running)
        spent += trial.interval
        trial.reports += 1
        events.append(Event(spent, trial.name, trial.value))
        if side.heard(trial):
            start()
        else:
            heappush(running, (now + trial.interval, begun, trial))
    return events


# ---------------------------------------------------------------- the sides


class RandomSearch:
    """Independent settings, each trained to its end."""

    def __init__(self, surrogate: Surrogate, space: SearchSpace, *, seed: int) -> None:
        self._surrogate, self._space = surrogate, space
        self._random = np.random.default_rng(seed)
        self._names = count()

    def start(self) -> Trial | None:
        curve = self._surrogate.curve(random_setting(self._space, self._random))
        return Trial(str(next(self._names)), curve)

    def heard(self, trial: Trial) -> bool:
        return trial.ended


class GanTune:
    """A search of gan-tune without Ray, from its proposals to what Optuna is told."""

    def __init__(self, surrogate: Surrogate, space: SearchSpace, folder: Path, plan: Plan) -> None:
        self._surrogate, self._steps = surrogate, space.steps
        self._study = open_study(folder / "study.journal", space, starts=plan.starts)
        if plan.sampler is not None:
            self._study._sampler = partial(plan.sampler, space)  # type: ignore[method-assign]
        home, rule = Storage(str(folder)), stopping_rule(space)
        resumed = resume_search(self._study, TrialFolders(home), rule)
        self._conductor = Conductor(self._study, home, rule, resumed, slots=plan.workers)
        self._collapse: dict[str, CollapseRule] = {}
        self._waiting: dict[str, Trial] = {}

    def start(self) -> Trial | None:
        job = self._conductor.next_job()
        if not isinstance(job, Job):
            return None
        self._collapse[job.name] = job.config.collapse
        return self._waiting.pop(job.name, None) or Trial(job.name, self._full(job.setting))

    def heard(self, trial: Trial) -> bool:
        ended = self._heard(trial)
        if ended:  # or it waits, to go on from here
            self._waiting[trial.name] = trial
        return ended

    def _heard(self, trial: Trial) -> bool:
        known = [v for v in trial.curve.values[: trial.reports] if v is not None]
        result = Result(
            step=trial.curve.steps[trial.reports - 1],
            scalars={},
            value=trial.value,
            best=min(known, default=None),
            outcome=self._outcome(trial),
            timestamp_ms=0,
        )
        return self._conductor.reported(trial.name, result)

    def _outcome(self, trial: Trial) -> Outcome | None:
        """How the trial ends by itself, as training decides it."""
        if trial.value is None:
            return "diverged"
        rule = self._collapse[trial.name]
        seen = list(zip(trial.curve.steps, trial.curve.variety, strict=True))[: trial.reports]
        late = [inf if v is None else v for step, v in seen if step >= rule.after * self._steps]
        last = late[-rule.reports :]
        if len(last) == rule.reports and max(last) < rule.variety:
            return "collapsed"
        return "completed" if trial.ended else None

    def _full(self, setting: int) -> Curve:
        return self._surrogate.curve(self._study.assignment(setting))

    def ended(self) -> list[tuple[Outcome | None, Curve]]:
        """Of each setting in order, how it ended, and its curve if nothing had stopped it."""
        return [(s.outcome, self._full(s.number)) for s in self._study.settings()]


class DocsStyle:
    """Ray's OptunaSearch and ASHAScheduler, used as their documentation does.

    Both are Ray's own objects, called as Ray's TuneController calls them: a trial that the
    scheduler stops is told complete with its last value, and that report is not passed on.
    ``ends_at_nan`` makes the training function return at a value that is not finite, as a careful
    user's does. Else it goes on to the end, since ASHA stops nothing for being NaN.
    """

    def __init__(
        self, surrogate: Surrogate, space: SearchSpace, *, seed: int, ends_at_nan: bool
    ) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        def define_by_run(trial: Suggest) -> None:
            decide(space, trial)

        steps, evaluations = space.steps, space.budget.evaluations
        self._surrogate, self._ends_at_nan = surrogate, ends_at_nan
        self._grid = [steps * (i + 1) // evaluations for i in range(evaluations)]
        self._search = OptunaSearch(define_by_run, metric="value", mode="min", seed=seed)
        # Untyped: it gets no controller, and of a trial only the name that it asks for.
        self._asha: Any = ASHAScheduler(metric="value", mode="min", max_t=evaluations)
        self._names = count()

    def start(self) -> Trial | None:
        name = str(next(self._names))
        curve = self._surrogate.curve(self._search.suggest(name) or {})
        self._asha.on_trial_add(None, SimpleNamespace(trial_id=name))
        return Trial(name, self._on_grid(curve))

    def _on_grid(self, curve: Curve) -> Curve:
        """The curve of a loop that sees of divergence only the value when it is due."""
        missing = 0 if self._ends_at_nan else len(self._grid) - len(curve.steps)
        values = [*curve.values, *[None] * missing]
        return dataclasses.replace(curve, values=values, steps=self._grid[: len(values)])

    def heard(self, trial: Trial) -> bool:
        ray_trial = SimpleNamespace(trial_id=trial.name)
        value = nan if trial.value is None else trial.value
        result = {"value": value, "training_iteration": trial.reports}
        stopped = self._asha.on_trial_result(None, ray_trial, result) == self._asha.STOP
        if not stopped:
            self._search.on_trial_result(trial.name, result)
        if not (stopped or trial.ended):
            return False
        self._asha.on_trial_complete(None, ray_trial, result)
        self._search.on_trial_complete(trial.name, result)
        return True


# ---------------------------------------------------------------- one search of each


@dataclass(frozen=True)
class Plan:
    """What all searches of a comparison share, and what is changed on gan-tune's side.

    Attributes:
        budget: steps of all trials together.
        workers: trials at a time.
        overrides, trials, starts: of gan-tune's searches; the last are settings that are tried
            after the space's own.
        space: makes the space, with overrides.
        sampler: makes the sampler of a space's proposal, in place of gan-tune's own.
    """

    budget: float
    workers: int
    overrides: tuple[str, ...] = ()
    trials: int = UNLIMITED
    starts: tuple[Start, ...] = ()
    space: Callable[[tuple[str, ...]], SearchSpace] = load_space
    sampler: Callable[[SearchSpace, int], BaseSampler] | None = None


def gan_tune_search(
    surrogate: Surrogate, plan: Plan, seed: int
) -> tuple[list[Event], list[tuple[Outcome | None, Curve]]]:
    """A search of gan-tune: its reports, and :meth:`GanTune.ended`."""
    given = (f"budget.trials={plan.trials}", f"search.seed={seed}", *plan.overrides)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        side = GanTune(surrogate, plan.space(given), Path(folder), plan)
        return simulate(side, budget=plan.budget, workers=plan.workers), side.ended()


def docs_style_search(
    surrogate: Surrogate, plan: Plan, seed: int, *, ends_at_nan: bool = True
) -> list[Event]:
    """The reports of a docs-style search."""
    side = DocsStyle(surrogate, plan.space(()), seed=seed, ends_at_nan=ends_at_nan)
    return simulate(side, budget=plan.budget, workers=plan.workers)


def random_search(surrogate: Surrogate, plan: Plan, seed: int) -> list[Event]:
    """The reports of a random search."""
    side = RandomSearch(surrogate, plan.space(()), seed=seed)
    return simulate(side, budget=plan.budget, workers=plan.workers)


OURS = "gan-tune"
SIDES: Mapping[str, Callable[[Surrogate, Plan, int], list[Event]]] = {
    OURS: lambda surrogate, plan, seed: gan_tune_search(surrogate, plan, seed)[0],
    "docs-style": docs_style_search,
    "docs-style, trains on after NaN": partial(docs_style_search, ends_at_nan=False),
    "random": random_search,
}


def compared(surrogate: Surrogate, plan: Plan, seed: int) -> dict[str, list[Event]]:
    """The reports of a search of each side."""
    return {name: search(surrogate, plan, seed) for name, search in SIDES.items()}


def best_by(events: Iterable[Event], spent: float) -> float:
    """The best value reported until so many steps were spent, infinite before there was one."""
    values = (e.value for e in events if e.spent <= spent and e.value is not None)
    return min(values, default=inf)


def steps_to(events: Iterable[Event], value: float) -> float:
    """Steps spent until a value as good was reported, infinite if there was none."""
    reached = (e.spent for e in events if e.value is not None and e.value <= value)
    return next(reached, inf)


@dataclass(frozen=True)
class Divergence:
    """What came of the settings that diverge, in one search of gan-tune.

    Attributes:
        diverged: trials that did.
        late: of those, how many reported once more. The curves end where they diverge, so it is
            the search that is looked at, not how training sees divergence.
        last: share of the last quarter's settings that did.
        stopped_before: share of the last quarter's that would have, but were stopped before.
        random: share of as many random settings.
    """

    diverged: int
    late: int
    last: float
    stopped_before: float
    random: float


def divergence(surrogate: Surrogate, plan: Plan, seed: int) -> Divergence:
    """A search of ``plan.trials`` settings."""
    events, ended = gan_tune_search(surrogate, plan, seed)
    values: dict[str, list[float | None]] = {}
    for event in events:
        values.setdefault(event.trial, []).append(event.value)
    last = ended[-(plan.trials // 4) :]
    would = [curve.outcome == "diverged" for _, curve in last]
    did = [outcome == "diverged" for outcome, _ in last]
    random = np.random.default_rng(seed)
    drawn = [surrogate.curve(random_setting(load_space(), random)) for _ in last]
    return Divergence(
        diverged=sum(outcome == "diverged" for outcome, _ in ended),
        late=sum(None in reported[:-1] for reported in values.values()),
        last=float(np.mean(did)),
        stopped_before=float(np.mean(would) - np.mean(did)),
        random=float(np.mean([curve.outcome == "diverged" for curve in drawn])),
    )


# ---------------------------------------------------------------- in words


def mean_and_interval(values: Sequence[float]) -> str:
    """The mean with its two-sided 95 % interval (Student's t)."""
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return f"{np.mean(values):.3f} (95 %: {interval.low:.3f} to {interval.high:.3f})"


def median_and_quartiles(ratios: Sequence[float]) -> str:
    """Of values that occur, as some may be infinite."""
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75), method="inverted_cdf")
    never = sum(not isfinite(ratio) for ratio in ratios)
    return f"{middle:.2f} (quartiles {low:.2f} to {high:.2f}; never in {never} of {len(ratios)})"


def show_recording(found: Recording) -> None:
    """How densely the recorded settings lie."""
    low, middle, high = found.gap
    print(f"{found.settings} settings over {found.dimensions} dimensions")
    print(f"  diverged {found.diverged:.1%}, collapsed {found.collapsed:.1%}")
    print(f"  nearest-neighbour gap: {middle:.2f} (quartiles {low:.2f} to {high:.2f});", end=" ")
    print(f"two random settings: {found.apart:.2f}")
    print(f"  log best value: deviation {found.deviation:.2f},", end=" ")
    print(f"between seeds {found.between_seeds:.2f} ({found.replicated} settings)")


def show_fidelity(name: str, found: Fidelity) -> None:
    """How far a surrogate can be believed."""
    print(f"  {name}, cross-validated: median error {found.error:.2f}, rank correlation", end=" ")
    print(f"{found.rank:.2f}; divergence foretold right for {found.agreed:.0%}")


def show_comparison(runs: Sequence[Mapping[str, Sequence[Event]]], budget: float) -> None:
    """Best values by steps, and gan-tune against each of the others."""
    print("\n| median best value after | " + " | ".join(f"{m:.0%}" for m in MARKS) + " | trials |")
    print("|---" * (len(MARKS) + 2) + "|")
    for name in SIDES:
        medians = [np.median([best_by(run[name], m * budget) for run in runs]) for m in MARKS]
        trials = np.median([len({event.trial for event in run[name]}) for run in runs])
        print(f"| {name} | " + " | ".join(f"{m:.4g}" for m in medians) + f" | {trials:.0f} |")
    for name in SIDES:
        if name != OURS:
            show_against(name, runs, budget)


def show_against(name: str, runs: Sequence[Mapping[str, Sequence[Event]]], budget: float) -> None:
    """The steps that gan-tune needs for the other's final best value, and its gain."""
    theirs = [best_by(run[name], budget) for run in runs]
    needed = [steps_to(run[OURS], value) for run, value in zip(runs, theirs, strict=True)]
    shares = [steps / budget if steps <= budget else inf for steps in needed]
    took = [steps_to(run[name], value) for run, value in zip(runs, theirs, strict=True)]
    ratios = [share * budget / own for share, own in zip(shares, took, strict=True)]
    gains = [
        log(value / best_by(run[OURS], budget)) for run, value in zip(runs, theirs, strict=True)
    ]
    print(f"\ngan-tune against {name}, {len(runs)} paired seeds:")
    print(f"  reaches its final best after so much of the budget: {median_and_quartiles(shares)}")
    print(f"  ... of the steps that it took to get there itself:  {median_and_quartiles(ratios)}")
    print(f"  log(its final best / gan-tune's): {mean_and_interval(gains)}")


def show_divergence(found: Sequence[Divergence], trials: int) -> None:
    """What came of the settings that diverge."""
    last, random = ([getattr(run, key) for run in found] for key in ("last", "random"))
    print(f"\n{len(found)} searches of {trials} trials:")
    print(f"  {sum(run.diverged for run in found)} diverged,", end=" ")
    print(f"{sum(run.late for run in found)} of them reported once more (a curve ends there)")
    print(f"  share that diverged in the last quarter: {mean_and_interval(last)}")
    print(f"  ... of random settings:                  {mean_and_interval(random)}")
    print(f"  ... ratio of the two: {np.mean(last) / np.mean(random):.2f}", end=", ")
    would = [run.last + run.stopped_before for run in found]
    print(f"{np.mean(would) / np.mean(random):.2f} with those stopped before they would have")


def _quiet() -> None:
    """Ray says of each NaN that Optuna does not take it."""
    logging.disable(logging.WARNING)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("figure", choices=["steps", "divergence"])
    parser.add_argument("--seeds", type=int, help="searches of each side; default 30 and 20")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--settings", type=int, default=60, help="budget, in trials' full lengths")
    parser.add_argument("--trials", type=int, default=200, help="of a search with divergence")
    parser.add_argument("--share", type=float, default=0.3, help="of random settings that diverge")
    parser.add_argument("--surrogate", choices=SURROGATES, default="nearest", help="for `steps`")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    space = load_space()
    head, curves = read_curves(CURVES)
    print(f"{machine()}; curves: {head['machine']}")
    measured = recording(space, curves)
    show_recording(measured)
    first = [curve for curve in curves if curve.replicate == 0]
    plan = Plan(inf, options.workers, tuple(options.overrides))
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), initializer=_quiet) as pool:
        if options.figure == "steps":
            seeds = range(options.first_seed, options.first_seed + (options.seeds or 30))
            plan = dataclasses.replace(plan, budget=float(options.settings * space.steps))
            show_fidelity(
                options.surrogate,
                fidelity(SURROGATES[options.surrogate], space.dimensions(), first),
            )
            surrogate = SURROGATES[options.surrogate](space.dimensions(), first)
            runs = list(pool.map(partial(compared, surrogate, plan), seeds))
            show_comparison(runs, plan.budget)
        else:
            seeds = range(options.first_seed, options.first_seed + (options.seeds or 20))
            plan = dataclasses.replace(plan, trials=options.trials)
            stricter, limit, share = diverging(first, measured.met, options.share)
            print(
                f"\n|logit| beyond {limit:.4g} counts as diverged: {share:.1%} of random settings"
            )
            nearest = Nearest(space.dimensions(), stricter)
            show_divergence(list(pool.map(partial(divergence, nearest, plan), seeds)), plan.trials)


if __name__ == "__main__":
    main()
