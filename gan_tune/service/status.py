"""`gan-tune status` and `ls`: the status of searches, read from a storage or from MLflow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gan_tune.errors import SearchNotFoundError, StorageError
from gan_tune.service.search_status import SearchStatus
from gan_tune.service.status_from_folder import folder_status
from gan_tune.storage.places import DEFAULT_STORAGE, look_in, search_names
from gan_tune.words.wording import there_are

logger = logging.getLogger("gan_tune")


def status(
    name: str, storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> SearchStatus:
    """The status of a search, whether or not a command works on it now. Reads only.

    It is read from the search's folder, or from MLflow if there is no such folder.

    Raises:
        SearchNotFoundError: neither has it; the message lists the existing searches.
    """
    root = look_in(storage)
    if name in search_names(root):
        return folder_status(root, name)
    from gan_tune.service.status_from_mlflow import recorded_searches, recorded_status

    recorded = {info.name: info for info in recorded_searches(tracking_uri)}
    if name not in recorded:
        known = [*search_names(root), *recorded]
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage} or MLflow; {there_are(name, known)}"
        )
    return recorded_status(recorded[name], tracking_uri)


def searches(
    storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> list[SearchStatus]:
    """All searches in a storage, and those that are only in MLflow. Reads only.

    One whose files are damaged is left out with a warning.
    """
    from gan_tune.service.status_from_mlflow import recorded_searches, recorded_status

    root = look_in(storage)
    here = search_names(root)
    elsewhere = [info for info in recorded_searches(tracking_uri) if info.name not in here]
    return [
        *_sound(here, lambda name: folder_status(root, name)),
        *(recorded_status(info, tracking_uri) for info in elsewhere),
    ]


def _sound(names: Sequence[str], read: Callable[[str], SearchStatus]) -> Iterator[SearchStatus]:
    for name in names:
        try:
            yield read(name)
        except StorageError as error:
            logger.warning("search %s is left out: %s", name, error)
