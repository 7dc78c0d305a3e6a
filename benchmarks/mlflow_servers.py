"""MLflow servers on loopback, which can be killed, frozen and slowed down."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.servers import Proxy, free_port

__all__ = ["Proxy", "Server", "free_port", "serving"]


class Server:
    """`mlflow server` on loopback, which can be killed and started again.

    ``store`` is copied as its database; ``options`` are further words of its command line.
    """

    def __init__(self, folder: Path, store: Path, *options: str, **environment: str) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.folder, self.options, self.environment = folder, options, environment
        folder.mkdir(exist_ok=True)
        shutil.copy(store, folder / "server.db")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", *self.options]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "files")]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_TRACKING")}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**inherited, **quiet, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, (self.folder / "server.log").read_text()
                time.sleep(0.1)
        raise AssertionError((self.folder / "server.log").read_text())

    def freeze(self) -> None:
        """It takes requests, as the system does that for it, and never answers."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def serving(folder: Path, store: Path, *options: str, **environment: str) -> Iterator[Server]:
    made = Server(folder, store, *options, **environment)
    try:
        made.start()
        yield made
    finally:
        made.kill()
