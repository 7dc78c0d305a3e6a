"""The plan of a search: what its space leaves open is decided once, by the first command, and kept.

A space may leave out how many settings are tried and how long a trial is. The first command times a
few steps, chooses the length, and says how many settings it foresees; later ones measure nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gan_tune.cluster.hardware import at_once
from gan_tune.gan.device import trial_device
from gan_tune.searching.leading.foresight import Foresight, Pace
from gan_tune.service.foreseeing import foresee_settings, too_few
from gan_tune.service.pace import measure_pace, timed_settings
from gan_tune.service.running.note import PlanNote, read_note
from gan_tune.service.search_result import read_result
from gan_tune.space import SearchSpace
from gan_tune.storage.places import PLAN_NOTE
from gan_tune.storage.stored import read_stored

if TYPE_CHECKING:
    from gan_tune.service.running.context import SearchContext
    from gan_tune.storage.storage import Storage

__all__ = ["as_it_began", "counted_trials", "settle_plan"]

MOST_MEASURING = 8
"""So many trials are timed beside each other at most: they share caches and memory."""
MEASURING_SECONDS = 600.0


def as_it_began(space: SearchSpace, home: Storage, *, other_file: bool = False) -> SearchSpace:
    """The space with what the search's first command decided; unchanged for a new search.

    A search that began before there were plans goes on with the number of settings that it had, in
    which the default was filled in. If it began with an ``other_file`` than the space's, it also
    has the time that it had, unless `--set` gives another.
    """
    note = read_stored(home, PLAN_NOTE, PlanNote)
    if note is not None:
        steps = note.steps
        return space if steps is None or not space.has_open_length else space.with_length(steps)
    begun = read_note(home) or read_result(home)
    if begun is None:
        return space
    if other_file and not any(text.startswith("budget.minutes=") for text in space.overrides):
        space = space.with_budget(minutes=begun.minutes)
    return space if space.budget.trials else space.with_budget(trials=begun.trials)


def counted_trials(space: SearchSpace) -> int | None:
    """The number of settings at which a search ends; None if only its time ends it."""
    most = space.budget.most_trials
    return None if math.isinf(most) else int(most)


def settle_plan(context: SearchContext, slots: int) -> None:
    """Decide what the space of a new search leaves open, keep it, and say what is foreseen.

    Ray is joined. A search that has begun keeps its plan.

    Raises:
        ClusterError: no node can measure a trial.
        UnfitNodesError: none has had room for one for as long as the search waits.
    """
    home, space, watcher = context.home, context.space, context.watcher
    if space.distinct_settings < space.budget.most_trials and not _is_bred(space):
        count = int(space.distinct_settings)
        watcher.note(f"the space has {count:,} distinct settings: each is tried once, no more")
    if home.read_json(PLAN_NOTE) is not None or read_note(home) or read_result(home):
        return
    note, minutes = PlanNote(), space.budget.minutes
    if minutes is not None and (space.has_open_length or space.budget.trials is None):
        watcher.stage("timing some steps")
        pace = _pace(context, slots)
        if pace is not None:
            foreseen = foresee_settings(space, pace, slots)
            note = PlanNote(
                foreseen.steps if space.has_open_length else None,
                foreseen.settings,
                pace.step,
                pace.evaluation,
                slots,
                minutes,
            )
            for line in _told(space, foreseen, pace):
                watcher.note(line)
    if space.has_open_length:
        steps = note.steps or space.steps
        context.space = space.with_length(steps)
        note = PlanNote(**{**asdict(note), "steps": steps})
    home.write_json(PLAN_NOTE, asdict(note))


def _pace(context: SearchContext, slots: int) -> Pace | None:
    """The pace of trials that run beside each other, each on what a trial gets."""
    space, resources = context.space, context.space.resources
    count = min(slots, MOST_MEASURING)
    threads = max(1, int(resources.cpu))
    given = (timed_settings(space), context.dataset, context.judge, threads, resources.gpus > 0)
    seconds = min(MEASURING_SECONDS, 60 * context.home.patience.minutes or MEASURING_SECONDS)
    found = at_once(_measured, *given, resources=resources, count=count, seconds=seconds)
    known = [pace for pace in found if pace is not None]
    if not known:
        return None
    mean = 1 / len(known)
    return Pace(mean * sum(p.step for p in known), mean * sum(p.evaluation for p in known))


def _measured(settings: Sequence[Any], dataset: Any, judge: Any, *how: Any) -> Pace | None:
    threads, gpu = how
    device = trial_device(gpu=gpu)
    return measure_pace(settings, dataset, judge, threads=threads, device=device)


def _told(space: SearchSpace, foreseen: Foresight, pace: Pace) -> list[str]:
    chosen = "trials of" if space.has_open_length else "with trials of"
    settings = min(foreseen.settings, space.distinct_settings, space.budget.most_trials)
    line = (
        f"{chosen} {foreseen.steps:,} steps, about {int(settings)} settings can be judged in "
        f"{space.budget.minutes:g} min (a step takes {1000 * pace.step:.3g} ms, an evaluation "
        f"{1000 * pace.evaluation:.3g} ms)"
    )
    few = too_few(space, foreseen)
    return [line] if few is None else [line, few]


def _is_bred(space: SearchSpace) -> bool:
    return space.search.scheduler.name in space.catalogue.populations
