"""The MLflow store: which one holds the record, whether it answers, and how it is searched."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

try:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.exceptions import MlflowException
    from mlflow.store.entities import PagedList
except ImportError as error:  # pragma: no cover - an installation without its dependency
    raise ImportError(f"mlflow does not import ({error}): pip install 'mlflow>=3.17,<4'") from error

from gan_tune.atomic_file import replace_file
from gan_tune.errors import TrackingError
from gan_tune.words.wording import first_line, masked

__all__ = [
    "answering",
    "artifact_location",
    "client",
    "connect",
    "pages",
    "quoted",
    "reason_of",
    "search_runs",
    "tagged",
]

PATIENCE = 10.0
"""Seconds within which a tracking store must answer."""

_CREATION = 60.0
"""Seconds for a new SQLite store: all of MLflow's migrations run, some 2 s, more on a busy disk."""

_Found = TypeVar("_Found")

_ENVIRONMENT = {
    # What the user has set wins. MLflow's own defaults would wait four minutes on a dead server,
    # print an address after each run and draw progress bars into the search's own output.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def connect(uri: str | None = None, *, create: bool = True) -> str:
    """Find the tracking store and see that it answers.

    The store is ``uri``, else the environment's ``MLFLOW_TRACKING_URI``, else `mlflow.db` in the
    working folder. SQLite paths come back absolute. ``create`` is False for those who only read:
    then a SQLite file that is not there is an error, not a new and empty store.

    Raises:
        TrackingError: no such store, or no answer within 10 seconds.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    if uri.startswith("sqlite:"):
        path = _sqlite_path(uri)
        _, mark, options = uri.partition("?")
        uri = f"sqlite:///{path}{mark}{options}"
        if not create and not path.is_file():
            raise TrackingError(f"no record at {uri}: no such file; check --tracking-uri")
        if _check_sqlite(path, uri):
            _create_sqlite(path, f"{mark}{options}")
    elif "://" not in uri and not uri.startswith("databricks"):
        raise TrackingError(
            f"{uri!r} is no tracking URI: a file is written sqlite:///{uri}, "
            "a server http://HOST:PORT"
        )
    elif uri.startswith("file:"):
        raise TrackingError(
            f"{uri!r} cannot be used: MLflow has given up stores of plain files; "
            "write sqlite:///FILE.db"
        )
    _within(PATIENCE, uri, lambda: client(uri).search_experiments(max_results=1))
    return uri


def client(uri: str) -> MlflowClient:
    """A client of the store at ``uri`` that keeps quiet and gives up within seconds."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        # MLflow logs with a traceback what it raises anyway, and each migration of a new store.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def answering(uri: str) -> Iterator[None]:
    """Turn what MLflow raises into a TrackingError: one line that names the store."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise _unanswered(uri, error) from error


def reason_of(error: BaseException) -> str:
    """What an error says, in one line without passwords.

    The system's own error (`Connection refused`) is enough, where one is the cause.
    """
    root = error
    while under := root.__cause__ or root.__context__:
        root = under
    if isinstance(root, OSError) and root.strerror:
        error = root
    text = masked(first_line(error).strip()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def artifact_location(uri: str, experiment: str) -> str | None:
    """Where a new experiment's files go: beside a SQLite store; None leaves it to the server.

    MLflow would take `./mlruns` of whatever folder the command runs in.
    """
    if not uri.startswith("sqlite:"):
        return None
    folder = re.sub(r"[^\w.-]|^[.]", "_", experiment)
    return (_sqlite_path(uri).parent / "mlruns" / folder).as_uri()


def quoted(text: str) -> str:
    """A string as MLflow's filters want it."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def tagged(name: str, value: str) -> str:
    """The filter for runs or models whose tag ``name`` is ``value``."""
    return f"tags.`{name}` = {quoted(value)}"


def search_runs(mlflow_client: MlflowClient, experiments: list[str], rule: str) -> list[Run]:
    """All runs that fit a filter, oldest first, page by page."""
    if not experiments:
        return []
    return pages(
        lambda token: mlflow_client.search_runs(
            experiments, rule, order_by=["attributes.start_time ASC"], page_token=token
        )
    )


def pages(fetch: Callable[[str | None], PagedList[_Found]]) -> list[_Found]:
    """What a paged search of MLflow finds in all; ``fetch`` is given each page's token."""
    found: list[_Found] = []
    token: str | None = None
    while True:
        page = fetch(token)
        found.extend(page)
        token = page.token
        if not token:
            return found


def _sqlite_path(uri: str) -> Path:
    path = uri.partition("?")[0].removeprefix("sqlite:///")
    if not uri.startswith("sqlite:///") or path in ("", ":memory:"):
        raise TrackingError(f"{uri!r} is no tracking URI: a file is written sqlite:///FILE.db")
    return Path(path).expanduser().absolute()


def _check_sqlite(path: Path, uri: str) -> bool:
    """Whether the store is yet to be created. MLflow itself would try for minutes to open it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists() or path.stat().st_size == 0
        database = sqlite3.connect(path, timeout=PATIENCE / 2)
        with contextlib.closing(database):
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(
            f"the MLflow store {uri} cannot be written ({reason_of(error)}); "
            "check the path and its permissions, or give another --tracking-uri"
        ) from error
    return new


def _create_sqlite(path: Path, options: str) -> None:
    """Make a new store whole or not at all: one that a full disk cut short never opens again."""
    begun = path.with_name(f".{path.name}.{os.getpid()}")
    uri = f"sqlite:///{begun}{options}"
    try:
        _within(_CREATION, uri, lambda: client(uri).search_experiments(max_results=1))
        replace_file(begun, path)
        with contextlib.closing(sqlite3.connect(path)) as database:
            # Kept in the file: a commit waits for the disk once, not thrice, and nobody who looks
            # at the record keeps it from being written.
            database.execute("PRAGMA journal_mode = WAL")
    except (OSError, TrackingError, sqlite3.Error) as error:
        path.unlink(missing_ok=True)  # empty: it was made to see whether it can be
        raise TrackingError(
            f"the MLflow store {path} cannot be created ({reason_of(error)}); "
            "check that there is space, or give another --tracking-uri"
        ) from error
    finally:
        for leftover in path.parent.glob(f"{begun.name}*"):
            leftover.unlink(missing_ok=True)


def _within(seconds: float, uri: str, ask: Callable[[], object]) -> None:
    """Ask a store on a thread of its own: a server that hangs must not hang the command."""
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            ask()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=attempt, name="gan-tune-connect", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise _unanswered(uri, TimeoutError(f"silent for {seconds:g} s"))
    if failures:
        raise _unanswered(uri, failures[0]) from failures[0]


def _unanswered(uri: str, error: BaseException) -> TrackingError:
    return TrackingError(
        f"the MLflow store {masked(uri)} does not answer as it should ({reason_of(error)}); "
        f"{_advice(uri, str(error))}"
    )


def _advice(uri: str, reason: str) -> str:
    scheme = urllib.parse.urlsplit(masked(uri)).scheme
    if re.search(r"\b40[13]\b|PERMISSION_DENIED|UNAUTHENTICATED", reason):
        return "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if scheme in ("http", "https"):
        return "start the server (mlflow server) or correct --tracking-uri"
    if scheme == "sqlite":
        return "another program may hold it; otherwise give another --tracking-uri"
    return "write http://HOST:PORT, sqlite:///FILE.db or another URI that MLflow knows"
