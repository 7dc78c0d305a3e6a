"""An application on Ray Serve: in many processes, on many nodes. This file alone imports it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions, ProxyLocation

from gan_tune.cluster.connection import connected
from gan_tune.cluster.listening import listen
from gan_tune.errors import ClusterError, GanTuneError
from gan_tune.words.wording import last_line

__all__ = ["run_on_ray"]

NAME = "gan-tune"


def run_on_ray(
    build: Callable[[], Any],
    *,
    address: str | None,
    replicas: int,
    requests: int,
    host: str,
    port: int,
    started: Callable[[str], None],
) -> None:
    """Serve an application until interrupted. Each node that has a replica listens at the address.

    Args:
        build: makes the ASGI application, in each replica.
        address: of the cluster; None: as :func:`gan_tune.cluster.connection.connected`.
        replicas: how many processes; each takes a CPU.
        requests: that a replica takes on at a time; more wait before it.
        host: address to listen on.
        port: port to listen on.
        started: is told the address.

    Raises:
        GanTuneError: the port is 0.
        ClusterError: no cluster answers there, it serves something already, or has no place.
        OutputError: the port is taken, or the host is not this machine's.
    """
    if port == 0:
        raise GanTuneError("--port: must be given on Ray, and not 0")
    listen(host, port).close()
    with connected(address, None, cpus=None):
        if serve.status().proxies:
            raise ClusterError("Ray Serve runs on this cluster already; `serve shutdown` ends it")
        if (there := int(ray.cluster_resources().get("CPU", 0))) < replicas:
            raise ClusterError(
                f"--replicas: each takes a CPU: must be at most {there}, but got {replicas}"
            )

        def built() -> Any:
            return build()

        try:
            serve.start(
                proxy_location=ProxyLocation.EveryNode,
                http_options=HTTPOptions(host=host, port=port),
                logging_config={"log_level": "WARNING", "enable_access_log": False},
            )
            # Ray Serve tells a function that makes an application by its type.
            deployment: Any = serve.deployment(
                serve.ingress(built)(), num_replicas=replicas, max_ongoing_requests=requests
            )
            serve.run(deployment.bind(), name=NAME, route_prefix="/")
            shown = f"[{host}]" if ":" in host else host
            started(f"http://{shown}:{port}")
            while True:
                time.sleep(1)
        except RuntimeError as error:
            raise ClusterError(f"Ray Serve: {last_line(error)}") from error
        finally:
            serve.shutdown()
