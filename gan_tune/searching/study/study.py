"""The Optuna study of one search: what was proposed, and what came of it.

It is kept in a journal file, or in a database that many searches may share.

Optuna hears of a trial what happened to it, as the table of outcomes in the README says. Nothing
here knows of Ray.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState
from sqlalchemy import event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from gan_tune.config import CollapseRule
from gan_tune.errors import ConfigError, Fault, SpaceError, StorageError, StudyError
from gan_tune.searching.leading.jobs import Ancestor, Job
from gan_tune.searching.populations.population import Fork
from gan_tune.searching.study.samplers import SAMPLERS, Seeds
from gan_tune.searching.study.warm_start import EarlierTrial
from gan_tune.space import SearchSpace, changes
from gan_tune.storage.trial_name import Kind, TrialName, setting_name
from gan_tune.words.outcomes import OUTCOMES, UNSOUND, Outcome

__all__ = [
    "FIRST_SETTING",
    "OptunaStudy",
    "Setting",
    "Study",
    "changed_space",
    "curve",
    "derived_seed",
    "further_values",
    "lower_is_better",
    "pareto_front",
    "settings_of",
    "study_as_it_stands",
]

logger = logging.getLogger("gan_tune")

UNREADABLE_JOURNAL = (OSError, ValueError, KeyError, TypeError)
UNREADABLE_DATABASE = (ImportError, RuntimeError, SQLAlchemyError, StorageInternalError)
"""What Optuna raises for a place that cannot be used."""

LOCK_PATIENCE = 60.0
"""Seconds that another process may keep an SQLite database locked."""

OptunaStudy: TypeAlias = optuna.Study
"""Optuna's own study, for those who pass it on and must not import Optuna."""

FIRST_SETTING = 0
CURVE = "curve"
"""User attribute with a trial's reports, where several objectives keep Optuna from holding them."""
REPLICATES = "replicates"
"""User attribute with the best values of a setting's replicates, where there are several."""
HEALTH = "health"
"""Name of the Optuna constraint that is 0 for sound trials, 1 for diverged and collapsed ones."""

LAYOUT = 1
"""What a study holds and how: to be raised where an older gan-tune would misread it."""

WARM_START = "warm_start"
"""User attribute of Optuna trials that are an earlier search's: `SEARCH/TRIAL`."""

_DIRECTIONS = {"min": StudyDirection.MINIMIZE, "max": StudyDirection.MAXIMIZE}


@dataclass(frozen=True)
class Setting:
    """A setting that was tried: its number, how it ended, its value and how many steps it took.

    ``value`` is the best so far of its trial, or the mean of ``values``: the bests of the
    replicates that ran to their end (None: never a finite one). What was cut off of another does
    not count, neither in it nor in ``steps``.
    """

    number: int
    outcome: Outcome | None
    value: float | None
    steps: int
    values: tuple[float | None, ...] = ()


