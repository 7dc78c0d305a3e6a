"""The address of MLflow's store. Nothing here imports MLflow, which takes a second."""

from __future__ import annotations

import os
from pathlib import Path

from gan_tune.errors import TrackingError

__all__ = ["locate", "sqlite_path"]


def locate(uri: str | None = None) -> str:
    """The URI of the tracking store. Nothing is asked or created.

    It is ``uri``, else the environment's ``MLFLOW_TRACKING_URI``, else `mlflow.db` in the working
    folder. SQLite paths are returned as absolute paths.

    Raises:
        TrackingError: it is none.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    if uri.startswith("sqlite:"):
        _, mark, options = uri.partition("?")
        return f"sqlite:///{sqlite_path(uri)}{mark}{options}"
    if "://" not in uri and not uri.startswith("databricks"):
        raise TrackingError(
            f"{uri!r} is no tracking URI: a file is written sqlite:///{uri}, "
            "a server http://HOST:PORT"
        )
    if uri.startswith("file:"):
        raise TrackingError(
            f"{uri!r} cannot be used: MLflow has given up stores of plain files; "
            "write sqlite:///FILE.db"
        )
    return uri


def sqlite_path(uri: str) -> Path:
    """The absolute path of a SQLite store.

    Raises:
        TrackingError: the URI names no file.
    """
    path = uri.partition("?")[0].removeprefix("sqlite:///")
    if not uri.startswith("sqlite:///") or path in ("", ":memory:"):
        raise TrackingError(f"{uri!r} is no tracking URI: a file is written sqlite:///FILE.db")
    return Path(path).expanduser().absolute()
