"""The database in which many searches may keep their studies together."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from gan_tune.errors import StudyError
from gan_tune.searching.study.optuna_internals import DATABASE_CALLS, engine_of
from gan_tune.storage.patience import NONE, Outage, Patience
from gan_tune.words.wording import first_line

__all__ = ["LOCK_PATIENCE", "UNREADABLE_DATABASE", "open_database", "open_to_read"]

Answer = TypeVar("Answer")

UNREADABLE_DATABASE = (ImportError, RuntimeError, SQLAlchemyError, StorageInternalError)
"""What Optuna raises for a database that it cannot use."""

LOCK_PATIENCE = 60.0
"""Seconds that another process may keep an SQLite database locked."""


class _PatientDatabase(RDBStorage):
    """Each call is one transaction, so one that failed can be made again."""

    def __init__(self, url: str, engine: dict[str, Any], patience: Patience) -> None:
        super().__init__(url, engine_kwargs=engine)
        # Only now: a database that cannot be opened is an error at once.
        for name in DATABASE_CALLS:
            setattr(self, name, _patiently(getattr(self, name), patience))


def _patiently(call: Callable[..., Answer], patience: Patience) -> Callable[..., Answer]:
    @wraps(call)
    def tried(*args: Any, **options: Any) -> Answer:
        def once() -> Answer:
            try:
                return call(*args, **options)
            except (StorageInternalError, OperationalError, InterfaceError, StudyError) as error:
                if not patience.minutes:
                    raise
                raise Outage(_said(error)) from None

        return patience(once)

    return tried


def _said(error: Exception) -> str:
    if isinstance(error, StudyError):
        return str(error)
    return f"search.study: the database does not answer: {first_line(error.__cause__ or error)}"


def open_database(url: str, patience: Patience = NONE) -> RDBStorage:
    """Optuna's storage in a database; missing tables are created.

    Once it is open, what fails because the database does not answer is tried again with patience.

    SQLite has one writer at a time. A call waits :data:`LOCK_PATIENCE` for a locked database,
    instead of SQLite's own 5 seconds. After that it raises StudyError.

    Raises:
        ImportError, RuntimeError, SQLAlchemyError, StorageInternalError: the database cannot be
            used (:data:`UNREADABLE_DATABASE`).
    """
    if make_url(url).get_backend_name() != "sqlite":
        # A connection that died while nobody used it is replaced before its next use.
        return _PatientDatabase(url, {"pool_pre_ping": True}, patience)
    storage = _PatientDatabase(url, {"connect_args": {"timeout": LOCK_PATIENCE}}, patience)

    @event.listens_for(engine_of(storage), "handle_error")
    def tell_of_a_lock(context: ExceptionContext) -> None:
        if "locked" in str(context.original_exception):
            raise StudyError(
                f"search.study: {url} must not stay locked by another process, but did for "
                f"{LOCK_PATIENCE:.0f} s"
            ) from None

    return storage


def open_to_read(url: str) -> RDBStorage:
    """Optuna's storage in a database that exists, for a reader: no table is made.

    SQLite and PostgreSQL themselves refuse to write.

    Raises:
        FileNotFoundError: there is no such file of SQLite, which would make it.
        ImportError, RuntimeError, SQLAlchemyError, StorageInternalError: as :func:`open_database`.
    """
    place = make_url(url)
    engine: dict[str, Any] = {}
    if place.get_backend_name() == "sqlite":
        path = Path(place.database or "").absolute()
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}")
        place = place.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
    elif place.get_backend_name() == "postgresql":
        engine["execution_options"] = {"postgresql_readonly": True}
    return RDBStorage(place.render_as_string(hide_password=False), engine, skip_table_creation=True)
