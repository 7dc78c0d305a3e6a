"""Serving a generator: what is answered, to whom, drawn with what, under load and under change."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from test_generator import LATENT, Noisy, Plain
from test_registry import Images, register
from torch import Tensor, nn

from gan_tune.model.generator import Generator
from gan_tune.record.mlflow_store import connect
from gan_tune.registry.pull import load_generator
from gan_tune.registry.versions import find_version
from gan_tune.serving.application import Limits, application
from gan_tune.serving.champion import Champion
from gan_tune.serving.drawing import Order, draw_together
from gan_tune.serving.guard import Guard

TOKEN = "a-secret-token"
ROOT = Path(__file__).parents[1]


def held(module: nn.Module, version: int = 1) -> Champion:
    return Champion(lambda: Generator("points", version, LATENT, module.eval()))


@asynccontextmanager
async def serving(
    champion: Champion, *, shown: str | None = TOKEN, **limits: int
) -> AsyncIterator[httpx.AsyncClient]:
    app = application(champion, limits=Limits(**limits), token=TOKEN)
    headers = {} if shown is None else {"Authorization": f"Bearer {shown}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client,
    ):
        yield client


def run(work: Callable[[httpx.AsyncClient], Awaitable[Any]], champion: Champion, **how: Any) -> Any:
    async def all_of_it() -> Any:
        async with serving(champion, **how) as client:
            return await asyncio.wait_for(work(client), 60)

    return asyncio.run(all_of_it())


async def asked(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/samples", json=body)


# ------------------------------------------------------------------ what is drawn


def test_a_seed_gives_what_generate_draws_in_each_format() -> None:
    generator = Generator("images", 3, LATENT, Images().eval())

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await asked(client, n=70, seed=5, truncation=0.5, format=kind)
            for kind in ("json", "npy", "png")
        ]

    as_json, as_npy, as_png = run(work, Champion(lambda: generator))
    wanted = generator.sample(70, 5, truncation=0.5)
    answer = as_json.json()
    assert {k: answer[k] for k in ("model", "version", "seed", "shape")} == {
        "model": "images",
        "version": 3,
        "seed": 5,
        "shape": [70, 1, 8, 8],
    }
    np.testing.assert_array_equal(np.array(answer["samples"], np.float32), wanted)
    np.testing.assert_array_equal(np.load(io.BytesIO(as_npy.content)), wanted)
    assert as_npy.headers["X-Model"] == "images/3"
    assert as_npy.headers["X-Seed"] == "5"
    assert Image.open(io.BytesIO(as_png.content)).format == "PNG"


def test_without_a_seed_the_answer_has_the_one_that_was_taken() -> None:
    async def work(client: httpx.AsyncClient) -> list[dict[str, Any]]:
        first, second = [(await asked(client, n=2)).json() for _ in range(2)]
        again = (await asked(client, n=2, seed=first["seed"])).json()
        return [first, second, again]

    first, second, again = run(work, held(Plain()))
    assert first["seed"] != second["seed"]
    assert first["samples"] == again["samples"] != second["samples"]


@pytest.mark.parametrize("network", [Plain, Noisy, Images])
def test_orders_drawn_together_equal_those_drawn_alone(network: type[nn.Module]) -> None:
    generator = Generator("x", 1, LATENT, network().eval())
    orders = [Order(1, 0), Order(70, 3, truncation=0.5), Order(16, 2**60), Order(64, 0)]
    for order, drawn in zip(orders, draw_together(generator, orders), strict=True):
        alone = generator.sample(order.n, order.seed, truncation=order.truncation)
        torch.testing.assert_close(drawn.samples, alone, rtol=0, atol=1e-6)
        if generator.draws:
            assert torch.equal(drawn.samples, alone)


def test_a_model_may_have_a_name_that_no_header_can_have() -> None:
    async def work(client: httpx.AsyncClient) -> httpx.Response:
        return await asked(client)

    answer = run(work, Champion(lambda: Generator("цифры 1", 2, LATENT, Plain().eval())))
    assert answer.json()["model"] == "цифры 1"
    assert unquote(answer.headers["X-Model"]) == "цифры 1/2"


# ------------------------------------------------------------------ under load


class Gated(Plain):
    """Waits in `forward` until the gate opens, and counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.passes = threading.Event(), 0
        self.gate.set()

    def forward(self, z: Tensor) -> Tensor:
        self.gate.wait(30)
        self.passes += 1
        return super().forward(z)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():
        await asyncio.sleep(0.01)


