"""Servers on loopback for measurements and tests: a bucket, PostgreSQL, and a faulty proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs

MOTO = """
import sys, threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

app, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

def serve(environ, start):
    if sys.argv[2:]:
        environ.pop("HTTP_IF_NONE_MATCH", None)
    if environ.get("HTTP_IF_NONE_MATCH") is None:
        return app(environ, start)
    with one_at_a_time:
        return app(environ, start)

run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True)
"""
"""moto checks the condition of a write, then writes; a real store does both as one."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int, seconds: float = 120) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens on port {port}")
        time.sleep(0.05)


def bucket_uri(port: int) -> str:
    """The bucket of the server on a port, as a storage."""
    return f"s3://KEY:SECRET@gan-tune/runs?scheme=http&endpoint_override=127.0.0.1:{port}"


@contextlib.contextmanager
def s3(*, conditional: bool = True) -> Iterator[int]:
    """The port of an S3 server with one bucket, `gan-tune`: real HTTP, in another process.

    Without ``conditional`` it ignores the conditions of writes, as old stores do.

    It is moto's, a mock that keeps everything in memory: of the package registries none has a real
    store that knows conditional writes and runs as one process.
    """
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", MOTO, str(port), *([] if conditional else ["ignore"])],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        pafs.S3FileSystem(
            access_key="KEY",
            secret_key="SECRET",
            region="us-east-1",
            scheme="http",
            endpoint_override=f"127.0.0.1:{port}",
            allow_bucket_creation=True,
        ).create_dir("gan-tune")
        yield port
    finally:
        server.kill()
        server.wait()


class Postgres:
    """A PostgreSQL on loopback, which can be stopped and started again.

    Args:
        folder: for its data; the user `postgres` must be able to write it.
        programs: the folder of `initdb` and `pg_ctl`.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs, self.port = folder, programs, free_port()
        self.url = f"postgresql+psycopg://gan_tune@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *options: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *options]
        subprocess.run(command, check=True, user=user, cwd="/tmp", capture_output=True)

    def start(self) -> None:
        server = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = ["-l", str(self.folder / "log")]
        self.run("pg_ctl", "start", "-w", "-o", server, *log)

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-m", "immediate")


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps out of the path."""
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextlib.contextmanager
def postgres(programs: Path) -> Iterator[Postgres]:
    """A PostgreSQL with an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="gt-pg-", dir="/tmp"))
    server = Postgres(folder, programs)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        server.run("initdb", "-U", "gan_tune", "-A", "trust", "--no-sync")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
                if b"expect: 100-continue" in head.lower():  # else a client waits a second
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
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
        kept = [line for line in lines if not line.lower().startswith((b"connection:", b"expect:"))]
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
