"""What a search of thousands of trials costs the driver, and how quickly it can be looked at.

    python benchmarks/many_trials.py [--trials 2000] [--reports 20] [--delivered 50] [--keep FOLDER]
                                     [--written]

The conductor leads a search as always, with random proposals: Optuna's journal and the trials'
folders lie on the disk. The workers are simulated: they write a report and a picture of 64 digits,
and their time is left out. Stated are

    driver    milliseconds of processor time for a report, once with the delivery to MLflow (SQLite,
              pictures included) for ``--delivered`` trials, and without it for all
    commands  seconds and peak memory of `status`, `ls`, `best` (which says that there is no
              champion) and `report`, each as a program of its own, imports included
    report    its size, also without pictures, and the seconds until a headless Chromium shows the
              first of its gallery (median of three)

With `--written` the search's folder is written as it would be left, without a conductor: 20,000
settings take a minute then, of which 500 are distinct. Only the commands are measured.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import psutil
import torch
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from benchmarks.growth import entry, space
from gan_tune import service
from gan_tune.data.by_name import load_dataset
from gan_tune.record.mlflow_store import connect
from gan_tune.record.spool import SearchEnding
from gan_tune.samples import pictures
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import NoStopping
from gan_tune.searching.study.reading import OUTCOME
from gan_tune.searching.study.study import Study
from gan_tune.service.running.note import SearchNote
from gan_tune.service.running.recording import SearchRecord
from gan_tune.service.running.study_place import study_of_search
from gan_tune.space import SearchSpace
from gan_tune.storage.places import JOURNAL, SEARCH_NOTE
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import setting_name
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import Outcome

DRAWN = 40
"""Distinct pictures; the trials take them in turn."""
ENDINGS: tuple[Outcome, ...] = ("completed", "completed", "completed", "diverged", "collapsed")


DISTINCT = 500
"""Distinct settings of a search that is written without leading it."""
NEW_TRIAL, PRUNED = JournalOperation.CREATE_TRIAL, TrialState.PRUNED


class RandomStudy(Study):
    """A study that proposes at random: TPE's time is another matter (`scaling.py`)."""

    def _sampler(self, proposal: int) -> BaseSampler:
        return RandomSampler(seed=proposal)


def drawn_pictures() -> list[bytes]:
    """Grids of 64 digits with more and more noise, as a trial stores them."""
    digits = torch.tensor(load_dataset("digits").selection[:64]) / 255
    random = torch.Generator().manual_seed(0)
    found = []
    for i in range(DRAWN):
        noise = torch.rand(digits.shape, generator=random)
        share = i / DRAWN
        mixed = (1 - share) * digits + share * noise
        found.append(pictures.png(pictures.grid(mixed, cell=pictures.SMALL_CELL)))
    return found


def report_of(job: Job, place: int, reports: int) -> Result:
    """The ``place``-th report of a trial: a curve that falls to a bound given by its setting."""
    digits = int(job.config.digest()[:8], 16) / 16**8
    value = 1.0 + digits + 1.0 / place
    scalars = {"energy_distance": value} | {f"figure_{i}": value for i in range(20)}
    ending = ENDINGS[job.setting % len(ENDINGS)]
    outcome = ending if place == reports else None
    step = job.config.steps * place // reports
    return Result(step, scalars, value, value, outcome, int(time.time() * 1000), 0.01, 0.01)