class Study:
    """Proposes settings of a space and hears what came of them.

    Args:
        place: the journal file, whose folder must be held by this process alone (see
            :mod:`gan_tune.storage.lock`), or the URL of a database.
        space: a checked space.
        name: the study's in the database, by default the space's.
        owner: what tells the search's folder from all others. A study is refused to any owner but
            the one that began it, since the trials are in that one's folder; None asks nothing.
        warm: trials of earlier searches, for the sampler. They are no settings of this search, and
            count only where the study begins.
        begun: whether trials of the search are there, so that the study must be, too.

    Raises:
        StorageError: the journal or database cannot be read or written, the study is another's, of
            another version's layout, or lost. Every method raises StudyError where an SQLite
            database stays locked.
        SpaceError: the study is of another space than the one given; says what has changed.
    """

    def __init__(
        self,
        place: Path | str,
        space: SearchSpace,
        *,
        name: str | None = None,
        owner: str | None = None,
        warm: Sequence[EarlierTrial] = (),
        begun: bool = False,
    ) -> None:
        self.space = space
        self._journal: _Journal | None = None
        self._is_warm = True  # whether there may be trials of other searches
        with _quiet_optuna():
            if isinstance(place, Path):
                self._study = self._open_journal(place, begun)
            else:
                self._study = self._open_database(place, name or space.name, begun)
            _check_layout(self._study, place)
            if owner is not None:
                self._claim(place, owner)
            if "space" not in self._study.user_attrs:
                self._prepare(warm)
        self._is_warm = not all(map(_is_own, self._trials()))
        known = self._study.user_attrs
        if known["space"] != space.digest:
            was = json.loads(known["space_blocks"]) if "space_blocks" in known else None
            raise changed_space(name or space.name, space, was)

    def _open_journal(self, path: Path, begun: bool) -> optuna.Study:
        mend_journal(path)
        if begun and not (path.exists() and path.stat().st_size):  # Optuna would make a new one
            raise _lost(f"storage: {path}, the study of this search,")
        try:
            self._journal = _Journal(path)
            storage = JournalStorage(self._journal)
            known = optuna.get_all_study_names(storage)  # the space may have another name by now
            return self._load(storage, known[0] if known else self.space.name)
        except UNREADABLE_JOURNAL as error:
            raise StorageError(f"storage: cannot use the study {path}: {error}") from None

    def _open_database(self, url: str, name: str, begun: bool) -> optuna.Study:
        try:
            storage = _open_tables(url)
            if begun and name not in optuna.get_all_study_names(storage):
                raise _lost(f"search.study: the study {name} in {url}")
            return self._load(storage, name)
        except UNREADABLE_DATABASE as error:
            reason = str(error.__cause__ or error).strip().split("\n")[0]
            raise StorageError(f"search.study: cannot use {url}: {reason}") from None

    def _load(self, storage: BaseStorage, name: str) -> optuna.Study:
        return optuna.create_study(
            storage=storage,
            sampler=self._sampler(0),
            study_name=name,
            directions=[_DIRECTIONS[one.mode] for one in self.space.objectives],
            load_if_exists=True,
        )

    def _claim(self, place: Path | str, owner: str) -> None:
        """Note whose study this is, or refuse it.

        Raises:
            StorageError: it is another's.
        """
        known = self._study.user_attrs.get("owner")
        if known != owner if known is not None else bool(self._trials()):
            raise StorageError(
                f"{_which(self._study, place)} belongs to a search in another folder; use another "
                "--name"
            )
        if known is None:
            self._study.set_user_attr("owner", owner)

    def _prepare(self, warm: Sequence[EarlierTrial]) -> None:
        enqueued = {json.dumps(t.system_attrs.get("fixed_params", {})) for t in self._settings()}
        starts = self.space.start_assignments()
        if warm:
            starts[:1] = [self._cold_start(starts[0] if starts else {})]
        for assignment in starts:
            if json.dumps(assignment) not in enqueued:
                self._study.enqueue_trial(assignment)
        self._add(warm)
        if len(self.space.objectives) > 1:
            self._study.set_metric_names([one.metric for one in self.space.objectives])
        self._study.set_user_attr("layout", LAYOUT)
        self._study.set_user_attr("space_blocks", json.dumps(self.space.decisive))
        self._study.set_user_attr("space", self.space.digest)

    def _cold_start(self, start: dict[str, Any]) -> dict[str, Any]:
        """The first setting, complete, as it would be without a warm start.

        The gain is measured against it, so it must owe nothing to earlier searches.
        """
        cold = optuna.create_study(sampler=self._sampler(0), directions=self._study.directions)
        cold.enqueue_trial(start)
        trial = cold.ask()
        self.space.sample(trial, seed=0)
        return trial.params

    def _add(self, warm: Sequence[EarlierTrial]) -> None:
        """Put earlier searches' trials beside the settings of this one."""
        there = {trial.user_attrs.get(WARM_START) for trial in self._trials()}
        # Completed ones first: what is unsound may be told with the worst of their values.
        for trial in sorted(warm, key=lambda trial: trial.outcome != "completed"):
            if trial.source in there:  # a command was killed in the midst of this
                continue
            fixed = FixedTrial(dict(trial.assignment))
            self.space.sample(fixed, seed=0)
            value = None if trial.value is None else [trial.value]
            state, told = self._state(trial.outcome, value)
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    # A pruned trial's is its last report, as where Optuna itself is told.
                    values=value if state == TrialState.PRUNED else told,
                    params=fixed.params,
                    distributions=fixed.distributions,
                    intermediate_values=dict(trial.curve),
                    constraints={HEALTH: float(trial.outcome in UNSOUND)},
                    user_attrs={WARM_START: trial.source},
                )
            )

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _settings(self, *states: TrialState) -> list[FrozenTrial]:
        """This search's own trials; a setting's number is its place among all of them."""
        trials = self._trials(*states)
        # Every report asks for them: no pass over all trials where none is another search's.
        return [trial for trial in trials if _is_own(trial)] if self._is_warm else trials

    def _synced_once(self) -> AbstractContextManager[None]:
        """Have the disk waited for once, not at each line that a proposal or an ending takes."""
        return nullcontext() if self._journal is None else self._journal.synced_once()

    # ---------------------------------------------------------------- asking

    def proposed(self) -> int:
        """How many settings were handed out so far."""
        return sum(trial.state != TrialState.WAITING for trial in self._settings())

    def count(self) -> int:
        """How many settings there are, those included that wait to be handed out."""
        return len(self._settings())

    def waiting(self) -> int:
        """How many settings that were decided already wait to be handed out."""
        return len(self._settings(TrialState.WAITING))

    def add_fork(self, fork: Fork, *, replaces: int) -> None:
        """Let a fork wait to be handed out, in the place of a setting that ends."""
        attributes = {"parent": fork.parent, "parent_step": fork.step, "replaces": replaces}
        self._study.enqueue_trial(dict(fork.assignment), user_attrs=attributes)

    def forks(self) -> dict[int, tuple[Fork, int]]:
        """All forks by their number, each with the setting it replaces."""
        return {
            number: (
                Fork(
                    trial.user_attrs["parent"],
                    trial.user_attrs["parent_step"],
                    trial.params or trial.system_attrs["fixed_params"],
                ),
                trial.user_attrs["replaces"],
            )
            for number, trial in enumerate(self._settings())
            if "parent" in trial.user_attrs
        }

    def ask(self) -> Job:
        """The next setting, as a job."""
        with _quiet_optuna(), self._synced_once():
            self._study.sampler = self._sampler(self.proposed())
            trial = self._study.ask()
            return self._job(trial)

    def ask_founder(self) -> Job:
        """The next setting that is no fork, as a job, even where forks wait."""
        waiting = self._settings(TrialState.WAITING)
        if not waiting or "parent" not in waiting[0].user_attrs:
            return self.ask()
        with _quiet_optuna():
            # Optuna's `ask` takes what waits first.
            self._study.sampler = self._sampler(self.proposed())
            self._study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))
            return self._job(Trial(self._study, self._settings()[-1]._trial_id))

    def _sampler(self, proposal: int) -> optuna.samplers.BaseSampler:
        """The sampler for one proposal, made anew: what it knows is in the study."""
        part, seed = self.space.search.sampler, self.space.search.seed
        seeds = Seeds(
            proposal=derived_seed(seed, proposal, "sampler"),
            search=derived_seed(seed, 0, "sequence"),
        )
        return SAMPLERS[part.name].build(seeds, **part.args)

    def unfinished(self) -> list[Job]:
        """Jobs that an earlier command handed out and that never ended."""
        running = (
            number
            for number, trial in enumerate(self._settings())
            if trial.state == TrialState.RUNNING
        )
        with _quiet_optuna():
            return [self._asked_again(setting) for setting in running]

    def _asked_again(self, setting: int) -> Job:
        """A setting as it was proposed, even if a kill came before all of it was stored.

        Then it is drawn anew from the start: with what is there left out, the sampler's stream of
        random numbers would give the rest other values. Two samplers note more in the study than
        parameters, so theirs are new ones: `qmc` takes its next point, `gp` keeps off its first.
        """
        try:
            return self.job(setting, 0)
        except ConfigError:
            frozen = copy(self._settings()[setting])
            frozen.params, frozen.distributions = {}, {}
            self._study.sampler = self._sampler(setting)
            trial = Trial(self._study, frozen._trial_id)
            trial._cached_frozen_trial = frozen
            return self._job(trial)

    def job(self, setting: int, replicate: int) -> Job:
        """A replicate of a setting that was handed out before.

        Those from ``search.seeds`` on confirm.
        """
        frozen = self._settings()[setting]
        return self._replicate(frozen.params, setting, replicate)

    def is_compared_with(self, setting: int) -> bool:
        """Whether it is the first one, which runs its full length, as the gain is measured against
        it: not where nothing is confirmed.
        """
        return setting == FIRST_SETTING and self.space.confirm.top > 0

    def assignment(self, setting: int) -> dict[str, Any]:
        """What the search decided for a setting: dimension → value."""
        return dict(self._settings()[setting].params)

    def _job(self, trial: Trial) -> Job:
        self.space.sample(trial, seed=0)
        earlier = sum(not _is_own(t) for t in self._trials()[: trial.number])
        return self._replicate(trial.params, trial.number - earlier, 0)

    def _replicate(self, params: dict[str, Any], setting: int, replicate: int) -> Job:
        seed = derived_seed(self.space.search.seed, setting, f"replicate {replicate}")
        config = self.space.config(params, seed=seed)
        if self.is_compared_with(setting):
            config = config.model_copy(update={"collapse": CollapseRule(variety=0), "patience": 0})
        kind: Kind = "search" if replicate < self.space.search.seeds else "confirmation"
        name = str(TrialName(setting, replicate, kind))
        shown = config.params() | self.space.choosers(params)
        lineage = self._lineage(setting, seed)
        return Job(name, setting, replicate, config, shown, kind, lineage)

    def _lineage(self, setting: int, seed: int) -> tuple[Ancestor, ...]:
        """The settings on whose weights one goes on, oldest first, all with one seed."""
        trials, ancestors = self._settings(), []
        while "parent" in (attributes := trials[setting].user_attrs):
            setting = attributes["parent"]
            # Patience and collapse were the ancestor's own affair: it has come to that step.
            config = self.space.config(trials[setting].params, seed=seed).model_copy(
                update={"collapse": CollapseRule(variety=0), "patience": 0}
            )
            ancestors.append(Ancestor(setting_name(setting), attributes["parent_step"], config))
        return tuple(reversed(ancestors))

    # ---------------------------------------------------------------- telling

    def report(self, setting: int, step: int, best: float | None) -> bool:
        """Tell a setting's value so far; False if that step is known already.

        Steps of later replicates go on from those of the first.
        """
        frozen = self._settings()[setting]
        known = curve(frozen)
        if step in known:
            return False
        if best is not None:
            trial = Trial(self._study, frozen._trial_id)
            if len(self.space.objectives) > 1:  # Optuna refuses reports to such a study
                trial.set_user_attr(CURVE, {**known, step: best})
            else:
                trial.report(best, step)
        return True

    def tell(
        self,
        setting: int,
        outcome: Outcome,
        value: float | None,
        further: Sequence[float | None] = (),
    ) -> None:
        """Tell how a setting ended.

        ``value`` is its best by the first objective, None if it never had a finite one; ``further``
        are the other objectives' values at that very report.
        """
        frozen = self._settings()[setting]
        if frozen.state.is_finished():
            return
        trial = Trial(self._study, frozen._trial_id)
        state, told = self._state(outcome, [v for v in (value, *further) if v is not None])
        with _quiet_optuna(), self._synced_once():
            trial.set_user_attr("outcome", outcome)
            if outcome != "failed" and HEALTH not in frozen.constraints:
                # Afterwards Optuna refuses, so this comes first; a kill may have come behind it.
                trial.set_constraint(HEALTH, float(outcome in UNSOUND))
            self._study.tell(trial, told, state=state, skip_if_finished=True)

    def _state(
        self, outcome: Outcome, values: list[float] | None
    ) -> tuple[TrialState, list[float] | None]:
        """What Optuna hears of an end: the state, and the values of a complete trial."""
        if outcome in UNSOUND and not SAMPLERS[self.space.search.sampler.name].reads_constraints:
            worst = self._worst()
            return (TrialState.PRUNED if worst is None else TrialState.COMPLETE), worst
        if outcome != "completed":
            return TrialState[OUTCOMES[outcome].optuna_state], None
        if len(values or []) < len(self.space.objectives):
            return TrialState.FAIL, None  # Optuna knows no part of a value
        return TrialState.COMPLETE, values

    def _worst(self) -> list[float] | None:
        """The worst values of all trials that ran to their end, None if there is none."""
        ended = [trial.values for trial in self._trials(TrialState.COMPLETE)]
        if not ended:
            return None
        by_objective = zip(self.space.objectives, zip(*ended, strict=True), strict=True)
        return [(max if one.mode == "min" else min)(values) for one, values in by_objective]

    def note_replicates(self, setting: int, values: Sequence[float | None]) -> None:
        """Note the best values of the replicates that ran to their end."""
        frozen = self._settings()[setting]
        if not frozen.state.is_finished():
            Trial(self._study, frozen._trial_id).set_user_attr(REPLICATES, list(values))

    # ---------------------------------------------------------------- looking back

    def settings(self) -> list[Setting]:
        """Every setting handed out, in order."""
        return settings_of(self._study)

    def reports(self) -> Iterator[tuple[int, int, float]]:
        """(setting, step, best so far) of all reports, step by step, to rebuild a stopping rule."""
        yield from sorted(
            (
                (setting, step, value)
                for setting, trial in enumerate(self._settings())
                for step, value in curve(trial).items()
            ),
            key=lambda report: (report[1], report[0]),
        )

    @property
    def seconds_used(self) -> float:
        """Wall time that all commands together have spent on this search."""
        return float(self._study.user_attrs.get("seconds_used", 0.0))

    @seconds_used.setter
    def seconds_used(self, seconds: float) -> None:
        self._study.set_user_attr("seconds_used", seconds)

    @property
    def optuna_study(self) -> optuna.Study:
        """The study of this search's own settings, for Optuna's own plots."""
        return _own_study(self._study)


