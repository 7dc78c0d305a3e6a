"""Records searches on many tasks, and learns from them the experience that gan-tune ships.

    python benchmarks/learn_experience.py record TASK ... [--search 64] [--sobol 16] [--carried 2]
    python benchmarks/learn_experience.py leave-one-out
    python benchmarks/learn_experience.py learn [--without THINGS --out FILE]
    python benchmarks/learn_experience.py list

`record` trains in this process, single-threaded and without Ray, and appends each run to
`recordings/TASK.jsonl`: a search that begins with the source's own setting alone, settings of a
Sobol sequence, and good settings of the other tasks. It may be ended at any moment, and the same
command goes on. Lengths are those of `experience/tasks.py`, shorter than the shipped spaces'.

`leave-one-out` learns for each task from recordings of other things only, and compares eight trials
(the source's setting and the first seven of the portfolio) with the whole search without
experience, above the floor of real samples against real ones. What it needs is trained first.

`learn` writes `gan_tune/experience/shipped.json`; or elsewhere, without what shows some things, as
`clothes`, so that a search on them can be given experience of other things only.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import chain
from math import inf, nan
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))  # a task's data are named by import path

from benchmarks.experience.learning import Family, carried, experience_of, families, text
from benchmarks.experience.recorder import Recorder
from benchmarks.experience.recording import Recording, read_all
from benchmarks.experience.tasks import TASKS
from gan_tune.experience.experience import SHIPPED
from gan_tune.words.readable import plural

FIRST = 7
"""Settings of the experience, which with the source's own make eight trials."""
LONG = 64
"""Trials of the search without experience."""


def record(tasks: list[str], *, search: int, sobol: int, best: int, minutes: float) -> None:
    """Record so much of each task, one after the other; no run begins after ``minutes``."""
    until = time.monotonic() + 60 * minutes
    for task in tasks:
        recorder = Recorder(task)
        recorder.begin()
        runs = chain(recorder.search(search), recorder.sobol(sobol))
        if best:
            others = _family(task).without(task)
            names = [name for t in others.recordings for name in others.best_of(t, best)]
            runs = chain(runs, recorder.carried(list(carried(others, names, recorder.space))))
        for run in runs:
            print(f"{task} {run.how} {run.number}: {run.best:.5g} ({run.seconds} s)", flush=True)
            if time.monotonic() > until:
                return


def _family(task: str) -> Family:
    return families(read_all())[TASKS[task].base]


def leave_one_out(*, trials: int) -> None:
    """The table, and its median for each family and for all tasks."""
    print("| task | floor | first setting | 8 with experience | without | trials | ratio |")
    print("|---|---|---|---|---|---|---|", flush=True)
    ratios = []
    for task in read_all():
        others = _family(task).without(task)
        if not others.recordings:
            continue
        recorder = Recorder(task)
        recorder.begin()
        names = others.portfolio(FIRST)
        settings = list(carried(others, names, recorder.space))
        for _ in recorder.carried(settings):
            pass
        tried = {text(setting) for _, setting in settings}
        ratios.append(_line(recorder.recorded, tried, trials))
    print(f"\nmedian {median(ratios):.3g} (asked: 1.1), worst {max(ratios):.3g} (asked: 2)")


def _line(recording: Recording, tried: set[str], trials: int) -> float:
    """Print a task's line; returns its ratio. ``tried`` are the portfolio's settings as texts."""
    search = recording.by("search")[:trials]
    first, without = search[0].best, min(run.best for run in search)
    there = [run.best for run in recording.runs if text(run.setting) in tried]
    eight = min([first, *there])
    above = recording.above_floor
    ratio = above(eight) / above(without) if eight < inf else nan
    print(
        f"| {recording.task} | {recording.floor:.4g} | {first:.4g} | {eight:.4g} | {without:.4g} "
        f"| {len(search)} | {ratio:.3g} |",
        flush=True,
    )
    return ratio


def learn(path: Path, without: str) -> None:
    """Write the experience that is shipped, or one ``without`` the recordings of some things."""
    every = read_all()
    recordings = {task: r for task, r in every.items() if r.head["things"] != without}
    runs = sum(len(recording.runs) for recording in recordings.values())
    source = (
        f"benchmarks/learn_experience.py learn: {plural(runs, 'run')} of {len(recordings)} tasks "
        "in benchmarks/recordings"
    )
    experience_of(recordings, source).write(path)
    print(f"{path}: {source}")


def show() -> None:
    """A line for each recorded task."""
    for task, recording in read_all().items():
        runs = {how: len(recording.by(how)) for how in ("search", "sobol", "carried")}
        best = min((run.best for run in recording.runs), default=nan)
        seconds = sum(run.seconds for run in recording.runs)
        print(f"{task}: {runs}, best {best:.5g}, floor {recording.floor:.5g}, {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("tasks", nargs="+", choices=TASKS, metavar="TASK")
    recording.add_argument("--search", type=int, default=LONG, help="trials of the search")
    recording.add_argument("--sobol", type=int, default=16, help="settings of the sequence")
    recording.add_argument(
        "--carried", type=int, default=2, help="best settings of each other task"
    )
    recording.add_argument("--minutes", type=float, default=30.0, help="no run begins after that")
    figure = commands.add_parser("leave-one-out")
    figure.add_argument("--trials", type=int, default=LONG, help="of the search without experience")
    learning = commands.add_parser("learn")
    learning.add_argument("--out", type=Path, default=SHIPPED)
    learning.add_argument("--without", default="", metavar="THINGS", help="what the data show")
    commands.add_parser("list")
    options = parser.parse_args()
    match options.command:
        case "record":
            record(
                options.tasks,
                search=options.search,
                sobol=options.sobol,
                best=options.carried,
                minutes=options.minutes,
            )
        case "leave-one-out":
            leave_one_out(trials=options.trials)
        case "learn":
            if options.without and options.out == SHIPPED:
                parser.error("--without: must come with another --out")
            learn(options.out, options.without)
        case _:
            show()


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    main()
