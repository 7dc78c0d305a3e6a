"""A search as it stands while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gan_tune.words.outcomes import is_healthy
from gan_tune.words.readable import plural, short_form

if TYPE_CHECKING:
    from gan_tune.cluster.connection import Places
    from gan_tune.searching.jobs import Job, Setting
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.storage.trial_records import Result

__all__ = ["Board", "Outlook", "ShownTrial"]

READ_SECONDS = 1.0
"""Shortest time between two readings of the study, since each reads its journal."""
BEST_ROWS = 5


@dataclass
class ShownTrial:
    """A trial on the screen; ``since`` is when it got a slot, None while it waits for one."""

    job: Job
    since: float | None = None
    step: int = 0
    value: float | None = None
    best: float | None = None


@dataclass(frozen=True)
class Outlook:
    """Numbers from the study, as of its last reading."""

    counts: Mapping[str, int]
    settled: int
    confirmed: int
    to_confirm: int
    best: Sequence[Setting]
    means: Mapping[int, float]


class Board:
    """The status of a search: from its trials' reports, and from its study once a second.

    Attributes:
        conductor: of the search.
        running: the trials that were handed out, by name.
        places: what a cluster has room for; None without a cluster.
    """

    def __init__(self, conductor: Conductor, now: Callable[[], float]) -> None:
        self.conductor, self._now = conductor, now
        self.running: dict[str, ShownTrial] = {}
        self.places: Places | None = None
        self._outlook: Outlook | None = None
        self._read = 0.0
        self._short: dict[int, str] = {}

    @property
    def name(self) -> str:
        """The search's name, which is that of its folder."""
        return self.conductor.storage.uri.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]

    def started(self, job: Job) -> None:
        """Add a trial that was handed out."""
        self.running[job.name] = ShownTrial(job)

    def reported(self, job: Job, result: Result) -> None:
        """Note a trial's report."""
        trial = self.running.setdefault(job.name, ShownTrial(job))
        trial.step, trial.value, trial.best = result.step, result.value, result.best

    def ended(self, job: Job) -> None:
        """Remove a trial that has ended."""
        self.running.pop(job.name, None)

    def active(self) -> list[ShownTrial]:
        """The trials that hold a slot; Tune takes some more in advance, which wait for one."""
        trials, slots = list(self.running.values()), self.slots
        found = [t for place, t in enumerate(trials) if place < slots or t.step]
        for trial in found:
            trial.since = trial.since if trial.since is not None else self._now()
        return found

    @property
    def slots(self) -> int:
        """How many trials have a place now."""
        return self.conductor.slots if self.places is None else self.places.slots

    def waiting(self, interrupt: str = "Ctrl-C") -> str:
        """The message after the search was asked to end; ``interrupt`` is what does so."""
        trials = plural(len(self.active()), "trial")
        return f"ending: waiting for {trials} ({interrupt} again to leave at once)"

    def seconds(self, trial: ShownTrial) -> float:
        """How long a trial has held its slot."""
        return 0.0 if trial.since is None else self._now() - trial.since

    def settings(self, setting: int) -> str:
        """A setting as a short text."""
        if setting not in self._short:
            self._short[setting] = short_form(self.conductor.study.assignment(setting))
        return self._short[setting]

    def outlook(self) -> Outlook:
        """The study's data, read again once a second."""
        if self._outlook is None or self._now() - self._read >= READ_SECONDS:
            self._outlook, self._read = self._look(), self._now()
        return self._outlook

    def _look(self) -> Outlook:
        conductor, space = self.conductor, self.conductor.space
        settings = conductor.study.settings()
        sound = [s for s in settings if s.value is not None and is_healthy(s.outcome)]
        sound.sort(key=lambda s: space.objective.cost(s.value or 0.0))
        standings = conductor.confirmation.standings()
        completed = sum(s.outcome == "completed" for s in settings)
        top = min(completed, space.confirm.top + 1) if space.confirm.top else 0
        candidates = max(top, len(standings))  # earlier commands may have confirmed others
        spared = sum(space.confirm.seeds - row.seeds for row in standings if row.dropped)
        return Outlook(
            counts=Counter(s.outcome for s in settings if s.outcome is not None),
            settled=sum(s.outcome is not None for s in settings),
            confirmed=sum(row.seeds for row in standings),
            to_confirm=candidates * space.confirm.seeds - spared,
            best=sound[:BEST_ROWS],
            means={row.setting: row.mean for row in standings},
        )
