"""Where a store's files may lie: whoever writes to the store may name other places.

Two rules. What is downloaded lies below a root of the store, since the place of a version's files
is text of whoever registered it: `file:///etc` would be copied, and `http://another-host` would get
the user's password. What is uploaded, too, goes to no other web server than the store's own.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from gan_tune.errors import GanTuneError, TrackingError
from gan_tune.record.sqlite_store import FILES
from gan_tune.record.tracking_uri import sqlite_path
from gan_tune.regular_file import real_path
from gan_tune.words.wording import masked

__all__ = ["ROOT", "ArtifactRoots", "check_origin"]

ROOT = "GAN_TUNE_ARTIFACT_ROOT"
"""Environment variable: one further root that the user trusts."""
SERVED = "/api/2.0/mlflow-artifacts/artifacts"
"""Where a server itself serves files."""
FIRST_EXPERIMENT = "0"
"""The experiment that each store makes in its default root. No client can move it."""


@dataclass(frozen=True)
class _Place:
    """A place of files: a local one by its true path, without links, any other by its parts."""

    scheme: str
    host: str
    path: Path

    def is_below(self, root: _Place) -> bool:
        same = (self.scheme, self.host) == (root.scheme, root.host)
        return same and self.path.is_relative_to(root.path)


class ArtifactRoots:
    """The roots below which the files of a store lie.

    Args:
        mlflow_client: of the store.
        uri: of the store.
    """

    def __init__(self, mlflow_client: MlflowClient, uri: str) -> None:
        roots = [os.environ.get(ROOT, ""), _default_root(mlflow_client), *_own_roots(uri)]
        self._places = [place for root in roots if root and (place := _place_or_none(root))]

    def check(self, source: str, label: str) -> None:
        """Check that a model's files lie below a root, before anything there is touched.

        Raises:
            GanTuneError: they do not.
        """
        if not self._has(source):
            raise GanTuneError(
                f"model {label}: its files must lie in the store's own place for files, but are "
                f"said to be in {masked(source)!r:.200}; {ROOT} names another place that you trust"
            )

    def check_file(self, source: str, path: str, label: str) -> None:
        """Check that no link leads from a model's file out of the roots.

        Raises:
            GanTuneError: one does.
        """
        if not self._has(f"{source}/{path}"):
            raise GanTuneError(f"model {label}: {path} must be no link that leaves the store")

    def _has(self, source: str) -> bool:
        place = _place_or_none(source)
        return place is not None and any(place.is_below(root) for root in self._places)


def check_origin(uri: str, location: str) -> None:
    """Check that files which are uploaded go to no other web server than the store's own.

    Raises:
        TrackingError: they would go there, with the user's name and password.
    """
    there, store = urlsplit(location), urlsplit(uri)
    if there.scheme not in ("http", "https", "mlflow-artifacts"):
        return
    host = _host(there.netloc)
    if host != _host(store.netloc) and (host or there.scheme != "mlflow-artifacts"):
        raise TrackingError(
            f"the experiment's files must go to the store {masked(uri)}, but it names another "
            f"server, {masked(location)}; take another --experiment"
        )


def _default_root(mlflow_client: MlflowClient) -> str:
    try:
        location = str(mlflow_client.get_experiment(FIRST_EXPERIMENT).artifact_location)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
            raise
        return ""
    return location.removesuffix(f"/{FIRST_EXPERIMENT}") + "/"


def _own_roots(uri: str) -> list[str]:
    if uri.startswith("sqlite:"):
        return [(sqlite_path(uri).parent / FILES).as_uri()]
    if uri.startswith("databricks"):
        return ["dbfs:/"]
    store = urlsplit(uri)
    if store.scheme not in ("http", "https"):
        return []
    host = _host(store.netloc)
    served = f"{store.scheme}://{host}{store.path.rstrip('/')}{SERVED}"
    return ["mlflow-artifacts:/", f"mlflow-artifacts://{host}/", served]


def _place_or_none(source: str) -> _Place | None:
    """Read a place; None if it is none, or if what it names depends on who reads it."""
    try:
        url = urlsplit(source)
        path = unquote(url.path)
        if url.scheme in ("", "file"):
            plain = url.scheme == "" and "%" in source  # MLflow takes it for an escape here, too
            if url.netloc not in ("", "localhost") or url.query or url.fragment or plain:
                return None
            return _Place("file", "", real_path(path))
    except (ValueError, OSError, RuntimeError):  # no URL, no path, links in a circle
        return None
    odd = re.search(r"[%\\\s]|(?:^|/)\.\.?(?:/|$)", path)
    if odd or url.query or url.fragment:
        return None
    return _Place(url.scheme, url.netloc.lower(), Path("/", path.strip("/")))


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2].lower()
