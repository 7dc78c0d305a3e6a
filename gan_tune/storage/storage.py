"""The storage of a search: one folder, local, shared (NFS) or behind a URI (`s3://...`).

Layout below the root of one search:

    search.lock            held by the one command that works on the search
    study.journal          the Optuna study: proposals, reports and results
    trials/NAME/           one folder a trial, laid out by :mod:`gan_tune.storage.trial_folder`
    champion.png  leaderboard.json  report.html    the result

The lock and the journal need a real file system: for a URI they stay in a folder on the driver,
`./gan_tune_runs/.remote/LABEL/NAME` (:attr:`Storage.label`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow.fs as pafs
from pyarrow import ArrowException

from gan_tune.atomic_file import write_whole
from gan_tune.errors import StorageError
from gan_tune.words.wording import first_line, masked

__all__ = ["Storage", "open_storage"]

HOST = "endpoint_override="
"""Option of a URI that names the host of its store."""

GCS_PATIENCE = 10
"""Seconds for retries with a Google store; its client's own default is 15 minutes."""


class _Files(Protocol):
    """Reads and writes complete files by their full path. Absent files raise FileNotFoundError."""

    def write(self, path: str, content: bytes) -> None: ...
    def read(self, path: str) -> bytes: ...
    def names(self, path: str) -> list[str]: ...
    def delete(self, path: str) -> None: ...


class _Disk:
    def write(self, path: str, content: bytes) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, content)

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def names(self, path: str) -> list[str]:
        return os.listdir(path)

    def delete(self, path: str) -> None:
        Path(path).unlink()


class _Store:
    """A bucket: a file exists once its upload is complete."""

    def __init__(self, files: pafs.FileSystem) -> None:
        self._files = files

    def write(self, path: str, content: bytes) -> None:
        with self._files.open_output_stream(path) as stream:
            stream.write(content)

    def read(self, path: str) -> bytes:
        with self._files.open_input_stream(path) as stream:
            return bytes(stream.read())

    def names(self, path: str) -> list[str]:
        return [entry.base_name for entry in self._files.get_file_info(pafs.FileSelector(path))]

    def delete(self, path: str) -> None:
        self._files.delete_file(path)


