"""Plans the confirmation: which settings are trained again, and which replicates end in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence, Set
from functools import partial
from typing import NamedTuple

from gan_tune.errors import StorageError
from gan_tune.searching.jobs import FIRST_SETTING, Job
from gan_tune.searching.leading.time_budget import Planned, full_length
from gan_tune.searching.rules.confirmation import Confirmation, Standing, candidates
from gan_tune.searching.study.reading import OptunaStudy, objective_of
from gan_tune.searching.study.study import Study
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import TrialName, is_confirmation, is_trial_name
from gan_tune.storage.trial_records import Ending

__all__ = ["ConfirmationPlanner", "StoredConfirmation", "stored_confirmations", "stored_standings"]


class ConfirmationPlanner:
    """Chooses the settings to confirm and hands out their replicates.

    The candidates are the best settings of the search, the first setting, and all settings that
    have confirmed values, so that an extended search keeps its champion. :meth:`review` chooses
    them again after any trial has ended.

    Args:
        study: of the search.
        trials: the trials' folders, from which the lengths of earlier trials are read.
        confirmation: the confirming trials so far.
    """

    def __init__(self, study: Study, trials: TrialFolders, confirmation: Confirmation) -> None:
        self._study, self._trials, self._confirmation = study, trials, confirmation
        self._top: list[int] | None = None  # None if it must be chosen again
        self._candidates: list[int] = []
        self._lengths: dict[int, float] = {}  # setting → seconds of a full trial, 0 if unknown
        self._first: dict[str, float] = {}  # search trial of the first setting → its seconds
        self._spent: dict[str, float] = {}  # confirming trial → its seconds
        for name in trials.names():
            trial = TrialName.parse(name) if is_trial_name(name) else None
            if trial is not None and (trial.setting == FIRST_SETTING or is_confirmation(name)):
                seconds = sum(result.seconds for result in trials[name].reports())
                self._time_of(is_confirmation(name))[name] = seconds

    # ---------------------------------------------------------------- changes

    def review(self, searched: Set[int]) -> None:
        """Choose the candidates; ``searched`` are the settings that the search trains now."""
        if self._top is None:
            self._top = self._best(searched)
        self._candidates = self._with_known(self._top)
        self._confirmation.consider(self._candidates)
        for setting in self._candidates:
            if setting not in self._lengths:
                self._lengths[setting] = self._stored_length(setting)

    def next(
        self,
        seconds_left: float,
        slots: int,
        *,
        allowed: float = math.inf,
        only: int | None = None,
    ) -> Job | None:
        """The next replicate that can be expected to end in time; None if there is none.

        ``slots`` trials run at a time, and all confirming ones together may take ``allowed``
        seconds. ``only`` restricts the choice to one setting.
        """
        too_long = []
        left = allowed - self._committed()
        while chosen := self._confirmation.next(only=only):
            setting = chosen[0]
            fits = self._expected(setting) <= left
            if fits and self._ends_in_time(setting, seconds_left, slots):
                break
            too_long.append(chosen)
        for setting, replicate in too_long:
            self._confirmation.hand_back(setting, replicate)
        return None if chosen is None else self._study.job(*chosen)

    def observe_time(self, job: Job, ending: Ending, seconds: float) -> None:
        """Note that a trial that ended or paused took ``seconds`` so far.

        The length of a full trial is estimated from those that were not stopped, and for the first
        setting, which is confirmed in any case.
        """
        confirms, is_first = job.kind == "confirmation", job.setting == FIRST_SETTING
        if confirms or is_first:
            self._time_of(confirms)[job.name] = seconds
        stopped = ending.outcome == "pruned" and is_first
        last = job.config.steps if ending.outcome == "completed" else ending.step
        done = last - job.first_step
        if (ending.outcome in ("completed", "interrupted") or stopped) and seconds and done > 0:
            self._lengths[job.setting] = full_length(seconds, steps=job.config.steps, done=done)

    def observe_end(self, job: Job, ending: Ending) -> None:
        """Note that a trial ended. A confirming trial has a value only if it completed."""
        self._top = None
        if job.kind == "search":
            return
        if ending.outcome == "failed":
            self._confirmation.lose(job.setting, job.replicate)
        elif ending.is_final:
            value = ending.value if ending.outcome == "completed" else None
            self._confirmation.record(job.setting, job.replicate, value)
        elif not ending.is_lost:  # else it is still out: it goes on, in this command or the next
            self._confirmation.hand_back(job.setting, job.replicate)

    # ---------------------------------------------------------------- queries

    @property
    def longest(self) -> float:
        """Seconds of the longest full trial known; 0 if none is known."""
        return max(self._lengths.values(), default=0.0)

    @property
    def first_seconds(self) -> float:
        """Seconds that the first setting's own trials in the search have taken."""
        return sum(self._first.values())

    def planned(self, allowed: float = math.inf) -> list[Planned]:
        """The settings to confirm, as of the last review, the first setting last.

        All confirming trials together may take ``allowed`` seconds, so some may have no place.
        """
        left, found = allowed - self._committed(), []
        for setting in sorted(self._candidates, key=lambda setting: setting == FIRST_SETTING):
            seconds, to_begin = self._expected(setting), self._confirmation.to_begin(setting)
            running = self._confirmation.missing(setting) - to_begin
            if math.isfinite(left) and seconds:
                to_begin = max(0, min(to_begin, int(left / seconds)))
                left -= to_begin * seconds
            found.append(Planned(seconds, running + to_begin, to_begin))
        return found

    def _committed(self) -> float:
        """Seconds that confirming trials have taken, and that those which run will take."""
        running = sum(map(self._expected, self._confirmation.running()))
        return running + sum(self._spent.values())

    def _time_of(self, confirms: bool) -> dict[str, float]:
        return self._spent if confirms else self._first

    def standings(self, searched: Set[int]) -> list[Standing]:
        """The standings of the candidates, best first, as if reviewed now."""
        top = self._best(searched) if self._top is None else self._top
        return self._confirmation.standings(self._with_known(top))

    # ---------------------------------------------------------------- candidates and lengths

    def _best(self, searched: Set[int]) -> list[int]:
        """The best settings of the search that are not ``searched`` now, and the first setting.

        Pruned ones stand in only when nothing is searched any more.
        """
        space = self._study.space
        if not space.confirm.top:
            return []
        choose = partial(
            candidates,
            top=space.confirm.top,
            mode=space.objective.mode,
            replicated=space.search.seeds > 1,
        )
        chosen = choose(self._study.counting(without=searched))
        return chosen if chosen or searched else choose(self._study.settings(), pruned=True)

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
    """A confirming trial that has ended; its value is None if it diverged or collapsed.

    ``lost`` is whether it failed, so that nothing is known of it.
    """

    setting: int
    replicate: int
    value: float | None
    lost: bool = False

    def note_in(self, confirmation: Confirmation) -> None:
        """Record it."""
        if self.lost:
            confirmation.lose(self.setting, self.replicate)
        else:
            confirmation.record(self.setting, self.replicate, self.value)


