"""The database in which many searches may keep their studies together."""

from __future__ import annotations

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from gan_tune.errors import StudyError
from gan_tune.searching.study.optuna_internals import engine_of

__all__ = ["LOCK_PATIENCE", "UNREADABLE_DATABASE", "open_database"]

UNREADABLE_DATABASE = (ImportError, RuntimeError, SQLAlchemyError, StorageInternalError)
"""What Optuna raises for a database that it cannot use."""

LOCK_PATIENCE = 60.0
"""Seconds that another process may keep an SQLite database locked."""


def open_database(url: str) -> RDBStorage:
    """Optuna's storage in a database; missing tables are created.

    SQLite has one writer at a time. A call waits :data:`LOCK_PATIENCE` for a locked database,
    instead of SQLite's own 5 seconds. After that it raises StudyError.

    Raises:
        ImportError, RuntimeError, SQLAlchemyError, StorageInternalError: the database cannot be
            used (:data:`UNREADABLE_DATABASE`).
    """
    if make_url(url).get_backend_name() != "sqlite":
        return RDBStorage(url)
    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": LOCK_PATIENCE}})

    @event.listens_for(engine_of(storage), "handle_error")
    def tell_of_a_lock(context: ExceptionContext) -> None:
        if "locked" in str(context.original_exception):
            raise StudyError(
                f"search.study: {url} must not stay locked by another process, but did for "
                f"{LOCK_PATIENCE:.0f} s; the same command goes on with the search"
            ) from None

    return storage
