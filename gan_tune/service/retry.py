"""`gan-tune retry`: put failed trials back, so that the next command trains them again."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path

from gan_tune.errors import GanTuneError, SearchLockedError, SearchNotFoundError
from gan_tune.service.running.retrying import put_back
from gan_tune.service.search_status import RUNNING, SearchStatus
from gan_tune.service.status_from_folder import folder_status
from gan_tune.storage.places import DEFAULT_STORAGE, look_in, search_names
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.words.wording import there_are

NEAR = 5
"""How many names are listed for one that does not exist."""


def retry(
    name: str,
    trials: Sequence[str] = (),
    *,
    failed: bool = False,
    storage: str | Path = DEFAULT_STORAGE,
) -> list[str]:
    """Put failed trials of a search back: its next command trains them again, from their beginning.

    Each keeps its number, its seed and its name. The note of it lies in the search's folder, so it
    may come from any machine that sees the storage. Returns the trials, by name.

    Args:
        name: of the search.
        trials: names of trials that have failed.
        failed: instead of names: every trial that has failed.
        storage: folder or URI that holds the search.

    Raises:
        SearchNotFoundError: no search of that name; the message lists the existing ones.
        SearchLockedError: a command works on the search.
        GanTuneError: no such trial, or one that has not failed or cannot begin again.
        StorageError: the storage cannot be read or written.
    """
    if bool(trials) == failed:
        raise GanTuneError("retry: must get either names of trials or --failed")
    root = look_in(storage)
    known = search_names(root)
    if name not in known:
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage}; {there_are(name, known)}"
        )
    status, home = folder_status(root, name), root.below(name)
    if status.state == RUNNING:
        raise SearchLockedError(
            f"{name}: this search is being worked on by {status.holder}; end it first "
            f"(gan-tune stop {name})"
        )
    chosen = _chosen(status, trials)
    _check_no_population(home, name, {row.name for row in status.rows})
    put_back(home, chosen)
    return chosen


def _chosen(status: SearchStatus, wanted: Sequence[str]) -> list[str]:
    """The trials that are meant, all of which have failed; every failed one if none is named."""
    outcomes = {row.name: row.outcome for row in status.rows}
    for trial in wanted:
        if trial not in outcomes:
            near = difflib.get_close_matches(trial, outcomes, n=NEAR, cutoff=0.0)
            raise GanTuneError(
                f"{status.name}: no trial {trial!r}; near it {there_are(trial, near)}"
            )
        if outcomes[trial] != "failed":
            goes_on = " (the same `gan-tune search` command continues it)"
            raise GanTuneError(
                f"{status.name}: a trial must have failed to be retried, but {trial} is "
                f"{outcomes[trial]}{goes_on if outcomes[trial] == 'interrupted' else ''}"
            )
    chosen = sorted({*wanted} or {each for each, how in outcomes.items() if how == "failed"})
    if not chosen:
        raise GanTuneError(f"{status.name}: no trial has failed, so there is none to retry")
    return chosen


def _check_no_population(home: Storage, name: str, trials: Collection[str]) -> None:
    """Refuse a search whose failed members have been replaced by forks."""
    folders = TrialFolders(home)
    for trial in sorted(trials, reverse=True):  # forks are the later ones
        described = folders[trial].description()
        if described is not None and described.lineage:
            raise GanTuneError(
                f"{name}: a population replaces a failed trial by a fork, so none can be retried"
            )
