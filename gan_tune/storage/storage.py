"""The storage of a search: one folder, local, shared (NFS) or behind a URI (`s3://...`).

Layout below the root of one search:

    lease/                 who works on the search (:mod:`gan_tune.storage.lease`)
    study.journal          the Optuna study: proposals, reports and results
    study/                 the same behind a URI
    trials/NAME/           one folder a trial, laid out by :mod:`gan_tune.storage.trial_folder`
    champion.png  leaderboard.json  report.html  plots.html    the result

All files are written whole, so that a bucket can hold them, but for the journal in a folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import pyarrow.fs as pafs
from pyarrow import ArrowException

from gan_tune.errors import OutageError, StorageError
from gan_tune.regular_file import real_path
from gan_tune.storage.conditional import ConditionalStore
from gan_tune.storage.disk import Disk
from gan_tune.storage.patience import NONE, Outage, Patience, is_away, is_outage
from gan_tune.words.wording import first_line, masked

__all__ = ["Storage", "open_storage"]

Answer = TypeVar("Answer")

HOST = "endpoint_override="
"""Option of a URI that names the host of its store."""

GCS_PATIENCE = 10
"""Seconds for retries with a Google store; its client's own default is 15 minutes."""


class _Files(Protocol):
    """Reads and writes complete files by their full path. Absent files raise FileNotFoundError."""

    def write(self, path: str, content: bytes) -> None: ...
    def create(self, path: str, content: bytes) -> bool: ...
    def read(self, path: str) -> bytes: ...
    def names(self, path: str) -> list[str]: ...
    def delete(self, path: str) -> None: ...


class _Store:
    """A bucket: a file exists once its upload is complete."""

    def __init__(self, files: pafs.FileSystem, location: str) -> None:
        self._files, self._location = files, location

    @cached_property
    def _conditional(self) -> ConditionalStore:
        return ConditionalStore(self._location, self._files)

    def create(self, path: str, content: bytes) -> bool:
        return self._conditional.create(path, content)

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
    """Small files below one root. A write is complete or has no effect. Storages can be pickled.

    Args:
        location: an absolute folder, or a URI that pyarrow knows (`file://`, `s3://`, `gs://`).
        below: names of the folders that lead from there to the root.
        patience: with outages; by default they are errors at once.

    Raises:
        StorageError: the URI is not understood.
    """

    def __init__(self, location: str, *below: str, patience: Patience = NONE) -> None:
        self._location, self._below, self.patience = location, below, patience
        try:
            self._files, root = _opened(location)
        except (ArrowException, OSError, ValueError) as error:
            shown = masked(location.partition("?")[0])
            reason = first_line(error).replace(location, shown)
            raise StorageError(
                f"storage: must be a folder or a URI (s3://bucket/folder): {shown!r}: {reason}"
            ) from None
        self._root = "/".join([root.rstrip("/"), *below])

    def __reduce__(self) -> tuple[Callable[..., Storage], tuple[tuple[str, ...], Patience]]:
        return _revived, ((self._location, *self._below), self.patience)

    @property
    def uri(self) -> str:
        """The root in readable form: a path, or a URI without credentials and options."""
        if isinstance(self._files, Disk):
            return self._root
        return f"{self._location.partition('://')[0]}://{self._root}"

    @property
    def folder(self) -> Path | None:
        """The root as a local folder; None if it is remote."""
        return Path(self._root) if isinstance(self._files, Disk) else None

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
        return Storage(self._location, *self._below, *parts, patience=self.patience)

    def patient(self, minutes: float) -> Storage:
        """The same storage; what fails in an outage is tried again for so long.

        After that OutageError is raised, and from then on at once.
        """
        patience = Patience(minutes, f"storage: {self.uri}")
        return Storage(self._location, *self._below, patience=patience)

    def write(self, path: str, content: bytes) -> None:
        """Write one file, completely or not at all.

        Raises:
            StorageError: the disk is full or read-only, or the store does not answer.
        """
        self._tried("write", path, lambda at: self._files.write(at, content))

    def write_json(self, path: str, content: Any) -> None:
        """Write one JSON file, completely or not at all; raises as :meth:`write`."""
        self.write(path, json.dumps(content, indent=1).encode())

    def create(self, path: str, content: bytes) -> bool:
        """Write a file that does not exist; False if there is one, unless it is the same.

        Of all that try at once, one succeeds. A request that was made twice, since its first
        answer was lost, finds its own content; so contents that must differ need something unique.

        Raises:
            StorageError: as :meth:`write`; or the store cannot write on condition.
        """
        created = self._tried("write", path, lambda at: self._files.create(at, content))
        return created or self.read(path) == content

    def read(self, path: str) -> bytes | None:
        """A file's content; None if it does not exist.

        Raises:
            StorageError: it exists but cannot be read, or the store does not answer.
        """
        try:
            return self._tried("read", path, self._files.read)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_json(self, path: str) -> Any:
        """A JSON file's content; None if it does not exist.

        Raises:
            StorageError: as :meth:`read`; or it is no JSON, or null.
        """
        content = self.read(path)
        try:
            tree = None if content is None else json.loads(content, parse_int=_whole)
            if content is not None and tree is None:
                raise ValueError("null stands for a file that is not there")
            if content is not None and b"\\ud" in content.lower():  # half a character has no bytes
                json.dumps(tree, ensure_ascii=False).encode()
            return tree
        except (ValueError, RecursionError) as error:
            raise StorageError(
                f"storage: {self.readable_path(path)} must be JSON, but is damaged: {error}"
            ) from None

    def names(self, path: str = "") -> list[str]:
        """Names of the files and folders in a folder, sorted; empty if it does not exist.

        Raises:
            StorageError: it exists but cannot be read, or the store does not answer.
        """
        try:
            found = self._tried("list", path, self._files.names)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in found if not name.startswith("."))

    def delete(self, path: str) -> None:
        """Remove a file; does nothing if it does not exist.

        Raises:
            StorageError: it cannot be removed, or the store does not answer.
        """
        with suppress(FileNotFoundError, NotADirectoryError):
            self._tried("delete", path, self._files.delete)

    def readable_path(self, path: str) -> str:
        """A file's place in readable form."""
        return f"{self.uri}/{path}".rstrip("/")

    def _tried(self, verb: str, path: str, action: Callable[[str], Answer]) -> Answer:
        """What an action on a file returns; with patience, if an outage keeps it from working.

        A file that does not exist is an error of its own, except if it is to be written.
        """

        def once() -> Answer:
            try:
                return action(f"{self._root}/{path}".rstrip("/"))
            except (ArrowException, OSError) as error:
                absent = isinstance(error, FileNotFoundError | NotADirectoryError)
                if absent and verb != "write":
                    raise
                reason = first_line(error)
                text = f"storage: cannot {verb} {self.readable_path(path)}: {reason}"
                remote = self.folder is None
                if not is_outage(error, remote=remote):
                    raise StorageError(text) from None
                if self.patience.minutes:
                    raise Outage(text) from None
                # A disk that is full or read-only is mended by somebody; a store comes back.
                away = remote and is_away(reason)
                raise (OutageError if away else StorageError)(text) from None

        return self.patience(once)


