"""The places of searches, and the names of their files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

DEFAULT_STORAGE = "./gan_tune_runs"
REMOTE = ".remote"
"""Folder below the default storage for the local files of searches behind URIs."""
LOCK = "search.lock"
"""Held by the one command that works on a search; it names that process."""
JOURNAL = "study.journal"
"""The Optuna study of a search, unless it lies in a database."""
RESULT = "result.json"
REPORT = "report.html"
LEADERBOARD = "leaderboard.json"
CHAMPION_PICTURE = "champion.png"
HEADING = "search.json"
"""The note that a command writes when it begins to work on a search, for read-only commands."""
STUDY = "study.json"
"""The place of the study, and a random name that identifies this folder."""


def look_in(storage: str | Path) -> Storage:
    """The storage, read only: nothing is created and nothing is checked."""
    from gan_tune.storage.storage import Storage

    text = str(storage)
    return Storage(text if "://" in text else Path(text).expanduser().resolve().as_uri())


def driver_folder(home: Storage, name: str) -> Path:
    """The folder of lock and journal: the search's own, or a local one if that is behind a URI."""
    return home.folder or _beside_a_uri(home) / name


def taken_names(root: Storage) -> set[str]:
    """The names of searches that have begun, in a storage or in its folder on the driver."""
    taken = set(root.names())
    if root.folder is None:
        taken |= {folder.name for folder in _beside_a_uri(root).glob("*")}
    return taken


def _beside_a_uri(storage: Storage) -> Path:
    """A separate folder for each URI; otherwise searches of one name would share a journal."""
    return Path(DEFAULT_STORAGE).resolve() / REMOTE / storage.label


def search_names(root: Storage) -> list[str]:
    """The searches in a storage that have at least one trial."""
    return [name for name in root.names() if {HEADING, RESULT} & set(root.below(name).names())]
