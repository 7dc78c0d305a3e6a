"""The place and the owner of a search's Optuna study."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gan_tune.errors import StorageError
from gan_tune.searching.study.opening import open_study, study_as_it_stands
from gan_tune.searching.study.reading import OptunaStudy
from gan_tune.searching.study.study import Study
from gan_tune.service.running.earlier_searches import WarmStart
from gan_tune.space import SearchSpace
from gan_tune.storage.places import JOURNAL, STUDY, driver_folder
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders


@dataclass(frozen=True)
class StudyNote:
    """The first command's note on the study: the content of `study.json`.

    Attributes:
        url: of the database; None for a journal in the search's folder.
        owner: a random name that identifies this search's folder.
        space: digest of the space; empty if an older version did not note it.
        warm_start: names of the earlier searches whose trials the sampler got.
    """

    url: str | None
    owner: str
    space: str = ""
    warm_start: Sequence[str] = ()


def study_of_search(
    space: SearchSpace, home: Storage, name: str, warm: WarmStart | None = None
) -> Study:
    """The study of a search, at the place that its first command chose.

    Only the first command's warm start has an effect.

    Raises:
        StorageError: the space now names another place, the place cannot be used, or trials exist
            without their study.
        SpaceError: the study belongs to another space.
    """
    url, warm = space.search.study, warm or WarmStart()
    earlier = home.read_json(STUDY)
    if earlier is None:
        noted = StudyNote(url, uuid.uuid4().hex, space.digest, list(warm.searches))
        stored = asdict(noted)
    else:
        noted, stored = StudyNote(**earlier), earlier
    if noted.url != url:
        began = noted.url or "a journal in its folder"
        raise StorageError(
            f"search.study: the search {name} keeps its study in {began}; leave it there, or use "
            "--fresh or another --name"
        )
    home.write_json(STUDY, stored)  # first, since the owner of a claimed study must be known
    try:
        return open_study(
            url or _journal(home, name),
            space,
            name=name,
            owner=noted.owner,
            warm=warm.trials,
            begun=bool(TrialFolders(home).names()),
        )
    except StorageError:
        if earlier is None:
            home.delete(STUDY)  # nothing has begun, so another place may be named
        raise


def read_study(home: Storage, name: str) -> OptunaStudy:
    """The study of a search, read only: nothing is locked or written.

    Raises:
        StorageError: there is no such study, or it cannot be read.
    """
    noted = home.read_json(STUDY) or {}
    return study_as_it_stands(noted.get("url") or _journal(home, name), name)


def _journal(home: Storage, name: str) -> Path:
    return driver_folder(home, name) / JOURNAL
