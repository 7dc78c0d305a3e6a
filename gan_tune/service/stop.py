"""`gan-tune stop`: ask a running search, or one of its trials, to end; also from elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from gan_tune.errors import GanTuneError, SearchNotFoundError
from gan_tune.storage.lease import holder_of
from gan_tune.storage.places import DEFAULT_STORAGE, STOP, STOPPED_TRIALS, look_in, search_names
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import is_confirmation
from gan_tune.words.wording import there_are

NEAR = 5
"""How many names are listed for one that does not exist."""


def stop(name: str, storage: str | Path = DEFAULT_STORAGE, *, trials: Sequence[str] = ()) -> None:
    """Ask the command that works on a search to end, as its first Ctrl-C would.

    Or ask it to end single ``trials`` at their next report: they are pruned, and the search goes on
    without them.

    The wish lies in the search's folder, so it may come from any machine that sees the storage. The
    next command that begins to work on the search removes it.

    Raises:
        SearchNotFoundError: no search of that name; the message lists the existing ones.
        GanTuneError: no command works on it; or no such trial, or one that has ended or confirms a
            setting.
        StorageError: the storage cannot be written.
    """
    root = look_in(storage)
    home, known = root.below(name), search_names(root)
    is_run = name in root.names() and bool(holder_of(home, name))  # it may have no trial yet
    if not is_run and name not in known:
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage}; {there_are(name, known)}"
        )
    if not is_run:
        raise GanTuneError(f"{name}: no command works on it, so that there is none to end")
    if not trials:
        home.write_json(STOP, {})
        return
    _check_running(home, name, trials)
    for trial in trials:
        home.below(STOPPED_TRIALS).write(trial, b"")


def forget_wishes(home: Storage) -> None:
    """Remove the wishes to end that an earlier command did not hear.

    Raises:
        StorageError: the search's folder cannot be written.
    """
    home.delete(STOP)
    wishes = home.below(STOPPED_TRIALS)
    for trial in wishes.names():
        wishes.delete(trial)


def _check_running(home: Storage, name: str, wanted: Sequence[str]) -> None:
    """Check that trials of a search exist, and may be ended alone.

    Raises:
        GanTuneError: one does not, or may not.
    """
    folders = TrialFolders(home)
    known = folders.names()
    for trial in wanted:
        if trial not in known:
            near = difflib.get_close_matches(trial, known, n=NEAR, cutoff=0.0)
            raise GanTuneError(f"{name}: no trial {trial!r}; near it {there_are(trial, near)}")
        if is_confirmation(trial):
            raise GanTuneError(f"{name}: {trial} confirms a setting: it ends with the search only")
        if (ending := folders[trial].ending()) is not None and ending.is_final:
            raise GanTuneError(f"{name}: {trial} has ended already: {ending.outcome}")
