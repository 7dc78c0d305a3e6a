"""`gan-tune sync`: complete the record of a search in MLflow, or make it anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import RecordError, SearchNotFoundError
from gan_tune.service.search_result import SearchResult
from gan_tune.storage.places import DEFAULT_STORAGE, look_in, search_names
from gan_tune.watching.watcher import Watcher
from gan_tune.words.wording import masked, there_are

if TYPE_CHECKING:
    from gan_tune.record.spool import SearchEntry
    from gan_tune.storage.storage import Storage

SECONDS = 30.0
"""So long MLflow may not answer before a sync gives up."""


@dataclass(frozen=True)
class Synced:
    """What a sync came to.

    Attributes:
        name: of the search.
        uri: the store, without a password.
        experiment: name in MLflow.
        trials: how many trials the search has.
        waiting: what is not in MLflow, in words; empty if everything is.
        result: of the search; None if it has none yet.
    """

    name: str
    uri: str
    experiment: str
    trials: int
    waiting: str
    result: SearchResult | None


def sync(
    name: str,
    storage: str | Path = DEFAULT_STORAGE,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    watcher: Watcher | None = None,
) -> Synced:
    """Make the record of a search in MLflow equal to its folder; also in another store.

    What is there already stays as it is, so it may be called again at any time. The champion is
    registered if it is not yet.

    Args:
        name: of the search.
        storage: holds it.
        tracking_uri: of MLflow; default the store to which the search was recorded, else as for
            :func:`gan_tune.search`.
        experiment: name in MLflow; default the search's own.
        watcher: shows progress; default none.

    Raises:
        SearchNotFoundError: no search of that name; the message lists the existing ones.
        SearchLockedError: a command works on it; that one delivers the record itself.
        RecordError: the folder belongs to another search, or MLflow holds another one of that name.
        TrackingError: MLflow does not answer.
    """
    from gan_tune.record.mlflow_store import connect
    from gan_tune.service.running.recording import SearchRecord
    from gan_tune.storage.lease import hold
    from gan_tune.storage.trial_folder import TrialFolders

    watcher = watcher or Watcher()
    root = look_in(storage)
    if name not in search_names(root):
        there = search_names(root)
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage}; {there_are(name, there)}"
        )
    home = root.below(name).patient(0)
    entry = _own_entry(home, name)
    with hold(home, name, watcher.stage):
        watcher.stage("checking MLflow")
        uri = connect(tracking_uri or _recorded_place(entry))
        entry = replace(entry, experiment=experiment or entry.experiment)
        record = SearchRecord(home, entry, uri, beside_others=False)
        record.repair()
        settled = record.settle(watcher.stage, seconds=SECONDS, while_answering=True)
    return Synced(
        name=name,
        uri=masked(uri),
        experiment=entry.experiment,
        trials=len(TrialFolders(home).names()),
        waiting=str(settled.waiting),
        result=settled.result,
    )


def repaired(
    home: Storage, uri: str, result: SearchResult, show: Callable[[str], None], *, offline: bool
) -> SearchResult:
    """The result of a finished search, after its record was brought up to date, if it has one.

    A server that does not answer is waited for as at the end of a search.
    """
    from gan_tune.record.spool import Spool
    from gan_tune.service.running.recording import SearchRecord

    entry = Spool(home).entry()
    if entry is None or offline:
        return result
    record = SearchRecord(home, entry, uri)
    record.repair()
    return record.settle(show).result or result


def _own_entry(home: Storage, name: str) -> SearchEntry:
    from gan_tune.record.spool import Spool

    entry = Spool(home).entry()
    if entry is None:
        raise RecordError(
            f"{name}: an older version began this search, and kept nothing to make its record "
            "from; if it is unfinished, give its `gan-tune search` command again"
        )
    if entry.search != name:
        raise RecordError(
            f"{home.readable_path('')}: must hold the record of the search {name!r}, but it is "
            f"that of {entry.search!r}; give the folder its name back"
        )
    return entry


def _recorded_place(entry: SearchEntry) -> str | None:
    """The store to which a search was recorded last; None if it cannot be used from here."""
    from gan_tune.record.tracking_uri import sqlite_path

    uri = entry.uri
    if os.environ.get("MLFLOW_TRACKING_URI") or not uri or ":***@" in uri:
        return None
    if uri.startswith("sqlite:") and not sqlite_path(uri).is_file():
        return None  # it was moved, or deleted: the default is where it may be now
    return uri
