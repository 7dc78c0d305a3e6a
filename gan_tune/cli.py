"""The command line: parse, call, print. What is heavy is imported inside the commands."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from gan_tune import __version__
from gan_tune.errors import GanTuneError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from gan_tune.config import Part, TrialConfig
    from gan_tune.gan.training import Report
    from gan_tune.service import Best, Estimate, SearchResult, SearchStatus
    from gan_tune.space import SearchSpace

__all__ = ["app", "main"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
STORAGE = "./gan_tune_runs"
UI_SECONDS = 90.0
"""How long MLflow's server may take to start."""

# Click's UsageError has no public name in those versions of typer that carry a Click of their own.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

SpaceArgument = Annotated[
    str, typer.Argument(metavar="SPACE", help="A space file, or the name of a shipped space.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Put a value into the space first; may be repeated."
    ),
]
StorageOption = Annotated[
    str, typer.Option(metavar="DIR_OR_URI", help="Where searches are kept: a folder or a URI.")
]
TrackingOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI", help="MLflow's store; default $MLFLOW_TRACKING_URI, else ./mlflow.db."
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def main() -> None:
    """Run the command line: an expected error is a line on stderr for each fault.

    Exit code 2, or 1 where the same command may succeed later.
    """
    # A user's own parts lie in the working folder, where an installed script does not look for
    # modules; last, so that they shadow nothing.
    sys.path.append(os.getcwd())
    try:
        code = app(standalone_mode=False)
    except GanTuneError as error:
        code = _complain(str(error).splitlines(), error.exit_code)
    except _UsageError as error:
        code = _complain([" ".join(error.format_message().split())])  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _gan_tune(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Search for the settings with which a GAN trains best, on every core and GPU you have.

    \b
    First steps:
      gan-tune search digits           a small search on this machine, two minutes
      gan-tune ui                      every trial's settings, curves and pictures
      gan-tune generate digits -n 64 --out samples.png
      gan-tune COMMAND --help          what a command does, with an example
    """
    if version:
        print(f"gan-tune {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


# ---------------------------------------------------------------- search


@app.command()
def search(
    space: SpaceArgument,
    set_: SetOption = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the search; default the space's name.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Settings to try; short for --set budget.trials=N.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time for it all; short for --set budget.minutes=M.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of it all; short for --set search.seed=N.")
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="At most so many trials at a time.")
    ] = None,
    storage: StorageOption = STORAGE,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="A Ray cluster; default $RAY_ADDRESS, else this machine."
        ),
    ] = None,
    tracking_uri: TrackingOption = None,
    experiment: Annotated[
        str | None, typer.Option(help="MLflow experiment; default the search's name.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Registered model; default the space's name.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew as NAME-2, NAME-3, ...")
    ] = False,
    warm_start: Annotated[
        list[str] | None,
        typer.Option(
            "--warm-start",
            metavar="NAME",
            help="Tell the sampler of an earlier search's trials; may be repeated.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how long it would take.")
    ] = False,
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
    overrides = [*(set_ or [])]
    for path, value in (
        ("budget.trials", trials),
        ("budget.minutes", minutes),
        ("search.seed", seed),
    ):
        overrides += [] if value is None else [f"{path}={value}"]
    checked = _load(space, overrides)
    from gan_tune import service
    from gan_tune.live import search_watcher

    if dry_run:
        with _busy("training a few steps of the first setting"):
            measured = service.estimate(checked, max_concurrent=max_concurrent)
        _show_estimate(checked, measured)
        return
    console = _console()
    try:
        with search_watcher(console) as watcher:
            result = service.search(
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
                watcher=watcher,
            )
    except KeyboardInterrupt:
        _say_how_to_go_on(name or checked.name)
        raise
    _show_result(console, result, again=not watcher.begun)
    if not result.finished:
        _say_how_to_go_on(result.name)
        raise typer.Exit(INTERRUPTED)
    _show_next_steps(result, storage, tracking_uri)
    if result.champion is None:
        raise typer.Exit(1)  # so that `gan-tune search ... && gan-tune generate ...` stops here


def _show_estimate(space: SearchSpace, measured: Estimate) -> None:
    from gan_tune.readable import clock

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


def _show_result(console: Console, result: SearchResult, *, again: bool) -> None:
    from gan_tune.live import leaderboard, pareto_front, verdict, what_mattered
    from gan_tune.readable import clock, counted

    state = "finished" if result.finished else "was interrupted"
    already = "has already " if again and result.finished else ""
    _print(console, f"search {result.name} {already}{state} after {clock(result.seconds)}")
    _print(console, f"settings: {counted(result.outcomes)}")
    if result.rows:
        console.print()
        console.print(leaderboard(result.rows, result.metric))
        if front := pareto_front(result.rows, result.metric):
            console.print(front)
        console.print()
    for line in verdict(result):
        _print(console, line)
    mattered = list(what_mattered(result.importances))
    for line in ["", *mattered] if mattered else []:
        _print(console, line)


def _show_next_steps(result: SearchResult, storage: str, tracking_uri: str | None) -> None:
    record = f" --tracking-uri {shlex.quote(tracking_uri)}" if tracking_uri else ""
    kept = "" if storage == STORAGE else f" --storage {shlex.quote(storage)}"
    print("\nnext:")
    if result.model:
        which = result.model if result.promoted else f"{result.model}/{result.model_version}"
        print(f"  gan-tune generate {which} -n 64 --out samples.png{record}")
    if result.champion:
        print(f"  gan-tune best {result.name}{kept}{record}")
    print(f"  gan-tune report {result.name}{kept}")
    print(f"  gan-tune ui{record}")


def _say_how_to_go_on(name: str) -> None:
    """The same command; but after --fresh by the new search's own name."""
    words = [word for word in sys.argv[1:] if word != "--fresh"]
    if "--fresh" in sys.argv:
        words += ["--name", name]
    print(f"to go on: {shlex.join(['gan-tune', *words])}", flush=True)


@app.command()
def status(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a search.")],
    storage: StorageOption = STORAGE,
    tracking_uri: TrackingOption = None,
) -> None:
    """Say how a search stands, even as it runs.

    \b
    Example:
      gan-tune status digits
    """
    with _busy("looking"):
        from gan_tune import service

        found = service.status(name, storage, tracking_uri=tracking_uri)
    _show_status(_console(), found)


def _show_status(console: Console, found: SearchStatus) -> None:
    from gan_tune.live import table
    from gan_tune.readable import clock, counted, number

    by = f" ({found.holder})" if found.holder else ""
    spent = "" if found.seconds is None else f", {clock(found.seconds)}"
    budget = f" of {found.minutes:g} min" if found.minutes and spent else ""
    _print(console, f"search {found.name}: {found.state}{by}{spent}{budget}")
    of = "" if found.trials is None else f" of {found.trials}"
    known = sum(found.outcomes.values())
    _print(console, f"settings: {known}{of} ({counted(found.outcomes)})")
    _print(console, f"confirming trials done: {found.confirmations}")
    _print(console, f"best {found.metric}: {number(found.best)} ({found.mode})")
    if found.rows:
        console.print()
        rows = table("trial", "kind", "outcome", "step", found.metric, title="best trials")
        for row in found.rows[:10]:
            steps = "" if row.step is None or row.steps is None else f"{row.step:,}/{row.steps:,}"
            rows.add_row(row.name, row.kind, row.outcome, steps, number(row.value))
        console.print(rows)
        console.print()
    _print(console, f"from: {found.where}")


# ---------------------------------------------------------------- one trial


@app.command()
def train(
    space: Annotated[
        str | None,
        typer.Argument(metavar="SPACE", help="A space file or shipped name; not with --resume."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Decide a range by its name in `gan-tune show`; may be repeated.",
        ),
    ] = None,
    set_: SetOption = None,
    steps: Annotated[
        int | None, typer.Option(help="Length; short for --set budget.steps=N.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the training; also draws what is left open."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A new folder to write the trial to.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with the trial in an --out folder.")
    ] = None,
    device: Annotated[str, typer.Option(help="A torch device: cpu, cuda, cuda:1.")] = "cpu",
) -> None:
    """Train one setting here and now, without Ray.

    By default the first of its `start_from`; what that leaves open takes the low end of its range,
    or with --seed is drawn. --out keeps checkpoint.safetensors, grids/STEP.png and
    reports/STEP.json, rewritten at each report.

    \b
    Example:
      gan-tune train digits --setting loss=hinge --steps 500 --out first
      gan-tune train --resume first
    """
    overrides = [*(set_ or []), *([] if steps is None else [f"budget.steps={steps}"])]
    config, folder = _trial(space, overrides, setting or [], seed, out, resume)
    with _busy("loading data and preparing the metrics"):
        from gan_tune import service

        reports = service.train(config, resume_from=resume, device=device)
        if folder is not None and resume is None:
            service.keep_trial(config, folder)
    try:
        _follow(config, reports, folder)
    except KeyboardInterrupt:
        if folder is not None:
            print(f"to go on: gan-tune train --resume {shlex.quote(str(folder))}", flush=True)
        raise


def _trial(
    space: str | None,
    overrides: Sequence[str],
    setting: Sequence[str],
    seed: int | None,
    out: Path | None,
    resume: Path | None,
) -> tuple[TrialConfig, Path | None]:
    """What to train, and the folder that keeps it."""
    if resume is not None:
        if space or overrides or setting or seed is not None or out:
            raise GanTuneError("--resume takes all from its folder; only --device goes along")
        from gan_tune import service

        return service.stored_trial(resume), resume
    if space is None:
        raise GanTuneError("give a SPACE, or --resume FOLDER")
    checked = _load(space, overrides)
    from gan_tune import service

    return service.first_setting(checked, setting, seed=seed), out


def _follow(config: TrialConfig, reports: Iterable[Report], folder: Path | None) -> None:
    """Keep and print each report, above a bar where there is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from gan_tune import service

    console, report = _console(), None
    columns = (TextColumn("steps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stdout.isatty()
    ) as bar:
        task = bar.add_task("", total=config.steps)
        for report in reports:
            if folder is not None:
                service.keep_report(report, folder)
            bar.update(task, completed=report.step)
            _print(console, _report_line(config, report))
    if report is None:
        print("this trial has already run to its end")
    elif folder is not None:
        print(f"kept in {folder}")


def _report_line(config: TrialConfig, report: Report) -> str:
    from gan_tune.readable import number

    metric, figures = config.objective.metric, report.scalars
    others = ("generator_loss", "discriminator_loss", "variety")
    shown = [f"{name} {number(figures[name])}" for name in others if name in figures]
    first = f"{metric} {number(report.value)} (best {number(report.best)})"
    ending = [report.outcome] if report.outcome else []
    return ", ".join([f"step {report.step:,}/{config.steps:,}: {first}", *shown, *ending])


# ---------------------------------------------------------------- spaces


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Space files or names.")],
    data: Annotated[
        bool, typer.Option("--data/--no-data", help="Whether the data must be there, too.")
    ] = True,
) -> None:
    """Check space files: all faults at once.

    Prints `ok` for each sound file, and every fault of the others with its place and rule.

    \b
    Example:
      gan-tune validate my_space.yaml digits
    """
    faults: list[str] = []
    for file in files:
        try:
            _load(file, [], data=data)
        except GanTuneError as error:
            faults += str(error).splitlines()
        else:
            print(f"{file}: ok")
    if faults:
        raise GanTuneError("\n".join(faults))


@app.command()
def show(space: SpaceArgument, set_: SetOption = None) -> None:
    """Show what a space searches.

    Each range with its ends or options, where it exists, and the budget.

    \b
    Example:
      gan-tune show digits
    """
    from gan_tune.live import table

    checked, console = _load(space, set_ or []), _console()
    rows = table("name", "range", "only where", title=f"{checked.name}: what the search decides")
    for dimension in checked.dimensions():
        rows.add_row(dimension.name, str(dimension), dimension.condition)
    console.print(rows)
    console.print()
    for line in _space_lines(checked):
        _print(console, line)


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


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to a file.")] = None,
    force: ForceOption = False,
) -> None:
    """Print the JSON Schema of a space file.

    Editors complete and check YAML with it.

    \b
    Example:
      gan-tune schema --out space.schema.json
    """
    with _busy("gathering all parts"):
        from gan_tune.catalogue import catalogue
        from gan_tune.samples import write_file
        from gan_tune.space import json_schema

        text = json.dumps(json_schema(catalogue()), indent=2)
    if out is None:
        print(text)
    else:
        write_file(out, f"{text}\n".encode(), force=force)
        print(out)


# ---------------------------------------------------------------- what there is


@app.command(name="ls")
def list_all(storage: StorageOption = STORAGE, tracking_uri: TrackingOption = None) -> None:
    """List shipped spaces, searches and models.

    \b
    Example:
      gan-tune ls
    """
    console = _console()
    with _busy("looking"):
        from gan_tune import service

        found = service.searches(storage, tracking_uri=tracking_uri)
        models = service.models(tracking_uri)
    _list_spaces(console)
    _list_searches(console, found)
    from gan_tune.live import table
    from gan_tune.readable import number

    rows = table("model", "champion", "value", "objective", "search", title="models")
    for model in models:
        version = "none" if model.version is None else f"version {model.version}"
        value, objective = number(model.value), model.objective or ""
        rows.add_row(model.name, version, value, objective, model.search or "")
    console.print(rows if models else "models: none yet")


def _list_spaces(console: Console) -> None:
    from gan_tune.live import table
    from gan_tune.space import shipped_spaces
    from gan_tune.space.reading import read_space

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
    console.print(rows)
    console.print()


def _list_searches(console: Console, found: Sequence[SearchStatus]) -> None:
    from gan_tune.live import table
    from gan_tune.readable import counted, number

    rows = table("search", "state", "best", "metric", "settings", title="searches")
    for entry in found:
        row = (entry.name, entry.state, number(entry.best), entry.metric, counted(entry.outcomes))
        rows.add_row(*row)
    console.print(rows if found else "searches: none yet")
    console.print()


@app.command()
def best(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A search, or a model (NAME, NAME@alias, NAME/3)."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    storage: StorageOption = STORAGE,
    tracking_uri: TrackingOption = None,
) -> None:
    """Show a champion's settings and figures.

    NAME is a search, or else a registered model.

    \b
    Example:
      gan-tune best digits
      gan-tune best digits --json | jq .value
    """
    with _busy("looking"):
        from gan_tune import service

        found = service.best(name, storage, tracking_uri=tracking_uri)
    if as_json:
        print(json.dumps(_finite(vars(found)), indent=2))
    else:
        _show_best(_console(), found)


def _show_best(console: Console, found: Best) -> None:
    from gan_tune.live import table
    from gan_tune.readable import number

    for line in _best_lines(found):
        _print(console, line)
    rows = table("figure", "value", title="test split")
    for figure, value in found.test.items():
        rows.add_row(figure.removeprefix("test."), number(value))
    if found.test:
        console.print()
        console.print(rows)
    rows = table("setting", "value", title="what the search decided" if found.decided else "config")
    for key, value in (found.decided or found.config).items():
        rows.add_row(key, f"{value:.6g}" if isinstance(value, float) else str(value))
    console.print()
    console.print(rows)


def _best_lines(found: Best) -> list[str]:
    from gan_tune.readable import number

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


@app.command()
def report(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a search.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page to write; default NAME_report.html."),
    ] = None,
    storage: StorageOption = STORAGE,
    force: ForceOption = False,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Whether to show it in a browser.")
    ] = False,
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
    with _busy("drawing the report"):
        from gan_tune import service

        path = service.report(name, out, storage, force=force)
    print(path)
    if open_:
        typer.launch(str(path))


def _finite(value: Any) -> Any:
    """Plain values for JSON, which knows no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


# ---------------------------------------------------------------- models


@app.command()
def generate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="NAME (its champion), NAME@alias or NAME/3 (a version)."
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE", help=".png, .npy, .csv (points), or a folder of single pictures."
        ),
    ],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many samples.")] = 64,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the noise; the same gives the same samples.")
    ] = 0,
    tracking_uri: TrackingOption = None,
    force: ForceOption = False,
) -> None:
    """Draw samples from a registered generator.

    A .png holds a grid of all pictures, or a plot of points; a folder (a name without suffix, or
    with a slash at its end) one picture a file.

    \b
    Example:
      gan-tune generate digits -n 64 --seed 1 --out samples.png
      gan-tune generate digits/2 -n 1000 --out samples.npy
    """
    with _busy("loading the generator"):
        from gan_tune.samples import check_output, write_samples

        check_output(out, force=force)
        from gan_tune import service

        generator = service.load_generator(model, tracking_uri=tracking_uri)
        write_samples(generator.sample(count, seed), out, force=force)
    print(f"{count} samples of {generator.name}/{generator.version} in {out}")


