"""Whatever we use of Optuna beyond its documented interface is there in the installed release."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import CmaEsSampler
from optuna.storages import JournalStorage, RDBStorage, _cached_storage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState
from sqlalchemy.engine import Engine
from toy_study import random_study

from gan_tune.searching.study import optuna_internals
from gan_tune.searching.study.optuna_internals import (
    BEST_SO_FAR_TRACE,
    DATABASE_CALLS,
    FEASIBLE_TRACE,
    INFEASIBLE_HISTORY_TRACE,
    INFEASIBLE_TRACE,
    engine_of,
    enqueued_params,
    is_report,
    journal_line,
    lock_files,
    parallel_axes,
    quiet_optuna,
    stored_trial,
    trial_without_params,
    uncopied,
)

PACKAGE = Path(optuna_internals.__file__).parents[2]
PRIVATE = re.compile(
    r"_trial_id|_cached_frozen_trial|system_attrs|fixed_params|intermediate_value\b|optuna\S*\._"
)


def test_no_other_file_uses_private_names_of_optuna() -> None:
    speaking = [p for p in PACKAGE.rglob("*.py") if "optuna" in p.read_text(encoding="utf-8")]
    assert len(speaking) > 10
    for path in speaking:
        found = PRIVATE.findall(path.read_text(encoding="utf-8"))
        assert path.name == "optuna_internals.py" or not found, path


def test_the_docstring_names_the_releases_that_are_allowed() -> None:
    required = importlib.metadata.requires("gan-tune") or []
    (allowed,) = (line[6:] for line in required if re.match(r"optuna[<>=]", line))
    named = re.search(r"`optuna([^`]+)`", optuna_internals.__doc__ or "")
    assert named is not None
    assert set(named[1].split(",")) == set(allowed.split(","))


def test_the_cache_before_a_database_calls_what_is_known_to_use_it() -> None:
    called = set(re.findall(r"self\._backend\.(\w+)", inspect.getsource(_cached_storage)))
    unused = {name for name in called if "heartbeat" in name or "stale" in name}
    assert called - unused - {"_get_best_trial_id"} <= set(DATABASE_CALLS)
    assert all(hasattr(RDBStorage, name) for name in DATABASE_CALLS)


# ---------------------------------------------------------------- trials


def test_a_trial_that_another_process_asked_for_is_reported_and_told() -> None:
    study = random_study()
    study.ask()
    again = stored_trial(study, study.get_trials()[0])
    again.report(2.0, 10)
    study.tell(again, 2.0)
    assert study.trials[0].state == TrialState.COMPLETE
    assert study.trials[0].intermediate_values == {10: 2.0}


def test_a_trial_without_its_params_is_suggested_anew() -> None:
    study = random_study(seed=0)
    before = study.ask().suggest_float("x", 0, 1)
    fresh = trial_without_params(study, study.get_trials()[0])
    assert fresh.params == {}
    assert study.trials[0].params == {"x": before}, "the study is left as it is"
    assert fresh.suggest_float("x", 0, 1) == fresh.params["x"] != before
    kept = stored_trial(study, study.get_trials()[0])
    assert kept.suggest_float("x", 0, 1) == study.trials[0].params["x"]


def test_params_are_known_of_trials_that_were_enqueued_and_of_no_other() -> None:
    study = random_study()
    study.enqueue_trial({"x": 0.5})
    study.ask()
    study.ask()
    assert [enqueued_params(trial) for trial in study.trials] == [{"x": 0.5}, {}]


# ---------------------------------------------------------------- storages


def test_reports_are_told_from_the_other_lines_of_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(path))))
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    before = len(path.read_bytes().splitlines())
    trial.report(1.0, 10)
    trial.set_user_attr("a", "ä")
    study.tell(trial, 1.0)
    lines = path.read_bytes().splitlines(keepends=True)
    logs: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [i for i, log in enumerate(logs) if is_report(log)] == [before]
    assert [journal_line(log) for log in logs] == lines


def test_the_locks_of_a_journal_are_found(tmp_path: Path) -> None:
    path = tmp_path / "[study].journal"
    for name in ("other.journal.lock", path.name):
        (tmp_path / name).touch()
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    assert [found.name for found in lock_files(path)] == [f"{path.name}.lock"]
    lock.release()
    assert lock_files(path) == []


def test_a_kill_while_a_lock_is_released_leaves_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.journal"
    path.touch()
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", lambda name: None)
        lock.release()
    (left,) = lock_files(path)
    assert left.name.endswith(".rename")


def test_a_database_has_an_engine(tmp_path: Path) -> None:
    storage = RDBStorage(f"sqlite:///{tmp_path / 'studies.db'}")
    assert isinstance(engine_of(storage), Engine)


# ---------------------------------------------------------------- figures


@pytest.fixture
def drawable() -> optuna.Study:
    """Complete trials, sound and unsound ones, of two parameters with long names."""
    study = random_study()
    for number in range(6):
        health = {"health": float(number == 3)}
        params = {"z" * 30: number / 6, "a" * 30: 1 - number / 6}
        hows = {name: optuna.distributions.FloatDistribution(0, 1) for name in params}
        study.add_trial(
            optuna.trial.create_trial(
                value=float(number), params=params, distributions=hows, constraints=health
            )
        )
    return study


def test_the_traces_of_the_history_have_these_names(drawable: optuna.Study) -> None:
    figure = optuna.visualization.plot_optimization_history(drawable, target_name="metric")
    names = {trace.name for trace in figure.data}
    assert names == {"metric", BEST_SO_FAR_TRACE, INFEASIBLE_HISTORY_TRACE}


def test_parallel_coordinates_have_these_traces_and_axes(drawable: optuna.Study) -> None:
    params = [f"{letter * 30}" for letter in "za"]
    figure = optuna.visualization.plot_parallel_coordinate(
        drawable, params=params, target_name="metric"
    )
    assert {FEASIBLE_TRACE, INFEASIBLE_TRACE} <= {trace.name for trace in figure.data}
    shown = [text.rstrip(".") for text in figure.layout.xaxis.ticktext]
    whole = parallel_axes("metric", params)
    assert len(shown) == len(whole)
    assert all(name.startswith(text) for name, text in zip(whole, shown, strict=True))


# ---------------------------------------------------------------- messages


def test_optuna_is_quiet_about_what_we_know() -> None:
    with warnings.catch_warnings(record=True) as loud, quiet_optuna():
        study = optuna.create_study(sampler=CmaEsSampler(n_startup_trials=1, seed=0))
        optuna.samplers.TPESampler(multivariate=True, group=True)
        trial = study.ask()
        trial.set_constraint("health", 1.0)
        study.tell(trial, 1.0)
    assert not loud
    assert optuna.logging.get_verbosity() >= logging.ERROR


def test_what_is_silenced_would_be_said_otherwise() -> None:
    with pytest.warns(ExperimentalWarning):
        optuna.samplers.TPESampler(multivariate=True, group=True)
    study = optuna.create_study(sampler=CmaEsSampler(n_startup_trials=1, seed=0))
    trial = study.ask()
    trial.set_constraint("health", 1.0)
    with pytest.warns(UserWarning, match="CmaEsSampler will not use them"):
        study.tell(trial, 1.0)


def test_an_uncopied_trial_shares_what_it_holds_and_nothing_else() -> None:
    study, other = random_study(), optuna.create_study()
    for _ in range(2):
        study.tell(study.ask(), 1.0)
    of_it = study.get_trials(deepcopy=False)[1]
    other.add_trial(uncopied(of_it))
    (made,) = other.get_trials(deepcopy=False)
    assert type(made) is type(of_it) is optuna.trial.FrozenTrial
    assert (made.number, of_it.number) == (0, 1)
    assert made.user_attrs is of_it.user_attrs
    assert made.value == of_it.value
    assert other.trials[0] == made, "deep copies can be made of it"


ALONE = """
import sys
from gan_tune.searching.study.optuna_internals import ped_anova

made = ped_anova()
assert "sklearn" not in sys.modules and "optuna.importance" not in sys.modules
import optuna

study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("n", 0, 9), 40)
assert made is optuna.importance.PedAnovaImportanceEvaluator is ped_anova()
mine = made().evaluate(study)
assert mine == optuna.importance.get_param_importances(study, evaluator=made(), normalize=False)
forests = optuna.importance.get_param_importances(study)
print(sorted(mine) == sorted(forests), "sklearn" in sys.modules)
"""


def test_importances_are_computed_without_scikit_learn_which_stays_usable() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True True\n", done.stderr
