"""How searches stand, finished or not: read from a storage, else from MLflow."""

from __future__ import annotations

import math
import re
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_tune.errors import SearchNotFoundError, TrackingError
from gan_tune.service.registered import asked_for
from gan_tune.storage.places import (
    DEFAULT_STORAGE,
    HEADING,
    RESULT,
    driver_folder,
    look_in,
    search_names,
)
from gan_tune.storage.trial_folder import TrialFolder, TrialFolders
from gan_tune.storage.trial_name import is_confirmation
from gan_tune.words.wording import there_are

if TYPE_CHECKING:
    from gan_tune.record.history import SearchInfo
    from gan_tune.storage.storage import Storage

RUNNING = "running"
"""Stands for the outcome of a trial that has none yet, and for the state of such a search."""


@dataclass(frozen=True)
class TrialStatus:
    """How a trial stands; ``outcome`` is `running` where it has none, ``steps`` its full length.

    ``step`` is the last report's, None where only MLflow knows the trial.
    """

    name: str
    kind: str
    outcome: str
    value: float | None
    step: int | None
    steps: int | None


@dataclass(frozen=True)
class SearchStatus:
    """How a search stands.

    Attributes:
        name: of the search.
        state: `running`, `interrupted` or `finished`.
        holder: which process works on it, empty for none.
        metric, mode: the objective.
        trials: settings to try by the budget, None where that is not known.
        minutes: the time budget, None without one.
        seconds: wall time spent by all commands, None where that is not known.
        rows: its trials, best first.
        where: the folder or MLflow experiment this was read from.
    """

    name: str
    state: str
    holder: str
    metric: str
    mode: str
    trials: int | None
    minutes: float | None
    seconds: float | None
    rows: Sequence[TrialStatus]
    where: str

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of settings by outcome."""
        trials = [row for row in self.rows if row.kind == "search"]
        # A setting's last replicate says how it stands; -seed-10 comes after -seed-9.
        trials.sort(key=lambda row: (len(row.name), row.name))
        return dict(Counter({row.name.partition("-")[0]: row.outcome for row in trials}.values()))

    @property
    def confirmations(self) -> int:
        """Number of confirming trials that have ended."""
        ended = (row for row in self.rows if row.kind == "confirmation")
        return sum(row.outcome not in (RUNNING, "interrupted") for row in ended)

    @property
    def best(self) -> float | None:
        """The best value so far, of search and confirmation alike."""
        return self.rows[0].value if self.rows else None


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


# ---------------------------------------------------------------- from the search's folder


def folder_status(root: Storage, name: str) -> SearchStatus:
    home = root.below(name)
    result = home.read_json(RESULT)
    heading = home.read_json(HEADING) or result
    holder = _holder(driver_folder(home, name))
    trials = TrialFolders(home)
    rows = [_trial_status(trials[trial], trial, alive=bool(holder)) for trial in trials.names()]
    finished = result is not None and result["finished"]
    spent = [_seconds_so_far(trials, heading, bool(holder)), result["seconds"] if result else None]
    return SearchStatus(
        name=name,
        state=RUNNING if holder else "finished" if finished else "interrupted",
        holder=holder,
        metric=heading["metric"],
        mode=heading["mode"],
        trials=heading["trials"],
        minutes=heading["minutes"],
        seconds=max((seconds for seconds in spent if seconds is not None), default=None),
        rows=_best_first(rows, heading["mode"]),
        where=home.local_path("").rstrip("/"),
    )


def _trial_status(trial: TrialFolder, name: str, *, alive: bool) -> TrialStatus:
    ending, steps = trial.ending(), trial.report_steps()
    described = trial.description() or {"config": {}}
    outcome: str
    if ending is None:
        last = trial.report(steps[-1]) if steps else None
        outcome, value = RUNNING if alive else "interrupted", last.best if last else None
    else:
        outcome, value = ending.outcome, ending.value
    return TrialStatus(
        name=name,
        kind="confirmation" if is_confirmation(name) else "search",
        outcome=outcome,
        value=value,
        step=max(steps, default=0),
        steps=described["config"].get("steps"),
    )


def _seconds_so_far(trials: TrialFolders, heading: Mapping[str, Any], alive: bool) -> float | None:
    """Wall time spent so far: up to now, or up to the last report of a command that has died."""
    if "started_ms" not in heading:
        return None
    end = time.time() * 1000 if alive else heading["started_ms"]
    for name in [] if alive else trials.names():
        last = trials[name].last_report()
        end = max(end, last.timestamp_ms) if last else end
    return float(heading["seconds_before"] + (end - heading["started_ms"]) / 1000)


def _holder(folder: Path) -> str:
    """Who works on a search, empty for nobody; on another machine one can only take its word."""
    import psutil

    path = folder / "search.lock"
    try:
        written = path.stat().st_mtime
        match = re.fullmatch(r"process (\d+) on (.+)", path.read_text().strip())
    except OSError:
        return ""
    if match is None:
        return ""
    if match[2] != socket.gethostname():
        return match[0]
    try:
        # A process that is younger than the lock has but the dead one's number.
        return match[0] if psutil.Process(int(match[1])).create_time() <= written + 1 else ""
    except psutil.Error:
        return ""


def _best_first(rows: Iterable[TrialStatus], mode: str) -> list[TrialStatus]:
    sign = 1.0 if mode == "min" else -1.0

    def place(row: TrialStatus) -> tuple[bool, float]:
        sound = row.outcome not in ("diverged", "collapsed", "failed")
        return not sound, math.inf if row.value is None else sign * row.value

    return sorted(rows, key=place)


# ---------------------------------------------------------------- from MLflow


def _recorded_searches(tracking_uri: str | None) -> list[SearchInfo]:
    """The searches that MLflow knows; none where it has no record."""
    from gan_tune.record import history
    from gan_tune.record.mlflow_store import connect

    try:
        return history.searches(connect(tracking_uri, create=False))
    except TrackingError:
        if asked_for(tracking_uri):
            raise
        return []


def _recorded_status(info: SearchInfo, tracking_uri: str | None) -> SearchStatus:
    from gan_tune.record import history
    from gan_tune.record.mlflow_store import connect

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
