"""A SQLite store of MLflow's: created once, and found again where its folder was moved to."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from gan_tune.atomic_file import replace_file
from gan_tune.errors import TrackingError
from gan_tune.record.mlflow_client import client, reason_of, within
from gan_tune.record.mlflow_internals import ARTIFACT_COLUMNS
from gan_tune.record.tracking_uri import sqlite_path

__all__ = ["artifact_location", "open_sqlite"]

LOCK_PATIENCE = 5.0
"""Seconds to wait for another program that writes to a store."""

CREATION_SECONDS = 60.0
"""Seconds for creating a store: MLflow's migrations take about 2 s, more on a busy disk."""

FILES = "mlruns"
"""The folder of the experiments' files, beside the store."""


def artifact_location(uri: str, experiment: str) -> str | None:
    """The place of a new experiment's files: next to a SQLite store. None: the server decides.

    MLflow would use `./mlruns` in the folder in which the command runs.
    """
    if not uri.startswith("sqlite:"):
        return None
    folder = re.sub(r"[^\w.-]|^[.]", "_", experiment)
    return (sqlite_path(uri).parent / FILES / folder).as_uri()


def open_sqlite(uri: str, *, create: bool) -> str:
    """Check a SQLite store; returns its URI with an absolute path.

    A store that does not exist is created if ``create`` says so, by one process; others wait for
    it. If its folder was moved, its files are found at the new place.

    Raises:
        TrackingError: there is no store, it cannot be used or created, or its files are gone.
    """
    path = sqlite_path(uri)
    _, mark, options = uri.partition("?")
    uri = f"sqlite:///{path}{mark}{options}"
    if not create and not path.is_file():
        raise TrackingError(f"no record at {uri}: no such file; check --tracking-uri")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_missing(path):
            with FileLock(path.with_name(f".{path.name}.lock"), timeout=CREATION_SECONDS):
                if _is_missing(path):  # else another process has just created it
                    _create(path, f"{mark}{options}")
        _check(path)
    except (OSError, sqlite3.Error, Timeout) as error:
        raise TrackingError(
            f"the MLflow store {uri} cannot be written ({reason_of(error)}); "
            "check the path and its permissions, or give another --tracking-uri"
        ) from error
    return uri


def _is_missing(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _create(path: Path, options: str) -> None:
    """Create a store completely or not at all: an incomplete one could never be opened."""
    begun = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    uri = f"sqlite:///{begun}{options}"
    try:
        within(CREATION_SECONDS, uri, lambda: client(uri).search_experiments(max_results=1))
        if _is_missing(path):  # an older version, or MLflow itself, takes no lock
            replace_file(begun, path)
        with contextlib.closing(sqlite3.connect(path)) as database:
            # Stored in the file. A commit then waits for the disk once instead of three times, and
            # readers of the record do not block writers.
            database.execute("PRAGMA journal_mode = WAL")
    except (OSError, TrackingError, sqlite3.Error) as error:
        raise TrackingError(
            f"the MLflow store {path} cannot be created ({reason_of(error)}); "
            "check that there is space, or give another --tracking-uri"
        ) from error
    finally:
        for leftover in path.parent.glob(f"{begun.name}*"):
            leftover.unlink(missing_ok=True)


def _check(path: Path) -> None:
    """Check that a store can be written. MLflow itself would try to open it for minutes."""
    database = sqlite3.connect(path, timeout=LOCK_PATIENCE)
    with contextlib.closing(database):
        database.execute("BEGIN IMMEDIATE")
        try:
            _follow_move(database, path)
        finally:
            database.rollback()


def _follow_move(database: sqlite3.Connection, path: Path) -> None:
    """Correct the places of files that were moved together with their store.

    MLflow keeps the files of each experiment by an absolute path.

    Raises:
        TrackingError: the files of runs are neither at their place nor beside the store.
    """
    known = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone()
    if not known:
        return
    here = path.parent / FILES
    rows = database.execute(
        "SELECT artifact_location, "
        "EXISTS (SELECT 1 FROM runs WHERE runs.experiment_id = experiments.experiment_id) "
        "FROM experiments"
    ).fetchall()
    for location, has_runs in rows:
        there, mark, name = str(location or "").rpartition(f"/{FILES}/")
        if not mark or not there.startswith("file://") or f"{there}/{FILES}" == here.as_uri():
            continue
        before = Path(there.removeprefix("file://"))
        if (here / name).is_dir() or not (has_runs or before.exists()):
            _replace_prefix(database, str(location), f"{here.as_uri()}/{name}")
        elif not before.exists():
            raise TrackingError(
                f"the MLflow store {path} was moved, and its files are missing: must be in "
                f"{here / name} or {before / FILES / name}: move {FILES} to where the store is"
            )
    database.commit()


def _replace_prefix(database: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in ARTIFACT_COLUMNS:  # names of our own
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",  # nosec B608
            (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
        )
