"""The MLflow store of the record: finds it, checks that it answers, and searches it."""

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
"""Seconds for creating a SQLite store: MLflow's migrations take about 2 s, more on a busy disk."""

_Found = TypeVar("_Found")

_ENVIRONMENT = {
    # The user's settings have priority. MLflow's defaults would wait four minutes for a dead
    # server, print an address after each run and draw progress bars into the search's own output.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def connect(uri: str | None = None, *, create: bool = True) -> str:
    """Find the tracking store and check that it answers.

    The store is ``uri``, else the environment's ``MLFLOW_TRACKING_URI``, else `mlflow.db` in the
    working folder. SQLite paths are returned as absolute paths. With ``create`` False, for
    reading, a missing SQLite file is an error; no empty store is created.

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
    """A client of the store at ``uri`` that prints nothing and gives up within seconds."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        # MLflow logs errors with a traceback before it raises them, and each migration.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def answering(uri: str) -> Iterator[None]:
    """Convert MLflow's errors to a TrackingError: one line that names the store."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise _unanswered(uri, error) from error


def reason_of(error: BaseException) -> str:
    """An error's message in one line, without passwords.

    If a system error such as `Connection refused` is the cause, only that is shown.
    """
    root = error
    while under := root.__cause__ or root.__context__:
        root = under
    if isinstance(root, OSError) and root.strerror:
        error = root
    text = masked(first_line(error).strip()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def artifact_location(uri: str, experiment: str) -> str | None:
    """The place of a new experiment's files: next to a SQLite store. None: the server decides.

    MLflow would use `./mlruns` in the folder in which the command runs.
    """
    if not uri.startswith("sqlite:"):
        return None
    folder = re.sub(r"[^\w.-]|^[.]", "_", experiment)
    return (_sqlite_path(uri).parent / "mlruns" / folder).as_uri()


def quoted(text: str) -> str:
    """A string, quoted for MLflow's filters."""
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


def _sqlite_path(uri: str) -> Path:
    path = uri.partition("?")[0].removeprefix("sqlite:///")
    if not uri.startswith("sqlite:///") or path in ("", ":memory:"):
        raise TrackingError(f"{uri!r} is no tracking URI: a file is written sqlite:///FILE.db")
    return Path(path).expanduser().absolute()


def _check_sqlite(path: Path, uri: str) -> bool:
    """Whether the store must be created. MLflow itself would try to open it for minutes."""
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
    """Create a store completely or not at all: an incomplete one could never be opened."""
    begun = path.with_name(f".{path.name}.{os.getpid()}")
    uri = f"sqlite:///{begun}{options}"
    try:
        _within(_CREATION, uri, lambda: client(uri).search_experiments(max_results=1))
        replace_file(begun, path)
        with contextlib.closing(sqlite3.connect(path)) as database:
            # Stored in the file. A commit then waits for the disk once instead of three times, and
            # readers of the record do not block writers.
            database.execute("PRAGMA journal_mode = WAL")
    except (OSError, TrackingError, sqlite3.Error) as error:
        path.unlink(missing_ok=True)  # empty: it was created as a test
        raise TrackingError(
            f"the MLflow store {path} cannot be created ({reason_of(error)}); "
            "check that there is space, or give another --tracking-uri"
        ) from error
    finally:
        for leftover in path.parent.glob(f"{begun.name}*"):
            leftover.unlink(missing_ok=True)


def _within(seconds: float, uri: str, ask: Callable[[], object]) -> None:
    """Call a store on a separate thread: a server that hangs must not block the command."""
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
