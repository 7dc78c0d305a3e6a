"""The lease on a search: exclusive, named, renewed, taken over when it has expired, and lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_patience import remount, small_disk
from tiny_search import runs_of, space_tree

from benchmarks.servers import bucket_uri, s3
from gan_tune import service
from gan_tune.errors import SearchLockedError, SearchLostError, StorageError
from gan_tune.storage import lease
from gan_tune.storage.holder import this_process
from gan_tune.storage.lease import hold, holder_of
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.watching import Watcher

HOLDER = """
import pathlib, subprocess, sys, time
from gan_tune.storage.lease import hold
from gan_tune.storage.storage import Storage
with hold(Storage(sys.argv[1]).patient(0), "digits"):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pathlib.Path(sys.argv[1], "child").write_text(str(child.pid))
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "digits").patient(0)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease lives a moment."""
    for name, seconds in {"RENEWAL": 0.05, "LIFE": 0.3, "LOOK": 0.02}.items():
        monkeypatch.setattr(lease, name, seconds)


def again(home: Storage) -> Storage:
    """The same folder, as another command has it."""
    return home.patient(0)


def put(home: Storage, number: int = 1, **changes: object) -> None:
    """Somebody else's lease: by default of a process of this machine that has died."""
    dead: dict[str, object] = {"begun": 1.0, "after_boot": -1.0}
    holder = replace(this_process(), **dead | changes)  # type: ignore[arg-type]
    home.write_json(f"lease/{number:06d}.json", asdict(holder))


@contextmanager
def renewed(home: Storage) -> Iterator[None]:
    """A live holder on another machine."""
    done = threading.Event()

    def renew() -> None:
        turn = 0
        while not done.wait(0.1):
            turn += 1
            put(home, machine="elsewhere", host="node-7", user="ada", renewed=f"turn {turn}")

    put(home, machine="elsewhere", host="node-7", user="ada")
    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.ci
def test_it_dies_with_its_process_though_what_that_started_lives_on(home: Storage) -> None:
    folder = home.folder
    assert folder is not None
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "begun\n"
    child = int((folder / "child").read_text())
    try:
        with pytest.raises(SearchLockedError) as caught, hold(home, "digits"):
            pass
        assert str(caught.value).startswith(
            f"digits: this search is being worked on by process {holder.pid} on "
            f"{socket.gethostname()} ("
        )
        assert caught.value.exit_code == 2
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # lives
        begun = time.monotonic()
        with hold(home, "digits"):
            assert f"process {os.getpid()} on" in holder_of(home, "digits")
        assert time.monotonic() - begun < 5, "a dead process of this machine is not waited for"
    finally:
        os.kill(child, signal.SIGKILL)
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("number", [-1, -(2**31), 2**62])
def test_a_number_that_no_process_has_is_that_of_a_dead_one(home: Storage, number: int) -> None:
    put(home, process=number)
    assert holder_of(home, "digits") == ""


def test_a_lease_that_is_nested_too_deeply_is_none(home: Storage) -> None:
    home.write("lease/000001.json", b"[" * 99_999)
    assert holder_of(home, "digits") == ""


