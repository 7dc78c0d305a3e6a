"""`gan-tune serve`: a registered generator over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from gan_tune.errors import GanTuneError
from gan_tune.service.registered_models import bare, find_version, load_generator
from gan_tune.service.signals import until_signalled

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["TOKEN", "serve"]

TOKEN = "GAN_TUNE_SERVE_TOKEN"
"""The variable of the environment that holds the token; otherwise it is made up."""

ANSWERED = 64
"""Requests beside the waiting ones that a process on Ray takes on: those being drawn and sent."""


def serve(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "cpu",
    most: int = 1000,
    queue: int = 256,
    every: float = 5.0,
    tracking_uri: str | None = None,
    address: str | None = None,
    replicas: int | None = None,
    started: Callable[[str, str], None],
) -> None:
    """Serve a registered generator until interrupted.

    Args:
        model: a name as for :func:`load_generator`. A champion, or what has another alias, is
            replaced by its successor; a version stays.
        host: address to listen on.
        port: port to listen on; 0 takes a free one, but not on Ray.
        device: of torch.
        most: samples of one request.
        queue: requests that wait, in each process; more are answered with 429.
        every: seconds between two looks for a new champion.
        tracking_uri: of MLflow; with ``address`` all nodes must reach it.
        address: of a Ray cluster, on which Ray Serve runs the same application.
        replicas: processes that draw, on Ray Serve; without both, it is this one.
        started: is told the model's name, and the link with the token.

    Raises:
        GanTuneError: the extra `serve` is not installed, or the model cannot be loaded.
        ModelNotFoundError: there is no such model.
        ClusterError: no cluster answers there, or it has no place.
        OutputError: the port is taken, or the host is not this machine's.
        TrackingError: MLflow does not answer.
    """
    from gan_tune.record.mlflow_store import connect
    from gan_tune.serving.token import token_of

    if address is not None or replicas is not None:
        serving: Callable[..., None] = _on_ray
        options = {"address": address, "replicas": replicas or 1, "requests": queue + ANSWERED}
    else:
        serving, options = _here, {}
    token = token_of(TOKEN)
    uri = connect(tracking_uri, create=False)  # which may lie below this process's folder
    found = find_version(model, tracking_uri=uri)
    build = partial(_application, model, device, most, queue, every, uri, token)
    label = f"{found.name}/{found.version}"
    serving(
        build,
        host=host,
        port=port,
        started=lambda at: started(label, f"{at}/docs?token={token}"),
        **options,
    )


def _application(
    model: str, device: str, most: int, queue: int, every: float, uri: str, token: str
) -> FastAPI:
    """The application, in the process that runs it."""
    with _extra("serve"):
        from gan_tune.serving.application import Limits, application
        from gan_tune.serving.champion import Champion
    pinned = bare(model) + "/" in model.removeprefix("models:/")
    champion = Champion(
        lambda: load_generator(model, tracking_uri=uri, device=device),
        None if pinned else lambda: find_version(model, tracking_uri=uri).version,
        every=every,
    )
    return application(champion, limits=Limits(most, queue), token=token)


def _here(build: Callable[[], FastAPI], **how: Any) -> None:
    """Serve in this process."""
    with _extra("serve"):
        from gan_tune.serving.running import run_server
    run_server(build(), **how)


def _on_ray(build: Callable[[], FastAPI], **how: Any) -> None:
    """Serve in processes of Ray Serve."""
    with _extra("serve-on-ray"):
        from gan_tune.cluster.ray_serve import run_on_ray
    with until_signalled():
        run_on_ray(build, **how)


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Imports of what an extra of the package installs."""
    try:
        yield
    except ImportError as error:
        raise GanTuneError(
            f'gan-tune serve needs {error.name}: pip install "gan-tune[{name}]"'
        ) from None
