"""`gan-tune ui`: serves MLflow's pages with the record."""

from __future__ import annotations

import sys

from gan_tune.record import mlflow_store
from gan_tune.record.mlflow_server import check_port, serve


def record_uri(tracking_uri: str | None) -> str:
    """The URI of the record.

    Raises:
        TrackingError: there is no record yet, or MLflow does not answer.
    """
    return mlflow_store.connect(tracking_uri, create=False)


def serve_ui(uri: str, *, host: str, port: int) -> None:
    """Serve MLflow's pages for a store at ``host:port``, until Ctrl-C.

    Raises:
        GanTuneError: the port is taken, or the server does not start.
    """
    check_port(host, port)
    words = ["server", "--host", host, "--port", str(port), "--workers", "1"]
    serve([sys.executable, "-m", "mlflow", *words], f"http://{host}:{port}", uri)
