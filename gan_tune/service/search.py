"""`gan-tune search`: begin a search, continue it, or return the result of a finished one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_tune.errors import Fault, GanTuneError, SpaceError
from gan_tune.record.tracking_uri import locate
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.earlier_searches import (
    WarmStart,
    at_their_length,
    prepare_warm_start,
    read_searches,
)
from gan_tune.service.running.names import Names, check_names, choose_name
from gan_tune.service.running.precision import in_own_precision
from gan_tune.service.running.retrying import trials_put_back
from gan_tune.service.search_result import SearchResult, read_result
from gan_tune.service.space_and_setting import load_space
from gan_tune.service.stop import forget_wishes
from gan_tune.service.sync import repaired
from gan_tune.space import SearchSpace
from gan_tune.storage.patience import OUTAGE_MINUTES
from gan_tune.storage.places import DEFAULT_STORAGE, look_in
from gan_tune.watching import Watcher, shown_in_notebooks

if TYPE_CHECKING:
    from gan_tune.record.ended_trials import RecordedSearch
    from gan_tune.service.begin_from_data import Beginning
    from gan_tune.service.running.given_data import DataGiven
    from gan_tune.storage.storage import Storage


@shown_in_notebooks
def search(
    space: SearchSpace | str | Path | Mapping[str, Any] | None = None,
    *,
    data: Beginning | DataGiven | None = None,
    minutes: float | None = None,
    gpu: float | None = None,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    fresh: bool = False,
    warm_start: Sequence[str] = (),
    max_concurrent: int | None = None,
    outage_minutes: float = OUTAGE_MINUTES,
    address: str | None = None,
    tracking_uri: str | None = None,
    offline: bool = False,
    experiment: str | None = None,
    model: str | None = None,
    register_anyway: bool = False,
    watcher: Watcher | None = None,
) -> SearchResult:
    """Run or continue a search; of a finished search, return the stored result.

    Args:
        space: a checked space, or a source as for :func:`load_space`.
        data: instead of a space: a folder of pictures, a data file, an array (as in an `.npz` file)
            or a data set (its mixture is not kept). A space is proposed for it and kept in the
            search's folder, as is an array. The same data again continue the search.
        minutes: with ``data``, the time for all of it; default ten.
        gpu: with ``data``, the GPUs of a trial; default `auto`.
        name: of the search; default the space's, or the stem of the data's path.
        storage: folder or URI that holds searches; every node of a cluster must reach it.
        fresh: if there is a search of this name, start a new one: `NAME-2`, `NAME-3`, ...
        warm_start: names of earlier searches in MLflow, from whose trials the sampler learns if
            they fit into the space; of one on other data, the best settings are tried first. It
            takes effect only when a search begins. If a search of this name has begun without it or
            with another space, a new one, `NAME-2`, is started.
        max_concurrent: largest number of trials at a time; default as many as the cluster allows.
        outage_minutes: how long storage and study are tried again while they fail; 0 or more.
        address: of a running Ray cluster; default RAY_ADDRESS, else Ray is started here.
        tracking_uri: of MLflow; default MLFLOW_TRACKING_URI, else `mlflow.db` in this folder.
        offline: ask MLflow for nothing: the record waits for :func:`gan_tune.service.sync`. A
            search that has begun needs no MLflow in any case.
        experiment: name in MLflow; default the search's name.
        model: name in MLflow's registry; default the space's name.
        register_anyway: register the champion also if it is far from the data or repeats a few
            samples. It does so for a finished search, too, whose champion was withheld.
        watcher: shows progress; default none, but in a notebook a live table. An interrupted kernel
            ends the search in good order; the same call goes on with it.

    Raises:
        GanTuneError: input is invalid, or the storage, MLflow or the cluster cannot be used.
    """
    from gan_tune.cluster.connection import check_address  # imports Ray
    from gan_tune.storage.lease import hold, holder_of
    from gan_tune.storage.running_trials import note_running_trials
    from gan_tune.storage.storage import open_storage
    from gan_tune.storage.trial_folder import TrialFolders

    watcher = watcher or Watcher()
    check_names(name=name, experiment=experiment, model=model)
    limits = {"minutes": minutes, "gpu": gpu, "max_concurrent": max_concurrent}
    beginning = None
    if data is not None and space is None:
        beginning = _beginning(data, name, storage, fresh, limits, watcher)
        space, name, fresh = beginning.space, beginning.name, False
    else:
        space = _given_space(space, data, minutes, gpu)
    watcher.stage("checking Ray's address and the storage")
    check_address(address)
    uri = locate(tracking_uri)
    wanted, sources = name or space.name, sorted(set(warm_start))
    root = look_in(storage)
    name = choose_name(root, wanted, space, sources, fresh=fresh)
    watcher.named(name)
    begun = bool(TrialFolders(root.below(name)).names())
    earlier = _earlier(sources, space, uri, begun=begun, offline=offline)
    if sources and name != wanted and not fresh:
        watcher.note(f"{wanted} has another space or no such warm start; this search is {name}")
    home = open_storage(storage).below(name).patient(outage_minutes)
    context = SearchContext(
        at_their_length(earlier, _as_begun(space, home, name, watcher)),
        home,
        uri,
        Names(name, experiment or name, model or space.name),
        watcher,
        register_anyway=register_anyway,
        offline=offline,
    )
    # A warm start may be refused, so it is prepared before this search writes anything.
    warm = prepare_warm_start(earlier, context)
    with hold(home, name, watcher.stage):
        forget_wishes(home)
        if beginning is not None:
            beginning.keep(home)
        if (result := _finished(home, context.space, register_anyway)) is not None:
            result = repaired(home, uri, result, watcher.stage, offline=offline)
        else:
            note_running_trials(home, (), holder_of(home, name))  # none has a worker yet
            result = _run(context, warm, address, max_concurrent, begun=begun)
    return replace(result, study=context.space.search.study)


def _given_space(
    space: SearchSpace | str | Path | Mapping[str, Any] | None, *of_data: Any
) -> SearchSpace:
    """The space, loaded. What goes with data only must not be given beside it."""
    if space is None or any(given is not None for given in of_data):
        raise GanTuneError("search: must get a space, or data (with minutes and gpu, or without)")
    return space if isinstance(space, SearchSpace) else load_space(space)


def _earlier(
    sources: Sequence[str], space: SearchSpace, uri: str, *, begun: bool, offline: bool
) -> list[RecordedSearch]:
    """The searches of a warm start, once MLflow has been found to answer.

    The study of a search that has begun holds their trials. A store in a file is made, and looked
    at, while Ray starts.
    """
    if begun:
        return []
    if sources and offline:
        raise GanTuneError("--offline: must come without --warm-start, which reads MLflow")
    if not offline and (sources or not uri.startswith("sqlite:")):
        from gan_tune.record.mlflow_store import connect

        connect(uri, create=False)
    return read_searches(sources, space, uri)


def _as_begun(space: SearchSpace, home: Storage, name: str, watcher: Watcher) -> SearchSpace:
    """The space with which the search began: its file, its precision, its plan."""
    from gan_tune.service.running.begun_space import as_begun
    from gan_tune.service.running.planning import as_it_began

    begun = as_begun(space, home, name)
    other_file = begun is not space
    if other_file:
        watcher.note(
            f"{name} goes on with the space that it began with; the shipped {space.shipped} has "
            "changed since (--fresh takes the new one)"
        )
    return as_it_began(in_own_precision(begun, home), home, other_file=other_file)


def _beginning(
    data: Beginning | DataGiven,
    name: str | None,
    storage: str | Path,
    fresh: bool,
    limits: Mapping[str, Any],
    watcher: Watcher,
) -> Beginning:
    """The data looked at, unless the caller has done so already."""
    from gan_tune.service.begin_from_data import Beginning, begin

    if isinstance(data, Beginning):
        return data
    watcher.stage("looking at the data")
    beginning = begin(data, name=name, storage=storage, fresh=fresh, **limits)
    watcher.note(beginning.told)
    return beginning


def _run(
    context: SearchContext,
    warm: WarmStart,
    address: str | None,
    max_concurrent: int | None,
    *,
    begun: bool,
) -> SearchResult:
    from gan_tune.service.running.command import SearchCommand
    from gan_tune.service.running.ctrl_c import heeded

    def ask_mlflow() -> None:
        """Check the store and the user's rights; a local one that is missing is made."""
        from gan_tune.record.mlflow_store import connect
        from gan_tune.registry.rights import check_rights

        if not (begun or context.offline):
            connect(context.uri)
            names = context.names
            check_rights(context.uri, experiment=names.experiment, model=names.model)

    with heeded() as signals:
        record = SearchCommand(context).run(
            warm, address, max_concurrent, signals=signals, ask_mlflow=ask_mlflow
        )
        result = record.settle(context.watcher.stage).result
    assert result is not None, "the command has stored it"
    return result


