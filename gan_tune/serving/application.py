"""The application: a FastAPI object, to be run by uvicorn or by Ray Serve.

FastAPI reads the routes' annotations, one of which is made for the limits given: hence no
`from __future__ import annotations` here.
"""

import asyncio
import io
import math
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
import orjson
from fastapi import Body, FastAPI, HTTPException, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from torch import Tensor

from gan_tune.samples import pictures
from gan_tune.serving.batching import Batcher, QueueFull
from gan_tune.serving.champion import Champion
from gan_tune.serving.drawing import Drawn, Order
from gan_tune.serving.figures import Figures, Measured
from gan_tune.serving.guard import Guard
from gan_tune.serving.landing import Landing
from gan_tune.serving.requests import (
    ModelAnswer,
    Problem,
    SamplesAnswer,
    SamplesRequest,
    invalid,
    limited_request,
)
from gan_tune.version import __version__

__all__ = ["Limits", "application"]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "Without the token"},
    400: {"model": Problem, "description": "The body is not JSON"},
    413: {"model": Problem, "description": "The body is too large"},
    422: {"model": Problem, "description": "The request is not valid"},
    429: {"model": Problem, "description": "Too many requests wait; try again later"},
}


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        samples: of one request.
        queue: requests that wait; more are answered with 429.
    """

    samples: int = 1000
    queue: int = 256


DEFAULT_LIMITS = Limits()
LARGEST_ANSWER = 2**22
"""Numbers of one answer: what JSON of them takes, the other requests wait for."""


def application(
    champion: Champion, *, limits: Limits = DEFAULT_LIMITS, token: str | None
) -> FastAPI:
    """The server of a generator.

    Args:
        champion: holds the generator.
        limits: of requests.
        token: what clients must show; None: nothing, as for a server behind another one.
    """
    server = _Server(champion, limits)
    app = FastAPIOffline(  # the page loads nothing from elsewhere
        redoc_url=None,
        title="gan-tune serve",
        version=__version__,
        description=f"Draws samples from {champion.generator.name}.",
        lifespan=server.lifespan,
        exception_handlers={RequestValidationError: invalid},
    )
    app.add_middleware(Landing, path="/docs")
    app.add_middleware(Guard, token=token)
    app.add_middleware(Measured, figures=server.figures)  # the last one is the outermost
    Asked: Any = limited_request(limits.samples)

    @app.post(
        "/v1/samples",
        response_model=SamplesAnswer,
        responses={
            **PROBLEMS,
            200: {
                "content": {
                    media: {"schema": {"type": "string", "format": "binary"}}
                    for media in ("application/octet-stream", "image/png")
                }
            },
        },
    )
    async def samples(asked: Annotated[Asked, Body()]) -> Response:
        """Draw samples."""
        return await server.samples(asked)

    @app.get("/v1/model", response_model=ModelAnswer, responses={401: PROBLEMS[401]})
    async def model() -> ModelAnswer:
        """The generator that is served."""
        return server.model()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the server runs; this needs no token."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response, responses={401: PROBLEMS[401]})
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(server.figures.text(), media_type="text/plain; version=0.0.4")

    return app


class _Server:
    """What the routes share."""

    def __init__(self, champion: Champion, limits: Limits) -> None:
        self._champion, self._limits = champion, limits
        self._batcher: Batcher | None = None
        self.figures = Figures(
            lambda: self._batcher.waiting if self._batcher else 0,
            lambda: champion.generator.version or 0,
        )

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Draw, and look for new champions, as long as the server runs."""
        self._batcher = Batcher(
            lambda: self._champion.generator,
            limit=self._limits.queue,
            drawn=self.figures.drawn,
        )
        tasks = [
            asyncio.create_task(work) for work in (self._batcher.run(), self._champion.watch())
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def samples(self, asked: SamplesRequest) -> Response:
        """The answer to a request."""
        assert self._batcher is not None
        if asked.format == "png" and not _has_pictures(self._champion.generator.shape):
            raise HTTPException(422, "format: png is for pictures, but the samples are points")
        shape = self._champion.generator.shape
        most = max(1, LARGEST_ANSWER // math.prod(shape))
        if asked.n > most:
            raise HTTPException(422, f"n: must be at most {most} for samples of {shape}: {asked.n}")
        seed = secrets.randbelow(2**53) if asked.seed is None else asked.seed
        try:
            drawn = await self._batcher.draw(Order(asked.n, seed, asked.truncation))
        except QueueFull:
            detail = f"{self._limits.queue} requests wait already; try again later"
            raise HTTPException(429, detail, {"Retry-After": "1"}) from None
        return await _encoded(drawn, seed, asked.format)

    def model(self) -> ModelAnswer:
        """The present generator."""
        generator = self._champion.generator
        return ModelAnswer(
            model=generator.name,
            version=generator.version,
            latent=generator.latent,
            shape=list(generator.shape),
            columns=[column.name for column in generator.columns],
            draws_in_forward=generator.draws,
            since=self._champion.since.isoformat(timespec="seconds"),
            tags=dict(generator.tags),
        )


def _has_pictures(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3


async def _encoded(drawn: Drawn, seed: int, kind: str) -> Response:
    generator, samples = drawn.generator, drawn.samples
    headers = {"X-Model": quote(str(generator)), "X-Seed": str(seed)}  # headers are ASCII
    if kind == "json":
        answer = {
            "model": generator.name,
            "version": generator.version,
            "seed": seed,
            "shape": list(samples.shape),
            "samples": samples.numpy(),
        }
        content = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(content, headers=headers, media_type="application/json")
    if kind == "npy":
        return Response(_npy(samples), headers=headers, media_type="application/octet-stream")
    content = await asyncio.to_thread(lambda: pictures.png(pictures.grid(samples)))
    return Response(content, headers=headers, media_type="image/png")


def _npy(samples: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, samples.numpy(), allow_pickle=False)
    return buffer.getvalue()
