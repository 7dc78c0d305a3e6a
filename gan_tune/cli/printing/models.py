"""Champions and registered models, printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_tune.service.search_result import REMOVED
from gan_tune.words.readable import number, plural
from gan_tune.words.tables import table
from gan_tune.words.terminal import console, print_line, say

if TYPE_CHECKING:
    from gan_tune.registry.curation import Moved
    from gan_tune.registry.versions import ModelInfo
    from gan_tune.service import Best, Comparison

__all__ = ["print_best", "print_comparison", "print_models", "print_moved"]


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
        state = "removed from the registry" if found.removed else holder
        lines.append(f"model {found.model}/{found.version}, {state}")
    elif found.removed:
        lines.append(REMOVED)
    if found.search is not None:
        lines.append(f"found by search {found.search}, trial {found.trial}")
    spread = "" if found.spread is None else f" ± {number(found.spread)}"
    how = f"mean of {plural(found.seeds, 'fresh seed')}" if found.seeds else "not confirmed"
    lines.append(f"{found.metric} ({found.mode}): {number(found.value)}{spread}, {how}")
    if found.first_mean is not None:
        lines.append(f"the first setting: {number(found.first_mean)}")
    if found.lineage:
        before = ", ".join(f"{one.trial} until step {one.until:,}" for one in found.lineage)
        lines.append(f"trained before with the settings of {before}; --json has them")
    return lines


def print_moved(moved: Moved) -> None:
    """Who is the champion now, and how a search would have decided."""
    if moved.before == moved.version:
        say(f"version {moved.version} of {moved.model} is the champion already")
        return
    place = "" if moved.before is None else f", in place of version {moved.before}"
    say(f"version {moved.version} of {moved.model} is the champion now{place}")
    if moved.verdict is not None:
        say(f"a search would have decided: {moved.verdict.reason}")


def print_comparison(found: Comparison) -> None:
    """Two versions side by side."""
    rows = table("figure", *found.names, figures=found.names)
    for figure, (first, second) in found.figures.items():
        rows.add_row(figure, number(first), number(second))
    console().print(rows)
    alike = "comparable" if found.comparable else "not comparable: not measured alike"
    say(f"{alike}; {found.verdict.reason}")


def print_models(models: Sequence[ModelInfo]) -> None:
    """A line for each registered model."""
    rows = table("model", "champion", "value", "objective", "search", title="models")
    for model in models:
        version = "none" if model.version is None else f"version {model.version}"
        value, objective = number(model.value), model.objective or ""
        rows.add_row(model.name, version, value, objective, model.search or "")
    console().print(rows if models else "models: none yet")
