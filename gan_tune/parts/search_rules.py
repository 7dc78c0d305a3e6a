"""Rules of a search as a whole: what its sampler or scheduler cannot do, and what is unwise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gan_tune.config import Part, Ranged, SearchRule
from gan_tune.metrics import METRICS
from gan_tune.space.ranges import Choice, NumberRange

__all__ = ["SEARCH_ADVICE", "SEARCH_REFUSALS"]

GENERATOR_COSTS = frozenset(
    name for name, metric in METRICS.items() if metric.model == "generator_cost"
)
"""Metrics that the generator's layers alone decide."""


def _choices(ranges: Sequence[Ranged]) -> bool:
    return any(isinstance(one, Choice) for one in ranges)


def _conditional(ranges: Sequence[Ranged]) -> bool:
    return any(one.conditions for one in ranges)


def _numbers(ranges: Sequence[Ranged]) -> list[NumberRange]:
    return [one for one in ranges if isinstance(one, NumberRange)]


def _generator_varies(ranges: Sequence[Ranged]) -> bool:
    """Whether a range lies below the generator, or is a choice that may have it in its options."""
    return any(one.field in ("generator", "") for one in ranges)


def _has_rungs(*, grace: float, reduction: int, **_: object) -> bool:
    return grace * math.sqrt(reduction) <= 1


SEARCH_REFUSALS: tuple[SearchRule, ...] = (
    SearchRule(
        ("search.sampler", "trial"),
        "cmaes needs the same ranges of numbers in every setting, and here some are there only "
        "below an option of a choice (use tpe)",
        lambda s: s.sampler.name == "cmaes" and _conditional(_numbers(s.ranges)),
    ),
    SearchRule(
        ("search.sampler", "trial"),
        "cmaes needs ranges of numbers, but the space has none (use tpe)",
        lambda s: s.sampler.name == "cmaes" and not _numbers(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "objective"),
        "cmaes supports one objective only (use tpe or gp)",
        lambda s: s.sampler.name == "cmaes" and len(s.objectives) > 1,
    ),
    SearchRule(
        ("search.sampler", "search.scheduler"),
        "a population draws its first settings at random and breeds the others (leave the sampler "
        "out)",
        lambda s: s.bred and s.sampler_given,
    ),
    SearchRule(
        ("search.scheduler", "objective"),
        "a population supports one objective only (use asha or none)",
        lambda s: s.bred and len(s.objectives) > 1,
    ),
    SearchRule(
        ("search.scheduler", "search.seeds"),
        "a fork goes on from the weights of one run, and replicates are several (leave seeds out)",
        lambda s: s.bred and s.seeds > 1,
    ),
    SearchRule(
        ("search.prune_on", "search.scheduler"),
        "it says by which objective trials are stopped, and none stops no trial (use asha or "
        "median, or leave prune_on out)",
        lambda s: s.prune_on is not None and s.scheduler.name == "none",
    ),
    SearchRule(
        ("search.scheduler.grace", "search.scheduler.reduction"),
        "asha stops no trial within a factor of √reduction of the end, so with this grace it would "
        "never stop one (use a smaller grace, or scheduler: none)",
        lambda s: s.scheduler.name == "asha" and not _has_rungs(**s.scheduler.args),
    ),
    SearchRule(
        ("objective", "trial"),
        "no range lies below generator, so its cost is the same in every setting, and no setting "
        "would be the best (put ranges below generator, or put another metric first)",
        lambda s: s.objectives[0] in GENERATOR_COSTS and not _generator_varies(s.ranges),
    ),
)

SEARCH_ADVICE: tuple[SearchRule, ...] = (
    SearchRule(
        ("search.sampler", "trial"),
        "cmaes draws the options of a choice at random and learns nothing of them (use tpe or gp)",
        lambda s: s.sampler.name == "cmaes" and _choices(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "trial"),
        "gp draws parameters that exist only below one option of a choice at random (use tpe)",
        lambda s: s.sampler.name == "gp" and _conditional(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "trial"),
        "qmc covers evenly only the ranges of the first setting; parameters that exist only below "
        "another option of a choice are drawn at random (use random or tpe)",
        lambda s: s.sampler.name == "qmc" and _conditional(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "search.scheduler"),
        "gp learns only from trials that ran their full length, and a scheduler leaves few of them "
        "(use scheduler: none, or tpe)",
        lambda s: s.sampler.name == "gp" and s.scheduler.name != "none",
    ),
    SearchRule(
        ("search.sampler", "search.scheduler"),
        "cmaes with pruned: false learns only from trials that ran their full length, and a "
        "scheduler leaves few of them",
        lambda s: _leaves_out_pruned(s.sampler) and s.scheduler.name != "none",
    ),
    SearchRule(
        ("start_from", "budget.trials"),
        "there are more settings to start from than trials; the last ones are tried only once the "
        "search is given more trials",
        lambda s: s.starts > s.trials,
    ),
    SearchRule(
        ("budget.trials", "trial"),
        "the space has fewer distinct settings than trials; each is tried once, and the search "
        "ends sooner (search.seeds trains each with several seeds)",
        lambda s: not s.bred and s.distinct < s.trials < math.inf,
    ),
    SearchRule(
        ("objective", "trial"),
        "no range lies below generator, so its cost is the same in every setting and cannot be an "
        "objective (put ranges below generator)",
        lambda s: bool(GENERATOR_COSTS & {*s.objectives[1:]}) and not _generator_varies(s.ranges),
    ),
)


def _leaves_out_pruned(sampler: Part) -> bool:
    return sampler.name == "cmaes" and not sampler.args["pruned"]
