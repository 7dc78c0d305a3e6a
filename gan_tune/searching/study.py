"""The Optuna study of one search, kept in a journal file: what was proposed, and what came of it.

Optuna hears of a trial what happened to it, as the table of outcomes in the README says. Nothing
here knows of Ray.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from gan_tune.config import CollapseRule
from gan_tune.errors import Fault, SpaceError, StorageError
from gan_tune.searching.jobs import Job, Outcome
from gan_tune.space import SearchSpace

__all__ = [
    "FIRST_SETTING",
    "SAMPLERS",
    "OptunaStudy",
    "Setting",
    "Study",
    "derived_seed",
    "settings_of",
    "study_as_it_stands",
]

logger = logging.getLogger("gan_tune")

OptunaStudy: TypeAlias = optuna.Study
"""Optuna's own study, for those who pass it on and must not import Optuna."""

FIRST_SETTING = 0
HEALTH = "health"
"""Name of the Optuna constraint that is 0 for sound trials, 1 for diverged and collapsed ones."""

CHANGED_SPACE = Fault(
    "", "the space has changed since this search began; use --fresh, or another --name"
)

SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    # Grouped, since what is below a choice is there only for some trials.
    "tpe": lambda seed: optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, constant_liar=True
    ),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}

_STATES: dict[Outcome, TrialState] = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "collapsed": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Setting:
    """A setting that was tried: its number, how it ended, its best value and how many steps."""

    number: int
    outcome: Outcome | None
    value: float | None
    steps: int


class Study:
    """Proposes settings of a space and hears what came of them.

    ``path`` is the journal file; its folder must be held by this process alone (see
    :mod:`gan_tune.searching.lock`).

    Raises:
        StorageError: the journal cannot be read or written, or belongs to another program.
        SpaceError: the journal is of another space than the one given.
    """

    def __init__(self, path: Path, space: SearchSpace) -> None:
        self.space = space
        mend_journal(path)
        with _quiet_optuna():
            self._study = self._open(path)
            if "space" not in self._study.user_attrs:
                self._prepare()
        recorded = self._study.user_attrs["space"]
        if recorded != space.digest:
            raise SpaceError([CHANGED_SPACE], source=space.name)

    def _open(self, path: Path) -> optuna.Study:
        try:
            return optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name=self.space.name,
                direction="minimize" if self.space.objective.mode == "min" else "maximize",
                load_if_exists=True,
            )
        except (OSError, ValueError, KeyError) as error:
            raise StorageError(f"storage: cannot use the study {path}: {error}") from None

    def _prepare(self) -> None:
        enqueued = {json.dumps(t.system_attrs.get("fixed_params", {})) for t in self._trials()}
        for assignment in self.space.start_assignments():
            if json.dumps(assignment) not in enqueued:
                self._study.enqueue_trial(assignment)
        self._study.set_user_attr("space", self.space.digest)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    # ---------------------------------------------------------------- asking

    def proposed(self) -> int:
        """How many settings were handed out so far."""
        return len(self._trials()) - len(self._trials(TrialState.WAITING))

    def ask(self) -> Job:
        """The next setting, as a job."""
        # A stream of its own for each proposal: a study taken up again repeats none.
        seed = derived_seed(self.space.search.seed, self.proposed(), "sampler")
        with _quiet_optuna():
            self._study.sampler = SAMPLERS[self.space.search.sampler](seed)
            trial = self._study.ask()
            return self._job(trial)

    def unfinished(self) -> list[Job]:
        """Jobs that an earlier command handed out and that never ended."""
        with _quiet_optuna():
            return [
                self._job(Trial(self._study, trial._trial_id))
                for trial in self._trials(TrialState.RUNNING)
            ]

    def job(self, setting: int, replicate: int) -> Job:
        """A replicate of a setting that was handed out before."""
        frozen = self._trials()[setting]
        return self._replicate(frozen.params, setting, replicate)

    def assignment(self, setting: int) -> dict[str, Any]:
        """What the search decided for a setting: dimension → value."""
        return dict(self._trials()[setting].params)

    def _job(self, trial: Trial) -> Job:
        self.space.sample(trial, seed=0)
        return self._replicate(trial.params, trial.number, 0)

    def _replicate(self, params: dict[str, Any], setting: int, replicate: int) -> Job:
        seed = derived_seed(self.space.search.seed, setting, f"replicate {replicate}")
        config = self.space.config(params, seed=seed)
        if setting == FIRST_SETTING:
            # What the gain is measured against must run its full length.
            config = config.model_copy(update={"collapse": CollapseRule(variety=0), "patience": 0})
        name = f"{setting:04d}" + (f"-confirm-{replicate}" if replicate else "")
        shown = config.params() | self.space.choosers(params)
        return Job(name, setting, replicate, config, shown)

    # ---------------------------------------------------------------- telling

    def report(self, setting: int, step: int, best: float | None) -> bool:
        """Tell a trial's best value so far; False if that step is known already."""
        trial = self._trials()[setting]
        if step in trial.intermediate_values:
            return False
        if best is not None:
            Trial(self._study, trial._trial_id).report(best, step)
        return True

    def tell(self, setting: int, outcome: Outcome, value: float | None) -> None:
        """Tell how a trial ended. ``value`` is its best, None if it never had a finite one."""
        frozen = self._trials()[setting]
        if frozen.state.is_finished():
            return
        trial = Trial(self._study, frozen._trial_id)
        trial.set_user_attr("outcome", outcome)
        if outcome != "failed":
            # Afterwards Optuna refuses, so this comes first.
            trial.set_constraint(HEALTH, float(outcome in ("diverged", "collapsed")))
        with _quiet_optuna():
            complete = outcome == "completed" and value is not None
            self._study.tell(
                trial, value if complete else None, state=_STATES[outcome], skip_if_finished=True
            )

    # ---------------------------------------------------------------- looking back

    def settings(self) -> list[Setting]:
        """Every setting handed out, in order."""
        return settings_of(self._study)

    def reports(self) -> Iterator[tuple[int, int, float]]:
        """(setting, step, best so far) of all reports, step by step, to rebuild a stopping rule."""
        yield from sorted(
            (
                (trial.number, step, value)
                for trial in self._trials()
                for step, value in trial.intermediate_values.items()
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
        """The study itself, for Optuna's own plots."""
        return self._study


def study_as_it_stands(path: Path) -> optuna.Study:
    """The study in a journal, for onlookers: nothing is locked, mended or written.

    Another process may go on with it meanwhile; a last line that is not whole yet is left out.

    Raises:
        StorageError: there is no such journal, or it cannot be read.
    """
    if not path.exists():  # Optuna would make an empty one
        raise StorageError(f"storage: no study {path}; it lies where the search was started")
    try:
        with _quiet_optuna():
            storage = JournalStorage(JournalFileBackend(str(path)))
            study = optuna.load_study(study_name=None, storage=storage)
            seen = optuna.create_study(direction=study.direction)
            seen.add_trials(study.get_trials(deepcopy=False))
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"storage: cannot read the study {path}: {error}") from None
    return seen


def settings_of(study: optuna.Study) -> list[Setting]:
    """Every setting of a search that was handed out, in order."""
    pick = min if study.direction == optuna.study.StudyDirection.MINIMIZE else max
    return [
        Setting(
            number=trial.number,
            outcome=trial.user_attrs.get("outcome"),
            value=pick(trial.intermediate_values.values(), default=None),
            steps=max(trial.intermediate_values, default=0),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
    ]


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
    """Optuna's own log lines and experimental-feature warnings kept off the screen."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield
