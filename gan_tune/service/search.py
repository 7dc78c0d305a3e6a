"""`gan-tune search`: begin a search, continue it, or return the result of a finished one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_tune.errors import Fault, SpaceError
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.earlier_searches import WarmStart, read_searches, told_of
from gan_tune.service.running.names import Names, check_names, choose_name
from gan_tune.service.search_result import SearchResult, read_result
from gan_tune.service.space_and_setting import load_space
from gan_tune.service.watcher import Watcher
from gan_tune.space import SearchSpace
from gan_tune.storage.places import DEFAULT_STORAGE, driver_folder, look_in

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage


def search(
    space: SearchSpace | str | Path | Mapping[str, Any],
    *,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    fresh: bool = False,
    warm_start: Sequence[str] = (),
    max_concurrent: int | None = None,
    address: str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    model: str | None = None,
    watcher: Watcher | None = None,
) -> SearchResult:
    """Run a search, or continue the unfinished one of that name; return a finished one's result.

    Args:
        space: a checked space, or a source as for :func:`load_space`.
        name: of the search; default the space's.
        storage: folder or URI that holds searches; on a cluster every node must reach it.
        fresh: start a new search, `NAME-2` and so on, if there is one of that name.
        warm_start: names of earlier searches in MLflow. The sampler gets their trials that lie
            inside the space. It has an effect only when a search begins: if the search of that name
            began without it, or with another space, that search is kept and a new one, `NAME-2`,
            begins.
        max_concurrent: largest number of trials at a time; default as many as the cluster allows.
        address: of a running Ray cluster; default RAY_ADDRESS, else Ray is started here.
        tracking_uri: of MLflow; default MLFLOW_TRACKING_URI, else `mlflow.db` in this folder.
        experiment: name in MLflow; default the search's name.
        model: name in MLflow's registry; default the space's name.
        watcher: shows progress.

    Raises:
        GanTuneError: the message is one line; nothing was started.
    """
    # Ray and MLflow take seconds to import.
    from gan_tune.cluster.connection import check_address
    from gan_tune.record.mlflow_store import connect
    from gan_tune.storage.lock import hold
    from gan_tune.storage.storage import open_storage
    from gan_tune.storage.trial_folder import TrialFolders

    if not isinstance(space, SearchSpace):
        space = load_space(space)
    check_names(name=name, experiment=experiment, model=model)
    watcher = watcher or Watcher()
    watcher.stage("checking MLflow, Ray's address and the storage")
    check_address(address)
    wanted, sources = name or space.name, sorted(set(warm_start))
    uri = connect(tracking_uri, create=not sources)
    seen = look_in(storage)
    name = choose_name(seen, wanted, space, sources, fresh=fresh)
    watcher.named(name)
    # A search that has begun already has their trials.
    begun = bool(sources and TrialFolders(seen.below(name)).names())
    earlier = [] if begun else read_searches(sources, space, uri)
    if sources and name != wanted and not fresh:
        watcher.note(f"{wanted} is a search without this warm start, or of another space: {name}")
    home = open_storage(storage).below(name)
    names = Names(name, experiment or name, model or space.name)
    context = SearchContext(space, home, uri, names, watcher)
    warm = told_of(earlier, context)  # before this search writes anything, since it may be refused
    with hold(driver_folder(home, name)):
        return _finished(home, space) or _run(context, warm, address, max_concurrent)


def _run(
    context: SearchContext, warm: WarmStart, address: str | None, max_concurrent: int | None
) -> SearchResult:
    from gan_tune.service.running.command import SearchCommand

    return SearchCommand(context).run(warm, address, max_concurrent)


def _finished(home: Storage, space: SearchSpace) -> SearchResult | None:
    """The stored result, unless the search was interrupted or its budget has been extended.

    Raises:
        SpaceError: the space has changed, or more trials are requested for a complete population.
    """
    result = read_result(home)
    if result is None:
        return None
    if result.space_digest != space.digest:
        from gan_tune.searching.study.opening import changed_space
        from gan_tune.service.running.study_place import study_of_search

        study_of_search(space, home, result.name)  # raises, since it knows what has changed
        raise changed_space(result.name, space, None)
    more_trials = space.budget.trials > result.trials
    if more_trials:
        _check_room(space, result)
    minutes, before = space.budget.minutes, result.minutes
    more_time = before is not None and (minutes is None or minutes > before)
    return result if result.finished and not (more_trials or more_time) else None


def _check_room(space: SearchSpace, result: SearchResult) -> None:
    """Refuse more trials if a population has no member left that a fork could replace.

    A member that did not reach its end can be replaced.
    """
    scheduler = space.search.scheduler
    if scheduler.name not in space.catalogue.populations:
        return
    size = scheduler.args["population"]
    if result.outcomes.get("completed", 0) >= size:
        rule = (
            f"must stay {result.trials}, since all {size} members of the population have run their "
            "full length, and no fork can replace one any more; use --fresh or another --name"
        )
        raise SpaceError([Fault("budget.trials", rule, str(space.budget.trials))], result.name)
