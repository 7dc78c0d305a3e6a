"""Where a search lives: one folder, local, shared (NFS) or behind a URI (`s3://...`).

Layout below the root of one search:

    search.lock            held by the one command that works on the search
    study.journal          the Optuna study: what was proposed and told
    trials/NAME/trial.json            the trial's config
    trials/NAME/reports/STEP.json     written by the worker before it hands the report on
    trials/NAME/grids/STEP.png
    trials/NAME/checkpoint.safetensors
    trials/NAME/outcome.json          how it ended
    champion.png  leaderboard.json    the result

The lock and the journal need a real file system: behind a URI they stay in a folder of the driver.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
from pyarrow import ArrowException

from gan_tune.errors import StorageError

__all__ = ["Storage", "open_storage"]


class Storage:
    """Small whole files below one root; every write is all or nothing. Picklable by its URI."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        try:
            self._files, self._root = pafs.FileSystem.from_uri(uri)
        except (ArrowException, OSError, ValueError) as error:
            raise StorageError(f"storage: must be a folder or a URI: {uri!r}: {error}") from None

    def __reduce__(self) -> tuple[type[Storage], tuple[str]]:
        return Storage, (self.uri,)

    @property
    def folder(self) -> Path | None:
        """The root as a local folder, None where it is remote."""
        return Path(self._root) if isinstance(self._files, pafs.LocalFileSystem) else None

    def below(self, *parts: str) -> Storage:
        """The storage rooted at a path below this one."""
        base, _, query = self.uri.partition("?")
        return Storage("/".join([base.rstrip("/"), *parts]) + (f"?{query}" if query else ""))

    def write(self, path: str, content: bytes) -> None:
        """Write one file, whole or not at all.

        Raises:
            StorageError: the disk is full, read-only, or the store does not answer.
        """
        full = f"{self._root}/{path}"
        try:
            if self.folder is None:
                with self._files.open_output_stream(full) as stream:
                    stream.write(content)
                return
            target = Path(full)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
            try:
                partial.write_bytes(content)
                os.replace(partial, target)
            finally:
                partial.unlink(missing_ok=True)
        except (ArrowException, OSError) as error:
            raise StorageError(f"storage: cannot write {full}: {error}") from None

    def write_json(self, path: str, content: Any) -> None:
        """Write one JSON file, whole or not at all; raises as :meth:`write`."""
        self.write(path, json.dumps(content, indent=1).encode())

    def read(self, path: str) -> bytes | None:
        """A file's content, None where it is not there."""
        try:
            with self._files.open_input_stream(f"{self._root}/{path}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except (ArrowException, OSError) as error:
            raise StorageError(f"storage: cannot read {self._root}/{path}: {error}") from None

    def read_json(self, path: str) -> Any:
        """A JSON file's content, None where it is not there."""
        content = self.read(path)
        return None if content is None else json.loads(content)

    def names(self, path: str = "") -> list[str]:
        """Names of the files and folders in a folder, sorted; empty where it is not there."""
        selector = pafs.FileSelector(f"{self._root}/{path}".rstrip("/"), allow_not_found=True)
        entries = self._files.get_file_info(selector)
        return sorted(e.base_name for e in entries if not e.base_name.startswith("."))

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there is fine."""
        try:
            self._files.delete_file(f"{self._root}/{path}")
        except FileNotFoundError:
            return

    def local_path(self, path: str) -> str:
        """Where a file is, for a person to read."""
        return f"{self._root}/{path}" if self.folder else f"{self.uri}/{path}"


def open_storage(location: str | Path) -> Storage:
    """The storage at a folder (made if need be) or URI, checked by writing and reading one file.

    Raises:
        StorageError: it cannot be written or read back.
    """
    text = str(location)
    if "://" not in text:
        path = Path(text).expanduser().resolve()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"storage: cannot make the folder {path}: {error}") from None
        text = path.as_uri()
    storage = Storage(text)
    probe = f".probe-{uuid.uuid4().hex[:8]}"
    storage.write(probe, b"gan-tune")
    found = storage.read(probe)
    storage.delete(probe)
    if found != b"gan-tune":
        raise StorageError(f"storage: what is written must be readable: {text!r}")
    return storage
