"""What a search of thousands of trials costs the driver, and how quickly it can be looked at.

    python benchmarks/many_trials.py [--trials 2000] [--reports 20] [--delivered 50] [--keep FOLDER]

The conductor leads a search as always, with random proposals: Optuna's journal and the trials'
folders lie on the disk. The workers are simulated: they write a report and a picture of 64 digits,
and their time is left out. Stated are

    driver    milliseconds of processor time for a report, once with the delivery to MLflow (SQLite,
              pictures included) for ``--delivered`` trials, and without it for all
    commands  seconds of `status`, `ls`, `best` (which says that there is no champion) and `report`,
              each as a program of its own, imports included
    report    its size, and the seconds until a headless Chromium shows the first of its gallery
              (median of three)
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from statistics import median

import torch
from optuna.samplers import BaseSampler, RandomSampler

from benchmarks.growth import space
from gan_tune import service
from gan_tune.data.by_name import load_dataset
from gan_tune.record.delivery import Delivery
from gan_tune.record.mlflow_store import connect
from gan_tune.record.projection import Projection
from gan_tune.record.spool import DatasetInfo, SearchEnding, SearchEntry, Spool
from gan_tune.samples import pictures
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import NoStopping
from gan_tune.searching.study.study import Study
from gan_tune.service.running.note import SearchNote
from gan_tune.service.running.study_place import study_of_search
from gan_tune.storage.places import SEARCH_NOTE
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import Outcome

DRAWN = 40
"""Distinct pictures; the trials take them in turn."""
ENDINGS: tuple[Outcome, ...] = ("completed", "completed", "completed", "diverged", "collapsed")


class RandomStudy(Study):
    """A study that proposes at random: TPE's time is another matter (`scaling.py`)."""

    def _sampler(self, proposal: int) -> BaseSampler:
        return RandomSampler(seed=proposal)


class Recorder:
    """Passes a trial's news to the delivery, as the search's record does; to none without one."""

    def __init__(self, delivery: Delivery | None) -> None:
        self._delivery = delivery

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        self._has_news(job, runs=True)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        self._has_news(job, runs=True)

    def trial_ended(self, job: Job, ending: Ending) -> None:
        self._has_news(job, runs=ending.paused)

    def _has_news(self, job: Job, *, runs: bool) -> None:
        if self._delivery is not None:
            self._delivery.has_news(job.name, runs=runs)


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
    tree = {**space(trials, "none").tree, "name": "many"}
    tree["budget"] = {**tree["budget"], "steps": 10 * reports, "evaluations": reports}
    tree["confirm"] = {"top": 0}
    checked = service.load_space(tree)
    home = open_storage(folder).below("many")
    study = study_of_search(checked, home, "many")
    study.__class__ = RandomStudy
    note = SearchNote("energy_distance", "min", trials, None, started_ms=time.time_ns() // 10**6)
    home.write_json(SEARCH_NOTE, vars(note))
    delivery = _delivery(home, uri) if uri else None
    folders, drawn = TrialFolders(home), drawn_pictures()
    resumed = resume_search(study, folders, NoStopping())
    conductor = Conductor(
        study, home, NoStopping(), resumed, observers=[Recorder(delivery)], slots=32, limit=32
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
    if delivery is not None:
        delivery.end(SearchEnding("completed", time.time_ns() // 10**6))
        left = delivery.wait(600)
        delivery.close()
        assert not left, left
    return (time.process_time() - began - workers) / max(1, made)


def _delivery(home: Storage, uri: str) -> Delivery:
    entry = SearchEntry(
        search="many",
        experiment="many",
        metric="energy_distance",
        mode="min",
        code_version="1",
        space_text="name: many\n",
        params={},
        tags={},
        dataset=DatasetInfo("ring", "0", "ring", {"train": 500}),
    )
    Spool(home).write_entry(entry)
    delivery = Delivery(Projection(uri, home, entry), uri=uri)
    delivery.start([], live=True)
    return delivery


def timed(folder: Path, *words: str) -> None:
    """Run a command, and print how long it took."""
    command = [sys.executable, "-m", "gan_tune.cli", *words]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    assert done.returncode in (0, 2), done.stderr
    print(f"| {words[0]} | {seconds:.1f} |", flush=True)


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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        uri = connect(f"sqlite:///{scratch}/mlflow.db")
        runs = options.keep or Path(scratch) / "runs"
        if options.delivered:
            seconds = lead(Path(scratch) / "delivered", options.delivered, options.reports, uri)
            print(f"driver, with MLflow: {1000 * seconds:.1f} ms a report", flush=True)
        seconds = lead(runs, options.trials, options.reports, None)
        print(f"driver, without: {1000 * seconds:.1f} ms a report", flush=True)
        print("| command | seconds |\n|---|---|")
        place = ("--storage", str(runs))
        for words in (["status", "many"], ["ls"], ["best", "many"], ["report", "many"]):
            timed(Path(scratch), *words, *place)
        page = Path(scratch) / "many_report.html"
        print(f"the report has {page.stat().st_size / 1e6:.1f} MB", flush=True)
        print(f"opened in {median(opened(page) for _ in range(3)):.2f} s")


if __name__ == "__main__":
    main()