class _Journal(JournalFileBackend):
    """Optuna's journal, but that reports do not wait for the disk.

    They reach it with the next proposal or ending. What a power cut takes of them the trials'
    folders hold, and the next command tells it again. The lines of one proposal or ending reach it
    together. None of these takes Optuna's lock: the search's own keeps other commands out, and an
    onlooker's note is appended whole, before or after.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._gathers = False

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines, all synced to the disk unless they are reports alone, or gathered."""
        if not self._gathers and not all("intermediate_value" in log for log in logs):
            super().append_logs(logs)
            return
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._path.open("ab") as file:
            file.write(lines.encode())

    @contextmanager
    def synced_once(self) -> Iterator[None]:
        """Sync what is appended in the block at its end."""
        self._gathers = True
        try:
            yield
        finally:
            self._gathers = False
            with self._path.open("ab") as file:
                os.fsync(file.fileno())


def _open_tables(url: str) -> RDBStorage:
    """Optuna's storage in a database.

    SQLite has one writer at a time: it is waited for, and far longer than its own 5 seconds. Then
    any use of the storage raises StudyError.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return RDBStorage(url)
    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": LOCK_PATIENCE}})

    @event.listens_for(storage.engine, "handle_error")
    def tell_of_a_lock(context: ExceptionContext) -> None:
        if "locked" in str(context.original_exception):
            raise StudyError(
                f"search.study: {url} must not stay locked by another process, but did for "
                f"{LOCK_PATIENCE:.0f} s; the same command goes on with the search"
            ) from None

    return storage


def study_as_it_stands(place: Path | str, name: str | None = None) -> optuna.Study:
    """A search's study in a journal or a database, for onlookers: nothing is locked or written.

    Another process may go on with it meanwhile; a journal's last line that is not whole yet is left
    out. A journal holds one study; in a database it goes by its ``name``.

    Raises:
        StorageError: there is no such study, it cannot be read, or is of another version's layout.
    """
    if isinstance(place, Path) and not place.exists():  # Optuna would make an empty one
        raise StorageError(f"storage: no study {place}; it lies where the search was started")
    try:
        with _quiet_optuna():
            storage = (
                JournalStorage(JournalFileBackend(str(place)))
                if isinstance(place, Path)
                else RDBStorage(place)
            )
            stored = optuna.load_study(study_name=name, storage=storage)
            _check_layout(stored, place)
            seen = _own_study(stored, copied=True)
    except (*UNREADABLE_JOURNAL, *UNREADABLE_DATABASE) as error:
        raise StorageError(f"storage: cannot read the study {place}: {error}") from None
    return seen


def curve(trial: FrozenTrial) -> dict[int, float]:
    """A trial's values so far by the first objective: step → value."""
    stored = trial.user_attrs.get(CURVE)
    if stored is None:
        return trial.intermediate_values
    return {int(step): value for step, value in stored.items()}


