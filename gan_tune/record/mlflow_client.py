"""MLflow's client, quiet and quick to give up, and its errors in one line."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from functools import partial

import sqlalchemy

try:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
except ImportError as error:  # pragma: no cover - an installation without its dependency
    raise ImportError(f"mlflow does not import ({error}): pip install 'mlflow>=3.17,<4'") from error

from gan_tune.errors import TrackingAwayError, TrackingError
from gan_tune.storage.patience import is_away
from gan_tune.words.wording import first_line, masked

__all__ = ["answering", "client", "lacks_rights", "quiet_mlflow", "reason_of", "within"]

_ENVIRONMENT = {
    # The user's settings have priority. MLflow's defaults would wait four minutes for a dead
    # server, print an address after each run and draw progress bars into the search's own output.
    # A request that MLflow itself repeats after a time-out may create a run twice.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""How the URIs of databases begin, and where these listen unless the URI says it."""

_RIGHTS = re.compile(r"\b40[13]\b|PERMISSION_DENIED|UNAUTHENTICATED")
_AWAY = re.compile(r"(?:too many|error code) 50[0234]\b")  # the server's own fault, or a proxy's


def client(uri: str) -> MlflowClient:
    """A client of the store at ``uri`` that prints nothing and gives up within seconds."""
    quiet_mlflow()
    return MlflowClient(tracking_uri=uri)


def quiet_mlflow() -> None:
    """Keep MLflow's own lines and progress bars off the screen, and let it give up soon."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        # MLflow logs errors with a traceback before it raises them, and each migration.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        logging.getLogger("alembic").setLevel(logging.WARNING)


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
    root = _root(error)
    if isinstance(root, OSError) and root.strerror:
        error = root
    text = masked(first_line(error).strip()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def _root(error: BaseException) -> BaseException:
    while under := error.__cause__ or error.__context__:
        error = under
    return error


def lacks_rights(error: BaseException) -> bool:
    """Whether MLflow answered that the user is unknown, or may not do this."""
    code = getattr(error, "error_code", "")
    return code in ("PERMISSION_DENIED", "UNAUTHENTICATED") or bool(_RIGHTS.search(str(error)))


def within(seconds: float, uri: str, ask: Callable[[], object]) -> None:
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


def check_database(uri: str, seconds: float) -> None:
    """Check that a database's server takes connections, and this user: MLflow would try in silence
    for a minute, whatever the reason.

    Raises:
        TrackingError: it does not, within so many seconds.
    """
    url = urllib.parse.urlsplit(uri)
    usual = DATABASE_PORTS.get(url.scheme.partition("+")[0])
    if usual and url.hostname:  # without a host it is a socket's file
        with answering(uri), socket.create_connection((url.hostname, url.port or usual), seconds):
            pass
    if usual:
        within(seconds, uri, partial(_connect, uri))


def _connect(uri: str) -> None:
    engine = sqlalchemy.create_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _unanswered(uri: str, error: BaseException) -> TrackingError:
    root = _root(error)
    if isinstance(error, sqlalchemy.exc.SQLAlchemyError):
        away = is_away(str(root))
    else:
        is_silent = isinstance(root, ConnectionError | TimeoutError)
        away = is_silent or _AWAY.search(str(error)) is not None
    kind = TrackingAwayError if away else TrackingError
    return kind(
        f"the MLflow store {masked(uri)} does not answer as it should ({reason_of(error)}); "
        f"{_advice(uri, str(error))}"
    )


def _advice(uri: str, reason: str) -> str:
    scheme = urllib.parse.urlsplit(masked(uri)).scheme
    if _RIGHTS.search(reason):
        verb = "check" if os.environ.get("MLFLOW_TRACKING_USERNAME") else "set"
        name, password = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
        return f"{verb} the user's name and password, {name} and {password}"
    if scheme in ("http", "https"):
        return "start the server (mlflow server) or correct --tracking-uri"
    if scheme == "sqlite":
        return "another program may hold it; otherwise give another --tracking-uri"
    if scheme.partition("+")[0] in DATABASE_PORTS:
        return "check that the database runs, and that its name, user and password are right"
    return "write http://HOST:PORT, sqlite:///FILE.db or another URI that MLflow knows"
