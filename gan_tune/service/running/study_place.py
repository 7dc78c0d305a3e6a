"""Opens a search's Optuna study for the command that works on it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gan_tune.errors import StorageError
from gan_tune.searching.study.journal import mend_journal
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.origins import Start
from gan_tune.searching.study.segments import adopt, has_segments
from gan_tune.searching.study.study import Study
from gan_tune.service.running.earlier_searches import WarmStart
from gan_tune.service.stored_study import StudyNote, journal_of
from gan_tune.space import SearchSpace
from gan_tune.storage.places import JOURNAL, STUDY_NOTE
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_folder import TrialFolders


def study_of_search(
    space: SearchSpace,
    home: Storage,
    name: str,
    warm: WarmStart | None = None,
    starts: Sequence[Start] = (),
) -> Study:
    """The study of a search, at the place that its first command chose.

    Only the first command's warm start and ``starts`` have an effect.

    Raises:
        StorageError: the space now names another place, the place cannot be used, or trials exist
            without their study.
        SpaceError: the study belongs to another space.
    """
    url, warm = space.search.study, warm or WarmStart()
    noted = read_stored(home, STUDY_NOTE, StudyNote)
    is_new = noted is None
    if noted is None:
        noted = StudyNote(
            url,
            uuid.uuid4().hex,
            space.digest,
            list(warm.searches),
            space.shipped_digest,
            starts,
        )
    if noted.url != url:
        began = noted.url or "a journal in its folder"
        raise StorageError(
            f"search.study: the search {name} keeps its study in {began}; leave it there, or use "
            "--fresh or another --name"
        )
    if is_new:
        # First, so that a claimed study has a known owner.
        home.write_json(STUDY_NOTE, asdict(noted))
    try:
        return open_study(
            url or _place(home, name, noted.owner),
            space,
            name=name,
            owner=noted.owner,
            warm=warm.trials,
            starts=noted.starts,
            begun=bool(TrialFolders(home).names()),
            patience=home.patience,
        )
    except StorageError:
        if is_new:
            home.delete(STUDY_NOTE)  # nothing has begun, so another place may be named
        raise


def _place(home: Storage, name: str, owner: str) -> Path | Storage:
    """Where a study lies that is in no database: in the search's folder.

    Earlier versions kept the journal of a search behind a URI on the driver's disk. It is moved
    once. The file that is left has another name, so that they do not go on with it.
    """
    journal = journal_of(home, name)
    if home.folder is not None:
        return journal
    if journal.exists():
        mend_journal(journal)
        lines = journal.read_bytes()
        if owner.encode() in lines:  # else it is of an earlier search of that name
            if not has_segments(home):
                adopt(home, lines)
            journal.rename(journal.with_name(f"{JOURNAL}.moved"))
    return home
