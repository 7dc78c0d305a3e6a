"""`gan-tune ui`: serves MLflow's pages with the record, to those with the token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gan_tune.cluster.listening import listen
from gan_tune.record import mlflow_store
from gan_tune.record.history import find_parent, newest_parent
from gan_tune.record.mlflow_internals import SHARED_VIEW
from gan_tune.record.mlflow_server import mlflow_pages
from gan_tune.record.pages import charts_page, run_page, table_page
from gan_tune.service.signals import until_signalled
from gan_tune.storage.places import REPORT
from gan_tune.words.terminal import busy
from gan_tune.words.wording import masked

__all__ = ["TOKEN", "Opened", "find_record", "serve_ui", "there"]

TOKEN = "GAN_TUNE_UI_TOKEN"
"""The variable of the environment that holds the token; otherwise it is made up."""

LARGEST_BODY = 16 * 2**20
"""Bytes of a request's body: MLflow's own clients send up to 1 MB, and files."""


class Opened(NamedTuple):
    """A record: its URI, and the pages of a search in it, by what they show, the first one first.

    They are parts of addresses, from the `#` on.
    """

    uri: str
    pages: Mapping[str, str]


def find_record(tracking_uri: str | None, search: str | None = None) -> Opened:
    """The record, and the pages of a search in it, by default the newest one.

    The report comes first, since MLflow folds the description of a run (without a report, the run);
    then all trials.

    Raises:
        TrackingError: there is no record yet, or MLflow does not answer.
        SearchNotFoundError: no such search.
    """
    uri = mlflow_store.connect(tracking_uri, create=False)
    client = mlflow_store.client(uri)
    with mlflow_store.answering(uri):
        run = find_parent(client, uri, search) if search else newest_parent(client)
        if run is None:
            return Opened(uri, {})
        experiment_id, run_id = run.info.experiment_id, run.info.run_id
        has_report = any(file.path == REPORT for file in client.list_artifacts(run_id))
        has_view = f"{SHARED_VIEW}{run_id}" in client.get_experiment(experiment_id).tags
    inside = f"artifacts/{REPORT}" if has_report else ""
    pages = {"the search": run_page(experiment_id, run_id, inside)}
    if has_view:  # records of older versions have none
        pages["all trials"] = table_page(experiment_id, run_id)
        pages["charts"] = charts_page(experiment_id, run_id)
    return Opened(uri, pages)


def links(opened: Opened, server: str) -> dict[str, str]:
    """The pages as links, by what they show; without a search, MLflow's own first page."""
    return {what: f"{server}{page}" for what, page in (opened.pages or {"MLflow": ""}).items()}


def there(opened: Opened) -> dict[str, str] | None:
    """The links if an MLflow server keeps the record, without its password."""
    if not opened.uri.startswith(("http://", "https://")):
        return None
    return links(opened, f"{masked(opened.uri).rstrip('/')}/")


def serve_ui(
    opened: Opened, *, host: str, port: int, started: Callable[[Mapping[str, str]], None]
) -> None:
    """Serve MLflow's pages for a store at ``host:port``, until it is interrupted.

    Nothing is answered without the token, which is part of the link.

    Args:
        opened: of :func:`find_record`.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        started: is told the links, by what they show.

    Raises:
        OutputError: the port is taken, or the host is not this machine's.
    """
    from gan_tune.serving.guard import Guard
    from gan_tune.serving.landing import Landing
    from gan_tune.serving.running import run_server
    from gan_tune.serving.token import token_of

    listen(host, port).close()  # before MLflow is started, which takes seconds
    token = token_of(TOKEN)

    with until_signalled():
        with busy("starting MLflow's server"):
            pages = mlflow_pages(opened.uri)
        guarded = Guard(Landing(pages), token, unguarded=(), largest=LARGEST_BODY)
        run_server(
            guarded, host, port, started=lambda at: started(links(opened, f"{at}/?token={token}"))
        )
