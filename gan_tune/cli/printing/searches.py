"""Searches, printed: the result of one, how one stands, a list of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_tune.cli.printing.tables import leaderboard_table, pareto_table
from gan_tune.cli.printing.verdict import registered, verdict, what_mattered
from gan_tune.words.readable import clock, counted, number, plural
from gan_tune.words.tables import table
from gan_tune.words.terminal import console, print_line

if TYPE_CHECKING:
    from gan_tune.service import SearchResult, SearchStatus, Synced

__all__ = ["print_result", "print_searches", "print_status", "print_synced"]


def print_result(result: SearchResult, *, again: bool) -> None:
    """Print the result of a search; ``again``: the search had finished before."""
    out = console()
    state = "finished" if result.finished else "was interrupted"
    already = "has already " if again and result.finished else ""
    print_line(out, f"search {result.name} {already}{state} after {clock(result.seconds)}")
    print_line(out, f"settings: {counted(result.outcomes)}")
    if result.rows:
        out.print()
        out.print(leaderboard_table(result.rows, result.metric))
        if front := pareto_table(result.rows, result.metric):
            out.print(front)
        out.print()
    for line in verdict(result):
        print_line(out, line)
    if result.waiting:
        print_line(
            out, f"not in MLflow yet: {result.waiting}; to deliver it: gan-tune sync {result.name}"
        )
    mattered = list(what_mattered(result.mattered))
    for line in ["", *mattered] if mattered else []:
        print_line(out, line)


def print_synced(found: Synced) -> None:
    """Print what a sync came to."""
    out = console()
    place = f"experiment {found.experiment} in {found.uri}"
    if found.waiting:
        print_line(out, f"search {found.name}: not in the {place} yet: {found.waiting}")
        return
    print_line(out, f"search {found.name}: {plural(found.trials, 'trial')} in the {place}")
    for line in registered(found.result) if found.result is not None else ():
        print_line(out, line)


def print_status(found: SearchStatus) -> None:
    """Print the status of a search, with its ten best trials."""
    out = console()
    by = f" ({found.holder})" if found.holder else ""
    spent = "" if found.seconds is None else f", {clock(found.seconds)}"
    budget = f" of {found.minutes:g} min" if found.minutes and spent else ""
    print_line(out, f"search {found.name}: {found.state}{by}{spent}{budget}")
    of = "" if found.trials is None else f" of {found.trials}"
    known = sum(found.outcomes.values())
    print_line(out, f"settings: {known}{of} ({counted(found.outcomes)})")
    print_line(out, f"confirming trials done: {found.confirmations}")
    for node in found.aside:
        print_line(out, f"node put aside: {node}")
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
