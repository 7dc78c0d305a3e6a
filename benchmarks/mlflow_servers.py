"""MLflow servers on loopback, which can be killed, frozen and slowed down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Proxy", "Server", "free_port", "serving"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


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


class Proxy:
    """A proxy on loopback before a server, whose faults can be set at any time.

    Attributes:
        delay: seconds that each request waits before it is passed on.
        is_down: whether connections are refused.
        swallow: so many answers are thrown away after the server has done its work.
        match: only requests whose first line holds this text are disturbed by ``swallow``.
        requests: how many requests have been passed on.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.delay, self.is_down, self.swallow, self.match = 0.0, False, 0, ""
        self.requests = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._started.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: request for request, each with a connection to the server of its own."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, EOFError):
            while not self.is_down and (head := await _head(reader)):
                body = await _body(reader, head)
                if self.is_down:
                    break
                await asyncio.sleep(self.delay)
                answer = await self._ask(head, body)
                self.requests += 1
                if self.is_down:
                    break
                if self.swallow and self.match.encode() in head.split(b"\r\n", 1)[0]:
                    self.swallow -= 1
                    break
                writer.write(answer)
                await writer.drain()
        writer.close()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        lines = [line for line in head.split(b"\r\n") if line]
        kept = [line for line in lines if not line.lower().startswith(b"connection:")]
        writer.write(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        top, _, rest = answer.partition(b"\r\n\r\n")
        kept = [line for line in top.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        if b"content-length" not in top.lower() and b"chunked" not in top.lower():
            kept.append(b"Content-Length: %d" % len(rest))
        return b"\r\n".join(kept) + b"\r\n\r\n" + rest


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        parts = []
        while True:
            size = await reader.readuntil(b"\r\n")
            parts += [size, await reader.readexactly(int(size, 16) + 2)]
            if int(size, 16) == 0:
                return b"".join(parts)
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.split(b":")[1]))
    return b""