class Storage:
    """Small files below one root; every write is complete or has no effect. Can be pickled.

    Args:
        location: an absolute folder, or a URI that pyarrow knows (`file://`, `s3://`, `gs://`).
        below: names of the folders that lead from there to the root.

    Raises:
        StorageError: the URI is not understood.
    """

    def __init__(self, location: str, *below: str) -> None:
        self._location, self._below = location, below
        try:
            self._files, root = _opened(location)
        except (ArrowException, OSError, ValueError) as error:
            shown = masked(location.partition("?")[0])
            reason = first_line(error).replace(location, shown)
            raise StorageError(
                f"storage: must be a folder or a URI (s3://bucket/folder): {shown!r}: {reason}"
            ) from None
        self._root = "/".join([root.rstrip("/"), *below])

    def __reduce__(self) -> tuple[type[Storage], tuple[str, ...]]:
        return Storage, (self._location, *self._below)

    @property
    def uri(self) -> str:
        """The root in readable form: a path, or a URI without credentials and options."""
        if isinstance(self._files, _Disk):
            return self._root
        return f"{self._location.partition('://')[0]}://{self._root}"

    @property
    def folder(self) -> Path | None:
        """The root as a local folder; None if it is remote."""
        return Path(self._root) if isinstance(self._files, _Disk) else None

    @property
    def label(self) -> str:
        """A folder's name for the location (``below`` not included), readable and unique to it.

        It includes the host that a URI's options name, but no credentials, since these change.
        """
        place = urlsplit(self._location)
        hosts = [part for part in sorted(place.query.split("&")) if part.startswith(HOST)]
        netloc = place.netloc.rpartition("@")[2]
        text = " ".join([place.scheme, netloc, place.path.strip("/"), *hosts])
        readable = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:60]
        return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def below(self, *parts: str) -> Storage:
        """The storage rooted at a path below this one."""
        return Storage(self._location, *self._below, *parts)

    def write(self, path: str, content: bytes) -> None:
        """Write one file, completely or not at all.

        Raises:
            StorageError: the disk is full or read-only, or the store does not answer.
        """
        with self._plainly("write", path):
            self._files.write(f"{self._root}/{path}", content)

    def write_json(self, path: str, content: Any) -> None:
        """Write one JSON file, completely or not at all; raises as :meth:`write`."""
        self.write(path, json.dumps(content, indent=1).encode())

    def read(self, path: str) -> bytes | None:
        """A file's content; None if it does not exist.

        Raises:
            StorageError: it exists but cannot be read, or the store does not answer.
        """
        with self._plainly("read", path):
            try:
                return self._files.read(f"{self._root}/{path}")
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read_json(self, path: str) -> Any:
        """A JSON file's content; None if it does not exist; raises as :meth:`read`."""
        content = self.read(path)
        try:
            return None if content is None else json.loads(content)
        except ValueError as error:
            raise StorageError(
                f"storage: {self.local_path(path)} must be JSON, but is damaged: {error}"
            ) from None

    def names(self, path: str = "") -> list[str]:
        """Names of the files and folders in a folder, sorted; empty if it does not exist.

        Raises:
            StorageError: it exists but cannot be read, or the store does not answer.
        """
        with self._plainly("list", path):
            try:
                found = self._files.names(f"{self._root}/{path}".rstrip("/"))
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(name for name in found if not name.startswith("."))

    def delete(self, path: str) -> None:
        """Remove a file; does nothing if it does not exist.

        Raises:
            StorageError: it cannot be removed, or the store does not answer.
        """
        with self._plainly("delete", path):
            try:
                self._files.delete(f"{self._root}/{path}")
            except (FileNotFoundError, NotADirectoryError):
                return

    def local_path(self, path: str) -> str:
        """A file's place in readable form."""
        return f"{self.uri}/{path}".rstrip("/")

    @contextmanager
    def _plainly(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except (ArrowException, OSError) as error:
            raise StorageError(
                f"storage: cannot {verb} {self.local_path(path)}: {first_line(error)}"
            ) from None


def open_storage(location: str | Path) -> Storage:
    """The storage at a folder (created if missing) or URI; checked by writing and reading a file.

    Raises:
        StorageError: it cannot be written or read back.
    """
    text = str(location)
    storage = Storage(text if "://" in text else _made(text))
    probe = f".probe-{uuid.uuid4().hex[:8]}"
    storage.write(probe, b"gan-tune")
    found = storage.read(probe)
    storage.delete(probe)
    if found != b"gan-tune":
        raise StorageError(
            f"storage: what is written must read back the same, but does not: {storage.uri}"
        )
    return storage


def _made(text: str) -> str:
    """The folder that the user named, absolute and existing."""
    if not text or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        # `s3:/bucket` is a typing error; a local folder of that name would hide it.
        raise StorageError(
            f"storage: must be a folder or a URI (s3://bucket/folder), but got {text!r}"
        )
    try:
        path = Path(text).expanduser().resolve()
        if path.exists() and not path.is_dir():
            raise StorageError(f"storage: must be a folder, but is a file: {path}")
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(
            f"storage: cannot make the folder {text!r}: {first_line(error)}"
        ) from None
    return str(path)


@lru_cache(maxsize=16)
def _opened(location: str) -> tuple[_Files, str]:
    """The files at a location, and the path of its root in them; one connection per process."""
    if "://" not in location:
        return _Disk(), location
    if re.match("(gs|gcs)://", location) and "retry_limit_seconds=" not in location:
        location += f"{'&' if '?' in location else '?'}retry_limit_seconds={GCS_PATIENCE}"
    files, root = pafs.FileSystem.from_uri(location)
    return (_Disk() if isinstance(files, pafs.LocalFileSystem) else _Store(files)), root
