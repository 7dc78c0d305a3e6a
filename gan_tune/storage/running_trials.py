"""The trials that have a worker now: noted by the command that runs them, for its readers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gan_tune.errors import StorageError
from gan_tune.storage.places import RUNNING_TRIALS
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_name import is_trial_name

__all__ = ["note_running_trials", "running_trials"]


@dataclass(frozen=True)
class _Note:
    """The content of `running.json`: the trials' names, and which command noted them."""

    trials: list[str]
    holder: str = ""


def note_running_trials(home: Storage, trials: Collection[str], holder: str) -> None:
    """Write which trials have a worker into the search's folder.

    ``holder`` is the command that runs them, as :func:`gan_tune.storage.lease.holder_of` names it.

    Raises:
        StorageError: the folder cannot be written.
    """
    home.write_json(RUNNING_TRIALS, {"trials": sorted(trials), "holder": holder})


def running_trials(home: Storage, holder: str) -> frozenset[str] | None:
    """The trials that had a worker when ``holder`` last noted that; None if it is not known."""
    try:
        note = read_stored(home, RUNNING_TRIALS, _Note)
    except StorageError:
        return None
    if note is None or note.holder != holder:
        return None
    return frozenset(filter(is_trial_name, note.trials))
