"""Arguments and options of the commands: their types, names and help.

A command's parameter has one of these types, so shared options have the same help everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from gan_tune.cli.completion import models_here, searches_here, spaces
from gan_tune.words.limits import MAX_SEED

# ---------------------------------------------------------------- of several commands

Space: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SPACE",
        help="A space file, or the name of a shipped space.",
        autocompletion=spaces,
    ),
]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change a value of the space; may be repeated."
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
RecordUri: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", metavar="URI", help="MLflow's store; default that of the search."
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Overwrite existing output.")]
SearchName: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of a search.", autocompletion=searches_here),
]
FailedTrials: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TRIAL]...", help="Names of trials that have failed."),
]
StoppedTrials: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TRIAL]...", help="Names of running trials; default the search."),
]
AllFailed: TypeAlias = Annotated[
    bool, typer.Option("--failed", help="Instead of names: all trials that have failed.")
]
Model: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="NAME (its champion), NAME@alias or NAME/3 (a version).",
        autocompletion=models_here,
    ),
]

# ---------------------------------------------------------------- of search

SpaceOrData: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SPACE_OR_DATA",
        autocompletion=spaces,
        help="A space file, the name of a shipped space, or a folder or file of data.",
    ),
]
NewName: TypeAlias = Annotated[
    str | None, typer.Option(help="Name of the search; default the space's or the data's name.")
]
Trials: TypeAlias = Annotated[
    int | None, typer.Option(help="Settings to try; short for --set budget.trials=N.")
]
Minutes: TypeAlias = Annotated[
    float | None, typer.Option(help="Time limit in minutes; short for --set budget.minutes=M.")
]
Gpu: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="GPUs of one trial, 0.25 for a quarter; short for --set resources.gpu=G. "
        "Spaces have auto: what a trial's memory and the cores allow, 0 without a GPU."
    ),
]
SearchSeed: TypeAlias = Annotated[
    int | None, typer.Option(help="Seed of the search; short for --set search.seed=N.")
]
MaxConcurrent: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Largest number of trials at a time.")
]
OutageMinutes: TypeAlias = Annotated[
    float, typer.Option(min=0, help="How long storage and study are tried again while they fail.")
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Ray cluster to join; default $RAY_ADDRESS, else Ray starts here."
    ),
]
ExaminedAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Ray cluster to check; default $RAY_ADDRESS, else this machine alone.",
    ),
]
Dashboard: TypeAlias = Annotated[
    str,
    typer.Option("--address", metavar="URL", help="The cluster's dashboard, http://HOST:8265."),
]
OnCluster: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="Dashboard of the cluster that the search was submitted to; --storage is known there.",
    ),
]
SharedStorage: TypeAlias = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="DIR_OR_URI",
        help="Where searches are kept, as the cluster sees it: a whole path or a URI.",
    ),
]
ClusterUri: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        metavar="URI",
        help="MLflow's store, as the cluster sees it; default $MLFLOW_TRACKING_URI.",
    ),
]
SubmittedSearch: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a submitted search, or the id of its job.")
]
Detach: TypeAlias = Annotated[
    bool, typer.Option("--detach", help="Return at once, instead of showing what it prints.")
]
Experiment: TypeAlias = Annotated[
    str | None, typer.Option(help="MLflow experiment; default the search's name.")
]
NewModel: TypeAlias = Annotated[
    str | None, typer.Option(help="Registered model; default the space's name.")
]
Offline: TypeAlias = Annotated[
    bool,
    typer.Option("--offline", help="Keep the record for `gan-tune sync`; ask MLflow for nothing."),
]
Fresh: TypeAlias = Annotated[
    bool, typer.Option("--fresh", help="Start a new search: NAME-2, NAME-3, ...")
]
WarmStart: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--warm-start",
        metavar="NAME",
        help="Earlier search to start from; may be repeated.",
    ),
]
RegisterAnyway: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--register-anyway",
        help="Register the champion also if it is far from the data or repeats a few samples.",
    ),
]
JsonLines: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json", help="Print JSON for programs: an event a line; of a dry run one document."
    ),
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Estimate time and memory, and exit.")
]

# ---------------------------------------------------------------- of train

TrainedSpace: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="SPACE",
        help="A space file or shipped name; not with --resume.",
        autocompletion=spaces,
    ),
]
Setting: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Set a range, named as in `gan-tune show`; may be repeated.",
    ),
]
Steps: TypeAlias = Annotated[
    int | None, typer.Option(help="Length; short for --set budget.steps=N.")
]
TrainingSeed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=MAX_SEED,
        help="Seed of the training; if given, also of ranges that are left open.",
    ),
]
TrialFolder: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="A new folder to write the trial to.")
]
Resume: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Continue the trial in this --out folder.")
]
Device: TypeAlias = Annotated[str, typer.Option(help="A torch device: cpu, cuda, cuda:1.")]

Own: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="A part of yours that the trial's folder may import; repeatable.",
    ),
]

# ---------------------------------------------------------------- of the others

SearchNames: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="SEARCH...", help="Names of searches in MLflow.")
]
ExperienceFile: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="File to write.")
]
Files: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Space files or names.", autocompletion=spaces),
]
CheckData: TypeAlias = Annotated[
    bool, typer.Option("--data/--no-data", help="Whether to check that the data exist.")
]
Data: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DATA", help="A folder of pictures, or a file of arrays.")
]
NewSpaceFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="File to write; default NAME.yaml."),
]
PlannedMinutes: TypeAlias = Annotated[
    float | None, typer.Option(help="Time for the whole search in minutes; default ten.")
]
PlannedGpu: TypeAlias = Annotated[
    float | None,
    typer.Option(help="GPUs of one trial; default auto: what its memory and the cores allow."),
]
SchemaFile: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write it to a file.")
]
SearchOrModel: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A search, or a model (NAME, NAME@alias, NAME/3).",
        autocompletion=searches_here,
    ),
]
ReportFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File to write; default NAME_report.html."),
]
StudyUrl: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--study", metavar="URL", help="Database of the study, of a search with `search.study`."
    ),
]
OpenBrowser: TypeAlias = Annotated[
    bool, typer.Option("--open/--no-open", help="Whether to open it in a browser.")
]
GeneratorSource: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="NAME (its champion), NAME@alias or NAME/3 (a version); runs:/ID, a trial's run; or "
        "a folder with a slash in its name: a trial's, or one of gan-tune pull.",
        autocompletion=models_here,
    ),
]
SamplesFile: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help=".npy, .npz, .png, .gif or .zip (pictures), .csv or .parquet (points), or a folder "
        "of pictures.",
    ),
]
Count: TypeAlias = Annotated[
    int, typer.Option("-n", "--count", min=1, max=10**12, help="How many samples.")
]
SampleSeed: TypeAlias = Annotated[
    int, typer.Option(min=0, max=MAX_SEED, help="Seed of the noise; one gives the same samples.")
]
Truncation: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="T", help="Truncate the noise to [-T, T]: fewer outliers, less variety; default no."
    ),
]
Interpolate: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="K", min=2, help="Draw the samples on a closed way through K points of the noise."
    ),
]
Gif: TypeAlias = Annotated[
    bool, typer.Option("--gif", help="Animate such a way, by default of 6 points, in FILE.gif.")
]
ModelFolder: TypeAlias = Annotated[
    Path, typer.Option(metavar="FOLDER", help="A new folder to write the model to.")
]
PicturesFolder: TypeAlias = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Folder to write the pictures to.")
]
NoiseSeed: TypeAlias = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the noise.")]
Version: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL/VERSION",
        help="A version, as digits/3 or digits@ALIAS.",
        autocompletion=models_here,
    ),
]
ModelName: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="Name of a registered model.", autocompletion=models_here),
]
FirstModel: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="NAME/2, NAME@alias, or NAME (its champion).",
        autocompletion=models_here,
    ),
]
OtherModel: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="OTHER",
        help="The one compared with it, named likewise.",
        autocompletion=models_here,
    ),
]
ComparedPicture: TypeAlias = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="PNG to write, samples side by side."),
]
RemoveChampion: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Remove it even if it is the champion.")
]
ShownSearch: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The search to open; default the newest.")
]
Host: TypeAlias = Annotated[
    str, typer.Option(help="Address to listen on; by default only this machine's own.")
]
ServingPort: TypeAlias = Annotated[
    int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]
ServingAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Ray cluster on which Ray Serve serves it; default this process alone.",
    ),
]
Replicas: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1, help="Processes that draw, by Ray Serve, each with a CPU; default 1 on a cluster."
    ),
]
MaxSamples: TypeAlias = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="Samples of one request.")
]
MaxQueue: TypeAlias = Annotated[
    int, typer.Option(min=1, help="Requests that wait; more are answered with 429.")
]
