"""Lost drivers: a search in a bucket loses its driver's machine again and again, and goes on.

    python benchmarks/lost_driver.py [--losses 10] [--trials 20] [--tries 20] [--seed 0]

First the search runs undisturbed. Then it runs on a machine (a folder with its home, its MLflow and
its processes) that is lost at a random moment: every process is killed, and the folder deleted.
Another machine, on which nothing is left but the bucket, is given the same command; and so on. At
last one ends the search. While it runs, so many other commands at once (``--tries``) ask for the
search from another host: a process in namespaces of its own, with another name. Counted is

    lost      trials of the undisturbed search that the other lacks, or ended otherwise
    changed   files of trials that had ended before a loss, and that are not byte for byte the same
    repeated  settings proposed twice
    differing reports, or the champion, that are not those of the undisturbed search
    admitted  of the other commands, those that were not refused in one line

It exits with 0 if all are 0, and as many losses happened as were asked for. The bucket is moto's, a
mock of S3 on loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import machine
from benchmarks.servers import bucket_uri, s3
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders

SEARCH = "lost"
FIRST_SECONDS = 3.0
"""A loss comes at least so long after a command's start,"""
LATEST = 0.3
"""and after at most this share of what the undisturbed search takes, so that some trials end."""

TAKING = """
import sys
from gan_tune.errors import SearchLockedError
from gan_tune.storage.lease import hold
from gan_tune.storage.storage import Storage
home = Storage(sys.argv[1]).below(sys.argv[2]).patient(0)
try:
    with hold(home, sys.argv[2]):
        print("admitted")
except SearchLockedError as error:
    print(error)
"""
"""What a command does before it works on a search, without the seconds of its imports."""

ELSEWHERE = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "sh", "-c"]
"""Runs a shell command as on another host; needs root."""

Facts = Mapping[str, object]