def lower_is_better(study: optuna.Study) -> bool:
    """Whether less of the first objective is better."""
    return study.directions[0] == StudyDirection.MINIMIZE


def further_values(trial: FrozenTrial, study: optuna.Study) -> dict[str, float]:
    """A completed trial's values of the objectives beside the first, by metric."""
    names = study.metric_names or []
    return dict(zip(names[1:], (trial.values or [])[1:], strict=False))


def pareto_front(study: optuna.Study) -> list[FrozenTrial]:
    """The sound settings that no other beats in one objective without losing in another.

    Empty for a study of one objective.
    """
    if len(study.directions) == 1 or not study.get_trials(
        deepcopy=False, states=(TrialState.COMPLETE,)
    ):
        return []
    return study.best_trials


def settings_of(study: optuna.Study) -> list[Setting]:
    """Every setting of a search that was handed out, in order."""
    return [
        Setting(
            number=number,
            outcome=trial.user_attrs.get("outcome"),
            # Values are the best so far, so the last one is the setting's.
            value=curve(trial).get(max(curve(trial), default=0)),
            steps=max(curve(trial), default=0),
            values=tuple(trial.user_attrs.get(REPLICATES, ())),
        )
        for number, trial in enumerate(filter(_is_own, study.get_trials(deepcopy=False)))
        if trial.state != TrialState.WAITING
    ]