def test_a_clock_that_is_set_ends_no_lease(home: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel then says that the machine had booted at another time."""
    booted = psutil.boot_time()
    with hold(home, "digits"):
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)
        assert psutil.boot_time() == booted + 3600
        with pytest.raises(SearchLockedError), hold(again(home), "digits"):
            pass


def test_a_lease_of_an_earlier_version_is_known_by_the_time_its_process_began(
    home: Storage,
) -> None:
    put(home, begun=psutil.Process().create_time(), after_boot=None)
    with pytest.raises(SearchLockedError), hold(home, "digits"):
        pass


def test_it_is_left_free_and_names_nobody_then(home: Storage) -> None:
    for number in (1, 2):
        with hold(home, "digits"):
            assert holder_of(home, "digits")
            with pytest.raises(SearchLockedError), hold(again(home), "digits"):
                pass
        assert holder_of(home, "digits") == ""
        assert home.names("lease") == [f"{number:06d}.json"]


@pytest.mark.parametrize("before", ["nothing", "a dead process", "a torn file"])
def test_of_twenty_at_once_one_gets_it(home: Storage, before: str, short: None) -> None:
    if before == "a dead process":
        put(home, 7)
    elif before == "a torn file":
        home.write("lease/000007.json", b'{"process"')
    got: list[int] = []
    refused: list[str] = []
    begin, done = threading.Barrier(20), threading.Event()

    def take(number: int) -> None:
        begin.wait()
        try:
            with hold(again(home), "digits"):
                got.append(number)
                done.wait(20)
        except SearchLockedError as error:
            refused.append(str(error))

    with ThreadPoolExecutor(20) as pool:
        taken = [pool.submit(take, number) for number in range(20)]
        wait_until(lambda: len(refused) == 19)
        done.set()
    for each in taken:
        each.result()
    assert len(got) == 1
    assert all(f"worked on by process {os.getpid()} on " in text for text in refused)
    assert not any("\n" in text for text in refused)


def test_a_lease_that_gives_way_between_two_looks_is_not_missed(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, 7)
    read = Storage.read

    def taken_first(self: Storage, path: str) -> bytes | None:
        if path == "lease/000007.json" and read(self, path) is not None:
            put(home, 8, **{key: getattr(this_process(), key) for key in ("begun", "after_boot")})
            home.delete(path)
        return read(self, path)

    monkeypatch.setattr(Storage, "read", taken_first)
    assert f"process {os.getpid()} on " in holder_of(home, "digits")


def test_a_lease_that_is_a_link_to_nothing_is_none(home: Storage, tmp_path: Path) -> None:
    home.write("lease/none", b"")
    (tmp_path / "digits/lease/000001.json").symlink_to("nothing")
    assert holder_of(home, "digits") == ""


def test_a_live_holder_elsewhere_is_found_out_by_watching(
    home: Storage, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LIFE", 20.0)
    shown: list[str] = []
    with renewed(home):
        begun = time.monotonic()
        with pytest.raises(SearchLockedError, match=r"on node-7 \(ada, since "):
            hold(home, "digits", shown.append).__enter__()
        assert time.monotonic() - begun < 15, "sooner than a lease expires"
    assert len(shown) == 1
    assert "to see whether process" in shown[0]


def test_a_lease_that_expired_elsewhere_is_taken_over(home: Storage, short: None) -> None:
    put(home, 4, machine="elsewhere", renewed="3000-01-01T00:00:00+00:00")
    begun = time.monotonic()
    with hold(home, "digits"):
        assert time.monotonic() - begun >= 0.3
        assert home.names("lease") == ["000005.json"]


def test_one_that_ended_elsewhere_is_not_waited_for(home: Storage) -> None:
    put(home, 4, machine="elsewhere", ended=True)
    with hold(home, "digits"):
        assert home.names("lease") == ["000005.json"]


def test_one_who_comes_late_yields(home: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it looked at lease 4, another took 5, which was lost in turn to a third."""
    put(home, 4, ended=True)
    latest = lease._latest

    def late(searched: Storage) -> lease._Lease:
        found = latest(searched)
        if found.number == 4:
            put(home, 6, begun=this_process().begun)
            home.delete("lease/000004.json")
        return found

    monkeypatch.setattr(lease, "_latest", late)
    with pytest.raises(SearchLockedError), hold(home, "digits"):
        pass
    assert home.names("lease") == ["000006.json"]


def test_who_lost_it_can_do_nothing_more(home: Storage, short: None) -> None:
    with hold(home, "digits"):
        home.write("result.json", b"mine")
        put(home, 2, machine="elsewhere", host="node-7")
        wait_until(lambda: home.patience.refused)
        for forbidden in (lambda: home.write("result.json", b""), lambda: home.below("x").names()):
            with pytest.raises(SearchLostError, match=r"^digits: .* taken it over: .*node-7"):
                forbidden()
    assert again(home).read("result.json") == b"mine"
    assert again(home).names("lease") == ["000001.json", "000002.json"], "another's is not touched"
    assert SearchLostError.exit_code == 1


class Taking(Watcher):
    """Another host takes the search over at the first report."""

    def __init__(self, home: Storage) -> None:
        self.home, self.done = home, False

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        if not self.done:
            self.done = True
            put(self.home, 2, machine="elsewhere", host="node-7")


@pytest.mark.ci
def test_a_search_that_is_lost_ends_and_leaves_all_to_the_other(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.1)
    home = open_storage(tmp_path / "tiny")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tree = space_tree(budget={"trials": 50, "steps": 400, "evaluations": 40})
    with pytest.raises(SearchLostError, match=r"another one has taken it over: .*node-7"):
        service.search(tree, storage=tmp_path, tracking_uri=uri, watcher=Taking(home))
    assert {"result.json", "stop.json"}.isdisjoint(home.names())
    assert home.read("record/ending.json") is None
    endings = [TrialFolders(home)[name].ending() for name in TrialFolders(home).names()]
    assert not [each for each in endings if each is not None and each.outcome == "interrupted"]
    assert home.names("lease") == ["000001.json", "000002.json"]
    assert {run.info.status for run in runs_of(uri)} <= {"RUNNING", "FINISHED"}


@pytest.mark.ci
def test_a_bucket_holds_a_lease_if_its_store_knows_conditional_writes() -> None:
    with s3() as port:
        home = Storage(bucket_uri(port)).below("digits").patient(0)
        with hold(home, "digits"), pytest.raises(SearchLockedError):
            hold(again(home), "digits").__enter__()
        assert home.names("lease") == ["000001.json"]
    with s3(conditional=False) as port:
        home = Storage(bucket_uri(port)).below("digits").patient(0)
        with pytest.raises(StorageError, match="does not know conditional writes") as raised:
            hold(home, "digits").__enter__()
        assert "\n" not in str(raised.value)
        assert home.names("lease") == []


def test_who_slept_asks_before_it_writes(home: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a machine that was suspended, whose first act is to write."""
    with hold(home, "digits"):
        put(home, 2, machine="elsewhere")
        slept = lease._seconds() + lease.LIFE
        monkeypatch.setattr(lease, "_seconds", lambda: slept)
        with pytest.raises(SearchLostError):
            home.write("result.json", b"mine")
    assert again(home).read("result.json") is None


@pytest.mark.ci
def test_an_outage_costs_no_lease(tmp_path: Path, short: None) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = open_storage(disk / "digits").patient(1)
        with hold(home, "digits"):
            remount(disk, "ro")
            time.sleep(1.2)
            threading.Timer(0.5, remount, (disk, "rw")).start()
            home.write("result.json", b"mine")
        assert home.patience.refused is None
        assert holder_of(home, "digits") == ""


def test_a_process_of_an_earlier_version_is_respected(home: Storage) -> None:
    assert home.folder is not None
    lock = home.folder / "search.lock"
    named = f"process {os.getpid()} on {socket.gethostname()}"
    lock.write_text(named)
    assert holder_of(home, "digits") == named
    with pytest.raises(SearchLockedError, match=named), hold(home, "digits"):
        pass
    os.utime(lock, (1e9, 1e9))  # older than the process of that number
    assert holder_of(home, "digits") == ""
    with hold(home, "digits"):
        pass


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_holder_elsewhere_is_shown_while_its_lease_is_young(home: Storage, seconds: int) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - seconds))
    put(home, machine="elsewhere", host="node-7", renewed=at)
    assert bool(holder_of(home, "digits")) == (seconds == 0)


def test_a_folder_that_cannot_hold_a_lease(home: Storage) -> None:
    home.write("lease", b"")
    with pytest.raises(StorageError, match=r"cannot write .*lease"), hold(home, "digits"):
        pass
    assert holder_of(home, "digits") == ""
