"""The places of searches, and the names of their files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import StorageError
from gan_tune.regular_file import real_path

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

DEFAULT_STORAGE = "./gan_tune_runs"
REMOTE = ".remote"
"""Folder below the default storage for the local files of searches behind URIs."""
LEASES = "lease"
"""Folder of the lease that the one command holds which works on a search; it names that process."""
EARLIER_LOCK = "search.lock"
"""What earlier versions had instead, in the driver's folder."""
JOURNAL = "study.journal"
"""The Optuna study of a search, unless it lies in a database."""
STOP = "stop.json"
"""The wish that the command which works on the search ends; its workers save, then."""
STOPPED_TRIALS = "stop"
"""Folder of the wishes that single trials end: a file each, named as the trial."""
RETRY = "retry.json"
"""The failed trials that the next command trains again."""
DRIVER = "driver.txt"
"""What workers read to prove that they see the driver's storage."""
RUNNING_TRIALS = "running.json"
"""The trials that have a worker; the others of a search that runs wait for one."""
NODES = "nodes.json"
"""The nodes that the last command put aside."""
RESULT = "result.json"
REPORT = "report.html"
PLOTS = "plots.html"
"""The report's plots alone."""
LEADERBOARD = "leaderboard.json"
CHAMPION_PICTURE = "champion.png"
LEFT_OUT = "left_out.txt"
"""The files of the data that could not be read, a line each, with the reason."""
SEARCH_NOTE = "search.json"
"""The note that a command writes when it begins to work on a search, for read-only commands."""
PRECISION_NOTE = "precision.json"
"""The precision of all trials of the search, in which `auto` is resolved."""
RESOURCES_NOTE = "resources.json"
"""The GPUs of each trial of the search, in which `auto` is resolved."""
JUDGE_NOTE = "judge.json"
JUDGE_ARRAYS = "judge.safetensors"
"""By which features the search compares pictures without labels, and their arrays."""
PLAN_NOTE = "plan.json"
"""What the first command decided where the space leaves it open: the length of a trial."""
SPACE_FILE = "space.yaml"
"""The space of a search that began from data; searches from a space file have none."""
DATA_NOTE = "data.json"
"""Which data such a search began from."""
STUDY_NOTE = "study.json"
"""The first command's note: where the study is, and a random name that identifies this folder."""

RECORD_ENTRY = "record/search.json"
"""What MLflow shows of the search's run from its beginning; see :mod:`gan_tune.record.spool`."""
RECORD_ENDING = "record/ending.json"
"""How the last command ended, as MLflow shows it; absent while a command works on the search."""
REGISTRATION = "record/registration.json"
"""The request to register the search's champion."""
CHAMPION_MODEL = "champion/model"
"""The folder of the exported champion, which is registered."""
CHAMPION_PICTURES = "champion"
"""The folder of pictures of a look inside the champion."""


def look_in(storage: str | Path) -> Storage:
    """The storage, read only: nothing is created and nothing is checked."""
    from gan_tune.storage.storage import Storage

    text = str(storage)
    return Storage(text if "://" in text else real_path(Path(text).expanduser()).as_uri())


def driver_folder(home: Storage, name: str) -> Path:
    """The search's own folder; behind a URI a local one, for what must lie on a disk."""
    return home.folder or _beside_a_uri(home) / name


def taken_names(root: Storage) -> set[str]:
    """The names of searches that have begun, in a storage or in its folder on the driver."""
    taken = set(root.names())
    if root.folder is None:
        taken |= {folder.name for folder in _beside_a_uri(root).glob("*")}
    return taken


def _beside_a_uri(storage: Storage) -> Path:
    """A separate folder for each URI; otherwise searches of one name would share a journal."""
    return real_path(DEFAULT_STORAGE) / REMOTE / storage.label


def search_names(root: Storage) -> list[str]:
    """The searches in a storage that have at least one trial; what is damaged is left out."""
    return [name for name in root.names() if _is_search(root.below(name), name)]


def _is_search(home: Storage, name: str) -> bool:
    try:
        return not {SEARCH_NOTE, RESULT}.isdisjoint(home.names())
    except StorageError as error:
        logging.getLogger("gan_tune").warning("%s is left out: %s", name, error)
        return False
