"""Spaces, printed: what one searches, how long that takes, a list of those that are shipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gan_tune.cli.printing.tables import table
from gan_tune.space import shipped_spaces
from gan_tune.space.reading import read_space
from gan_tune.words.readable import clock
from gan_tune.words.terminal import console, print_line

if TYPE_CHECKING:
    from gan_tune.config import Part
    from gan_tune.service import Estimate
    from gan_tune.space import SearchSpace

__all__ = ["print_dimensions", "print_estimate", "print_shipped"]


def print_estimate(space: SearchSpace, measured: Estimate) -> None:
    """How long a search would take."""
    minutes, cpu, gpu = space.budget.minutes, space.resources.cpu, space.resources.gpu
    needs = f"cpu: {cpu:g}" + (f", gpu: {gpu:g}" if gpu else "")
    print(
        f"{space.name}: {measured.trials} trials of {measured.steps:,} steps with "
        f"{measured.evaluations} evaluations, then at most {measured.confirmations} to confirm"
    )
    print(
        f"one full trial: {measured.trial_seconds:.1f} s ({1000 * measured.step_seconds:.2f} ms a "
        f"step, {1000 * measured.evaluation_seconds:.0f} ms an evaluation, measured here on the "
        "first setting)"
    )
    print(
        f"all of them: at most about {clock(measured.seconds)}, with {measured.slots} at a time "
        f"(assumed: this machine, {needs} a trial); pruning makes it less, slower settings and "
        "shared cores make it more"
    )
    if minutes is not None:
        ends = "ends it sooner" if 60 * minutes < measured.seconds else "is enough"
        print(f"the time budget of {minutes:g} min {ends}")
    print("nothing was started")


def print_dimensions(space: SearchSpace) -> None:
    """What a search of the space decides, and what it may spend."""
    out = console()
    rows = table("name", "range", "only where", title=f"{space.name}: what the search decides")
    for dimension in space.dimensions():
        rows.add_row(dimension.name, str(dimension), dimension.condition)
    out.print(rows)
    out.print()
    for line in _space_lines(space):
        print_line(out, line)


def _space_lines(space: SearchSpace) -> list[str]:
    budget, confirm = space.budget, space.confirm
    objectives = ", ".join(f"{one.metric} ({one.mode})" for one in space.objectives)
    several = len(space.objectives) > 1
    stops = f"{_in_words(space, 'scheduler')} stops early"
    if several:
        by = space.search.prune_on
        stops = f"{stops} by {by}" if by else "nothing stops early (search.prune_on is not given)"
    time_limit = "no time limit" if budget.minutes is None else f"{budget.minutes:g} minutes"
    return [
        f"objective{'s' if several else ''}: {objectives}",
        f"budget: {budget.trials} trials of {budget.steps:,} steps, "
        f"{budget.evaluations} evaluations each, {time_limit}",
        f"search: {_who_searches(space, stops)}, "
        f"seed {space.search.seed}; {len(space.starts)} to start from"
        + (f"; {space.search.seeds} seeds for each setting" if space.search.seeds > 1 else ""),
        f"confirmation: the best {confirm.top}, with {confirm.seeds} seeds each",
        f"resources of a trial: cpu {space.resources.cpu:g}, gpu {space.resources.gpu:g}",
    ]


def _who_searches(space: SearchSpace, stops: str) -> str:
    part = space.search.scheduler
    if part.name in space.catalogue.populations:
        return f"{_in_words(space, 'scheduler')} breeds a population of {part.args['population']}"
    return f"{_in_words(space, 'sampler')} proposes, {stops}"


def _in_words(space: SearchSpace, kind: str) -> str:
    """A part of `search` by its name, with the arguments that are not at their defaults."""
    part: Part = getattr(space.search, kind)
    usual = space.catalogue.parts[kind][part.name]
    told = [f"{key}: {value}" for key, value in part.args.items() if value != usual[key].default]
    return f"{part.name} ({', '.join(told)})" if told else part.name


def print_shipped() -> None:
    """The spaces that come with gan-tune."""
    out = console()
    rows = table("space", "data", "objective", "budget", title="shipped spaces")
    for name in shipped_spaces():
        tree = read_space(name).tree
        data, budget = tree["trial"]["data"], tree["budget"]
        rows.add_row(
            name,
            data["name"] if isinstance(data, Mapping) else data,
            tree.get("objective", {}).get("metric", ""),
            f"{budget.get('trials', '')} trials of {budget['steps']:,} steps",
        )
    out.print(rows)
    out.print()
