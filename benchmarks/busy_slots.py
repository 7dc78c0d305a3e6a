"""How busy the driver of a search keeps its slots, by a real clock.

    python benchmarks/busy_slots.py [--slots 200] [--trials 5000] [--seconds 60]
                                    [--scheduler none] [--no-mlflow]

The conductor leads a search as always: TPE proposes, Optuna's journal and the trials' folders lie
on the disk, and the record is delivered to MLflow (SQLite) by its thread. The workers are
simulated, all by one other process of this machine: a trial makes ten reports in so many seconds,
in which its slot sleeps, and writes them itself. A slot is busy while its worker would train; it
idles while a report is written, and while it, or the next trial, waits for the driver. Stated is
the share of slot time that was busy until the last setting was proposed, and the longest that a
report took to be written and answered. The way of a job to its worker counts as busy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.growth import REPORTS, entry, report, space
from benchmarks.machine import machine
from gan_tune.record.mlflow_store import connect
from gan_tune.record.spool import SearchEnding
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import stopping_rule
from gan_tune.searching.study.opening import open_study
from gan_tune.service.running.recording import SearchRecord
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result


@dataclass
class Found:
    """What a search came to.

    Attributes:
        seconds: until the last setting was proposed.
        busy: seconds that slots trained until then.
        longest: seconds for which a slot waited for its report to be written and answered, at most.
        waiting: what was not in MLflow 30 s after the last trial; empty if nothing.
    """

    seconds: float = 0.0
    busy: float = 0.0
    longest: float = 0.0
    waiting: str = ""


Asked = tuple[Job, float]
"""A trial, and the moment of its next report."""


Heard = tuple[str, Result | Exception]
"""A trial's name, and its report, or why there is none."""


def work(
    folder: Path,
    slots: int,
    asked: SimpleQueue[Asked | None],
    found: SimpleQueue[Heard],
    is_up: Event,
) -> None:
    """What the workers do, until None is asked: each sleeps, and writes a report."""
    folders = TrialFolders(open_storage(folder))

    def train(job: Job, due: float) -> None:
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            result = report(job, len(folders[job.name].report_steps()) + 1)
            folders[job.name].write_report(result)
        except Exception as error:
            found.put((job.name, error))
        else:
            found.put((job.name, result))

    is_up.set()
    with ThreadPoolExecutor(slots) as threads:
        while (next_one := asked.get()) is not None:
            threads.submit(train, *next_one)


def lead(checked: SearchSpace, folder: Path, slots: int, seconds: float, uri: str | None) -> Found:
    """Run a search; each trial takes so many seconds."""
    system = multiprocessing.get_context("spawn")
    asked: SimpleQueue[Asked | None] = system.SimpleQueue()
    trained: SimpleQueue[Heard] = system.SimpleQueue()
    is_up = system.Event()
    workers = system.Process(target=work, args=(folder, slots, asked, trained, is_up))
    workers.start()
    is_up.wait()
    home = open_storage(folder)
    study, folders = open_study(folder / "study.journal", checked), TrialFolders(home)
    rule = stopping_rule(checked)
    record = SearchRecord(home, entry("busy"), uri)
    record.begin()
    resumed = resume_search(study, folders, rule)
    conductor = Conductor(study, home, rule, resumed, observers=[record], slots=slots, limit=slots)
    found, interval, is_over, began = Found(), seconds / REPORTS, False, time.monotonic()
    jobs: dict[str, Job] = {}
    due: dict[str, float] = {}

    def go_on(job: Job) -> None:
        jobs[job.name], due[job.name] = job, time.monotonic() + interval
        asked.put((job, due[job.name]))

    while True:
        while len(due) < slots and isinstance(job := conductor.next_job(), Job):
            go_on(job)
        if not is_over and study.proposed() >= checked.budget.most_trials:
            is_over, found.seconds = True, time.monotonic() - began
            # Of the intervals under way, what is left of each lies after this moment.
            left = sum(min(interval, max(0.0, at - time.monotonic())) for at in due.values())
            found.busy += len(due) * interval - left
        if not due:
            break
        name, result = trained.get()
        if isinstance(result, Exception):
            raise result
        was_due = due.pop(name)
        is_stopped = conductor.reported(name, result)
        if not is_over:
            found.busy += interval
            found.longest = max(found.longest, time.monotonic() - was_due)
        if not is_stopped:
            go_on(jobs[name])
    asked.put(None)
    workers.join()
    record.end(SearchEnding("completed", time.time_ns() // 10**6))
    found.waiting = str(record.settle(lambda text: None).waiting)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--slots", type=int, default=200)
    parser.add_argument("--trials", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a trial")
    parser.add_argument("--scheduler", default="none")
    parser.add_argument("--no-mlflow", action="store_true")
    options = parser.parse_args()
    print(machine(), flush=True)
    checked = space(options.trials, options.scheduler)
    with tempfile.TemporaryDirectory() as scratch:
        uri = None if options.no_mlflow else connect(f"sqlite:///{scratch}/mlflow.db")
        found = lead(checked, Path(scratch), options.slots, options.seconds, uri)
    share = found.busy / (options.slots * found.seconds)
    print(f"{options.trials} trials of {options.seconds:g} s in {options.slots} slots")
    print(f"proposed within {found.seconds:.0f} s, slots busy {share:.1%} of it (asked: 85 %)")
    print(f"the longest that a report took to be written and answered: {found.longest:.2f} s")
    print(f"not in MLflow 30 s after the end: {found.waiting or 'nothing'}")


if __name__ == "__main__":
    main()
