"""Reads the status of a search from its folder, whether or not a command works on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from gan_tune.errors import StorageError
from gan_tune.service.running.note import SearchNote, read_note
from gan_tune.service.search_result import read_result
from gan_tune.service.search_status import (
    RUNNING,
    WAITING,
    SearchStatus,
    TrialStatus,
    best_first,
)
from gan_tune.storage.lease import holder_of
from gan_tune.storage.nodes_aside import nodes_aside
from gan_tune.storage.places import RESULT, SEARCH_NOTE
from gan_tune.storage.running_trials import running_trials
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolder, TrialFolders
from gan_tune.storage.trial_name import TrialName, is_confirmation, is_trial_name

NEWEST = 100
"""Trials that tell when a command died, where not all are read: the confirming and newest ones."""

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

logger = logging.getLogger("gan_tune")


def folder_status(root: Storage, name: str, *, with_trials: bool = True) -> SearchStatus:
    """The status of the search of that name; ``root`` is the storage that holds it.

    A trial whose files are damaged is left out with a warning. Without ``with_trials`` there are no
    rows, and of a command that has died only the newest trials tell how long it worked.

    Raises:
        StorageError: the search's own files are damaged.
    """
    home = root.below(name)
    result = read_result(home)
    note = read_note(home)
    told = note or result
    if told is None:
        raise StorageError(f"storage: {home.uri} must hold {SEARCH_NOTE} or {RESULT}")
    budget = note.trials if note else result.most_trials if result else None
    holder = holder_of(home, name)
    trials = TrialFolders(home)
    # Others may have put folders there, too.
    names = list(filter(is_trial_name, trials.names()))
    running = running_trials(home, holder) if holder else None

    def unfinished(trial: str) -> str:
        if not holder:
            return "interrupted"
        return RUNNING if running is None or trial in running else WAITING

    rows = [
        row
        for trial in (names if with_trials else ())
        if (row := _sound(trial, _trial_status, trials[trial], trial, unfinished(trial)))
    ]
    finished = result is not None and result.finished
    spent: list[float | None] = [result.seconds] if result else []
    if note is not None and (with_trials or holder or not finished):
        known = names if with_trials else sorted(names, key=_age)[-NEWEST:]
        spent.append(_seconds_so_far(trials, note, None if holder else known))
    return SearchStatus(
        name=name,
        state=RUNNING if holder else "finished" if finished else "interrupted",
        holder=holder,
        metric=told.metric,
        mode=told.mode,
        trials=budget,
        minutes=told.minutes,
        seconds=max((seconds for seconds in spent if seconds is not None), default=None),
        rows=best_first(rows, told.objective),
        where=home.readable_path("").rstrip("/"),
        aside=[str(node) for node in nodes_aside(home).values()],
    )


def _sound(
    trial: str, read: Callable[Given, Answer], *given: Given.args, **options: Given.kwargs
) -> Answer | None:
    """What is read of a trial; None, with a warning, if its folder is damaged."""
    try:
        return read(*given, **options)
    except StorageError as error:
        logger.warning("trial %s is left out: %s", trial, error)
        return None


def _trial_status(trial: TrialFolder, name: str, unfinished: str) -> TrialStatus:
    """The status of a trial; ``unfinished`` is its outcome if it has not ended."""
    ending, steps = trial.ending(), trial.report_steps()
    described = trial.description()
    outcome: str
    if ending is None:
        last = trial.report(steps[-1]) if steps else None
        outcome, value = unfinished, last.best if last else None
    else:
        outcome, value = ending.outcome, ending.value
    return TrialStatus(
        name=name,
        kind="confirmation" if is_confirmation(name) else "search",
        outcome=outcome,
        value=value,
        step=max(steps, default=0),
        steps=_steps_of(name, described.config.get("steps")) if described else None,
    )


def _steps_of(name: str, stored: object) -> int | None:
    """A trial's length, as its description has it."""
    if stored is None or (type(stored) is int and stored > 0):  # true is no number
        return stored
    rule = "config.steps must be a whole number above 0"
    raise StorageError(f"storage: trials/{name}/trial.json: {rule}: {stored!r:.60}")


def _age(name: str) -> tuple[bool, int]:
    """A trial's place, the oldest first."""
    return is_confirmation(name), TrialName.parse(name).setting


def _seconds_so_far(
    trials: TrialFolders, note: SearchNote, dead: Sequence[str] | None
) -> float | None:
    """Wall time so far: up to now, or up to the last report of the trials of a dead command."""
    if note.started_ms is None:
        return None
    end = time.time() * 1000 if dead is None else note.started_ms
    for name in dead or ():
        last = _sound(name, trials[name].last_report)
        end = max(end, last.timestamp_ms) if last else end
    return note.seconds_before + (end - note.started_ms) / 1000
