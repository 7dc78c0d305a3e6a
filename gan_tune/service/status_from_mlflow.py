"""Reads the status of searches from MLflow only, for searches whose folder is elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gan_tune.errors import TrackingError
from gan_tune.record import history
from gan_tune.record.history import SearchInfo
from gan_tune.record.mlflow_store import connect
from gan_tune.service.registered_models import asked_for
from gan_tune.service.search_status import RUNNING, SearchStatus, TrialStatus


def recorded_searches(tracking_uri: str | None) -> list[SearchInfo]:
    """The searches in MLflow; none if it has no record."""
    try:
        return history.searches(connect(tracking_uri, create=False))
    except TrackingError:
        if asked_for(tracking_uri):
            raise
        return []


def recorded_status(info: SearchInfo, tracking_uri: str | None) -> SearchStatus:
    """The status of a search, from its runs."""
    uri = connect(tracking_uri, create=False)
    rows = [
        TrialStatus(t.trial, t.kind, t.outcome, t.value, None, _steps(t.params))
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


def _steps(params: Mapping[str, str]) -> int | None:
    """The length of a trial, as its run says; None if it says none."""
    text = params.get("steps", "")
    return int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else None