def space(trials: int, steps: int) -> dict[str, Any]:
    rate = {"log_uniform": [1e-4, 1e-2]}
    return {
        "name": SEARCH,
        "budget": {"trials": trials, "steps": steps, "evaluations": 10},
        "search": {"sampler": "random", "scheduler": "none", "experience": "none"},
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


class Machine:
    """A driver's machine: a folder, which is also its home, and the processes that it runs.

    Args:
        space: of the search.
        storage: the URI that holds it.
    """

    def __init__(self, space: Mapping[str, Any], storage: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gt-machine-"))
        (self.folder / f"{SEARCH}.yaml").write_text(json.dumps(space))  # JSON is YAML
        command = [sys.executable, "-c", "from gan_tune.cli import main; main()", "search"]
        command += [f"{SEARCH}.yaml", "--storage", storage, "--register-anyway"]
        at_home = {"HOME": str(self.folder), "PYTHONPATH": os.pathsep.join(sys.path[1:])}
        with (self.folder / "search.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, **at_home}, stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        """What its command has printed."""
        return (self.folder / "search.log").read_text(errors="replace")

    def lose(self) -> None:
        """Kill all of its processes, and delete all that it has."""
        with contextlib.suppress(psutil.NoSuchProcess):
            driver = psutil.Process(self.process.pid)
            family = [driver, *driver.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, timeout=30)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---------------------------------------------------------------- what the bucket holds


def results(home: Storage) -> dict[str, Facts]:
    """Of each trial that has ended: its outcome, and its reports without the times in them."""
    found: dict[str, Facts] = {}
    for name in TrialFolders(home).names():
        trial = TrialFolders(home)[name]
        if (ending := trial.ending()) is not None:
            figures: dict[str, object] = {
                str(report.step): [
                    report.value,
                    report.best,
                    {k: v for k, v in report.scalars.items() if not k.startswith("seconds")},
                ]
                for report in trial.reports()
            }
            found[name] = {"ending": ending, **figures}
    return found


def ended_files(home: Storage) -> dict[str, bytes | None]:
    """The files of the trials that have ended for good, by path."""
    trials = TrialFolders(home)
    found: dict[str, bytes | None] = {}
    for name in trials.names():
        ending = trials[name].ending()
        if ending is not None and ending.is_final:
            for folder in ("", "/reports", "/grids"):
                place = f"trials/{name}{folder}"
                files = [each for each in home.names(place) if "." in each]
                found |= {f"{place}/{each}": home.read(f"{place}/{each}") for each in files}
    return found


def repeated(home: Storage) -> int:
    """How many settings were proposed again."""
    from gan_tune.searching.study.opening import study_as_it_stands

    trials = study_as_it_stands(home).get_trials(deepcopy=False)
    asked = Counter(json.dumps(trial.params, sort_keys=True) for trial in trials)
    return asked.total() - len(asked)


def champion(home: Storage) -> object:
    result = home.read_json("result.json") or {}
    return [(result.get("champion") or {}).get(key) for key in ("trial", "setting", "mean")]


# ---------------------------------------------------------------- losses, and other drivers


def admitted(storage: str, tries: int, *, elsewhere: bool) -> list[str]:
    """Of so many commands at once, what those said that were not refused in one line."""
    command = [sys.executable, "-c", TAKING, storage, SEARCH]
    if elsewhere:
        command = [*ELSEWHERE, 'hostname node-7; exec "$@"', "sh", *command]
    asking = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(tries)
    ]
    said = [each.communicate()[0].strip() for each in asking]
    return [
        text for text in said if "this search is being worked on by" not in text or "\n" in text
    ]


def lose_drivers(
    space: Mapping[str, Any], storage: str, losses: int, moments: random.Random, latest: float
) -> tuple[int, dict[str, bytes | None]]:
    """Lose so many machines; returns how many were lost, and the files of trials ended by then."""
    home = open_storage(storage).below(SEARCH)
    before: dict[str, bytes | None] = {}
    for number in range(losses):
        driver = Machine(space, storage)
        try:
            driver.process.wait(moments.uniform(FIRST_SECONDS, latest))
        except subprocess.TimeoutExpired:
            driver.lose()
            before = ended_files(home) | before  # as they were when the trial had just ended
            ended = len({path.split("/")[1] for path in before})
            print(f"loss {number + 1}: {ended} trials have ended", flush=True)
        else:
            driver.lose()
            return number, before
    return losses, before


def run_to_the_end(
    space: Mapping[str, Any], storage: str, tries: int
) -> tuple[int, float, list[str]]:
    """Exit code and seconds of one command, and what other drivers said that were admitted."""
    started, wrong = time.monotonic(), list[str]()
    driver = Machine(space, storage)
    home = Storage(storage).below(SEARCH)
    if tries:
        while driver.process.poll() is None and not home.names("lease"):
            time.sleep(0.2)
        time.sleep(10)
        wrong = admitted(storage, tries, elsewhere=os.geteuid() == 0)
    code = driver.process.wait()
    if code:
        print(driver.log)
    driver.lose()
    return code, time.monotonic() - started, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--losses", type=int, default=10)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=4000, help="of a trial")
    parser.add_argument("--tries", type=int, default=20, help="other commands at once")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--latest", type=float, help="of the moments, after a start (s)")
    options = parser.parse_args()
    print(machine(), flush=True)
    tree = space(options.trials, options.steps)
    with s3() as port:
        calm, storage = (bucket_uri(port).replace("/runs", f"/{name}") for name in ("calm", "lost"))
        code, seconds, _ = run_to_the_end(tree, calm, 0)
        print(f"undisturbed: exit code {code} after {seconds:.0f} s", flush=True)
        moments = random.Random(options.seed)
        latest = options.latest or LATEST * seconds
        lost, before = lose_drivers(tree, storage, options.losses, moments, latest)
        last, seconds, wrong = run_to_the_end(tree, storage, options.tries)
        print(f"the last command: exit code {last} after {seconds:.0f} s", flush=True)
        found = counts(Storage(calm).below(SEARCH), Storage(storage).below(SEARCH), before)
    found["admitted"] = len(wrong)
    print(*wrong, f"{lost} losses of a search of {options.trials} trials: {found}", sep="\n")
    if not before:
        print("no trial had ended before a loss: a greater --latest")
    if lost < options.losses:
        print(f"the search was done before loss {lost + 1} of {options.losses}: more --trials")
    sys.exit(code or last or any(found.values()) or lost < options.losses)


def counts(calm: Storage, home: Storage, before: Mapping[str, bytes | None]) -> dict[str, int]:
    """What was lost, changed, repeated, or came out otherwise."""
    asked, got = results(calm), results(home)
    return {
        "lost": sum(got.get(name, {}).get("ending") != asked[name]["ending"] for name in asked),
        "changed": sum(home.read(path) != content for path, content in before.items()),
        "repeated": repeated(home),
        "differing": sum(got.get(name) != asked[name] for name in asked)
        + len(got.keys() - asked.keys())
        + (champion(calm) != champion(home)),
    }


if __name__ == "__main__":
    main()