async def waiting(client: httpx.AsyncClient, count: int) -> bool:
    return f"gan_tune_queue {count}.0" in (await client.get("/metrics")).text


def test_requests_that_wait_are_drawn_together_and_too_many_are_sent_away() -> None:
    network = Gated()

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        network.gate.clear()
        network.passes = 0
        first = asyncio.create_task(asked(client, n=16, seed=0))
        await until(lambda: waiting(client, 0))
        await asyncio.sleep(0)
        tasks = []
        for seed in range(1, 5):
            tasks.append(asyncio.create_task(asked(client, n=16, seed=seed)))
            await until(lambda wanted=seed: waiting(client, wanted))  # type: ignore[misc]
        refused = await asked(client, n=16, seed=9)
        network.gate.set()
        return [refused, await first, *[await task for task in tasks]]

    refused, *answered = run(work, held(network), queue=4)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert refused.json() == {"detail": "4 requests wait already; try again later"}
    assert [answer.status_code for answer in answered] == [200] * 5
    assert network.passes == 2, "four orders of 16 share one pass"
    generator = Generator("x", 1, LATENT, Plain())
    for seed, answer in enumerate(answered):
        found = torch.tensor(answer.json()["samples"])
        torch.testing.assert_close(found, generator.sample(16, seed), rtol=0, atol=1e-6)


def test_a_network_that_fails_once_harms_no_other_request() -> None:
    class Failing(Plain):
        def forward(self, z: Tensor) -> Tensor:
            if float(z.abs().max()) < 0.01 and bool(z.any()):
                raise RuntimeError("too small")
            return super().forward(z)

    async def work(client: httpx.AsyncClient) -> list[int]:
        return [(await asked(client, n=1, truncation=t, seed=0)).status_code for t in (1, 0.005, 1)]

    assert run(work, held(Failing())) == [200, 500, 200]


