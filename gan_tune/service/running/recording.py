"""The record of one command on a search: stored in its folder, and delivered to MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gan_tune.config import Part, TrialConfig
from gan_tune.record.delivery import Delivery, Waiting
from gan_tune.record.projection import Projection
from gan_tune.record.spool import DatasetInfo, SearchEnding, SearchEntry, Spool
from gan_tune.record.tags import Tag
from gan_tune.registry.candidate import kept_candidate
from gan_tune.searching.jobs import Job
from gan_tune.service.running.registrar import Registrar
from gan_tune.service.search_result import REMOVED, SearchResult, read_result
from gan_tune.space import SearchSpace
from gan_tune.storage.places import RESULT
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import is_trial_name
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.version import __version__
from gan_tune.words.wording import masked

if TYPE_CHECKING:
    from gan_tune.service.running.context import SearchContext

LAST_SECONDS = 30.0
"""Seconds for which a command delivers its record after its result is stored."""

UNREGISTERED = "not yet"


class Settled(NamedTuple):
    """What is still not in MLflow, and the stored result; None if the search has none yet."""

    waiting: Waiting
    result: SearchResult | None


class SearchRecord:
    """The record of a search while one command works on it. An observer of the conductor.

    Args:
        home: the search's folder, locked by this command.
        entry: of the search.
        uri: MLflow's store; None: nothing is delivered, and all waits for `gan-tune sync`.
        beside_others: as in :class:`Projection`.
    """

    shows_grids = False  # the record reads them itself, later

    def __init__(
        self, home: Storage, entry: SearchEntry, uri: str | None, *, beside_others: bool = True
    ) -> None:
        self._home, self._entry, self._uri = home, entry, uri
        self._spool = Spool(home)
        self._trials = TrialFolders(home)
        self._projection: Projection | None = None
        self._delivery: Delivery | None = None
        self._registrar: Registrar | None = None
        if uri is not None:
            self._projection = Projection(uri, home, entry, beside_others=beside_others)
            self._registrar = Registrar(uri, home, self._projection)
            self._delivery = Delivery(self._projection, uri=uri)

    def begin(self) -> None:
        """Begin to record a command that trains."""
        self._spool.write_entry(self._entry)
        if self._delivery is not None:
            self._delivery.start(self._trials.names(), live=True)

    def repair(self) -> None:
        """Compare the record of a search on which no command works with its folder."""
        if self._delivery is not None:
            self._deliver_end(self._spool.ending())
            self._delivery.start(self._trials.names())

    def end(self, ending: SearchEnding) -> None:
        """This command's trials have ended, and its result is stored."""
        self._spool.write_ending(ending)
        self._deliver_end(ending)

    def interrupt(self) -> None:
        """This command is cut off, by an error or by its user."""
        if self._home.patience.refused is not None:  # what is recorded now is another one's
            self.close()
            return
        self.end(SearchEnding("interrupted", time.time_ns() // 1_000_000))
        if self._delivery is not None:
            self._delivery.wait(LAST_SECONDS / 3)

    def _deliver_end(self, ending: SearchEnding | None) -> None:
        if self._delivery is not None:
            candidate = kept_candidate(self._home)
            self._delivery.end(ending, register=self._registrar if candidate else None)

    def close(self) -> None:
        """Deliver no more."""
        if self._delivery is not None:
            self._delivery.close()

    def settle(
        self,
        show: Callable[[str], None],
        *,
        seconds: float | None = None,
        while_answering: bool = False,
    ) -> Settled:
        """Deliver what is left, and store what came of it in the result.

        Ctrl-C ends the waiting: everything is stored, and can be delivered later.

        Args:
            show: says how far it is.
            seconds: how long; None: :data:`LAST_SECONDS`.
            while_answering: whether the time counts only while MLflow does not answer.

        Raises:
            RecordError: MLflow holds another search in this one's place.
        """
        if self._delivery is None:
            return self._stored(self._all())
        try:
            with suppress(KeyboardInterrupt):
                self._show_progress(show, seconds or LAST_SECONDS, while_answering=while_answering)
            return self._stored(self._delivery.waiting)
        finally:
            self.close()

    def _show_progress(
        self, show: Callable[[str], None], seconds: float, *, while_answering: bool
    ) -> None:
        assert self._delivery is not None
        deadline, shown = time.monotonic() + seconds, 0.0
        while (left := deadline - time.monotonic()) > 0:
            waiting = self._delivery.wait(min(1.0, left))
            if self._delivery.is_over:
                return
            if while_answering and not waiting.reason:
                deadline = time.monotonic() + seconds
            if time.monotonic() - shown > seconds / 6:
                show(f"delivering the record to MLflow ({waiting})")
                shown = time.monotonic()

    def _all(self) -> Waiting:
        """What waits if nothing is delivered."""
        trials = sum(map(is_trial_name, self._trials.names()))
        return Waiting(trials, search=True, model=kept_candidate(self._home) is not None)

    def _stored(self, waiting: Waiting) -> Settled:
        """Bring the stored result up to date."""
        result = read_result(self._home)
        if result is None:
            return Settled(waiting, None)
        changes: dict[str, Any] = {"waiting": str(waiting)}
        if self._registrar is not None and result.champion is not None:
            changes |= _registered(self._registrar, result, masked(self._uri or ""))
        if self._uri is not None and self._projection and self._projection.parent_run_id:
            changes["run_id"] = self._projection.parent_run_id
            changes["tracking_uri"] = masked(self._uri)  # the file may be read by others
            changes["experiment"] = self._entry.experiment
        updated = replace(result, **changes)
        if updated != result:
            self._home.write_json(RESULT, updated.to_json())
        # In the form that a later call reads: tuples have become lists.
        return Settled(waiting, read_result(self._home))

    # ---------------------------------------------------------------- what the conductor says

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        """The trial may have to wait for a worker."""
        if self._delivery is not None:
            self._delivery.at_work.waits(job.name)

    def trial_placed(self, trial: str) -> None:
        """The trial has a worker: its run is opened."""
        self._has_news(trial, runs=True)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        """The report is recorded."""
        self._has_news(job.name, runs=True)

    def trial_ended(self, job: Job, ending: Ending) -> None:
        """The trial's run is closed, unless this command goes on with the trial."""
        self._has_news(job.name, runs=ending.paused or ending.is_lost)

    def _has_news(self, trial: str, *, runs: bool) -> None:
        if self._delivery is not None:
            self._delivery.has_news(trial, runs=runs)


def _registered(registrar: Registrar, result: SearchResult, uri: str) -> dict[str, Any]:
    """How the champion stands in the registry now, where the result does not say so already."""
    if registrar.is_removed:
        return {"model": None, "model_version": None, "promoted": False, "model_note": REMOVED}
    found = registrar.registration
    if found is None:
        return {}
    known = (result.tracking_uri, result.model, result.model_version, result.promoted)
    if found.promoted and known == (uri, found.name, found.version, True):
        return {}  # it says why it was promoted, and the registry only that it leads
    return {
        "model": found.name,
        "model_version": found.version,
        "promoted": found.promoted,
        "model_note": found.reason,
    }


def entry_of(context: SearchContext, warm: Sequence[str], *, begun: bool) -> SearchEntry:
    """The entry of a search: that of its first command, with what may have changed since.

    Args:
        context: of this command.
        warm: the searches from which it started.
        begun: whether the search has trials.
    """
    space, data, names = context.space, context.dataset, context.names
    earlier = Spool(context.home).entry()
    profile: dict[str, object] = {"kind": data.kind}
    profile |= {split: len(data.split(split)) for split in ("train", "selection", "test")}
    tags = {
        Tag.METRIC_VERSION: context.judge.versions[space.objective.metric],
        Tag.OBJECTIVES: ", ".join(f"{one.metric} ({one.mode})" for one in space.objectives),
        **({Tag.WARM_START: ", ".join(warm)} if warm else {}),
    }
    entry = SearchEntry(
        search=names.search,
        experiment=names.experiment,
        metric=space.objective.metric,
        mode=space.objective.mode,
        code_version=__version__,
        space_text=space.source,
        params=space_params(space),
        tags=tags if earlier is None else {**earlier.tags, **tags},
        dataset=DatasetInfo(data.name, data.digest, data.name, profile),
        uri=masked(context.uri),
        began_before=begun,
        searched=searched_params(space),
    )
    if earlier is None:
        return entry
    return replace(entry, owner=earlier.owner, began_before=earlier.began_before)


def searched_params(space: SearchSpace) -> dict[str, str]:
    """What the search decides: dimension → key of a trial's param (without options' names)."""
    found = {}
    for dimension in space.dimensions():
        place = list(dimension.place)
        while "choice" in place:
            at = place.index("choice")
            del place[at : at + 2]
        both = place and f"generator_{place[0]}" in TrialConfig.model_fields and len(place) > 1
        key = ".".join(map(str, place)) or dimension.name
        found[dimension.name] = f"generator_{key}" if both else key
    return found


def space_params(space: SearchSpace) -> dict[str, Any]:
    """The blocks other than `trial` as the parent's params; a part as its name and arguments.

    With them is the precision of all trials, in which `auto` is resolved.
    """
    params: dict[str, Any] = {"precision": space.precision}
    for block in ("budget", "search", "confirm", "resources"):
        for key, value in getattr(space, block):
            if key == "experience":  # what came of it stands at each trial, as its origin
                continue
            place = f"{block}.{key}"
            if isinstance(value, Part):
                params |= {place: value.name}
                params |= {f"{place}.{name}": given for name, given in value.args.items()}
            else:
                params[place] = value
    return params
