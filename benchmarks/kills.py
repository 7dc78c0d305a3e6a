"""Kills: the driver of a search dies at random moments, again and again, and the search goes on.

    python benchmarks/kills.py [--kills 20] [--trials 40] [--seed 0] [--latest 30]

`gan-tune search` runs in a process of its own and is ended by SIGKILL so and so many seconds after
its start, drawn at random: while Ray starts, while trials report, while the record is written. Then
the same command once more, to its end. Counted is what Optuna, the trials' folders and MLflow hold:

    lost      settings without an outcome
    differing outcomes, best values and reports that one of the three lacks, or has otherwise
    repeated  settings proposed twice, finished trials that ran again, trials with a second run
    running   trials and runs that are left RUNNING

It exits with 0 if all are 0, and as many kills happened as were asked for.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import machine
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import is_confirmation

if TYPE_CHECKING:
    from mlflow.entities import Run

    from gan_tune.searching.study.study import Study
    from gan_tune.storage.storage import Storage
    from gan_tune.storage.trial_records import Result

SEARCH = "kills"
FIRST_SECONDS, LAST_SECONDS = 3.0, 30.0
"""A kill comes so long after the driver's start; until trials report it takes about ten seconds on
idle cores. Where it takes longer, give a greater ``--latest``: else all kills hit the start-up."""

EACH_REPORT = "seconds.training"
"""A metric that MLflow has of every report, also of one without a finite objective."""

BEST, POINTS = "best so far", "points in MLflow"

Facts = Mapping[tuple[str, str], object]
"""(trial, what of it) → what one place holds: its outcome, its best value, figures at a step."""


def space(trials: int) -> dict[str, Any]:
    rate = {"log_uniform": [1e-4, 1e-2]}
    return {
        "name": SEARCH,
        "budget": {"trials": trials, "steps": 6000, "evaluations": 20},
        "confirm": {"top": 1, "seeds": 2},
        "trial": {
            "data": {"name": "digits", "batch_size": 64},
            "generator": "mlp",
            "discriminator": "mlp",
            "loss": {"choice": ["non_saturating", "hinge"]},
            "generator_optimizer": {"name": "adam", "lr": rate},
            "discriminator_optimizer": {"name": "adam", "lr": rate},
        },
    }


def driver(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from gan_tune.cli import main; main()", "search"]
    with (folder / "search.log").open("ab") as log:
        return subprocess.Popen([*command, f"{SEARCH}.yaml"], cwd=folder, stdout=log, stderr=log)


# ---------------------------------------------------------------- what Optuna, folders, MLflow hold


def in_folders(
    home: Storage, trials: Iterable[str], figures: Callable[[Result], Mapping[str, object]]
) -> Facts:
    """Of these trials, with the ``figures`` of each report."""

    held: dict[tuple[str, str], object] = {}
    for trial in trials:
        folder = TrialFolders(home)[trial]
        if (ending := folder.ending()) is not None:
            held |= {(trial, "outcome"): ending.outcome, (trial, "value"): ending.value}
        for report in folder.reports():
            held |= {(trial, f"{n} at {report.step}"): v for n, v in figures(report).items()}
    return {key: value for key, value in held.items() if value is not None}


def in_optuna(study: Study) -> Facts:
    """Of the search's own trials: those that confirm are no affair of Optuna's."""
    from gan_tune.searching.study.reading import curve

    held: dict[tuple[str, str], object] = {}
    trials = study.optuna_study.get_trials(deepcopy=False)
    for setting, trial in zip(study.settings(), trials, strict=True):
        name = study.job(setting.number, 0).name
        held |= {(name, "outcome"): setting.outcome, (name, "value"): setting.value}
        held |= {(name, f"{BEST} at {step}"): value for step, value in curve(trial).items()}
    return {key: value for key, value in held.items() if value is not None}


def in_mlflow(uri: str, runs: Iterable[Run], metric: str) -> Facts:
    """Of the trials' runs."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    held: dict[tuple[str, str], object] = {}
    for run in runs:
        trial = run.data.tags["gan_tune.trial"]
        held[trial, "outcome"] = run.data.tags.get("gan_tune.outcome")
        held[trial, "value"] = run.data.metrics.get(f"best.{metric}")
        values, all_points = (
            client.get_metric_history(run.info.run_id, name) for name in (metric, EACH_REPORT)
        )
        held |= {
            (trial, f"{metric} at {point.step}"): point.value
            for point in values
            if math.isfinite(point.value)
        }
        found = Counter(point.step for point in all_points)
        held |= {(trial, f"{POINTS} at {step}"): times for step, times in found.items()}
    return {key: value for key, value in held.items() if value is not None}