def _is_own(trial: FrozenTrial) -> bool:
    """Whether a trial is a setting of its study's search, and not an earlier search's."""
    return WARM_START not in trial.user_attrs


def _own_study(study: optuna.Study, *, copied: bool = False) -> optuna.Study:
    """The study with this search's settings alone, numbered without gaps.

    It is the study itself where nothing is left out, unless it is to be ``copied``.
    """
    trials = study.get_trials(deepcopy=False)
    own = [trial for trial in trials if _is_own(trial)]
    if len(own) == len(trials) and not copied:
        return study
    alone = optuna.create_study(directions=study.directions)
    if study.metric_names is not None:
        alone.set_metric_names(study.metric_names)
    alone.add_trials(own)
    return alone


def changed_space(search: str, space: SearchSpace, was: Mapping[str, Any] | None) -> SpaceError:
    """The refusal of a space that is not the one its search began with.

    ``was`` are the :attr:`SearchSpace.decisive` blocks then, None where they were not kept.
    """
    rule = (
        "the space has changed since this search began; use --fresh, "
        f"--warm-start {search}, or another --name"
    )
    found = [] if was is None else changes(was, space.decisive)
    return SpaceError([Fault("", rule), *found], source=search)


def _check_layout(study: optuna.Study, place: Path | str) -> None:
    """Refuse a study that another version of gan-tune lays out otherwise."""
    layout = study.user_attrs.get("layout", LAYOUT)  # none yet: it is only just being begun
    if layout != LAYOUT:
        raise StorageError(
            f"{_which(study, place)} must have layout {LAYOUT}, but has {layout}, of another "
            "version of gan-tune; go on with that one, or use another --name"
        )


