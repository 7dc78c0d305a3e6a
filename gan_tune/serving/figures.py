"""The figures of a server for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Figures", "Measured"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TOGETHER = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Figures:
    """Counters and histograms of one server, apart from those of the process.

    Args:
        waiting: how many orders wait now.
        version: the version that is served now.
    """

    def __init__(self, waiting: Callable[[], float], version: Callable[[], float]) -> None:
        self._collectors = CollectorRegistry()
        apart: dict[str, Any] = {"registry": self._collectors}
        self.requests = Counter(
            "gan_tune_requests", "Requests answered", ["path", "status"], **apart
        )
        self.seconds = Histogram(
            "gan_tune_request_seconds",
            "From a request's arrival to its answer",
            ["path"],
            buckets=SECONDS,
            **apart,
        )
        self._samples = Counter("gan_tune_samples", "Samples drawn", **apart)
        self._together = Histogram(
            "gan_tune_batch_requests",
            "Requests that were drawn together",
            buckets=TOGETHER,
            **apart,
        )
        self._drawing = Histogram("gan_tune_batch_seconds", "Drawing", buckets=SECONDS, **apart)
        for name, about, value in (
            ("gan_tune_queue", "Requests that wait", waiting),
            ("gan_tune_model_version", "Version of the model that is served", version),
        ):
            Gauge(name, about, **apart).set_function(value)

    def drawn(self, orders: int, samples: int, seconds: float) -> None:
        """A batch was drawn."""
        self._samples.inc(samples)
        self._together.observe(orders)
        self._drawing.observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self._collectors)


class Measured:
    """Counts the answers of an application, and their seconds, by route and status."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), 500

        async def noticing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noticing)
        finally:
            # Not the path itself, of which strangers could make up any number.
            path = getattr(scope.get("route"), "path", "other")
            self._figures.requests.labels(path, str(status)).inc()
            self._figures.seconds.labels(path).observe(perf_counter() - began)
