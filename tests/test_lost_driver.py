"""The driver's machine is lost with all that it has: the same command elsewhere goes on."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_conductor import STEPS, steady
from test_conductor import space as small_space

from benchmarks.lost_driver import (
    SEARCH,
    Machine,
    admitted,
    counts,
    ended_files,
    run_to_the_end,
    space,
)
from benchmarks.servers import bucket_uri, s3
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor, Next
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import NoStopping
from gan_tune.searching.study.opening import open_study
from gan_tune.storage import lease
from gan_tune.storage.lease import hold, holder_of
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders


class Lost(BaseException):
    """Whatever the driver's machine did, it does no more."""


class Losing:
    """Loses the machine before or after so many writes."""

    def __init__(self) -> None:
        self.left: float = float("inf")
        self.after = False

    def on(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def lost(*given: Any) -> Any:
            self.left -= 1
            if self.left < 0 and not self.after:
                raise Lost
            done = write(*given)
            if self.left < 0:
                raise Lost
            return done

        return lost


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Losing:
    made = Losing()
    monkeypatch.setattr(lease, "RENEWAL", 1000.0)  # else its thread is lost, too
    for name in ("write", "create", "delete"):
        monkeypatch.setattr(Storage, name, made.on(getattr(Storage, name)))
    return made


def drive(home: Storage) -> Conductor:
    """One command: all that it knows it reads from the storage. Training is a formula."""
    with hold(home, "toy"):
        begun = bool(TrialFolders(home).names())
        study = open_study(home, small_space(search=RANDOM, budget=BUDGET), begun=begun)
        resumed = resume_search(study, TrialFolders(home), NoStopping())
        conductor = Conductor(study, home, NoStopping(), resumed, slots=2)
        jobs: dict[str, tuple[Job, list[int]]] = {}
        while True:
            while len(jobs) < 2 and isinstance(job := conductor.next_job(), Job):
                stored = TrialFolders(home)[job.name].report_steps()
                left = [step for step in STEPS if step not in stored]
                jobs[job.name] = (job, left or [STEPS[-1]])  # a worker says its last word again
            if not jobs and job is Next.DONE:
                conductor.interrupt_all()
                return conductor
            for name, (job, steps) in list(jobs.items()):
                report = steady(job, steps.pop(0))
                TrialFolders(home)[name].write_report(report)
                if conductor.reported(name, report):
                    del jobs[name]


BUDGET = {"trials": 16, "steps": 100, "evaluations": 5}
RANDOM = {"sampler": "random", "scheduler": "none", "experience": "none"}


def trials_of(home: Storage) -> dict[str, bytes | None]:
    """All files of all trials."""
    paths = [
        f"trials/{name}/{folder}{file}"
        for name in TrialFolders(home).names()
        for folder in ("", "reports/")
        for file in home.names(f"trials/{name}/{folder}".rstrip("/"))
        if "." in file
    ]
    return {path: home.read(path) for path in paths}


@pytest.fixture(params=["folder", "bucket"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two storages."""
    if request.param == "folder":
        yield str(tmp_path / "calm"), str(tmp_path / "lost")
    else:
        with s3() as port:
            uri = bucket_uri(port)
            yield uri.replace("/runs", "/calm"), uri.replace("/runs", "/lost")


@pytest.mark.ci
def test_at_ten_random_moments_nothing_is_lost_but_what_was_not_written(
    places: tuple[str, str], losing: Losing
) -> None:
    calm, home = (open_storage(place).below("toy").patient(0) for place in places)
    undisturbed = drive(calm)
    moments = random.Random(0)
    ended: dict[str, bytes | None] = {}
    for _ in range(10):
        losing.left, losing.after = moments.randrange(24), moments.random() < 0.5
        with pytest.raises(Lost):
            drive(home.patient(0))
        losing.left = float("inf")
        release(home)
        ended = ended_files(home) | ended
    conductor = drive(home.patient(0))
    found = trials_of(home)
    assert found == trials_of(calm)
    assert ended
    assert all(home.read(path) == content for path, content in ended.items())
    assert conductor.standings() == undisturbed.standings()
    params = [json.dumps(s.params) for s in conductor.study.optuna_study.get_trials()]
    assert len(params) == len(set(params)) == conductor.study.proposed()
    assert params == [json.dumps(s.params) for s in undisturbed.study.optuna_study.get_trials()]


def release(home: Storage) -> None:
    """Let this process's lease expire: another machine would find it so after half a minute."""
    for name in home.names("lease"):
        home.delete(f"lease/{name}")
    assert holder_of(home, "toy") == ""


def lose_when(seen: Callable[[], object], driver: Machine) -> None:
    """Lose a machine as soon as something is in the bucket."""
    deadline = time.monotonic() + 200
    while not seen():
        assert driver.process.poll() is None, driver.log
        assert time.monotonic() < deadline, driver.log
        time.sleep(0.05)
    driver.lose()


@pytest.mark.slow
def test_nothing_is_lost_with_the_drivers_machine() -> None:
    """Before a report, and after the first trial's end.

    The undisturbed search is that of the same settings; what a report tells of time may differ. The
    bucket is moto's, a mock of S3.
    """
    tree = space(3, 600)
    with s3() as port:
        calm, storage = (bucket_uri(port).replace("/runs", f"/{name}") for name in ("calm", "lost"))
        assert run_to_the_end(tree, calm, 0)[0] == 0
        home = open_storage(storage).below(SEARCH)
        lose_when(lambda: home.names("trials"), Machine(tree, storage))
        driver = Machine(tree, storage)
        try:
            lose_when(lambda: ended_files(home), driver)
            before = ended_files(home)
            driver = Machine(tree, storage)
            while driver.process.poll() is None and home.read_json("lease/000003.json") is None:
                time.sleep(0.05)
            assert admitted(storage, 3, elsewhere=False) == []
            if os.geteuid() == 0:
                assert admitted(storage, 2, elsewhere=True) == []
            assert driver.process.wait(300) == 0, driver.log
        finally:
            driver.lose()
        found = counts(Storage(calm).below(SEARCH), home, before)
    assert before
    assert found == dict.fromkeys(found, 0)
