"""`gan-tune serve`: a registered generator over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from gan_tune.errors import GanTuneError
from gan_tune.service.registered_models import bare, find_version, load_generator

__all__ = ["TOKEN", "serve"]

TOKEN = "GAN_TUNE_SERVE_TOKEN"
"""The variable of the environment that holds the token; otherwise it is made up."""


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
    started: Callable[[str, str], None],
) -> None:
    """Serve a registered generator until interrupted.

    Args:
        model: a name as for :func:`load_generator`. A champion, or what has another alias, is
            replaced by its successor; a version stays.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        device: of torch.
        most: samples of one request.
        queue: requests that wait; more are answered with 429.
        every: seconds between two looks for a new champion.
        tracking_uri: of MLflow.
        started: is told the model's name, and the link with the token.

    Raises:
        GanTuneError: the extra `serve` is not installed, or the model cannot be loaded.
        ModelNotFoundError: there is no such model.
        OutputError: the port is taken.
        TrackingError: MLflow does not answer.
    """
    try:
        from gan_tune.serving.application import Limits, application
        from gan_tune.serving.champion import Champion
        from gan_tune.serving.running import run_server
        from gan_tune.serving.token import token_of
    except ImportError as error:
        raise GanTuneError(
            f'gan-tune serve needs {error.name}: pip install "gan-tune[serve]"'
        ) from None
    token = token_of(TOKEN)
    pinned = bare(model) + "/" in model.removeprefix("models:/")
    champion = Champion(
        lambda: load_generator(model, tracking_uri=tracking_uri, device=device),
        None if pinned else lambda: find_version(model, tracking_uri=tracking_uri).version,
        every=every,
    )
    app = application(champion, limits=Limits(most, queue), token=token)
    label = str(champion.generator)
    run_server(app, host, port, started=lambda at: started(label, f"{at}/docs?token={token}"))
