"""What the commands print: figures, tables, what a search has come to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gan_tune.live import leaderboard, pareto_front, table, verdict, what_mattered
from gan_tune.words.readable import clock, counted, number
from gan_tune.words.terminal import console, print_line

if TYPE_CHECKING:
    from gan_tune.config import Part, TrialConfig
    from gan_tune.gan.training import Report
    from gan_tune.registry.versions import ModelInfo
    from gan_tune.service import Best, Estimate, SearchResult, SearchStatus
    from gan_tune.space import SearchSpace

__all__ = [
    "print_best",
    "print_dimensions",
    "print_estimate",
    "print_json",
    "print_models",
    "print_result",
    "print_searches",
    "print_shipped",
    "print_status",
    "report_line",
]


# ---------------------------------------------------------------- searches


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


def print_result(result: SearchResult, *, again: bool) -> None:
    """What a search has come to; ``again`` where nothing was left to do."""
    out = console()
    state = "finished" if result.finished else "was interrupted"
    already = "has already " if again and result.finished else ""
    print_line(out, f"search {result.name} {already}{state} after {clock(result.seconds)}")
    print_line(out, f"settings: {counted(result.outcomes)}")
    if result.rows:
        out.print()
        out.print(leaderboard(result.rows, result.metric))
        if front := pareto_front(result.rows, result.metric):
            out.print(front)
        out.print()
    for line in verdict(result):
        print_line(out, line)
    mattered = list(what_mattered(result.importances))
    for line in ["", *mattered] if mattered else []:
        print_line(out, line)


def print_status(found: SearchStatus) -> None:
    """How a search stands, with its ten best trials."""
    out = console()
    by = f" ({found.holder})" if found.holder else ""
    spent = "" if found.seconds is None else f", {clock(found.seconds)}"
    budget = f" of {found.minutes:g} min" if found.minutes and spent else ""
    print_line(out, f"search {found.name}: {found.state}{by}{spent}{budget}")
    of = "" if found.trials is None else f" of {found.trials}"
    known = sum(found.outcomes.values())
    print_line(out, f"settings: {known}{of} ({counted(found.outcomes)})")
    print_line(out, f"confirming trials done: {found.confirmations}")
    print_line(out, f"best {found.metric}: {number(found.best)} ({found.mode})")
    if found.rows:
        out.print()
        rows = table("trial", "kind", "outcome", "step", found.metric, title="best trials")
        for row in found.rows[:10]:
            steps = "" if row.step is None or row.steps is None else f"{row.step:,}/{row.steps:,}"
            rows.add_row(row.name, row.kind, row.outcome, steps, number(row.value))
        out.print(rows)
        out.print()
    print_line(out, f"from: {found.where}")


def print_searches(found: Sequence[SearchStatus]) -> None:
    """A line for each search."""
    out = console()
    rows = table("search", "state", "best", "metric", "settings", title="searches")
    for entry in found:
        row = (entry.name, entry.state, number(entry.best), entry.metric, counted(entry.outcomes))
        rows.add_row(*row)
    out.print(rows if found else "searches: none yet")
    out.print()


# ---------------------------------------------------------------- one trial


def report_line(config: TrialConfig, report: Report) -> str:
    """A report of a trial in one line."""
    metric, figures = config.objective.metric, report.scalars
    others = ("generator_loss", "discriminator_loss", "variety")
    shown = [f"{name} {number(figures[name])}" for name in others if name in figures]
    first = f"{metric} {number(report.value)} (best {number(report.best)})"
    ending = [report.outcome] if report.outcome else []
    return ", ".join([f"step {report.step:,}/{config.steps:,}: {first}", *shown, *ending])


# ---------------------------------------------------------------- spaces


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
    from gan_tune.space import shipped_spaces
    from gan_tune.space.reading import read_space

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


# ---------------------------------------------------------------- champions and models


def print_best(found: Best) -> None:
    """A champion: where it comes from, its figures, its settings."""
    out = console()
    for line in _best_lines(found):
        print_line(out, line)
    rows = table("figure", "value", title="test split")
    for figure, value in found.test.items():
        rows.add_row(figure.removeprefix("test."), number(value))
    if found.test:
        out.print()
        out.print(rows)
    rows = table("setting", "value", title="what the search decided" if found.decided else "config")
    for key, value in (found.decided or found.config).items():
        rows.add_row(key, f"{value:.6g}" if isinstance(value, float) else str(value))
    out.print()
    out.print(rows)


def _best_lines(found: Best) -> list[str]:
    lines = []
    if found.model is not None:
        holder = "the champion" if found.alias_holder else "not the champion"
        lines.append(f"model {found.model}/{found.version}, {holder}")
    if found.search is not None:
        lines.append(f"found by search {found.search}, trial {found.trial}")
    spread = "" if found.spread is None else f" ± {number(found.spread)}"
    how = f"mean of {found.seeds} fresh seeds" if found.seeds else "not confirmed"
    lines.append(f"{found.metric} ({found.mode}): {number(found.value)}{spread}, {how}")
    if found.first_mean is not None:
        lines.append(f"the first setting: {number(found.first_mean)}")
    if found.lineage:
        before = ", ".join(f"{one['trial']} until step {one['until']:,}" for one in found.lineage)
        lines.append(f"trained before with the settings of {before}; --json has them")
    return lines


def print_json(value: Any) -> None:
    """Plain values, for programs."""
    print(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    """Plain values for JSON, which knows no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


def print_models(models: Sequence[ModelInfo]) -> None:
    """A line for each registered model."""
    rows = table("model", "champion", "value", "objective", "search", title="models")
    for model in models:
        version = "none" if model.version is None else f"version {model.version}"
        value, objective = number(model.value), model.objective or ""
        rows.add_row(model.name, version, value, objective, model.search or "")
    console().print(rows if models else "models: none yet")
