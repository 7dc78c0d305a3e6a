"""Search, go on with a search, or hand back what a finished one has come to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_tune.errors import GanTuneError, SpaceError
from gan_tune.service.places import DEFAULT_STORAGE, RESULT, driver_folder
from gan_tune.service.result import SearchResult
from gan_tune.service.spaces import load_space
from gan_tune.service.watching import Unwatched, Watcher
from gan_tune.service.work import Work
from gan_tune.space import SearchSpace, check_name

if TYPE_CHECKING:
    from gan_tune.searching.storage import Storage


def search(
    space: SearchSpace | str | Path | Mapping[str, Any],
    *,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    fresh: bool = False,
    max_concurrent: int | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    model: str | None = None,
    watcher: Watcher | None = None,
) -> SearchResult:
    """Run a search, or go on with the unfinished one of that name; a finished one is returned.

    Args:
        space: a checked space, or what :func:`load_space` takes.
        name: of the search; default the space's.
        storage: folder or URI that holds searches; on a cluster every node must reach it.
        fresh: start a new search, `NAME-2` and so on, if there is one of that name.
        max_concurrent: at most so many trials at a time; default what the cluster holds.
        address: of a running Ray cluster; default RAY_ADDRESS, else Ray is started here.
        tracking_uri: of MLflow; default MLFLOW_TRACKING_URI, else `mlflow.db` in this folder.
        experiment, model: names in MLflow; default the search's name and the space's.
        watcher: shows progress.

    Raises:
        GanTuneError: one line; nothing was started.
    """
    from gan_tune.searching.cluster import check_address
    from gan_tune.searching.lock import hold
    from gan_tune.searching.storage import open_storage
    from gan_tune.tracking.store import connect

    if not isinstance(space, SearchSpace):
        space = load_space(space)
    _check_names(name=name, experiment=experiment, model=model)
    watcher = watcher or Unwatched()
    watcher.stage("checking MLflow, Ray's address and the storage")
    check_address(address)
    uri = connect(tracking_uri)
    root = open_storage(storage)
    name = _free_name(root, name or space.name) if fresh else name or space.name
    home = root.below(name)
    with hold(driver_folder(home, name)):
        done = _finished(home, space)
        if done is not None:
            return done
        names = (name, experiment or name, model or space.name)
        return Work(space, home, uri, names, watcher).run(address, max_concurrent)


def _check_names(**names: str | None) -> None:
    for what, name in names.items():
        rule = None if name is None else check_name(name)
        if rule is not None:
            raise GanTuneError(f"{what}: {rule}: {name!r}")


def _finished(home: Storage, space: SearchSpace) -> SearchResult | None:
    """The stored result, unless the search was interrupted or its budget has been extended."""
    stored = home.read_json(RESULT)
    if stored is None or not stored["finished"]:
        return None
    result = SearchResult(**stored)
    if result.space_digest != space.digest:
        from gan_tune.searching.study import CHANGED_SPACE

        raise SpaceError([CHANGED_SPACE], source=result.name)
    minutes, before = space.budget.minutes, result.minutes
    more_time = before is not None and (minutes is None or minutes > before)
    return None if space.budget.trials > result.trials or more_time else result


def _free_name(root: Storage, name: str) -> str:
    taken = set(root.names())
    candidates = (name if i == 1 else f"{name}-{i}" for i in range(1, 10_000))
    return next(c for c in candidates if c not in taken)