def _whole(digits: str) -> int:
    """A whole number of 64 bits: larger ones are no finite floats, and take long to print."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"a whole number must have at most 64 bits: {digits:.24}")
    return int(digits)


def _revived(place: tuple[str, ...], patience: Patience) -> Storage:
    return Storage(*place, patience=patience)


def open_storage(location: str | Path) -> Storage:
    """The storage at a folder (created if missing) or URI; checked by writing and reading a file.

    Raises:
        StorageError: it cannot be written or read back.
    """
    text = str(location)
    storage = Storage(text if "://" in text else _existing_folder(text))
    probe = f".probe-{uuid.uuid4().hex[:8]}"
    storage.write(probe, b"gan-tune")
    found = storage.read(probe)
    storage.delete(probe)
    if found != b"gan-tune":
        raise StorageError(
            f"storage: a file must read back as it was written, but does not: {storage.uri}"
        )
    return storage


def _existing_folder(text: str) -> str:
    """The folder that the user named as an absolute path; created if it does not exist."""
    if not text or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        # `s3:/bucket` is a typo. A local folder of that name would hide it.
        raise StorageError(
            f"storage: must be a folder or a URI (s3://bucket/folder), but got {text!r}"
        )
    try:
        path = real_path(Path(text).expanduser())
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
        return Disk(location), location
    if re.match("(gs|gcs)://", location) and "retry_limit_seconds=" not in location:
        location += f"{'&' if '?' in location else '?'}retry_limit_seconds={GCS_PATIENCE}"
    files, root = pafs.FileSystem.from_uri(location)
    return (
        Disk(root) if isinstance(files, pafs.LocalFileSystem) else _Store(files, location)
    ), root
