"""One server in this process, run by uvicorn. This file alone imports uvicorn."""

from __future__ import annotations

from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from gan_tune.cluster.listening import listen

__all__ = ["run_server"]

GRACE = 10
"""Seconds for requests that are being answered when the server is ended."""


def run_server(app: ASGIApp, host: str, port: int, *, started: Callable[[str], None]) -> None:
    """Serve until interrupted. ``started`` is told the address; port 0 takes a free one.

    Raises:
        OutputError: the port is taken, or the host is not this machine's.
    """
    with listen(host, port) as listening:
        shown = f"[{host}]" if ":" in host else host
        started(f"http://{shown}:{listening.getsockname()[1]}")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE
        )
        uvicorn.Server(config).run(sockets=[listening])
