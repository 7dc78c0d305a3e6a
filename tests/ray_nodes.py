"""Nodes of a Ray cluster with token authentication, started as on machines of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

TOKEN = "t0" * 16


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_node(folder: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    # With ray[default] a head listens for Ray's client, too, by default at one port for all.
    first = ["--head", f"--ray-client-server-port={free_port()}"] if name == "head" else []
    log = folder / f"{name}.log"
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *first, *options),
        *("--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000"),
        *("--min-worker-port=0", "--max-worker-port=0", "--disable-usage-stats"),
        # One port for all by default, too: where another has it, the node takes no jobs.
        f"--dashboard-agent-listen-port={free_port()}",
        f"--temp-dir={folder}",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder / "empty",
            env=environment_of(folder, PYTHONPATH=None),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 90
    while b"Ray runtime started" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            kill_session(process)
            pytest.fail(f"ray start: {log.read_text()}")
        time.sleep(0.1)
    return process


def kill_session(leader: subprocess.Popen[bytes]) -> None:
    """All that a `ray start` of ours has begun, and nobody else's."""
    for pid in [pid for pid in psutil.pids() if pid != leader.pid]:
        with suppress(ProcessLookupError):
            if os.getsid(pid) == leader.pid:
                os.kill(pid, signal.SIGKILL)
    leader.kill()
    leader.wait()


def environment_of(home: Path, **changes: str | None) -> dict[str, str]:
    """The environment of a process that is to know no Ray but the one it is told of."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    # A job's `python` is that of its head's PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ours = {"PATH": path, "HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    merged: dict[str, str | None] = {**kept, **ours, **changes}
    return {name: value for name, value in merged.items() if value is not None}
