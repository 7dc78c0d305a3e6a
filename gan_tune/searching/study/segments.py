"""The journal of a search behind a URI: Optuna's journal as numbered files in the search's folder.

A bucket cannot append to a file. So what is appended at a time is a file of its own, a segment:

    study/000042.jsonl           the lines of one proposal or ending
    study/000001-000041.jsonl    earlier segments, merged

All of them in the order of their numbers are the journal as
:class:`~gan_tune.searching.study.journal.Journal` would have it in one file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from optuna.storages.journal import BaseJournalBackend

from gan_tune.errors import SearchLostError, StorageError
from gan_tune.searching.study.optuna_internals import is_report, journal_line
from gan_tune.storage.storage import Storage

__all__ = ["MOST", "SEGMENTS", "SegmentedJournal", "adopt", "has_segments"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

SEGMENTS = "study"
"""Folder of the segments."""

MOST = 256
"""So many single segments are merged."""

AT_A_TIME = 16
"""Requests to the store at a time."""

LOOKS = 5
"""How often segments are listed anew that a command merges while they are read."""


class _Segments(NamedTuple):
    """What is in the folder: the number of the last merged segment, and of the last one."""

    merged: int
    last: int

    @property
    def paths(self) -> list[str]:
        before = [_merged_at(self.merged)] if self.merged else []
        return before + [_at(number) for number in range(self.merged + 1, self.last + 1)]


def _at(number: int) -> str:
    return f"{SEGMENTS}/{number:06d}.jsonl"


def _merged_at(last: int) -> str:
    return f"{SEGMENTS}/000001-{last:06d}.jsonl"


def _listed(home: Storage) -> _Segments:
    names = [re.fullmatch(r"(\d{6,})(-(\d{6,}))?\.jsonl", name) for name in home.names(SEGMENTS)]
    merged = max((int(match[3]) for match in names if match and match[3]), default=0)
    single = max((int(match[1]) for match in names if match and not match[3]), default=0)
    return _Segments(merged, max(merged, single))


def has_segments(home: Storage) -> bool:
    """Whether a study lies in a search's folder as segments."""
    return _listed(home).last > 0


def adopt(home: Storage, journal: bytes) -> None:
    """Make a whole journal the first segment of a search that has none; a kill leaves all or none.

    Raises:
        StorageError: it cannot be written.
    """
    home.create(_at(1), journal)


class SegmentedJournal(BaseJournalBackend):
    """Optuna's journal in a bucket.

    As in a file, reports do not wait: they are written with the next proposal or ending, and until
    then the trial's folder has them.

    A segment is created only where there is none. So a command that has lost its lease without
    knowing cannot write between the lines of the one that has taken over.

    Args:
        home: the search's folder.

    Raises:
        StorageError: a segment is missing or damaged.
    """

    def __init__(self, home: Storage) -> None:
        self._home = home
        self._found, content = _read(home)
        self._logs = [_log(line, home) for line in content.splitlines()]
        self._pending = b""
        self._gathers = False

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """The lines from a number on. Nobody else writes them, so the store is not asked."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines. They are stored unless all are reports or they are gathered."""
        self._pending += b"".join(map(journal_line, logs))
        self._logs += logs
        if not self._gathers and not all(map(is_report, logs)):
            self._store()

    @contextmanager
    def synced_once(self) -> Iterator[None]:
        """Gather the lines appended in the block, and store them at its end."""
        self._gathers = True
        try:
            yield
        finally:
            self._gathers = False
            self._store()

    def _store(self) -> None:
        if not self._pending:
            return
        number = self._found.last + 1
        if not self._home.create(_at(number), self._pending):
            raise SearchLostError(
                f"storage: another command works on this search, and has written "
                f"{self._home.readable_path(_at(number))}; this one ends"
            )
        self._pending, self._found = b"", self._found._replace(last=number)
        if self._found.last - self._found.merged >= MOST:
            self._merge()

    def _merge(self) -> None:
        """Write all segments as one, and delete them. A kill leaves at most some too many."""
        before = self._found.paths
        self._found = self._found._replace(merged=self._found.last)
        self._home.write(self._found.paths[0], b"".join(map(journal_line, self._logs)))
        _at_once(self._home.delete, before)


def _read(home: Storage) -> tuple[_Segments, bytes]:
    """The segments that there are, and their lines."""
    for _ in range(LOOKS):
        found = _listed(home)
        contents = dict(zip(found.paths, _at_once(home.read, found.paths), strict=True))
        absent = [path for path, content in contents.items() if content is None]
        if not absent:
            return found, b"".join(content or b"" for content in contents.values())
    raise StorageError(
        f"storage: {home.readable_path(absent[0])}, a part of the study of this search, is gone, "
        "but later ones are there"
    )


def _at_once(ask: Callable[[Item], Answer], items: list[Item]) -> list[Answer]:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(ask, items))


def _log(line: bytes, home: Storage) -> dict[str, Any]:
    try:
        log = json.loads(line)
    except ValueError:
        log = None
    if not isinstance(log, dict):
        place = home.readable_path(SEGMENTS)
        raise StorageError(f"storage: the study {place} must hold objects, but has {line[:60]!r}")
    return log
