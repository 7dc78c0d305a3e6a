"""The commands on searches: search, status, stop, retry, sync, report, learn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gan_tune import service, watching
from gan_tune.cli import documents, options, printing
from gan_tune.cli.checked_space import load_checked, print_warnings, with_short_options
from gan_tune.cli.cluster_commands import on_cluster
from gan_tune.cli.exit_codes import ExitCode
from gan_tune.service import DEFAULT_STORAGE
from gan_tune.storage.patience import OUTAGE_MINUTES
from gan_tune.words.readable import plural
from gan_tune.words.terminal import busy, console, say

if TYPE_CHECKING:
    from gan_tune.service import SearchResult
    from gan_tune.space import SearchSpace


def search(
    space: options.SpaceOrData,
    set_: options.Set = None,
    name: options.NewName = None,
    trials: options.Trials = None,
    minutes: options.Minutes = None,
    gpu: options.Gpu = None,
    seed: options.SearchSeed = None,
    max_concurrent: options.MaxConcurrent = None,
    outage_minutes: options.OutageMinutes = OUTAGE_MINUTES,
    storage: options.Storage = DEFAULT_STORAGE,
    address: options.Address = None,
    tracking_uri: options.TrackingUri = None,
    offline: options.Offline = False,
    experiment: options.Experiment = None,
    model: options.NewModel = None,
    fresh: options.Fresh = False,
    warm_start: options.WarmStart = None,
    register_anyway: options.RegisterAnyway = False,
    dry_run: options.DryRun = False,
    as_json: options.JsonLines = False,
) -> None:
    """Search a space, or data, and register the best GAN.

    Data are a folder of pictures or a file of arrays. gan-tune looks at them, says what it saw,
    writes a space file into the search's folder, planned for this machine and ten minutes, and
    searches that.

    Trials run in parallel, hopeless ones stop early, and the best settings are confirmed with fresh
    seeds. The best confirmed one becomes the champion of a registered model, unless it has not
    learnt the data or repeats a few samples.

    Run the same command again to continue an interrupted search, or to see the result of a finished
    one. Ctrl-C ends the search in an orderly way; a second Ctrl-C exits at once.

    \b
    Example:
      gan-tune search digits --trials 12 --minutes 3
      gan-tune search ./photos --minutes 30
      gan-tune search my_space.yaml --set trial.data.batch_size=128 --dry-run
      gan-tune search digits --set budget.steps=3000 --warm-start digits
    """
    given, told = service.find_data(space), ""
    short: dict[str, float | None] = {"budget.trials": trials, "search.seed": seed}
    if given is None:  # else they decide what is proposed
        short |= {"budget.minutes": minutes, "resources.gpu": gpu}
    overrides = with_short_options(set_, short)
    what: dict[str, Any] = {"name": name, "fresh": fresh, "max_concurrent": max_concurrent}
    if given is None:
        what["space"] = checked = load_checked(space, overrides)
    else:
        with busy(f"looking at {space}"):
            what["data"] = begun = service.begin(
                given, overrides, **what, minutes=minutes, gpu=gpu, storage=storage
            )
        checked, told = begun.space, begun.told
        print_warnings(checked, space)
        if not as_json:
            printing.print_beginning(begun, dry_run=dry_run)
    if dry_run:
        _estimate(checked, max_concurrent, told, as_json=as_json)
        return
    result = _run(
        as_json,
        **what,
        storage=storage,
        outage_minutes=outage_minutes,
        warm_start=warm_start or (),
        address=address,
        tracking_uri=tracking_uri,
        offline=offline,
        experiment=experiment,
        model=model,
        register_anyway=register_anyway,
    )
    if not as_json:
        printing.print_next_steps(result, storage, tracking_uri)
    if result.champion is None or result.is_withheld:
        # So that `gan-tune search ... && gan-tune generate ...` stops here.
        raise typer.Exit(ExitCode.LATER)


def _estimate(space: SearchSpace, max_concurrent: int | None, told: str, *, as_json: bool) -> None:
    with busy("training a few steps of the first setting"):
        measured = service.estimate(space, max_concurrent=max_concurrent)
    if as_json:
        documents.print_document(documents.estimate_document(space, measured, told))
    else:
        printing.print_estimate(space, measured)


def _run(as_json: bool, **how: Any) -> SearchResult:
    """Run a search to its end and print its result; one that is interrupted ends the program."""
    try:
        with documents.JsonEvents() if as_json else watching.search_watcher(console()) as watcher:
            result = service.search(**how, watcher=watcher)
    except KeyboardInterrupt:
        if not as_json:
            printing.print_how_to_continue(watcher.name)
        raise
    if as_json:
        documents.print_document(documents.result_document(result), in_one_line=True)
    else:
        printing.print_result(result, again=not watcher.begun)
    if not result.finished:
        if not as_json:
            printing.print_how_to_continue(result.name)
        raise typer.Exit(ExitCode.INTERRUPTED)
    return result


def status(
    name: options.SearchName,
    as_json: options.Json = False,
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.TrackingUri = None,
    address: options.OnCluster = None,
) -> None:
    """Show the status of a search, also while it runs.

    \b
    Example:
      gan-tune status digits
      gan-tune status digits --address http://127.0.0.1:8265
    """
    if address is not None:
        on_cluster(["status", *(["--json"] if as_json else [])], name, address)
        return
    with busy("looking"):
        found = service.status(name, storage, tracking_uri=tracking_uri)
    if as_json:
        documents.print_document(documents.status_document(found))
    else:
        printing.print_status(found)


def stop(
    name: options.SearchName,
    trials: options.StoppedTrials = None,
    storage: options.Storage = DEFAULT_STORAGE,
    address: options.OnCluster = None,
) -> None:
    """Ask a running search, or some of its trials, to end.

    It may be given on another machine. Named trials are pruned at their next report, and the search
    goes on without them. Without names the search ends: its workers store their trials first, as
    after Ctrl-C. The same `gan-tune search` command continues the search.

    \b
    Example:
      gan-tune stop digits
      gan-tune stop digits 0003 0007
      gan-tune stop digits --storage s3://bucket/runs
      gan-tune stop digits --address http://127.0.0.1:8265
    """
    if address is not None:
        on_cluster(["stop"], name, address, trials or ())
        return
    service.stop(name, storage, trials=trials or ())
    if trials:
        say(f"{plural(len(trials), 'trial')} of {name} asked to end: at the next report of each")
        return
    say(f"{name} is asked to end: the command that works on it ends within seconds")


def retry(
    name: options.SearchName,
    trials: options.FailedTrials = None,
    failed: options.AllFailed = False,
    storage: options.Storage = DEFAULT_STORAGE,
) -> None:
    """Have failed trials trained again by the next search.

    The same `gan-tune search` command trains them. They begin anew, each with its number and its
    seed. No command may work on the search.

    \b
    Example:
      gan-tune retry digits --failed
      gan-tune retry digits 0003 0007-confirm-2 --storage s3://bucket/runs
    """
    found = service.retry(name, trials or (), failed=failed, storage=storage)
    what = plural(len(found), "trial")
    say(f"{what} of {name} put back: the same `gan-tune search` command trains them again")


def learn(
    names: options.SearchNames,
    out: options.ExperienceFile = Path("experience.json"),
    tracking_uri: options.TrackingUri = None,
    force: options.Force = False,
) -> None:
    """Learn from searches which settings a new one tries first.

    The searches may be of different data. The file holds the best settings for all of them, and
    names no data, path or person. A space file uses it as `search: {experience: FILE}`.

    \b
    Example:
      gan-tune learn shoes bags -o team.json
      gan-tune search ./hats --set search.experience=team.json
    """
    with busy("reading the record"):
        learnt = service.learn(names, out, tracking_uri=tracking_uri, force=force)
    printing.print_learnt(learnt)


def sync(
    name: options.SearchName,
    storage: options.Storage = DEFAULT_STORAGE,
    tracking_uri: options.RecordUri = None,
    experiment: options.Experiment = None,
) -> None:
    """Complete the record of a search in MLflow, or make it anew.

    A search keeps all of its record in its folder. If MLflow did not answer for a while, or the
    search was run with --offline, this command delivers what is missing, and registers the
    champion. It also makes the record in another MLflow store. It can be repeated at any time.

    \b
    Example:
      gan-tune sync digits
      gan-tune sync digits --tracking-uri http://localhost:5000
    """
    with watching.search_watcher(console()) as watcher:
        found = service.sync(
            name, storage, tracking_uri=tracking_uri, experiment=experiment, watcher=watcher
        )
    printing.print_synced(found)
    if found.waiting:
        raise typer.Exit(ExitCode.LATER)  # the same command may succeed later


def report(
    name: options.SearchName,
    out: options.ReportFile = None,
    storage: options.Storage = DEFAULT_STORAGE,
    study: options.StudyUrl = None,
    force: options.Force = False,
    open_: options.OpenBrowser = False,
) -> None:
    """Explain a search on one page.

    It shows the leaderboard, which parameters mattered, where the best settings lie, which choices
    ended in divergence or collapse, and sample grids of the best and of typical failures. The page
    is one HTML file with interactive plots; it loads nothing from the network. The search may be
    unfinished. A finished one also has its page in its folder and in MLflow.

    \b
    Example:
      gan-tune report digits --out digits.html
    """
    with busy("drawing the report"):
        path = service.report(name, out, storage, force=force, study=study)
    say(path)
    if open_:
        typer.launch(str(path))