@app.command()
def look(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="NAME (its champion), NAME@alias or NAME/3 (a version)."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the pictures go.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    tracking_uri: TrackingOption = None,
    force: ForceOption = False,
) -> None:
    """Look inside a registered generator: three pictures in a folder.

    Latent traversals, interpolations, and samples beside their nearest training data (is it
    copying?). A search leaves the same pictures of its champion in MLflow.

    \b
    Example:
      gan-tune look digits --out digits_inside
    """
    with _busy("looking inside the generator"):
        from gan_tune import service

        seen = service.look(model, out, force=force, seed=seed, tracking_uri=tracking_uri)
    for file in seen.files:
        print(file)
    if seen.nearest_neighbour_ratio is not None:
        print(
            f"distance to the training data: {seen.nearest_neighbour_ratio:.3g} times that of "
            "fresh data (about 1: like fresh data, near 0: copies)"
        )
    if seen.note:
        print(seen.note)


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this machine's own.")
    ] = "127.0.0.1",
    tracking_uri: TrackingOption = None,
) -> None:
    """Serve MLflow's pages, until Ctrl-C.

    They show every trial's settings, curves and pictures, and the registered models. Where the
    record is kept by an MLflow server already, its address is printed instead.

    \b
    Example:
      gan-tune ui --port 5001
    """
    with _busy("opening the record"):
        from gan_tune.tracking.store import connect, masked

        uri = connect(tracking_uri, create=False)
    if uri.startswith(("http://", "https://")):
        print(f"MLflow: {masked(uri)}")
        return
    _check_port(host, port)
    words = ["server", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    _serve([sys.executable, "-m", "mlflow", *words, "--workers", "1"], f"http://{host}:{port}")


def _check_port(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise GanTuneError(
            f"--port {port}: cannot listen on {host}:{port} ({reason}); give another --port"
        ) from None


def _serve(command: Sequence[str], address: str) -> None:
    """Run a server until it is interrupted; its whole process group ends with this command."""

    def leave(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    # Its workers for background jobs have nothing to do here, but take seconds to start.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, process_group=0
        )
        try:
            with _busy("starting MLflow's server"):
                _wait_until_up(process, address, log)
            print(f"MLflow: {address} (Ctrl-C ends it)", flush=True)
            code = process.wait()
            raise GanTuneError(f"MLflow's server ended with code {code}: {_last_line(log)}")
        except KeyboardInterrupt:
            return
        finally:
            _end_group(process)


def _wait_until_up(process: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
    host = address.removeprefix("http://")
    reachable = host.replace("0.0.0.0", "127.0.0.1", 1).replace("[::]", "[::1]", 1)
    deadline = time.monotonic() + UI_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise GanTuneError(f"MLflow's server does not start: {_last_line(log)}")
        try:
            urllib.request.urlopen(f"http://{reachable}/health", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise GanTuneError(f"MLflow's server does not answer at {address}: {_last_line(log)}")


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a server and the workers it has started; those that do not go within 5 s are killed."""
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(process.pid, number)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            return  # the group is gone


# ---------------------------------------------------------------- shared by the commands


def _load(space: str, overrides: Sequence[str], *, data: bool = True) -> SearchSpace:
    """A checked space; what was changed without being asked is told."""
    with _busy(f"checking {space}"):
        from gan_tune import service

        checked = service.load_space(space, overrides, check_data=data)
    for warning in checked.warnings:
        print(f"warning: {space}: {warning}", file=sys.stderr)
    return checked


def _console() -> Console:
    """Standard output; text is shown as it is, and a pipe gets room for a table."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(width=width, markup=False, highlight=False, emoji=False)


def _print(console: Console, line: str) -> None:
    """A line that is never broken, so that paths and commands can be copied."""
    console.print(line, soft_wrap=True)


def _busy(text: str) -> Status:
    """What is going on, on a terminal only, and gone afterwards."""
    from rich.console import Console

    return Console(stderr=True, markup=False).status(text)


def _complain(lines: Iterable[str], code: int = 2) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
