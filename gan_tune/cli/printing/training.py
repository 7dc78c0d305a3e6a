"""The reports of one trial, printed as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gan_tune.words.readable import number
from gan_tune.words.terminal import console, print_line

if TYPE_CHECKING:
    from gan_tune.config import TrialConfig
    from gan_tune.gan.training import Report

__all__ = ["print_reports", "report_line"]


def print_reports(config: TrialConfig, reports: Iterable[Report]) -> bool:
    """Print each report, above a bar where there is a terminal; whether there was any."""
    out, any_report = console(), False
    columns = (TextColumn("steps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("", total=config.steps)
        for report in reports:
            any_report = True
            bar.update(task, completed=report.step)
            print_line(out, report_line(config, report))
    return any_report


def report_line(config: TrialConfig, report: Report) -> str:
    """A report of a trial in one line."""
    metric, figures = config.objective.metric, report.scalars
    others = ("generator_loss", "discriminator_loss", "variety")
    shown = [f"{name} {number(figures[name])}" for name in others if name in figures]
    first = f"{metric} {number(report.value)} (best {number(report.best)})"
    ending = [report.outcome] if report.outcome else []
    return ", ".join([f"step {report.step:,}/{config.steps:,}: {first}", *shown, *ending])
