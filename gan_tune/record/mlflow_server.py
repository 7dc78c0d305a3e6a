"""MLflow's server as a child process; it serves the pages while a command runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from types import FrameType
from typing import IO

from gan_tune.errors import GanTuneError
from gan_tune.words.terminal import busy
from gan_tune.words.wording import last_line

__all__ = ["check_port", "serve"]

START_SECONDS = 90.0
"""How long the server may take to start."""


def check_port(host: str, port: int) -> None:
    """Check, before anything is started, that a server can listen there.

    Raises:
        GanTuneError: another program listens there, or there is no such address.
    """
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise GanTuneError(
            f"--port {port}: cannot listen on {host}:{port} ({reason}); give another --port"
        ) from None


def serve(command: Sequence[str], address: str, store: str) -> None:
    """Run a server until it is interrupted; its whole process group ends with this command.

    The ``store`` is passed in the environment: its URI may hold a password, and every user of the
    machine can read command lines.

    Raises:
        GanTuneError: it does not start, or ends by itself; contains its last line of output.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    # Its workers for background jobs are not needed here, and take seconds to start.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ
    environment |= {"MLFLOW_BACKEND_STORE_URI": store}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, process_group=0
        )
        try:
            with busy("starting MLflow's server"):
                _wait_until_up(process, address, log)
            print(f"MLflow: {address} (Ctrl-C ends it)", flush=True)
            code = process.wait()
            raise GanTuneError(f"MLflow's server ended with code {code}: {_last_words(log)}")
        except KeyboardInterrupt:
            return
        finally:
            _end_group(process)


def _wait_until_up(process: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> None:
    host = address.removeprefix("http://")
    reachable = host.replace("0.0.0.0", "127.0.0.1", 1).replace("[::]", "[::1]", 1)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise GanTuneError(f"MLflow's server does not start: {_last_words(log)}")
        try:
            urllib.request.urlopen(f"http://{reachable}/health", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise GanTuneError(f"MLflow's server does not answer at {address}: {_last_words(log)}")


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    return last_line(log.read().decode(errors="replace")) or "it said nothing"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a server and its workers; those that do not end within 5 s are killed."""
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(process.pid, number)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            return  # the group has ended
