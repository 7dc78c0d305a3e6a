"""The confirmation within a search: which settings, and which replicates can end in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from gan_tune.searching.jobs import FIRST_SETTING, Job
from gan_tune.searching.leading.time_budget import Planned, full_length
from gan_tune.searching.rules.confirmation import Confirmation, Standing, candidates
from gan_tune.searching.study.reading import OptunaStudy, objective_of
from gan_tune.searching.study.study import Study
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import TrialName, is_confirmation
from gan_tune.storage.trial_records import Ending

__all__ = ["ConfirmationDesk", "StoredConfirmation", "stored_confirmations", "stored_standings"]


class ConfirmationDesk:
    """Chooses the settings to confirm and hands out their replicates.

    The candidates are the best settings of the search, the first setting, and all settings that
    have confirmed values, so that an extended search keeps its champion. :meth:`review` chooses
    them again after any trial has ended.

    Args:
        study: of the search.
        trials: where the lengths of earlier commands' trials are read.
        confirmation: what is known of the confirming trials.
    """

    def __init__(self, study: Study, trials: TrialFolders, confirmation: Confirmation) -> None:
        self._study, self._trials, self._confirmation = study, trials, confirmation
        self._top: list[int] | None = None  # None: to be chosen anew
        self._candidates: list[int] = []
        self._lengths: dict[int, float] = {}  # setting → seconds of a full trial, 0: not known

    # ---------------------------------------------------------------- what changes it

    def review(self, searched: Set[int]) -> None:
        """Choose the candidates; ``searched`` are the settings that the search trains now."""
        if self._top is None:
            self._top = self._best(searched)
        self._candidates = self._with_known(self._top)
        self._confirmation.consider(self._candidates)
        for setting in self._candidates:
            if setting not in self._lengths:
                self._lengths[setting] = self._stored_length(setting)

    def next(self, seconds_left: float, slots: int, *, only: int | None = None) -> Job | None:
        """The next replicate that can be expected to end in time, None for none.

        ``slots`` trials run at a time. ``only``: of this setting alone.
        """
        too_long = []
        while chosen := self._confirmation.next(only=only):
            if self._ends_in_time(chosen[0], seconds_left, slots):
                break
            too_long.append(chosen)
        for setting, replicate in too_long:
            self._confirmation.hand_back(setting, replicate)
        return None if chosen is None else self._study.job(*chosen)

    def hear_length(self, job: Job, seconds: float, last: int) -> None:
        """Note that a trial took ``seconds`` to reach step ``last``."""
        done = last - job.first_step
        self._lengths[job.setting] = full_length(seconds, steps=job.config.steps, done=done)

    def hear_end(self, job: Job, ending: Ending) -> None:
        """Note that a trial ended. Only completed confirming trials have weights, so a value."""
        self._top = None
        if job.kind == "search":
            return
        if ending.is_final:
            value = ending.value if ending.outcome == "completed" else None
            self._confirmation.record(job.setting, job.replicate, value)
        else:
            self._confirmation.hand_back(job.setting, job.replicate)

    # ---------------------------------------------------------------- what it says

    @property
    def longest(self) -> float:
        """Seconds of the longest full trial known; 0 if none is known."""
        return max(self._lengths.values(), default=0.0)

    def planned(self) -> list[Planned]:
        """The settings to confirm, as of the last review."""
        return [
            Planned(
                self._expected(setting),
                self._confirmation.missing(setting),
                self._confirmation.to_begin(setting),
            )
            for setting in self._candidates
        ]

    def standings(self, searched: Set[int]) -> list[Standing]:
        """The standings of the candidates, best first, as if reviewed now."""
        top = self._best(searched) if self._top is None else self._top
        return self._confirmation.standings(self._with_known(top))

    # ---------------------------------------------------------------- how it knows

    def _best(self, searched: Set[int]) -> list[int]:
        """The best settings of the search that are not ``searched`` now, and the first setting."""
        space = self._study.space
        if not space.confirm.top:
            return []
        settled = [s for s in self._study.settings() if s.number not in searched]
        return candidates(
            settled,
            top=space.confirm.top,
            mode=space.objective.mode,
            replicated=space.search.seeds > 1,
        )

    def _with_known(self, top: Sequence[int]) -> list[int]:
        return [*top, *(known for known in self._confirmation.known() if known not in top)]

    def _ends_in_time(self, setting: int, seconds_left: float, slots: int) -> bool:
        """Whether a replicate can be expected to end in time.

        The first setting only serves as the baseline, so it must not use the time of the others.
        """
        kept = 0.0
        if setting == FIRST_SETTING:
            others = [other for other in self._candidates if other != FIRST_SETTING]
            missing = {other: self._confirmation.to_begin(other) for other in others}
            kept = sum(n * self._expected(other) for other, n in missing.items())
        return self._expected(setting) + kept / slots <= seconds_left

    def _expected(self, setting: int) -> float:
        """Seconds of one replicate: those of the setting's own trial, or of the longest known."""
        return self._lengths.get(setting, 0.0) or self.longest

    def _stored_length(self, setting: int) -> float:
        """Seconds of a full trial by the reports of earlier commands; 0 without any.

        A trial that patience ended counts as a full trial: its replicates will end early, too.
        """
        job = self._study.job(setting, 0)
        stored = self._trials[job.name].reports()
        ended = any(result.outcome == "completed" for result in stored)
        last = job.config.steps if ended else max((result.step for result in stored), default=0)
        seconds = sum(result.seconds for result in stored)
        return full_length(seconds, steps=job.config.steps, done=last - job.first_step)


class StoredConfirmation(NamedTuple):
    """A confirming trial that has ended; its value is None if it did not run to its end."""

    setting: int
    replicate: int
    value: float | None


def stored_confirmations(trials: TrialFolders) -> Iterator[StoredConfirmation]:
    """The confirming trials that have ended, by name."""
    for name in filter(is_confirmation, trials.names()):
        ending = trials[name].ending()
        if ending is not None:
            trial = TrialName.parse(name)
            completed = ending.outcome == "completed"
            value = ending.value if completed else None
            yield StoredConfirmation(trial.setting, trial.replicate, value)


def stored_standings(home: Storage, study: OptunaStudy) -> list[Standing]:
    """How the settings stand that any command has confirmed so far, for onlookers."""
    stored = list(stored_confirmations(TrialFolders(home)))
    confirmation = Confirmation(seeds=0, mode=objective_of(study).mode)
    for trial in stored:
        confirmation.record(trial.setting, trial.replicate, trial.value)
    return confirmation.standings([trial.setting for trial in stored])
