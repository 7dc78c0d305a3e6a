"""The MLflow store of the record: checks that it answers, and searches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.entities import PagedList

from gan_tune.record.mlflow_client import answering, check_database, client, reason_of, within
from gan_tune.record.sqlite_store import (
    CREATION_SECONDS,
    artifact_location,
    open_sqlite,
)
from gan_tune.record.tracking_uri import locate

__all__ = [
    "answering",
    "artifact_location",
    "can_be_quoted",
    "client",
    "connect",
    "pages",
    "quoted",
    "reason_of",
    "search_runs",
    "tagged",
]

PATIENCE = 10.0
"""Seconds within which a server must answer."""

_Found = TypeVar("_Found")


def connect(uri: str | None = None, *, create: bool = True) -> str:
    """Find the tracking store and check that it answers.

    The store is that of :func:`locate`. A missing SQLite store is created; with ``create`` False,
    for reading, it is an error.

    Raises:
        TrackingError: no such store, or a server does not answer within 10 seconds, a database
            within 60.
    """
    uri = locate(uri)
    is_server = uri.startswith("http")
    # Of a database, MLflow makes the tables at first; and on a busy machine its import takes time.
    patience = PATIENCE if is_server else CREATION_SECONDS
    if uri.startswith("sqlite:"):
        uri = open_sqlite(uri, create=create)
    check_database(uri, PATIENCE)
    within(patience, uri, lambda: client(uri).search_experiments(max_results=1))
    return uri


def can_be_quoted(text: str) -> bool:
    """Whether MLflow's filters have a form for a string: they know no escapes."""
    return "'" not in text or '"' not in text


def quoted(text: str) -> str:
    """A string, quoted for MLflow's filters, for which :func:`can_be_quoted`."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def tagged(name: str, value: str) -> str:
    """The filter for runs or models whose tag ``name`` is ``value``."""
    return f"tags.`{name}` = {quoted(value)}"


def search_runs(mlflow_client: MlflowClient, experiments: list[str], rule: str) -> list[Run]:
    """All runs that match a filter, oldest first, page by page."""
    if not experiments:
        return []
    return pages(
        lambda token: mlflow_client.search_runs(
            experiments, rule, order_by=["attributes.start_time ASC"], page_token=token
        )
    )


def pages(fetch: Callable[[str | None], PagedList[_Found]]) -> list[_Found]:
    """All results of a paged search in MLflow; ``fetch`` is called with each page's token."""
    found: list[_Found] = []
    token: str | None = None
    while True:
        page = fetch(token)
        found.extend(page)
        token = page.token
        if not token:
            return found
