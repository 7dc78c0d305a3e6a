"""Finds a search's Optuna study: in its folder, or in a database. Onlookers read it here.

It needs no torch, so that a report is written without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_tune.errors import StorageError
from gan_tune.regular_file import real_path
from gan_tune.searching.study.opening import study_as_it_stands
from gan_tune.searching.study.origins import Start
from gan_tune.searching.study.reading import OptunaStudy
from gan_tune.searching.study.segments import has_segments
from gan_tune.storage.places import JOURNAL, STUDY_NOTE, driver_folder
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored

__all__ = ["StudyNote", "journal_of", "read_study"]


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
    starts: Sequence[Start] = ()


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
    journal = journal_of(home, name)
    if home.folder is None and (has_segments(home) or not journal.exists()):
        return study_as_it_stands(home, name)
    if journal.is_symlink() and not real_path(journal).is_relative_to(real_path(journal.parent)):
        raise StorageError(f"storage: the study {journal} must be no link to another folder")
    return study_as_it_stands(journal, name)


def journal_of(home: Storage, name: str) -> Path:
    """The file of a study in no database: on the driver's disk, also of a search behind a URI."""
    return driver_folder(home, name) / JOURNAL
