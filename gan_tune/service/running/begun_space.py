"""A search of a shipped space goes on with the space that it began with.

A new version of gan-tune may bring a better file under the same name. A search that began with the
earlier one is continued by the same command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_tune.service.space_and_setting import load_space
from gan_tune.service.stored_study import StudyNote, read_study
from gan_tune.space import SearchSpace
from gan_tune.space.reading import read_space
from gan_tune.storage.places import STUDY_NOTE
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_folder import TrialFolders

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage


def as_begun(space: SearchSpace, home: Storage, name: str) -> SearchSpace:
    """The space with which a search goes on: ``space``, unless its shipped file has changed since.

    Then it is what the search began with, with this command's `--set` applied, and with the name,
    the trials, the minutes and the resources of the file as it is now.

    Raises:
        StorageError: the search's study cannot be read.
        SpaceError: this command's `--set` does not fit to what the search began with.
    """
    noted = read_stored(home, STUDY_NOTE, StudyNote) if space.shipped else None
    if noted is None or noted.shipped == space.shipped_digest:
        return space
    if noted.space == space.digest or not TrialFolders(home).names():
        return space
    if noted.url != space.search.study:
        return space  # which is refused when the study is opened
    began = read_study(home, name, space.search.study).user_attrs
    if began.get("space") == space.digest or "space_blocks" not in began:
        return space
    now = read_space(space.shipped).tree
    return load_space(_continued(now, json.loads(began["space_blocks"])), space.overrides)


def _continued(now: Mapping[str, Any], began: Mapping[str, Any]) -> dict[str, Any]:
    """The file as it is now with the blocks of the search in place of its own."""
    search = {key: _as_written(value) for key, value in began["search"].items()}
    return {**now, **began, "search": search, "budget": now["budget"] | began["budget"]}


def _as_written(value: Any) -> Any:
    """A part in the form of a space file; any other value as it is."""
    if isinstance(value, Mapping) and value.keys() == {"name", "args"}:
        return {"name": value["name"], **value["args"]}
    return value
