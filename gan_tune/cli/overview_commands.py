"""The commands that list searches and models, and open MLflow's pages: ls, ui."""

from __future__ import annotations

from gan_tune import service
from gan_tune.cli import options, printing
from gan_tune.service import DEFAULT_STORAGE
from gan_tune.words.terminal import busy


def list_all(
    storage: options.Storage = DEFAULT_STORAGE, tracking_uri: options.TrackingUri = None
) -> None:
    """List shipped spaces, searches and models.

    \b
    Example:
      gan-tune ls
    """
    with busy("looking"):
        searches = service.searches(storage, tracking_uri=tracking_uri)
        models = service.models(tracking_uri)
    printing.print_shipped()
    printing.print_searches(searches)
    printing.print_models(models)


def ui(
    port: options.Port = 5000,
    host: options.Host = "127.0.0.1",
    tracking_uri: options.TrackingUri = None,
) -> None:
    """Serve MLflow's pages, until Ctrl-C.

    They show every trial's settings, curves and pictures, and the registered models. Where the
    record is kept by an MLflow server already, its address is printed instead.

    \b
    Example:
      gan-tune ui --port 5001
    """
    with busy("opening the record"):
        uri = service.record_uri(tracking_uri)
    if uri.startswith(("http://", "https://")):
        printing.print_address(uri)
    else:
        service.serve_ui(uri, host=host, port=port)
