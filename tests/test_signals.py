"""A signal at any moment of a search ends it in order, within 15 seconds."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import yaml
from conftest import trial_tree

from gan_tune.cli.exit_codes import ExitCode
from gan_tune.service.running.ctrl_c import heeded

pytestmark = pytest.mark.ci

ORDERLY = 15.0
"""Seconds from the signal to the end of the process; on a busy machine as the start took."""

AT_ONCE = 3.0
"""Seconds from the second signal to the end; on a busy machine a quarter of what the start took."""


class Moment(NamedTuple):
    """When a signal is sent: so many seconds after a text of the output; and a second one after
    ``again`` seconds.
    """

    text: str
    seconds: float
    number: signal.Signals
    again: float | None = None


MOMENTS: Mapping[str, Moment] = {
    "the data are loaded": Moment("loading data", 0.1, signal.SIGTERM),
    "Ray begins to start": Moment("starting Ray", 0.05, signal.SIGINT),
    "Ray starts": Moment("starting Ray", 0.5, signal.SIGTERM),
    "a trial is trained": Moment("trial_reported", 0.0, signal.SIGHUP),
    "a setting is confirmed": Moment('"confirmation"', 0.1, signal.SIGTERM),
    "the report is drawn": Moment("drawing the report", 0.0, signal.SIGINT),
}
TWICE: Mapping[str, Moment] = {
    "Ray starts": Moment("starting Ray", 0.3, signal.SIGINT, again=0.2),
    "a trial is trained": Moment("trial_reported", 0.0, signal.SIGINT, again=0.1),
    "it ends": Moment("trial_reported", 0.0, signal.SIGTERM, again=0.5),
}


PLACES = threading.Semaphore(3)
"""So many searches at a time: of more, each waits mostly for the others."""


def _heed_sighup() -> None:
    """The tests themselves may run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Command:
    """A search on a terminal of its own, to which a signal is sent at its moment.

    Attributes:
        printed: what it has printed so far.
        took: seconds from the last signal to its end; None if it ended before.
        before: seconds until the signal.
        left: its children at the signal that outlive it.
    """

    def __init__(self, folder: Path, moment: Moment) -> None:
        folder.mkdir()
        left_out = ("steps", "evaluations", "seed")
        trial = {key: value for key, value in trial_tree().items() if key not in left_out}
        space = {
            "name": "x",
            "budget": {"trials": 1, "steps": 400, "evaluations": 20},
            "search": {"experience": "none"},
            "confirm": {"top": 1, "seeds": 1},
            "trial": trial | {"collapse": "none"},
        }
        (folder / "x.yaml").write_text(yaml.safe_dump(space))
        self._folder, self._moment = folder, moment
        self.printed, self.before = "", 0.0
        self.took: float | None = None
        self.left: list[psutil.Process] = []
        self.watch = threading.Thread(target=self._run, daemon=True)
        self.watch.start()

    def _run(self) -> None:
        with PLACES:
            self._begin()
            try:
                self._watch()
            finally:
                self.process.kill()
                self.process.wait()

    def _begin(self) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gan_tune.cli", "search", "x.yaml", "--json"],
            cwd=self._folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            preexec_fn=_heed_sighup,
        )  # fmt: skip
        os.close(theirs)

    def _watch(self) -> None:
        started = time.monotonic()
        while self._moment.text not in self.printed:
            if not self._reads():
                return
        time.sleep(self._moment.seconds)
        children = psutil.Process(self.process.pid).children(recursive=True)
        if self._moment.number == signal.SIGHUP:
            os.close(self._ours)  # printing fails from now on
            self._ours = -1
        self.process.send_signal(self._moment.number)
        sent = time.monotonic()
        self.before = sent - started
        if self._moment.again is not None:
            time.sleep(self._moment.again)
            self.process.send_signal(self._moment.number)
            sent = time.monotonic()
            self.process.wait()  # its terminal may stay open a little longer
            self.took = time.monotonic() - sent
        while self._reads():
            pass
        self.process.wait()
        self.took = self.took or time.monotonic() - sent
        self.left = psutil.wait_procs(children, timeout=10)[1]

    def _reads(self) -> bool:
        with suppress(OSError):  # the terminal is closed
            piece = os.read(self._ours, 4096)
            self.printed += piece.decode(errors="replace")
            return bool(piece)
        return False


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Command]]:
    """A search for each moment, some at once: most of their time they start."""
    folder = tmp_path_factory.mktemp("searches")
    moments = {**MOMENTS, **{f"{name}, twice": moment for name, moment in TWICE.items()}}
    begun = {name: Command(folder / name, moment) for name, moment in moments.items()}
    yield begun
    for command in begun.values():
        command.watch.join()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_a_search_in_order(moment: str, commands: dict[str, Command]) -> None:
    command = commands[moment]
    command.watch.join(timeout=300)
    assert command.took is not None, command.printed
    assert command.process.returncode == ExitCode.INTERRUPTED, command.printed
    assert command.took < max(ORDERLY, command.before)
    assert "Traceback" not in command.printed
    assert command.left == []


@pytest.mark.parametrize("moment", TWICE)
def test_a_second_signal_ends_it_at_once(moment: str, commands: dict[str, Command]) -> None:
    command = commands[f"{moment}, twice"]
    command.watch.join(timeout=300)
    assert command.took is not None, command.printed
    assert command.process.returncode == ExitCode.INTERRUPTED, command.printed
    assert command.took < max(AT_ONCE, command.before / 4)
    assert "Traceback" not in command.printed
    assert command.left == [], "nothing of Ray outlives it"


def test_a_signal_that_a_librarys_handler_loses_is_heeded() -> None:
    """As Ray's handler, while Ray starts: what it raises in a callback of fork is ignored."""

    def start() -> None:
        with signals.held():
            signal.signal(signal.SIGTERM, lambda *_: None)
            os.kill(os.getpid(), signal.SIGTERM)
            until = time.monotonic() + 10
            while not signals.heard and time.monotonic() < until:
                time.sleep(0.01)

    with heeded() as signals:
        with pytest.raises(KeyboardInterrupt):
            start()
        assert signals.asked
        assert signals.heard == signal.SIGTERM


LOCKED = """
import logging, os, signal, threading
from gan_tune.service.running import ctrl_c

ctrl_c.LONGEST = 1.0
with ctrl_c.heeded():
    # As a KeyboardInterrupt leaves it that comes after a lock is taken and before it is guarded.
    logging._lock.acquire()
    waits = threading.Thread(target=logging.getLogger("x").warning, args=("anything",))
    waits.start()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        waits.join()
    except KeyboardInterrupt:
        waits.join()
"""


def test_a_lock_that_a_signal_leaves_taken_does_not_hold_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOCKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == ExitCode.INTERRUPTED, ended.stderr
    assert ended.stderr == "warning: it did not end within 1 s, and leaves at once\n"


@pytest.mark.parametrize("timer", [0.0, 0.1])
def test_neither_a_full_pipe_nor_other_signals_hold_the_process(timer: float) -> None:
    """Nobody reads its errors; and signals come more often than it looks at the time."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writes, b"x" * 4096)
    os.set_blocking(writes, True)
    often = f"signal.signal(signal.SIGALRM, id); signal.setitimer(0, {timer}, {timer})\n"
    often = often.replace("id", "lambda *_: None")
    program = LOCKED.replace("with ctrl_c", f"{often}with ctrl_c") if timer else LOCKED
    try:
        ended = subprocess.run([sys.executable, "-c", program], stderr=writes, timeout=60)
    finally:
        os.close(reads)
        os.close(writes)
    assert ended.returncode == ExitCode.INTERRUPTED
