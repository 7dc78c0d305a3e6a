"""Spaces, printed: what one searches, how long that takes, a list of those that are shipped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_tune.space import shipped_spaces
from gan_tune.space.reading import read_space
from gan_tune.words.readable import clock, gibibytes
from gan_tune.words.tables import table
from gan_tune.words.terminal import console, print_line, say

if TYPE_CHECKING:
    from gan_tune.config import Part
    from gan_tune.service import Estimate
    from gan_tune.space import SearchSpace

__all__ = ["print_dimensions", "print_estimate", "print_shipped"]


def print_estimate(space: SearchSpace, measured: Estimate) -> None:
    """How long a search would take."""
    minutes, cpu, gpu = space.budget.minutes, space.resources.cpu, measured.gpu
    needs = f"cpu: {cpu:g}" + (f", gpu: {gpu:g}" if gpu else "")
    trials = "" if measured.trials is None else f"{measured.trials} "
    say(
        f"{space.name}: {trials}trials of {measured.steps:,} steps with "
        f"{measured.evaluations} evaluations, then at most {measured.confirmations} to confirm"
    )
    say(
        f"one full trial: {measured.trial_seconds:.1f} s ({1000 * measured.step_seconds:.2f} ms a "
        f"step, {1000 * measured.evaluation_seconds:.0f} ms an evaluation, measured here on the "
        f"first setting); evaluation takes {measured.evaluation_share:.0%} of it"
    )
    gpu_memory = measured.gpu_memory_bytes
    on_gpu = f", {gibibytes(gpu_memory)} on the GPU" if gpu_memory else ""
    say(f"its peak memory: {gibibytes(measured.memory_bytes)} with all libraries{on_gpu}")
    assumed = f"{measured.slots} at a time (assumed: this machine, {needs} a trial)"
    if measured.seconds is not None:
        say(
            f"all of them: at most about {clock(measured.seconds)}, with {assumed}; pruning makes "
            "it less, slower settings and shared cores make it more"
        )
    if measured.settings is not None:
        say(f"in {minutes:g} min: about {measured.settings} settings can be judged, {assumed}")
    if measured.too_few:
        say(measured.too_few)
    if measured.gpu_note:
        say(measured.gpu_note)
    if minutes is not None and measured.seconds is not None:
        ends = "ends it sooner" if 60 * minutes < measured.seconds else "is enough"
        say(f"the time budget of {minutes:g} min {ends}")
    say("nothing was started")


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
        f"budget: {_trials(space)} of {_length(space)}, "
        f"{budget.evaluations} evaluations each, {time_limit}",
        f"search: {_who_searches(space, stops)}, "
        f"seed {space.search.seed}; {len(space.starts)} to start from"
        + (f"; {space.search.seeds} seeds for each setting" if space.search.seeds > 1 else ""),
        f"confirmation: the best {confirm.top}, with {confirm.seeds} seeds each",
        f"resources of a trial: cpu {space.resources.cpu:g}, gpu {_share(space)}",
    ]


def _trials(space: SearchSpace) -> str:
    most = space.budget.most_trials
    return "as many trials as time allows" if math.isinf(most) else f"{int(most)} trials"


def _length(space: SearchSpace) -> str:
    return "a length that fits" if space.has_open_length else f"{space.steps:,} steps"


def _share(space: SearchSpace) -> str:
    gpu = space.resources.gpu
    return "auto" if gpu == "auto" else f"{gpu:g}"


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


def _budget(budget: Mapping[str, Any]) -> str:
    trials, steps, minutes = (budget.get(key) for key in ("trials", "steps", "minutes"))
    told = [f"{trials} trials"] if trials else []
    told += [f"{steps:,} steps a trial"] if steps else []
    return ", ".join([*told, *([f"{minutes:g} min"] if minutes else [])])


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
            _budget(budget),
        )
    out.print(rows)
    out.print()
