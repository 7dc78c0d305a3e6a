"""The command line: parse, call, print. What is heavy is imported inside the commands."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gan_tune import __version__
from gan_tune.errors import GanTuneError
from gan_tune.storage.places import DEFAULT_STORAGE
from gan_tune.words.terminal import busy, console, print_line

if TYPE_CHECKING:
    from gan_tune.config import TrialConfig
    from gan_tune.gan.training import Report
    from gan_tune.service import SearchResult
    from gan_tune.space import SearchSpace

__all__ = ["app", "main"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

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
    storage: StorageOption = DEFAULT_STORAGE,
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
    from gan_tune import printing, service
    from gan_tune.live import search_watcher

    if dry_run:
        with busy("training a few steps of the first setting"):
            measured = service.estimate(checked, max_concurrent=max_concurrent)
        printing.print_estimate(checked, measured)
        return
    try:
        with search_watcher(console()) as watcher:
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
        _say_how_to_go_on(watcher.name)
        raise
    printing.print_result(result, again=not watcher.begun)
    if not result.finished:
        _say_how_to_go_on(result.name)
        raise typer.Exit(INTERRUPTED)
    _show_next_steps(result, storage, tracking_uri)
    if result.champion is None:
        raise typer.Exit(1)  # so that `gan-tune search ... && gan-tune generate ...` stops here


def _show_next_steps(result: SearchResult, storage: str, tracking_uri: str | None) -> None:
    from gan_tune.words.wording import masked  # what is printed here stays in the logs of jobs

    record = f" --tracking-uri {shlex.quote(masked(tracking_uri))}" if tracking_uri else ""
    kept = "" if storage == DEFAULT_STORAGE else f" --storage {shlex.quote(masked(storage))}"
    print("\nnext:")
    if result.model:
        which = result.model if result.promoted else f"{result.model}/{result.model_version}"
        print(f"  gan-tune generate {which} -n 64 --out samples.png{record}")
    if result.champion:
        print(f"  gan-tune best {result.name}{kept}{record}")
    print(f"  gan-tune report {result.name}{kept}")
    print(f"  gan-tune ui{record}")


def _say_how_to_go_on(name: str | None) -> None:
    """The same command; but after --fresh by the new search's own name, once it has one."""
    from gan_tune.words.wording import masked

    words = sys.argv[1:]
    if "--fresh" in words and name is not None:
        words = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if "--name" not in (before, word) and not word.startswith(("--name=", "--fresh"))
        ]
        words += ["--name", name]
    print(f"to go on: {shlex.join(['gan-tune', *map(masked, words)])}", flush=True)


@app.command()
def status(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a search.")],
    storage: StorageOption = DEFAULT_STORAGE,
    tracking_uri: TrackingOption = None,
) -> None:
    """Say how a search stands, even as it runs.

    \b
    Example:
      gan-tune status digits
    """
    with busy("looking"):
        from gan_tune import printing, service

        found = service.status(name, storage, tracking_uri=tracking_uri)
    printing.print_status(found)


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
    with busy("loading data and preparing the metrics"):
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
    from gan_tune.printing import report_line

    out, report = console(), None
    columns = (TextColumn("steps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not sys.stdout.isatty()) as bar:
        task = bar.add_task("", total=config.steps)
        for report in reports:
            if folder is not None:
                service.keep_report(report, folder)
            bar.update(task, completed=report.step)
            print_line(out, report_line(config, report))
    if report is None:
        print("this trial has already run to its end")
    elif folder is not None:
        print(f"kept in {folder}")


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
    checked = _load(space, set_ or [])
    from gan_tune.printing import print_dimensions

    print_dimensions(checked)


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
    with busy("gathering all parts"):
        from gan_tune.parts.catalogue import catalogue
        from gan_tune.samples.files import write_file
        from gan_tune.space import json_schema

        text = json.dumps(json_schema(catalogue()), indent=2)
    if out is None:
        print(text)
    else:
        write_file(out, f"{text}\n".encode(), force=force)
        print(out)


# ---------------------------------------------------------------- what there is


@app.command(name="ls")
def list_all(storage: StorageOption = DEFAULT_STORAGE, tracking_uri: TrackingOption = None) -> None:
    """List shipped spaces, searches and models.

    \b
    Example:
      gan-tune ls
    """
    with busy("looking"):
        from gan_tune import printing, service

        searches = service.searches(storage, tracking_uri=tracking_uri)
        models = service.models(tracking_uri)
    printing.print_shipped()
    printing.print_searches(searches)
    printing.print_models(models)


@app.command()
def best(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A search, or a model (NAME, NAME@alias, NAME/3)."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    storage: StorageOption = DEFAULT_STORAGE,
    tracking_uri: TrackingOption = None,
) -> None:
    """Show a champion's settings and figures.

    NAME is a search, or else a registered model.

    \b
    Example:
      gan-tune best digits
      gan-tune best digits --json | jq .value
    """
    with busy("looking"):
        from gan_tune import printing, service

        found = service.best(name, storage, tracking_uri=tracking_uri)
    if as_json:
        printing.print_json(vars(found))
    else:
        printing.print_best(found)


@app.command()
def report(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a search.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page to write; default NAME_report.html."),
    ] = None,
    storage: StorageOption = DEFAULT_STORAGE,
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
    with busy("drawing the report"):
        from gan_tune import service

        path = service.report(name, out, storage, force=force)
    print(path)
    if open_:
        typer.launch(str(path))


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
    with busy("loading the generator"):
        from gan_tune.samples.files import check_output, write_samples

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
    with busy("looking inside the generator"):
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
    with busy("opening the record"):
        from gan_tune.record.mlflow_server import check_port, serve
        from gan_tune.record.mlflow_store import connect
        from gan_tune.words.wording import masked

        uri = connect(tracking_uri, create=False)
    if uri.startswith(("http://", "https://")):
        print(f"MLflow: {masked(uri)}")
        return
    check_port(host, port)
    words = ["server", "--host", host, "--port", str(port), "--workers", "1"]
    serve([sys.executable, "-m", "mlflow", *words], f"http://{host}:{port}", uri)


# ---------------------------------------------------------------- shared by the commands


def _load(space: str, overrides: Sequence[str], *, data: bool = True) -> SearchSpace:
    """A checked space; what was changed without being asked is told."""
    with busy(f"checking {space}"):
        from gan_tune import service

        checked = service.load_space(space, overrides, check_data=data)
    for warning in checked.warnings:
        print(f"warning: {space}: {warning}", file=sys.stderr)
    return checked


def _complain(lines: Iterable[str], code: int = 2) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
