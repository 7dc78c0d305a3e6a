"""All use of Optuna beyond its documented interface.

No other file may use a private or an undocumented name of Optuna. The names here were found in
Optuna 5.0.0. They are expected in all releases that `pyproject.toml` allows, `optuna>=5.0,<6`.
`tests/test_optuna_internals.py` checks each name in the installed release.
"""

from __future__ import annotations

import glob
import importlib
import json
import sys
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import Engine

if TYPE_CHECKING:
    from optuna.importance import PedAnovaImportanceEvaluator

__all__ = [
    "BEST_SO_FAR_TRACE",
    "DATABASE_CALLS",
    "FEASIBLE_TRACE",
    "INFEASIBLE_HISTORY_TRACE",
    "INFEASIBLE_TRACE",
    "engine_of",
    "enqueued_params",
    "id_of",
    "is_report",
    "journal_line",
    "lock_files",
    "parallel_axes",
    "ped_anova",
    "quiet_optuna",
    "running_copy",
    "seeing_only",
    "split_by_worth",
    "stored_trial",
    "trial_of_id",
    "trial_without_params",
    "uncopied",
]

# ---------------------------------------------------------------- imports

IMPORTANCE = "optuna.importance"


def ped_anova() -> type[PedAnovaImportanceEvaluator]:
    """Optuna's class, without importing scikit-learn, which takes two seconds of a core.

    `optuna.importance` has evaluators that grow forests, too. So the file of this one is imported
    below an empty package of that name; whoever asks for the real one afterwards gets it. (That it
    is in `optuna.importance._ped_anova`.)
    """
    if IMPORTANCE not in sys.modules:
        package = ModuleType(IMPORTANCE)
        package.__path__ = [str(Path(optuna.__file__).with_name("importance"))]
        sys.modules[IMPORTANCE] = package
        try:
            found = importlib.import_module(f"{IMPORTANCE}._ped_anova").PedAnovaImportanceEvaluator
        except (ImportError, AttributeError):
            pass  # another release: as everyone does
        else:
            return found  # type: ignore[no-any-return]
        finally:
            del sys.modules[IMPORTANCE]
    return optuna.importance.PedAnovaImportanceEvaluator


# ---------------------------------------------------------------- trials


def stored_trial(study: optuna.Study, frozen: FrozenTrial) -> Trial:
    """A trial of a study on which `suggest`, `report` and `tell` can be called.

    Optuna hands out such a trial only once, by ``study.ask``. If an earlier process has asked, the
    trial must be made again. (`FrozenTrial._trial_id`; the constructor of `Trial`.)
    """
    return Trial(study, frozen._trial_id)


class _Uncopied(FrozenTrial):
    """Asked for a deep copy, it gives a shallow one, which is a plain trial again."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        made: FrozenTrial = copy(self)
        made.__class__ = FrozenTrial
        return made


def uncopied(trial: FrozenTrial) -> FrozenTrial:
    """The trial, to be added to a study in memory that shares what it holds.

    Optuna makes a deep copy of each trial that is added, which takes 0.3 ms. Only for studies that
    are read, and of trials that do not change any more. (`InMemoryStorage.create_new_trial`.)
    """
    made = copy(trial)
    made.__class__ = _Uncopied
    return made


def id_of(trial: FrozenTrial | Trial) -> int:
    """A trial's key in its storage. (`FrozenTrial._trial_id`, `Trial._trial_id`.)"""
    return trial._trial_id


def trial_of_id(study: optuna.Study, key: int) -> FrozenTrial:
    """The trial with a key, as its storage has it now; it must not be changed.

    (`Study._storage`.)
    """
    return study._storage.get_trial(key)


def trial_without_params(study: optuna.Study, frozen: FrozenTrial) -> Trial:
    """A stored trial without its suggested parameters; the storage is not changed.

    (`Trial._cached_frozen_trial`: where `Trial.suggest_*` looks for known parameters.)
    """
    fresh = copy(frozen)
    fresh.params, fresh.distributions = {}, {}
    trial = stored_trial(study, frozen)
    trial._cached_frozen_trial = fresh
    return trial


