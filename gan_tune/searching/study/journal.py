"""The file in which a search keeps its study by default: Optuna's journal.

It is a text file. Each proposal, report and ending is appended to it. See
https://optuna.readthedocs.io/en/stable/reference/generated/optuna.storages.journal.JournalFileBackend.html
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from gan_tune.errors import StorageError
from gan_tune.searching.study.optuna_internals import is_report, journal_line, lock_files

__all__ = ["UNREADABLE_JOURNAL", "Journal", "mend_journal"]

logger = logging.getLogger("gan_tune")

UNREADABLE_JOURNAL = (OSError, ValueError, KeyError, TypeError)
"""What Optuna raises for a file that it cannot use as a journal."""


class Journal(JournalFileBackend):
    """Optuna's journal, except that reports do not wait for the disk.

    A report is synced to the disk with the next proposal or ending. If a power cut loses it, the
    trial's folder still has it, and the next command reports it again. All lines of one proposal or
    ending are synced together.

    A line that is not synced at once is written without Optuna's lock. This is safe: the search's
    own lock excludes other commands, and a line from a process that only reads the search is
    appended whole, before or after it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._gathers = False

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines. They are synced to disk unless all are reports or they are gathered."""
        if not self._gathers and not all(map(is_report, logs)):
            super().append_logs(logs)
            return
        with self._path.open("ab") as file:
            file.write(b"".join(map(journal_line, logs)))

    @contextmanager
    def synced_once(self) -> Iterator[None]:
        """Gather the lines appended in the block, and sync them at its end."""
        self._gathers = True
        try:
            yield
        finally:
            self._gathers = False
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
