"""Arguments and options of the commands: their types, names and help.

One that several commands share has the same words in all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

# ---------------------------------------------------------------- of several commands

Space: TypeAlias = Annotated[
    str, typer.Argument(metavar="SPACE", help="A space file, or the name of a shipped space.")
]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Put a value into the space first; may be repeated."
    ),
]
Storage: TypeAlias = Annotated[
    str, typer.Option(metavar="DIR_OR_URI", help="Where searches are kept: a folder or a URI.")
]
TrackingUri: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URI", help="MLflow's store; default $MLFLOW_TRACKING_URI, else ./mlflow.db."
    ),
]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
SearchName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="Name of a search.")]
Model: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="NAME (its champion), NAME@alias or NAME/3 (a version)."),
]

# ---------------------------------------------------------------- of search

NewName: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the search; default the space's name.")
]
Trials: TypeAlias = Annotated[
    int | None, typer.Option(help="Settings to try; short for --set budget.trials=N.")
]
Minutes: TypeAlias = Annotated[
    float | None, typer.Option(help="Time for it all; short for --set budget.minutes=M.")
]
SearchSeed: TypeAlias = Annotated[
    int | None, typer.Option(help="Seed of it all; short for --set search.seed=N.")
]
MaxConcurrent: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="At most so many trials at a time.")
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="A Ray cluster; default $RAY_ADDRESS, else this machine."
    ),
]
Experiment: TypeAlias = Annotated[
    str | None, typer.Option(help="MLflow experiment; default the search's name.")
]
NewModel: TypeAlias = Annotated[
    str | None, typer.Option(help="Registered model; default the space's name.")
]
Fresh: TypeAlias = Annotated[
    bool, typer.Option("--fresh", help="Begin anew as NAME-2, NAME-3, ...")
]
WarmStart: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--warm-start",
        metavar="NAME",
        help="Tell the sampler of an earlier search's trials; may be repeated.",
    ),
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Only say how long it would take.")
]

# ---------------------------------------------------------------- of train

TrainedSpace: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="SPACE", help="A space file or shipped name; not with --resume."),
]
Setting: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Decide a range by its name in `gan-tune show`; may be repeated.",
    ),
]
Steps: TypeAlias = Annotated[
    int | None, typer.Option(help="Length; short for --set budget.steps=N.")
]
TrainingSeed: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of the training; also draws what is left open."),
]
TrialFolder: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="A new folder to write the trial to.")
]
Resume: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Go on with the trial in an --out folder.")
]
Device: TypeAlias = Annotated[str, typer.Option(help="A torch device: cpu, cuda, cuda:1.")]

# ---------------------------------------------------------------- of the others

Files: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Space files or names.")
]
CheckData: TypeAlias = Annotated[
    bool, typer.Option("--data/--no-data", help="Whether the data must be there, too.")
]
SchemaFile: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write it to a file.")
]
SearchOrModel: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="A search, or a model (NAME, NAME@alias, NAME/3).")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ReportFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The page to write; default NAME_report.html."),
]
OpenBrowser: TypeAlias = Annotated[
    bool, typer.Option("--open/--no-open", help="Whether to show it in a browser.")
]
SamplesFile: TypeAlias = Annotated[
    str,
    typer.Option(metavar="FILE", help=".png, .npy, .csv (points), or a folder of single pictures."),
]
Count: TypeAlias = Annotated[int, typer.Option("-n", "--count", min=1, help="How many samples.")]
SampleSeed: TypeAlias = Annotated[
    int, typer.Option(min=0, help="Seed of the noise; the same gives the same samples.")
]
PicturesFolder: TypeAlias = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Where the pictures go.")
]
NoiseSeed: TypeAlias = Annotated[int, typer.Option(min=0, help="Seed of the noise.")]
Port: TypeAlias = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]
Host: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen on; by default only this machine's own.")
]