def lead(folder: Path, trials: int, reports: int, uri: str | None) -> float:
    """Run a search to its end, or go on with one; returns the driver's seconds for a report."""
    checked, home = begun_search(folder, trials, reports)
    study = study_of_search(checked, home, "many")
    study.__class__ = RandomStudy
    record = SearchRecord(home, entry("many"), uri)
    record.begin()
    folders, drawn = TrialFolders(home), drawn_pictures()
    resumed = resume_search(study, folders, NoStopping())
    conductor = Conductor(
        study, home, NoStopping(), resumed, observers=[record], slots=32, limit=32
    )
    began, workers, made = time.process_time(), 0.0, 0
    running: deque[tuple[Job, int]] = deque()
    while True:
        while len(running) < 32 and isinstance(job := conductor.next_job(), Job):
            running.append((job, len(folders[job.name].report_steps())))
        if not running:
            break
        job, done = running.popleft()
        worker = time.thread_time()
        result = report_of(job, done + 1, reports)
        folders[job.name].write_grid(result.step, drawn[(job.setting + done) % DRAWN])
        folders[job.name].write_report(result)
        workers += time.thread_time() - worker
        made += 1
        if not conductor.reported(job.name, result):
            running.append((job, done + 1))
    record.end(SearchEnding("completed", time.time_ns() // 10**6))
    left = record.settle(lambda text: None, seconds=600).waiting
    assert uri is None or not left, left
    return (time.process_time() - began - workers) / max(1, made)


class KeptJournal(BaseJournalBackend):
    """A journal in memory, which begins with what a file holds and replaces it at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logs = [json.loads(line) for line in path.read_text().splitlines()]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._logs += json.loads(json.dumps(logs))

    def write(self, trials: int) -> None:
        """Write it with so many trials: those that it has, again and again."""
        own = [log for log in self._logs if "trial_id" in log or log["op_code"] == NEW_TRIAL]
        count = sum(log["op_code"] == NEW_TRIAL for log in own)
        with self._path.open("w") as file:
            for log in self._logs:
                if "trial_id" not in log and log["op_code"] != NEW_TRIAL:
                    file.write(json.dumps(log, separators=(",", ":")) + "\n")
            for number in range(0, trials, count):
                for log in own:
                    at = {"trial_id": log["trial_id"] + number} if "trial_id" in log else {}
                    file.write(json.dumps({**log, **at}, separators=(",", ":")) + "\n")


def write_search(folder: Path, trials: int, reports: int) -> None:
    """Write what a search of so many trials leaves, all with pictures, without leading it.

    The settings repeat after :data:`DISTINCT`.
    """
    checked, home = begun_search(folder, trials, reports)
    study_of_search(checked, home, "many")
    journal = KeptJournal(folder / "many" / JOURNAL)
    study = optuna.load_study(study_name=None, storage=JournalStorage(journal))
    study.sampler = RandomSampler(seed=0)
    for setting in range(DISTINCT):
        trial = study.ask()
        checked.sample(trial, seed=setting)
        ending, values = course(setting, reports)
        for step, value in values.items():
            trial.report(value, step)
        sound = ending == "completed"
        trial.set_user_attr(OUTCOME, ending)
        trial.set_constraint("health", float(not sound))
        study.tell(trial, values[10 * reports] if sound else None, None if sound else PRUNED)
    journal.write(trials)
    drawn = drawn_pictures()
    for setting in range(trials):
        ending, values = course(setting % DISTINCT, reports)
        place = folder / "many" / "trials" / setting_name(setting)
        for inner in ("reports", "grids"):
            (place / inner).mkdir(parents=True)
        for step, value in values.items():
            scalars = {"energy_distance": value} | {f"figure_{i}": value for i in range(20)}
            result = Result(step, scalars, value, value, None, int(time.time() * 1000))
            (place / "reports" / f"{step}.json").write_text(json.dumps(asdict(result)))
            (place / "grids" / f"{step}.png").write_bytes(drawn[(setting + step) % DRAWN])
        end = Ending(ending, values[10 * reports], 10 * reports)
        (place / "outcome.json").write_text(json.dumps(asdict(end)))


def course(setting: int, reports: int) -> tuple[Outcome, dict[int, float]]:
    """How a setting ends, and its values by step."""
    bound = 1.0 + (setting * 7919 % DISTINCT) / DISTINCT
    values = {10 * report: bound + 1.0 / report for report in range(1, reports + 1)}
    return ENDINGS[setting % len(ENDINGS)], values


def begun_search(folder: Path, trials: int, reports: int) -> tuple[SearchSpace, Storage]:
    """A search's space and its folder, with the note that a command writes at its beginning."""
    tree = {**space(trials, "none").tree, "name": "many"}
    tree["budget"] = {**tree["budget"], "steps": 10 * reports, "evaluations": reports}
    tree["confirm"] = {"top": 0}
    home = open_storage(folder).below("many")
    note = SearchNote("energy_distance", "min", trials, None, started_ms=time.time_ns() // 10**6)
    home.write_json(SEARCH_NOTE, vars(note))
    return service.load_space(tree), home


def timed(folder: Path, *words: str) -> None:
    """Run a command, and print how long it took and how much memory it had at most."""
    began, most = time.perf_counter(), 0
    command = psutil.Popen(
        [sys.executable, "-m", "gan_tune.cli", *words], cwd=folder, stdout=subprocess.DEVNULL
    )
    with suppress(psutil.NoSuchProcess):
        while command.poll() is None:
            most = max(most, command.memory_info().rss)
            time.sleep(0.02)
    seconds = time.perf_counter() - began
    assert command.returncode in (0, 2), words
    print(f"| {words[0]} | {seconds:.1f} | {most / 1e6:.0f} |", flush=True)


def opened(page: Path) -> float:
    """Seconds until a browser shows the first card of the gallery."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page()
        began = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="load")
        tab.wait_for_selector("#gallery-cards figure img")
        seconds = time.perf_counter() - began
        browser.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--reports", type=int, default=20)
    parser.add_argument("--delivered", type=int, default=50)
    parser.add_argument("--keep", type=Path, help="keep the search here, or go on with it")
    parser.add_argument("--written", action="store_true", help="write it without leading it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        uri = connect(f"sqlite:///{scratch}/mlflow.db")
        runs = options.keep or Path(scratch) / "runs"
        if options.delivered and not options.written:
            seconds = lead(Path(scratch) / "delivered", options.delivered, options.reports, uri)
            print(f"driver, with MLflow: {1000 * seconds:.1f} ms a report", flush=True)
        if not options.written:
            seconds = lead(runs, options.trials, options.reports, None)
            print(f"driver, without: {1000 * seconds:.1f} ms a report", flush=True)
        elif not (runs / "many").exists():
            write_search(runs, options.trials, options.reports)
        print("| command | seconds | MB |\n|---|---|---|", flush=True)
        place = ("--storage", str(runs))
        for words in (["status", "many"], ["ls"], ["best", "many"], ["report", "many"]):
            timed(Path(scratch), *words, *place)
        page = Path(scratch) / "many_report.html"
        plain = re.sub(rb"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", b"", page.read_bytes())
        sizes = f"{page.stat().st_size / 1e6:.1f} MB, {len(plain) / 1e6:.1f} without pictures"
        print(f"the report has {sizes}", flush=True)
        print(f"opened in {median(opened(page) for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
