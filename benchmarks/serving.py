"""Requests a second and their time: `gan-tune serve` against `mlflow models serve`.

    python benchmarks/serving.py [--seconds 10] [--clients 32] [--samples 16]

Both serve the same generator (the MLP of 28×28 pictures) from the same MLflow store, each in a
process of its own, JSON in and JSON out. First as many clients as given ask as fast as they are
answered (closed loop). Then gan-tune is asked at half of its own rate, at times that do not wait
for answers (open loop), and once more while a new champion is registered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import torch

from benchmarks.machine import machine
from benchmarks.table import Asked, table

LATENT, SHAPE = 100, (1, 28, 28)
TOKEN = "benchmark-token"

Ask = Callable[[aiohttp.ClientSession, int], Awaitable[int]]
"""Sends request number i and reads its answer: the status."""


def register(uri: str, value: float, seed: int) -> None:
    from gan_tune.config import Part
    from gan_tune.data.scaling import Affine
    from gan_tune.gan.networks import build_network
    from gan_tune.model.export import ExportedGenerator
    from gan_tune.model.generator_config import GeneratorConfig
    from gan_tune.record.mlflow_store import connect
    from gan_tune.registry.publish import register_champion

    connect(uri)
    torch.manual_seed(seed)
    args = {"latent": LATENT}
    network = build_network("generator", SHAPE, name="mlp", args=args)
    config = GeneratorConfig(LATENT, SHAPE, Part(name="mlp", args=args), "affine")
    register_champion(
        ExportedGenerator(network, Affine((0.0,), (1.0,), True), config=config).eval(),
        latent=LATENT,
        model="mlp",
        run_id=None,
        value=value,
        mode="min",
        comparable="benchmark",
        uri=uri,
    )


# ------------------------------------------------------------------ the servers


@contextmanager
def process(words: list[str], folder: Path, port: int, path: str) -> Iterator[str]:
    """The address of a server, as soon as it answers."""
    address = f"http://127.0.0.1:{port}"
    output = folder / f"{port}.log"
    with output.open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env=os.environ | {"GAN_TUNE_SERVE_TOKEN": TOKEN},
            stdout=log,
            stderr=log,
            start_new_session=True,  # MLflow's command starts another process
        )
    try:
        if not asyncio.run(answers(address + path, server)):
            raise SystemExit(f"a server ended: {output.read_text()[-1000:]}")
        yield address
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


async def answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    async with aiohttp.ClientSession() as session:
        while server.poll() is None:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return True
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def ours(address: str, samples: int) -> Ask:
    headers = {"Authorization": f"Bearer {TOKEN}"}

    async def ask(session: aiohttp.ClientSession, number: int) -> int:
        body = {"n": samples, "seed": number}
        async with session.post(f"{address}/v1/samples", json=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    return ask


def mlflows(address: str, samples: int) -> Ask:
    z = np.random.default_rng(0).standard_normal((samples, LATENT)).astype(np.float32)
    body = json.dumps({"inputs": z.tolist()}).encode()
    headers = {"Content-Type": "application/json"}

    async def ask(session: aiohttp.ClientSession, number: int) -> int:
        async with session.post(f"{address}/invocations", data=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    return ask


# ------------------------------------------------------------------ the clients


async def closed_loop(ask: Ask, clients: int, seconds: float) -> tuple[float, int]:
    """Answers a second, and how many were errors, after a warm-up of a fifth of the time."""
    answers: list[tuple[float, int]] = []
    began = time.perf_counter()

    async def client(session: aiohttp.ClientSession, first: int) -> None:
        number = first
        while time.perf_counter() < began + 1.2 * seconds:
            status = await ask(session, number)
            answers.append((time.perf_counter(), status))
            number += clients

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session, i) for i in range(clients)))
    counted = [status for at, status in answers if at > began + 0.2 * seconds]
    return len(counted) / seconds, sum(status != 200 for status in counted)


async def open_loop(ask: Ask, rate: float, seconds: float) -> tuple[float, int]:
    """The 99th percentile of an answer's ms from when it was due, and how many were errors."""
    times: list[float] = []
    statuses: list[int] = []
    gaps = np.random.default_rng(0).exponential(1 / rate, int(rate * seconds))

    async def one(session: aiohttp.ClientSession, due: float, number: int) -> None:
        statuses.append(await ask(session, number))
        times.append(time.perf_counter() - due)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session, i) for i in range(32)))  # connections are open
        tasks = []
        due = time.perf_counter()
        for number, gap in enumerate(gaps):
            due += gap
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(session, due, number)))
        await asyncio.gather(*tasks)
    return 1000 * float(np.quantile(times, 0.99)), sum(status != 200 for status in statuses)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--samples", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        uri = f"sqlite:///{folder}/mlflow.db"
        register(uri, 1.0, 0)
        port = free_port()
        words = ["-m", "gan_tune.cli", "serve", "mlp", "--port", str(port)]
        words += ["--tracking-uri", uri]
        with process(words, folder, port, "/healthz") as address:
            ask = ours(address, options.samples)
            mine, errors = asyncio.run(closed_loop(ask, options.clients, options.seconds))
            late, more = asyncio.run(open_loop(ask, mine / 2, options.seconds))

            async def changing() -> tuple[float, int]:
                # In a process of its own: here it would hold the clients up.
                words = f"from benchmarks.serving import register; register({uri!r}, 0.5, 1)"
                better = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", words, cwd=Path(__file__).parents[1]
                )
                found = await open_loop(ask, mine / 2, max(options.seconds, 20))
                if await better.wait():
                    raise SystemExit("no new champion could be registered")
                return found

            during, lost = asyncio.run(changing())
            version = asyncio.run(served_version(address))
        port = free_port()
        words = ["-m", "mlflow", "models", "serve", "-m", "models:/mlp/1", "--env-manager", "local"]
        os.environ["MLFLOW_TRACKING_URI"] = uri
        with process([*words, "--port", str(port)], folder, port, "/ping") as address:
            theirs, failed = asyncio.run(
                closed_loop(mlflows(address, options.samples), options.clients, options.seconds)
            )
    ratio = mine / theirs
    print(f"{machine()}\n")
    rows: list[list[Any]] = [
        ["requests/s of gan-tune serve", f"{mine:.0f}", "", ""],
        ["requests/s of mlflow models serve", f"{theirs:.0f}", "", ""],
        ["their ratio", f"{ratio:.1f}", *Asked.at_least(5, ratio)],
        ["p99 at half of that, ms", f"{late:.0f}", *Asked.at_most(100, late)],
        ["errors of gan-tune", f"{errors + more}", *Asked.at_most(0, errors + more)],
        [f"errors through a change to version {version}", f"{lost}", *Asked.at_most(0, lost)],
        ["p99 through that change, ms", f"{during:.0f}", "", ""],
        ["errors of mlflow", f"{failed}", "", ""],
    ]
    print(table(["", "measured", "asked", ""], rows))


async def served_version(address: str) -> int:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{address}/v1/model") as answer,
    ):
        version: int = (await answer.json())["version"]
    return version


if __name__ == "__main__":
    main()
