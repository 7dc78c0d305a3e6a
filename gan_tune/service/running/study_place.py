"""Finds a search's Optuna study: in its folder, or in a database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gan_tune.errors import StorageError
from gan_tune.searching.study.journal import mend_journal
from gan_tune.searching.study.opening import open_study, study_as_it_stands
from gan_tune.searching.study.origins import Start
from gan_tune.searching.study.reading import OptunaStudy
from gan_tune.searching.study.segments import adopt, has_segments
from gan_tune.searching.study.study import Study
from gan_tune.service.running.earlier_searches import WarmStart
from gan_tune.space import SearchSpace
from gan_tune.storage.places import JOURNAL, STUDY_NOTE, driver_folder
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_folder import TrialFolders


@dataclass(frozen=True)
class StudyNote:
    """The first command's note on the study: the content of `study.json`.

    Attributes:
        url: of the database; None for a journal in the search's folder.
        owner: a random name that identifies this search's folder.
        space: digest of the space; empty if an older version did not note it.
        warm_start: names of the earlier searches from which this one started.
        shipped: digest of the shipped file that the search began with; empty for any other space,
            and if an older version did not note it.
        starts: what is tried after the space's own starts, as it was when the search began; empty
            if an older version began it.
    """

    url: str | None
    owner: str
    space: str = ""
    warm_start: Sequence[str] = ()
    shipped: str = ""
    starts: Sequence[Mapping[str, Any]] = ()


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
            [asdict(start) for start in starts],
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
            starts=[Start(**start) for start in noted.starts],
            begun=bool(TrialFolders(home).names()),
            patience=home.patience,
        )
    except StorageError:
        if is_new:
            home.delete(STUDY_NOTE)  # nothing has begun, so another place may be named
        raise


def read_study(home: Storage, name: str, url: str | None = None) -> OptunaStudy:
    """The study of a search, read only: nothing is locked, written or created.

    Args:
        home: the search's folder.
        name: of the search.
        url: of the database, from the user; None: the study is the journal in the folder. What
            `study.json` says is not followed: who wrote the folder could name any database, and
            its server would get this user's password.

    Raises:
        StorageError: there is no such study, it cannot be read, or it lies in a database that the
            user has not named.
    """
    noted = read_stored(home, STUDY_NOTE, StudyNote)
    elsewhere = noted.url if noted else None
    if url is None and elsewhere is not None:
        raise StorageError(
            f"storage: the search {name} keeps its study in a database, {elsewhere!s:.200}; name "
            "it yourself, with --study URL or study=URL"
        )
    if url is not None:
        return study_as_it_stands(url, name)
    journal = _journal(home, name)
    if home.folder is None and (has_segments(home) or not journal.exists()):
        return study_as_it_stands(home, name)
    if journal.is_symlink() and not journal.resolve().is_relative_to(journal.parent.resolve()):
        raise StorageError(f"storage: the study {journal} must be no link to another folder")
    return study_as_it_stands(journal, name)


def _place(home: Storage, name: str, owner: str) -> Path | Storage:
    """Where a study lies that is in no database: in the search's folder.

    Earlier versions kept the journal of a search behind a URI on the driver's disk. It is moved
    once. The file that is left has another name, so that they do not go on with it.
    """
    journal = _journal(home, name)
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


def _journal(home: Storage, name: str) -> Path:
    return driver_folder(home, name) / JOURNAL
