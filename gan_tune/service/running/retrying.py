"""The failed trials that `gan-tune retry` has put back, taken up by the next command."""

from __future__ import annotations

from collections.abc import Iterable

from gan_tune.errors import StorageError
from gan_tune.searching.study.study import Study
from gan_tune.storage.places import RETRY
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import TrialName, is_confirmation, is_trial_name


def put_back(home: Storage, trials: Iterable[str]) -> None:
    """Note failed trials of a search for its next command, beside those noted before."""
    home.write_json(RETRY, sorted({*trials, *trials_put_back(home)}))


def trials_put_back(home: Storage) -> list[str]:
    """The trials that wait for the next command of a search.

    Raises:
        StorageError: the note names anything but trials.
    """
    noted: list[str] = read_stored(home, RETRY, list[str]) or []
    for name in noted:
        if not is_trial_name(name):
            raise StorageError(
                f"storage: {home.readable_path(RETRY)} must name trials, not {name!r:.60}"
            )
    return noted


def take_up(home: Storage, study: Study) -> list[str]:
    """Let the trials that were put back begin again; returns their names.

    The note is removed last. If a kill comes before that, the next command does all of it again.
    """
    names = trials_put_back(home)
    for name in names:
        folder = TrialFolders(home)[name]
        ending = folder.ending()
        if ending is None or ending.outcome == "failed":
            folder.clear()
            if not is_confirmation(name):  # of which the study knows nothing
                study.retry(TrialName.parse(name).setting)
    if names:
        home.delete(RETRY)
    return names
