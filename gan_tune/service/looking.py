"""Looking on: how searches stand, in a storage and in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import SearchNotFoundError, TrackingError
from gan_tune.service.alternatives import there_are
from gan_tune.service.places import DEFAULT_STORAGE, look_in, search_names
from gan_tune.service.registered import asked_for
from gan_tune.service.standing import RUNNING, SearchStatus, TrialStatus
from gan_tune.service.standing_of_folder import folder_status

if TYPE_CHECKING:
    from gan_tune.tracking.history import SearchInfo


def status(
    name: str, storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> SearchStatus:
    """How a search stands, whether or not a command works on it now. Reads only.

    The search's folder is asked first, then MLflow.

    Raises:
        SearchNotFoundError: neither knows it; the message lists those there are.
    """
    root = look_in(storage)
    if name in search_names(root):
        return folder_status(root, name)
    recorded = {info.name: info for info in _recorded_searches(tracking_uri)}
    if name not in recorded:
        known = [*search_names(root), *recorded]
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage} or MLflow; {there_are(name, known)}"
        )
    return _recorded_status(recorded[name], tracking_uri)


def searches(
    storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> list[SearchStatus]:
    """All searches of a storage, and those that only MLflow knows. Reads only."""
    root = look_in(storage)
    here = search_names(root)
    elsewhere = [info for info in _recorded_searches(tracking_uri) if info.name not in here]
    return [
        *(folder_status(root, name) for name in here),
        *(_recorded_status(info, tracking_uri) for info in elsewhere),
    ]


def _recorded_searches(tracking_uri: str | None) -> list[SearchInfo]:
    """The searches that MLflow knows; none where it has no record."""
    from gan_tune.tracking import history
    from gan_tune.tracking.store import connect

    try:
        return history.searches(connect(tracking_uri, create=False))
    except TrackingError:
        if asked_for(tracking_uri):
            raise
        return []


def _recorded_status(info: SearchInfo, tracking_uri: str | None) -> SearchStatus:
    from gan_tune.tracking import history
    from gan_tune.tracking.store import connect

    uri = connect(tracking_uri, create=False)
    rows = [
        TrialStatus(t.trial, t.kind, t.outcome, t.value, None, int(t.params["steps"]))
        for t in history.leaderboard(uri, info.name, experiment=info.experiment)
    ]
    states = {RUNNING: RUNNING, "completed": "finished"}
    spent = None if info.ended is None else (info.ended - info.started).total_seconds()
    return SearchStatus(
        name=info.name,
        state=states.get(info.outcome, "interrupted"),
        holder="",
        metric=info.objective.metric,
        mode=info.objective.mode,
        trials=None,
        minutes=None,
        seconds=spent,
        rows=rows,
        where=f"MLflow experiment {info.experiment}",
    )