def test_a_new_champion_is_picked_up_without_a_lost_request(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    connect(uri)
    register(uri, 0.5)
    champion = Champion(
        lambda: load_generator("digits", uri=uri),
        lambda: find_version("digits", uri=uri).version,
        every=0.05,
    )

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        answers = [await asked(client, n=3, seed=1)]
        better = asyncio.create_task(asyncio.to_thread(register, uri, 0.4, Images(seed=1)))
        while answers[-1].headers["X-Model"] != "digits/2":
            answers += await asyncio.gather(*[asked(client, n=3, seed=1) for _ in range(4)])
        await better
        return answers

    answers = run(work, champion)
    assert {answer.status_code for answer in answers} == {200}
    samples = {answer.headers["X-Model"]: answer.json()["samples"] for answer in answers}
    for name, found in samples.items():
        wanted = load_generator(name, uri=uri).sample(3, 1)
        torch.testing.assert_close(torch.tensor(found), wanted, rtol=0, atol=1e-6)
    for answer in answers:
        found = torch.tensor(answer.json()["samples"])
        wanted = torch.tensor(samples[answer.headers["X-Model"]])
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_a_record_that_is_silent_for_a_while_changes_nothing() -> None:
    looks: list[int] = []

    def look() -> int:
        from gan_tune.errors import TrackingError

        looks.append(1)
        raise TrackingError("silent")

    champion = Champion(lambda: Generator("x", 1, LATENT, Plain()), look, every=0.01)

    async def work(client: httpx.AsyncClient) -> int:
        while len(looks) < 3:
            await asyncio.sleep(0.01)
        return (await asked(client)).status_code

    assert run(work, champion) == 200


def test_a_new_champion_that_fails_to_load_is_told_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    present = Generator("x", 1, LATENT, Plain().eval())
    loaded: list[Generator | Exception] = [
        Generator("x", 2, LATENT, Plain().eval()),
        *[RuntimeError("CUDA out of memory\nTried to allocate")] * 3,
        present,
    ]

    def load() -> Generator:
        found = loaded.pop()
        if isinstance(found, Exception):
            raise found
        return found

    champion = Champion(load, lambda: 2, every=0.01)

    async def work(client: httpx.AsyncClient) -> list[str]:
        served = [(await asked(client)).headers["X-Model"]]
        while served[-1] != "x/2":
            served.append((await asked(client)).headers["X-Model"])
        return served

    with caplog.at_level(logging.WARNING, "gan_tune"):
        served = run(work, champion)
    assert set(served) == {"x/1", "x/2"}
    assert [record.getMessage() for record in caplog.records] == [
        "still serving x/1: RuntimeError: CUDA out of memory",
        "serving x/2 from now on",
    ]


# ------------------------------------------------------------------ who may ask, for what


@pytest.mark.parametrize(
    "path",
    [
        "/v1/model",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/static-offline-docs/swagger-ui.css",
        "/nothing",
    ],
)
def test_strangers_get_nothing_but_the_health(path: str) -> None:
    async def work(client: httpx.AsyncClient) -> list[int]:
        answers = [await client.get(path), await client.get(path, params={"token": "wrong"})]
        posted = await asked(client, n=1)
        health = await client.get("/healthz")
        return [answer.status_code for answer in (*answers, posted, health)]

    for shown in (None, "wrong", ""):
        assert run(work, held(Plain()), shown=shown) == [401, 401, 401, 200]


def test_a_link_with_the_token_opens_the_page_and_what_it_loads() -> None:
    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        landing = await client.get("/docs", params={"token": TOKEN})
        page = await client.get("/docs")
        loaded = re.findall(r"""(?:src|href|url)(?:=|: )["']([^"']+)""", page.text)
        return [landing, page, *[await client.get(path) for path in loaded]]

    landing, page, *loaded = run(work, held(Plain()), shown=None)
    assert "location.replace(location.pathname" in landing.text, "the token leaves the address"
    assert landing.headers["cache-control"] == "no-store"
    assert {answer.status_code for answer in (landing, page, *loaded)} == {200}
    assert {answer.url.host for answer in loaded} == {"here"}, "no other origin is asked"
    kinds = {answer.headers["content-type"].partition(";")[0]: answer for answer in loaded}
    assert {"text/css", "text/javascript", "application/json"} <= set(kinds)
    described = kinds["application/json"]
    cookie = landing.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    schema = described.json()["components"]["schemas"]["SamplesRequest"]["properties"]
    assert schema["n"]["maximum"] == 1000


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"n": 0}, "greater than or equal to 1"),
        ({"n": 11}, "less than or equal to 10"),
        ({"n": "3"}, "valid integer"),
        ({"n": 1, "seed": -1}, "greater than or equal to 0"),
        ({"n": 1, "seed": 2**63}, "less than 9223372036854775808"),
        ({"n": 1, "truncation": 0}, "greater than 0"),
        ({"n": 1, "format": "pickle"}, "'json', 'npy' or 'png'"),
        ({"n": 1, "format": "png"}, "png is for pictures, but the samples are points"),
        ({"n": 1, "code": "x"}, "not permitted"),
        ([], "valid dictionary"),
    ],
)
def test_a_request_that_is_not_valid_is_told_why(body: Any, says: str) -> None:
    async def work(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/samples", json=body)

    answer = run(work, held(Plain()), samples=10)
    assert answer.status_code == 422
    assert says in answer.text


def test_an_answer_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_tune.serving.application.LARGEST_ANSWER", 10)

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await asked(client, n=n) for n in (3, 4)]

    fits, refused = run(work, held(Plain()))
    assert (fits.status_code, refused.status_code) == (200, 422)
    assert refused.json() == {"detail": "n: must be at most 3 for samples of (3,): 4"}


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        ('{"truncation": 1e999}', ["body", "truncation"], "less_than_equal"),
        ('{"truncation": NaN}', ["body", "truncation"], "less_than_equal"),
        ('{"seed": 1e999}', ["body", "seed"], "int_type"),
        ('{"format": "\\ud800"}', ["body", "format"], "string_unicode"),
        ('{"\\ud800": 1}', ["body"], "string_unicode"),
        ("NaN", ["body"], "model_attributes_type"),
    ],
)
def test_what_cannot_be_encoded_is_not_echoed(body: str, place: list[str], kind: str) -> None:
    async def work(client: httpx.AsyncClient) -> httpx.Response:
        as_json = {"Content-Type": "application/json"}
        return await client.post("/v1/samples", content=body, headers=as_json)

    answer = run(work, held(Plain()))
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert set(fault) == {"loc", "msg", "type"}
    assert (fault["loc"], fault["type"]) == (place, kind)


