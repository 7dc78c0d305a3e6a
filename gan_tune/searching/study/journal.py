"""The file in which a search keeps its study by default: Optuna's journal.

It is a text file. Each proposal, report and ending is appended to it. See
https://optuna.readthedocs.io/en/stable/reference/generated/optuna.storages.journal.JournalFileBackend.html
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from optuna.storages.journal import JournalFileBackend

from gan_tune.errors import StorageError
from gan_tune.searching.study.optuna_internals import is_report, journal_line, lock_files
from gan_tune.storage.patience import NONE, Outage, Patience, is_outage

__all__ = ["UNREADABLE_JOURNAL", "Journal", "mend_journal"]

Answer = TypeVar("Answer")

logger = logging.getLogger("gan_tune")

UNREADABLE_JOURNAL = (OSError, ValueError, KeyError, TypeError)
"""What Optuna raises for a file that it cannot use as a journal."""


class Journal(JournalFileBackend):
    """Optuna's journal, except that reports do not wait for the disk.

    A report is synced to the disk with the next proposal or ending. If a power cut loses it, the
    trial's folder still has it, and the next command reports it again. All lines of one proposal or
    ending are synced together.

    Lines are written without Optuna's lock. This is safe: the search's own lock excludes other
    commands, and a line from a process that only reads the search is appended whole, before or
    after them.

    Optuna reads what is new before each of its answers, several times a report. Nobody else makes
    news, so the file is not opened for that.
    """

    def __init__(self, path: Path, patience: Patience = NONE) -> None:
        super().__init__(str(path))
        self._path, self._patience = path, patience
        self._gathers = False
        self._next: int | None = None
        self._appended: list[bytes] = []

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The lines from a number on."""
        read = super().read_logs
        if log_number_from == self._next:
            logs = [json.loads(line) for line in self._appended]
        else:
            logs = self._tried(lambda: list(read(log_number_from)))
        self._next, self._appended = log_number_from + len(logs), []
        yield from logs

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines. They are synced to disk unless all are reports or they are gathered."""
        synced = not self._gathers and not all(map(is_report, logs))
        lines = list(map(journal_line, logs))
        self._tried(lambda: self._append(b"".join(lines), synced=synced))
        self._appended += lines

    def _append(self, lines: bytes, *, synced: bool) -> None:
        with self._path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                if file.write(lines) < len(lines):  # a full disk takes half a line
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if synced:
                    os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def _tried(self, action: Callable[[], Answer]) -> Answer:
        def once() -> Answer:
            try:
                return action()
            except OSError as error:
                if self._patience.minutes and is_outage(error):
                    raise Outage(f"storage: cannot use the study {self._path}: {error}") from None
                raise

        return self._patience(once)

    @contextmanager
    def synced_once(self) -> Iterator[None]:
        """Gather the lines appended in the block, and sync them at its end."""
        self._gathers = True
        try:
            yield
        finally:
            self._gathers = False
            self._tried(self._sync)

    def _sync(self) -> None:
        with self._path.open("ab") as file:
            os.fsync(file.fileno())


def mend_journal(path: Path) -> None:
    """Remove an incomplete last line, and delete a lock, that a killed process left.

    If another line followed an incomplete one, Optuna could never load the journal again.

    Raises:
        StorageError: the file cannot be read or written.
    """
    try:
        for lock in lock_files(path):
            lock.unlink(missing_ok=True)
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            logger.warning("%s: its last line was torn and is cut off", path)
            with path.open("r+b") as file:
                file.truncate(len(whole))
    except OSError as error:
        raise StorageError(f"storage: cannot use the study {path}: {error}") from None