def differing(one: Facts, other: Facts) -> list[str]:
    """What one place holds and the other lacks, either way, or holds otherwise."""
    return [
        f"{trial}: {what}: {one.get((trial, what))} and {other.get((trial, what))}"
        for trial, what in sorted(one.keys() | other.keys())
        if one.get((trial, what)) != other.get((trial, what))
    ]


def disagreements(home: Storage, study: Study, uri: str, runs: Iterable[Run]) -> list[str]:
    """Where the trials' folders differ from Optuna, and from MLflow, one line each."""
    metric = study.space.objective.metric
    trials = TrialFolders(home).names()
    searched = [trial for trial in trials if not is_confirmation(trial)]
    told = in_folders(home, searched, lambda report: {BEST: report.best})
    recorded = in_folders(home, trials, lambda report: {metric: report.value, POINTS: 1})
    return [
        *(f"folder and Optuna, {line}" for line in differing(told, in_optuna(study))),
        *(
            f"folder and MLflow, {line}"
            for line in differing(recorded, in_mlflow(uri, runs, metric))
        ),
    ]


def ended_reports(home: Storage) -> dict[str, list[Result]]:
    """The stored reports of each trial that has ended.

    They hold the worker's clock, so a trial that runs again leaves others. Its outcome.json would
    be the same: training is deterministic.
    """
    trials = TrialFolders(home)
    return {
        name: trials[name].reports() for name in trials.names() if trials[name].ending() is not None
    }


def ran_again(home: Storage, before: Mapping[str, list[Result]]) -> list[str]:
    """The trials that had ended and whose reports are others now."""
    now = ended_reports(home)
    return [trial for trial, reports in before.items() if now.get(trial) != reports]


def counts(folder: Path, trials: int, before: Mapping[str, list[Result]]) -> dict[str, int]:
    """What was lost, repeated, left running."""
    from mlflow import MlflowClient

    from gan_tune import service
    from gan_tune.searching.study.opening import open_study
    from gan_tune.storage.storage import open_storage

    place = folder / "gan_tune_runs" / SEARCH
    home = open_storage(place)
    study = open_study(place / "study.journal", service.load_space(space(trials)))
    asked = study.optuna_study.get_trials(deepcopy=False)
    proposed = Counter(json.dumps(trial.params, sort_keys=True) for trial in asked)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=10_000)
    children = [run for run in runs if "gan_tune.trial" in run.data.tags]
    of_trial = {run.data.tags["gan_tune.trial"] for run in children}
    differences = disagreements(home, study, uri, children)
    print("".join(f"{line}\n" for line in differences), end="")
    return {
        "lost": trials - sum(setting.outcome is not None for setting in study.settings()),
        "differing": len(differences),
        "repeated": (proposed.total() - len(proposed))
        + len(ran_again(home, before))
        + (len(children) - len(of_trial)),
        "running": sum(run.info.status == "RUNNING" for run in runs)
        + len(study.finish_proposals()),
    }


def main() -> None:
    from gan_tune.storage.storage import open_storage

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--latest", type=float, default=LAST_SECONDS, help="of the moments, after a start (s)"
    )
    options = parser.parse_args()
    print(machine(), flush=True)
    moments = random.Random(options.seed)
    before: dict[str, list[Result]] = {}
    killed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        home = open_storage(folder / "gan_tune_runs" / SEARCH)
        # JSON is YAML.
        (folder / f"{SEARCH}.yaml").write_text(json.dumps(space(options.trials)))
        for _ in range(options.kills):
            process = driver(folder)
            try:
                process.wait(moments.uniform(FIRST_SECONDS, options.latest))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                before = ended_reports(home) | before  # as they were when the trial had just ended
                trials = TrialFolders(home)
                stored = sum(len(trials[name].report_steps()) for name in trials.names())
                ended = f"{len(before)} trials have ended, {stored} reports are stored"
                print(f"kill {killed}: {ended}", flush=True)
            else:
                break  # it was done
        started = time.monotonic()
        code = driver(folder).wait()
        print(f"the last command: exit code {code} after {time.monotonic() - started:.0f} s")
        found = counts(folder, options.trials, before)
    print(f"{killed} kills of a search of {options.trials} trials: {found}")
    if not before:
        print("no trial had ended before a kill, so none could be repeated: a greater --latest")
    if killed < options.kills:
        print(f"the search was done before kill {killed + 1} of {options.kills}: more --trials")
    sys.exit(code or any(found.values()) or killed < options.kills)


if __name__ == "__main__":
    main()