def test_a_body_that_is_too_large_is_not_read() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 1024

    async def work(client: httpx.AsyncClient) -> list[int]:
        told = await client.post("/v1/samples", content=b" " * 100_000)
        untold = await client.post("/v1/samples", content=endless())
        return [told.status_code, untold.status_code, (await asked(client)).status_code]

    assert run(work, held(Plain())) == [413, 413, 200]


def test_a_length_that_no_body_has_is_not_believed() -> None:
    async def work(client: httpx.AsyncClient) -> list[int]:
        lengths = ("0", "9" * 5000, "x")
        headers = [{"Content-Length": n, "Content-Type": "application/json"} for n in lengths]
        sent = [client.post("/v1/samples", content=b'{"n": 2}', headers=one) for one in headers]
        return [answer.status_code for answer in await asyncio.gather(*sent)]

    assert run(work, held(Plain())) == [200, 200, 200]


def test_the_model_and_the_figures_are_told() -> None:
    async def work(client: httpx.AsyncClient) -> tuple[dict[str, Any], str]:
        for n in (3, 4):
            await asked(client, n=n)
        await asked(client, n=0)
        return (await client.get("/v1/model")).json(), (await client.get("/metrics")).text

    model, figures = run(work, held(Noisy(), version=7))
    assert (model["model"], model["version"], model["latent"]) == ("points", 7, LATENT)
    assert (model["shape"], model["draws_in_forward"]) == ([3], True)
    for line in (
        'gan_tune_requests_total{path="/v1/samples",status="200"} 2.0',
        'gan_tune_requests_total{path="/v1/samples",status="422"} 1.0',
        "gan_tune_samples_total 7.0",
        "gan_tune_model_version 7.0",
        "gan_tune_queue 0.0",
    ):
        assert line in figures.splitlines()


# ------------------------------------------------------------------ a real server


@contextmanager
def real_server(folder: Path) -> Iterator[tuple[str, str]]:
    """Address and token of `gan-tune serve` in a process of its own."""
    uri = f"sqlite:///{folder}/mlflow.db"
    connect(uri)
    register(uri, 0.5)
    words = ["serve", "digits", "--port", "0", "--tracking-uri", uri, "--max-samples", "100"]
    server = subprocess.Popen(
        [sys.executable, "-m", "gan_tune.cli", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        told = server.stdout.readline().split()
        assert told[:2] == ["serving", "digits/1:"], told
        address, _, token = told[2].partition("/docs?token=")
        yield address, token
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=30)
    assert "Traceback" not in errors


@pytest.mark.ci
def test_a_real_server_withstands_what_its_description_allows(tmp_path: Path) -> None:
    """Requests made up by schemathesis, valid and invalid ones: no server errors."""
    with real_server(tmp_path) as (address, token):
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            for _ in range(200):
                if client.get("/healthz").is_success:
                    break
            answer = client.post("/v1/samples", json={"n": 100, "seed": 1})
            assert np.array(answer.json()["samples"]).shape == (100, 1, 8, 8)
        fuzzed = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
                *("--header", f"Authorization: Bearer {token}", "--max-examples", "50"),
                *("--checks", "not_a_server_error,status_code_conformance"),
                *("--checks", "content_type_conformance,response_schema_conformance"),
                *("--phases", "examples,coverage,fuzzing", "--seed", "1"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr


@pytest.mark.parametrize("query", [b"", b"token=a-secret-token"])
def test_a_web_socket_is_refused(query: bytes) -> None:
    sent: list[Any] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it is asked")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": query}
    asyncio.run(Guard(behind, TOKEN)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_servers_of_one_host_keep_their_own_cookies() -> None:
    """A browser sends the cookies of a host to all of its ports."""
    tokens = {"8000": "token-of-one", "8001": "token-of-other", "": "token-without-port"}

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def asked(port: str, path: str, cookies: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(Guard(behind, tokens[port]))
        base = f"http://127.0.0.1:{port}".rstrip(":")
        async with httpx.AsyncClient(transport=transport, base_url=base, cookies=cookies) as one:
            return await one.get(path)

    cookies: dict[str, str] = {}
    for port, token in tokens.items():
        cookies |= dict(asyncio.run(asked(port, f"/?token={token}", {})).cookies)
    assert len(cookies) == 3
    for port in tokens:
        assert asyncio.run(asked(port, "/", cookies)).status_code == 200
        assert asyncio.run(asked(port, "/", {})).status_code == 401