def enqueued_params(frozen: FrozenTrial) -> dict[str, Any]:
    """The parameters with which a trial was enqueued; none if it was not enqueued.

    (The system attribute `fixed_params`.)
    """
    return dict(frozen.system_attrs.get("fixed_params", {}))


def running_copy(frozen: FrozenTrial, user_attrs: Mapping[str, Any]) -> FrozenTrial:
    """A running trial with the same parameters, to add to a study: enqueued if that one was.

    (The system attribute `fixed_params`.)
    """
    enqueued = enqueued_params(frozen)
    return optuna.trial.create_trial(
        state=TrialState.RUNNING,
        params=frozen.params,
        distributions=frozen.distributions,
        user_attrs=dict(user_attrs),
        system_attrs={"fixed_params": enqueued} if enqueued else {},
    )


# ---------------------------------------------------------------- samplers


def seeing_only(study: optuna.Study, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """The same study, which a sampler takes to have only these trials.

    (`Study._get_trials`: what samplers read instead of `get_trials`.)
    """

    def get_trials(
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        return [trial for trial in trials if states is None or trial.state in states]

    narrowed = copy(study)
    narrowed._get_trials = get_trials  # type: ignore[method-assign]
    return narrowed


def split_by_worth(
    study: optuna.Study, ended: list[FrozenTrial]
) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """The good and the other trials as TPE tells them apart, each in the order of their numbers.

    (`default_gamma`, `default_gamma_multiobjective` and `_split_trials` of the TPE sampler.)
    """
    from optuna.samplers._tpe import sampler

    several = len(study.directions) > 1
    count = sampler.default_gamma_multiobjective if several else sampler.default_gamma
    return sampler._split_trials(study, ended, count(len(ended)))


# ---------------------------------------------------------------- storages


def is_report(log: Mapping[str, Any]) -> bool:
    """Whether an entry of a journal is a trial's report. (The key `intermediate_value`.)"""
    return "intermediate_value" in log


def journal_line(log: Mapping[str, Any]) -> bytes:
    """An entry of a journal as a line of the file, as `JournalFileBackend` writes and reads it."""
    return json.dumps(log, separators=(",", ":")).encode() + b"\n"


def lock_files(journal: Path) -> list[Path]:
    """The lock files that exist for a journal.

    (`JournalFileSymlinkLock` makes `NAME.lock`. It renames it to `NAME.lockUUID.rename`, in earlier
    releases to `NAME.lock.rename`, before it deletes it.)
    """
    return list(journal.parent.glob(glob.escape(journal.name) + ".lock*"))


DATABASE_CALLS = (
    *sorted(BaseStorage.__abstractmethods__),
    "_create_new_trial",
    "_get_trials",
    "_set_trial_param",
    "get_trial_id_from_study_id_trial_number",
)
"""The methods of `RDBStorage` that use the database, also those that Optuna's cache calls."""


def engine_of(storage: RDBStorage) -> Engine:
    """SQLAlchemy's engine of a database. (`RDBStorage.engine`.)"""
    return storage.engine


# ---------------------------------------------------------------- figures

INFEASIBLE_HISTORY_TRACE = "Infeasible Trial"
"""Name of the trace of infeasible trials in `plot_optimization_history`."""

BEST_SO_FAR_TRACE = "Best Value"
"""Name of the trace of the best value so far in `plot_optimization_history`."""

FEASIBLE_TRACE, INFEASIBLE_TRACE = "Feasible", "Infeasible"
"""Names of the traces of `plot_parallel_coordinate`."""


def parallel_axes(target: str, params: Sequence[str]) -> list[str]:
    """The axes of `plot_parallel_coordinate`, left to right, by their full names.

    Optuna cuts their names to 20 characters, so different long paths would look the same.
    """
    return [target, *sorted(params)]


# ---------------------------------------------------------------- messages


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log lines and its warnings of experimental features off the screen.

    The check of a space already reports what a sampler cannot do.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        # CMA-ES does not read constraints: it gets a bad value for an unsound trial instead.
        warnings.filterwarnings("ignore", message=".*CmaEsSampler will not use them")
        yield