def _which(study: optuna.Study, place: Path | str) -> str:
    """A study and where it is, as messages begin."""
    if isinstance(place, Path):
        return f"storage: the study {place}"
    return f"search.study: the study {study.study_name} in {place}"


def _lost(study: str) -> StorageError:
    """The refusal of a search whose trials are there and whose study is not."""
    return StorageError(
        f"{study} is gone, but its trials are there; restore it, or begin anew with --fresh"
    )


def derived_seed(search_seed: int, number: int, purpose: str) -> int:
    """A seed below 2³¹ for one purpose of one setting of a search."""
    digest = hashlib.sha256(f"{search_seed}/{number}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def mend_journal(path: Path) -> None:
    """Cut off a last line torn by a kill, and clear the lock that a killed process left.

    With the torn line, Optuna could never load the journal again after the next append.
    """
    try:
        for lock in (
            path.with_name(path.name + ".lock"),
            path.with_name(path.name + ".lock.rename"),
        ):
            lock.unlink(missing_ok=True)
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            logger.warning("%s: its last line was torn and is cut off", path)
            with path.open("r+b") as file:
                file.truncate(len(whole))
    except OSError as error:
        raise StorageError(f"storage: cannot use the study {path}: {error}") from None


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna's own log lines and experimental-feature warnings kept off the screen.

    What a sampler cannot do is told when a space is checked.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        # It is told of them by a bad value instead.
        warnings.filterwarnings("ignore", message=".*CmaEsSampler will not use them")
        yield
