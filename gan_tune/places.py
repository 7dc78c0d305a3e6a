"""Where a search lies, and the names of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_tune.searching.storage import Storage

DEFAULT_STORAGE = "./gan_tune_runs"
RESULT = "result.json"
REPORT = "report.html"
HEADING = "search.json"
"""What a command that begins to work on a search notes of it, for those who look on."""
STUDY = "study.json"
"""Where the first command put the study, and a random name that tells this folder from others."""


def look_in(storage: str | Path) -> Storage:
    """The storage as it is: nothing is made, nothing is tried."""
    from gan_tune.searching.storage import Storage

    text = str(storage)
    return Storage(text if "://" in text else Path(text).expanduser().resolve().as_uri())


def driver_folder(home: Storage, name: str) -> Path:
    """Where the lock and the journal lie: beside the trials, or here if those are behind a URI."""
    return home.folder or Path(DEFAULT_STORAGE).resolve() / name


def search_names(root: Storage) -> list[str]:
    """The searches in a storage that have come as far as a trial."""
    return [name for name in root.names() if {HEADING, RESULT} & set(root.below(name).names())]
