"""The commands on searches: search, status, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from gan_tune import service
from gan_tune.cli import options, printing, watching
from gan_tune.cli.checked_space import load_checked
from gan_tune.service import DEFAULT_STORAGE
from gan_tune.words.terminal import busy, console

if TYPE_CHECKING:
    from gan_tune.service import SearchResult
    from gan_tune.space import SearchSpace

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def search(
    space: options.Space,
    set_: options.Set = None,
    name: options.NewName = None,
    trials: options.Trials = None,
    minutes: options.Minutes = None,
    seed: options.SearchSeed = None,
    max_concurrent: options.MaxConcurrent = None,
    storage: options.Storage = DEFAULT_STORAGE,
    address: options.Address = None,
    tracking_uri: options.TrackingUri = None,
    experiment: options.Experiment = None,
    model: options.NewModel = None,
    fresh: options.Fresh = False,
    warm_start: options.WarmStart = None,
    dry_run: options.DryRun = False,
) -> None:
    """Search a space and register the best GAN.

    Trials run side by side, hopeless ones stop early, and the best are confirmed with fresh seeds;
    the best of those becomes the champion of a registered model.

    The same command again goes on with a search that was interrupted, and shows the result of one
    that has finished. Ctrl-C ends it in good order; a second one leaves at once.

    \b
    Example:
      gan-tune search digits --trials 12 --minutes 3
      gan-tune search my_space.yaml --set trial.data.batch_size=128 --dry-run
      gan-tune search digits --set budget.steps=3000 --warm-start digits
    """
    short = {"budget.trials": trials, "budget.minutes": minutes, "search.seed": seed}
    overrides = [f"{path}={value}" for path, value in short.items() if value is not None]
    checked = load_checked(space, [*(set_ or []), *overrides])
    if dry_run:
        _estimate(checked, max_concurrent)
        return
    result = _run(
        checked,
        name=name,
        storage=storage,
        fresh=fresh,
        warm_start=warm_start or (),
        max_concurrent=max_concurrent,
        address=address,
        tracking_uri=tracking_uri,
        experiment=experiment,
        model=model,
    )
    printing.print_next_steps(result, storage, tracking_uri)
    if result.champion is None:
        raise typer.Exit(1)  # so that `gan-tune search ... && gan-tune generate ...` stops here


def _estimate(space: SearchSpace, max_concurrent: int | None) -> None:
    with busy("training a few steps of the first setting"):
        measured = service.estimate(space, max_concurrent=max_concurrent)
    printing.print_estimate(space, measured)


def _run(space: SearchSpace, **how: Any) -> SearchResult:
    """Run a search to its end and print its result; one that is interrupted ends the program."""
    try:
        with watching.search_watcher(console()) as watcher:
            result = service.search(space, **how, watcher=watcher)
    except KeyboardInterrupt:
        printing.print_how_to_continue(watcher.name)
        raise
    printing.print_result(result, again=not watcher.begun)
    if not result.finished:
        printing.print_how_to_continue(result.name)
        raise typer.Exit(INTERRUPTED)
    return result


def status(
    name: options.SearchName,
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Say how a search stands, even as it runs.

    \b
    Example:
      gan-tune status digits
    """
    with busy("looking"):
        found = service.status(name, storage, tracking_uri=tracking_uri)
    printing.print_status(found)


def report(
    name: options.SearchName,
    out: options.ReportFile = None,
    storage: options.Storage = DEFAULT_STORAGE,
    force: options.Force = False,
    open_: options.OpenBrowser = False,
) -> None:
    """Explain a search on one page.

    The leaderboard, which parameters mattered, where the best settings lie, which choices ended in
    divergence or collapse, sample grids of the best and of typical failures. It is one HTML file
    with interactive plots that loads nothing from the network. The search may be unfinished; a
    finished one has its page in its folder and in MLflow, too.

    \b
    Example:
      gan-tune report digits --out digits.html
    """
    with busy("drawing the report"):
        path = service.report(name, out, storage, force=force)
    print(path)
    if open_:
        typer.launch(str(path))
