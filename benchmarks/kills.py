"""Kills: the driver of a search dies at random moments, again and again, and the search goes on.

    python benchmarks/kills.py [--kills 20] [--trials 40] [--seed 0]

`gan-tune search` runs in a process of its own and is ended by SIGKILL so and so many seconds after
its start, drawn at random: while Ray starts, while trials report, while the record is written. Then
the same command once more, to its end. Counted is what Optuna, the trials' folders and MLflow hold:

    lost      settings without an outcome, and stored reports that MLflow lacks
    repeated  settings proposed twice, finished trials that ran again, trials with a second run
    running   trials and runs that are left RUNNING
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

SEARCH = "kills"
FIRST_SECONDS, LAST_SECONDS = 3.0, 30.0
"""A kill comes so long after the driver's start; until trials report it takes about ten seconds."""


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


def endings(folder: Path) -> dict[Path, bytes]:
    """The outcomes stored so far, but for trials that a clean end interrupted."""
    files = (folder / "gan_tune_runs" / SEARCH / "trials").glob("*/outcome.json")
    return {file: file.read_bytes() for file in files}


def counts(folder: Path, trials: int, before: dict[Path, bytes]) -> dict[str, int]:
    """What was lost, repeated, left running."""
    from mlflow import MlflowClient

    from gan_tune import service
    from gan_tune.searching.conductor import read_reports
    from gan_tune.searching.storage import open_storage
    from gan_tune.searching.study import Study

    home = folder / "gan_tune_runs" / SEARCH
    storage = open_storage(home)
    study = Study(home / "study.journal", service.load_space(space(trials)))
    settings = study.settings()
    asked = study.optuna_study.get_trials(deepcopy=False)
    proposed = Counter(json.dumps(trial.params, sort_keys=True) for trial in asked)
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=10_000)
    of_trial = {r.data.tags["gan_tune.trial"]: r for r in runs if "gan_tune.trial" in r.data.tags}
    children = sum("gan_tune.trial" in run.data.tags for run in runs)
    lost = trials - sum(setting.outcome is not None for setting in settings)
    for name in storage.names("trials"):
        stored = {result.step for result, _ in read_reports(storage, name)}
        run = of_trial.get(name)
        history = client.get_metric_history(run.info.run_id, "variety") if run else []
        lost += len(stored - {metric.step for metric in history})
    return {
        "lost": lost,
        "repeated": sum(proposed.values())
        - len(proposed)
        + sum(file.read_bytes() != content for file, content in before.items())
        + (children - len(of_trial)),
        "running": sum(run.info.status == "RUNNING" for run in runs) + len(study.unfinished()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores", flush=True)
    moments = random.Random(options.seed)
    before: dict[Path, bytes] = {}
    killed = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # JSON is YAML.
        (folder / f"{SEARCH}.yaml").write_text(json.dumps(space(options.trials)))
        for _ in range(options.kills):
            process = driver(folder)
            try:
                process.wait(moments.uniform(FIRST_SECONDS, LAST_SECONDS))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                before |= endings(folder)
                stored = sum(
                    1 for _ in (folder / "gan_tune_runs").glob("*/trials/*/reports/*.json")
                )
                ended = f"{len(before)} trials have ended, {stored} reports are stored"
                print(f"kill {killed}: {ended}", flush=True)
            else:
                break  # it was done
        started = time.monotonic()
        code = driver(folder).wait()
        print(f"the last command: exit code {code} after {time.monotonic() - started:.0f} s")
        found = counts(folder, options.trials, before)
    print(f"{killed} kills of a search of {options.trials} trials: {found}")
    sys.exit(code or any(found.values()))


if __name__ == "__main__":
    main()