def _finished(home: Storage, space: SearchSpace, register: bool) -> SearchResult | None:
    """The stored result, unless the search was interrupted, its budget has been extended, or its
    champion was withheld and is to be registered.

    Raises:
        SpaceError: the space has changed, or more trials are requested for a complete population.
    """
    result = read_result(home)
    if result is None:
        return None
    if result.space_digest != space.digest:
        from gan_tune.searching.study.opening import changed_space
        from gan_tune.service.running.study_place import study_of_search

        study_of_search(space, home, result.name)  # raises an error that names the change
        raise changed_space(result.name, space, None)
    before = math.inf if result.most_trials is None else result.most_trials
    more_trials = space.budget.most_trials > before
    if more_trials:
        _check_replaceable(space, result)
    budget = space.budget
    more_time = _is_more(budget.minutes, result.minutes)
    more_time = more_time or _is_more(budget.gpu_hours, result.gpu_hours)
    goes_on = more_trials or more_time or (register and result.is_withheld)
    goes_on = goes_on or bool(trials_put_back(home))
    return result if result.finished and not goes_on else None


def _is_more(limit: float | None, before: float | None) -> bool:
    """Whether a limit has been raised or lifted."""
    return before is not None and (limit is None or limit > before)


def _check_replaceable(space: SearchSpace, result: SearchResult) -> None:
    """Refuse more trials if each member of a population has completed and so cannot be replaced."""
    scheduler = space.search.scheduler
    if scheduler.name not in space.catalogue.populations:
        return
    size = scheduler.args["population"]
    if result.outcomes.get("completed", 0) >= size:
        rule = (
            f"must stay {result.most_trials}, since all {size} members of the population have run "
            "their full length and can no longer be replaced; use --fresh or another --name"
        )
        raise SpaceError([Fault("budget.trials", rule, str(space.budget.trials))], result.name)