def stored_confirmations(
    trials: TrialFolders, damaged: Callable[[str, StorageError], None] | None = None
) -> Iterator[StoredConfirmation]:
    """The confirming trials that have ended, by name.

    Args:
        trials: of the search.
        damaged: is told the trials that cannot be read, which are left out; None: it is an error.
    """
    for name in filter(is_confirmation, trials.names()):
        try:
            ending = trials[name].ending()
        except StorageError as error:
            if damaged is None:
                raise
            damaged(name, error)
            continue
        if ending is not None:
            trial = TrialName.parse(name)
            completed = ending.outcome == "completed"
            value = ending.value if completed else None
            lost = ending.outcome == "failed"
            yield StoredConfirmation(trial.setting, trial.replicate, value, lost)


def stored_standings(
    home: Storage, study: OptunaStudy, damaged: Callable[[str, StorageError], None]
) -> list[Standing]:
    """The standings of all settings confirmed so far, for commands that only read a search.

    ``damaged`` is told the trials that cannot be read, which are left out.
    """
    stored = list(stored_confirmations(TrialFolders(home), damaged))
    confirmation = Confirmation(seeds=0, mode=objective_of(study).mode)
    for trial in stored:
        trial.note_in(confirmation)
    return confirmation.standings([trial.setting for trial in stored])
