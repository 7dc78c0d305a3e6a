"""Where a search lies, and the names of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

DEFAULT_STORAGE = "./gan_tune_runs"
REMOTE = ".remote"
"""Folder below the default storage with what belongs to searches behind URIs."""
LOCK = "search.lock"
"""Held by the one command that works on a search; it names that process."""
JOURNAL = "study.journal"
"""The Optuna study of a search, unless it lies in a database."""
RESULT = "result.json"
REPORT = "report.html"
LEADERBOARD = "leaderboard.json"
CHAMPION_PICTURE = "champion.png"
HEADING = "search.json"
"""What a command that begins to work on a search notes of it, for those who look on."""
STUDY = "study.json"
"""Where the first command put the study, and a random name that tells this folder from others."""


def look_in(storage: str | Path) -> Storage:
    """The storage as it is: nothing is made, nothing is tried."""
    from gan_tune.storage.storage import Storage

    text = str(storage)
    return Storage(text if "://" in text else Path(text).expanduser().resolve().as_uri())


def driver_folder(home: Storage, name: str) -> Path:
    """Where the lock and the journal lie: beside the trials, or here if those are behind a URI."""
    return home.folder or _beside_a_uri(home) / name


def taken_names(root: Storage) -> set[str]:
    """The names of searches that have begun, in a storage or in what the driver keeps of it."""
    taken = set(root.names())
    if root.folder is None:
        taken |= {folder.name for folder in _beside_a_uri(root).glob("*")}
    return taken


def _beside_a_uri(storage: Storage) -> Path:
    """A folder of its own for each URI, or searches of one name would share their journal."""
    return Path(DEFAULT_STORAGE).resolve() / REMOTE / storage.label


def search_names(root: Storage) -> list[str]:
    """The searches in a storage that have come as far as a trial."""
    return [name for name in root.names() if {HEADING, RESULT} & set(root.below(name).names())]
