"""The settings that a new search tries after its own starts: of earlier searches, of experience."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_tune.experience.experience import Experience, read_experience, shipped
from gan_tune.experience.fitting import Fitted, fit_settings
from gan_tune.experience.portfolio import MOST
from gan_tune.experience.settings import family_of_space
from gan_tune.searching.study.origins import Start
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.earlier_searches import WarmStart
from gan_tune.space import SearchSpace
from gan_tune.storage.places import STUDY_NOTE
from gan_tune.words.readable import plural

MOST_NAMED = 4


def first_settings(context: SearchContext, warm: WarmStart) -> list[Start]:
    """What is tried after `start_from`. None of it for a search that has begun: its study has them.

    Raises:
        ExperienceError: `search.experience` names a file that cannot be read.
    """
    if context.home.read_json(STUDY_NOTE) is not None:
        return []
    space = context.space
    room = most_starts(space)
    starts = list(warm.starts[:room])
    uses = space.search.experience
    if uses.first == 0:
        return starts
    experience = shipped() if uses.file is None else read_experience(Path(uses.file))
    fitting = from_experience(experience, space, context.dataset.kind)
    known = [dict(assignment) for assignment in space.start_assignments()]
    known += [dict(start.assignment) for start in starts]
    fitting = [fitted for fitted in fitting if fitted.values not in known]
    taken = fitting[: max(0, min(uses.first, room - len(starts)))]
    for note in _notes(experience, uses.file, taken, len(fitting)):
        context.watcher.note(f"experience: {note}")
    return starts + [
        Start(f"experience {place}", fitted.values) for place, fitted in enumerate(taken, start=1)
    ]


def most_starts(space: SearchSpace) -> int:
    """How many settings may come from elsewhere: at most half of the trials, if they are counted,
    and no more than the first generation of a population has places."""
    part, trials = space.search.scheduler, space.budget.most_trials
    if part.name in space.catalogue.populations:
        return int(part.args["population"]) - max(1, len(space.start_from))
    return MOST if math.isinf(trials) else int(trials) // 2


def from_experience(experience: Experience, space: SearchSpace, kind: str) -> list[Fitted]:
    """The settings of an experience that fit a space, the most useful first."""
    entries = experience.portfolio(family_of_space(space, kind))
    return [fitted for _, fitted in fit_settings(space, [entry.setting for entry in entries])]


def _notes(
    experience: Experience, file: str | None, taken: Sequence[Fitted], fitting: int
) -> Iterator[str]:
    """What is taken, and what of it was changed, in sentences."""
    whose = file or "what comes with gan-tune"
    if not fitting:
        yield f"{whose} holds no setting that fits this space; the search goes on without"
        return
    if taken:
        yield f"{plural(len(taken), 'setting')} of {whose} are tried after start_from"
    moved = Counter(name for fitted in taken for name in fitted.moved)
    left = Counter(name for fitted in taken for name in fitted.left)
    if moved:
        yield f"moved into the space's ranges: {_named(moved)}"
    if left:
        yield f"left to the sampler, since the space offers something else: {_named(left)}"


def _named(counts: Counter[str]) -> str:
    shown = [f"{name} ({count})" for name, count in counts.most_common(MOST_NAMED)]
    more = len(counts) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more > 0 else shown)
