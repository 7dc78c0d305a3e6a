"""What a space leaves open is decided by a search's first command, kept, and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from test_conductor import space

import gan_tune
from gan_tune.cli.printing.verdict import verdict
from gan_tune.errors import SpaceError
from gan_tune.parts.all_parts import dataset_of, judge_of
from gan_tune.searching.leading.foresight import ENOUGH_SETTINGS, LEAST_STEPS, Pace
from gan_tune.searching.study.equal_steps import AtEqualSteps, at_equal_steps
from gan_tune.searching.study.opening import open_study
from gan_tune.service.pace import measure_pace, timed_settings
from gan_tune.service.running import planning
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.names import Names
from gan_tune.service.running.note import PlanNote, SearchNote
from gan_tune.service.running.planning import as_it_began, counted_trials, settle_plan
from gan_tune.service.search_result import SearchResult
from gan_tune.storage.places import PLAN_NOTE
from gan_tune.storage.storage import open_storage
from gan_tune.watching.watcher import Watcher

OPEN = {"budget": {"minutes": 10, "evaluations": 10}, "search": {"scheduler": "asha"}}


class Notes(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def context(folder: Path, **changes: Any) -> SearchContext:
    home = open_storage(folder).below("toy")
    made = as_it_began(space(**OPEN | changes), home)
    return SearchContext(made, home, "", Names("toy", "toy", "toy"), Notes())


def notes(of: SearchContext) -> str:
    assert isinstance(of.watcher, Notes)
    return "\n".join(of.watcher.notes)


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pace | None], None]:
    def set_pace(pace: Pace | None) -> None:
        def measured(*_: Any) -> Pace:
            assert pace is not None, "this command must measure nothing"
            return pace

        monkeypatch.setattr(planning, "_pace", measured)

    return set_pace


def test_the_first_command_chooses_the_length_and_later_ones_keep_it(
    tmp_path: Path, paced: Callable[[Pace | None], None]
) -> None:
    paced(Pace(0.005, 0.2))
    first = context(tmp_path)
    settle_plan(first, 2)
    assert "settings can be judged in 10 min" in notes(first)
    assert first.space.steps == first.any_config.steps == first.space.budget.steps > LEAST_STEPS
    kept = first.home.read_json(PLAN_NOTE)
    assert kept["steps"] == first.space.steps
    assert kept["settings"] >= ENOUGH_SETTINGS
    paced(None)
    for minutes, slots in ((10, 2), (60, 8)):
        later = context(tmp_path, budget={"minutes": minutes, "evaluations": 10})
        assert later.space.steps == first.space.steps
        settle_plan(later, slots)
        assert later.home.read_json(PLAN_NOTE) == kept
        assert later.space.digest == first.space.digest == space(**OPEN).digest


@pytest.mark.parametrize("slots", [1, 2, 16])
def test_a_slower_machine_gets_shorter_trials_and_not_fewer_settings(
    tmp_path: Path, paced: Callable[[Pace | None], None], slots: int
) -> None:
    lengths = []
    for speed in (10.0, 1.0, 1 / 3):
        paced(Pace(0.01 / speed, 0.3 / speed))
        made = context(tmp_path / str(speed))
        settle_plan(made, slots)
        assert made.home.read_json(PLAN_NOTE)["settings"] >= ENOUGH_SETTINGS
        lengths.append(made.space.steps)
    assert lengths == sorted(lengths, reverse=True)


def test_a_search_that_foresees_too_few_settings_says_what_to_change(
    tmp_path: Path, paced: Callable[[Pace | None], None]
) -> None:
    paced(Pace(0.01, 0.2))
    given = {"minutes": 10, "steps": 30_000, "evaluations": 10}
    made = context(tmp_path / "long", budget=given)
    settle_plan(made, 1)
    told = notes(made)
    assert "only about" in told
    assert "--minutes" in told
    shorter = int(told.partition("--set budget.steps=")[2].partition(")")[0])
    assert made.space.steps == 30_000
    better = context(tmp_path / "short", budget=given | {"steps": shorter})
    settle_plan(better, 1)
    assert "only about" not in notes(better)
    assert better.home.read_json(PLAN_NOTE)["settings"] >= ENOUGH_SETTINGS - 1
    few = context(tmp_path / "few", budget=given | {"trials": 4})
    paced(None)
    settle_plan(few, 1)
    assert notes(few) == "", "four are asked for"


def test_a_search_that_began_from_data_has_been_planned(
    tmp_path: Path, paced: Callable[[Pace | None], None]
) -> None:
    paced(None)
    made = context(tmp_path, budget={"minutes": 10, "steps": 100, "evaluations": 10})
    made.home.write_json(PLAN_NOTE, asdict(PlanNote(step_seconds=0.01, slots=2, minutes=10)))
    settle_plan(made, 2)
    assert (made.space.steps, notes(made)) == (100, "")


def test_a_search_from_before_there_were_plans_goes_on_with_its_settings(
    tmp_path: Path, paced: Callable[[Pace | None], None]
) -> None:
    """Its space names no number, so an earlier version noted the default."""
    paced(None)
    home = open_storage(tmp_path).below("toy")
    SearchNote("frechet_distance", "min", trials=32, minutes=10).write(home)
    with_steps = {"minutes": 10, "steps": 100, "evaluations": 5}
    going_on = context(tmp_path, budget=with_steps)
    settle_plan(going_on, 2)
    assert going_on.space.budget.trials == counted_trials(going_on.space) == 32
    assert home.read_json(PLAN_NOTE) is None
    now = space(budget={"minutes": 2, "steps": 100, "evaluations": 5})
    assert as_it_began(now, home).budget.minutes == 2, "the user's own file has changed"
    assert as_it_began(now, home, other_file=True).budget.minutes == 10
    asked = replace(now, overrides=("budget.minutes=2",))
    assert as_it_began(asked, home, other_file=True).budget.minutes == 2
    more = context(tmp_path, budget=with_steps | {"trials": 64})
    assert more.space.budget.trials == 64
    assert counted_trials(space(budget=with_steps)) is None, "a new one ends with its time"
    assert counted_trials(space(budget={"steps": 100})) == 32


def test_a_length_that_nobody_decides_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"budget\.steps: must be given where budget\.minutes"):
        space(budget={"trials": 5})
    assert space(budget={"minutes": 5}).has_open_length


def test_the_pace_is_measured_on_settings_that_can_be_trained() -> None:
    made = space(**OPEN)
    settings = timed_settings(made)
    assert len(settings) == 4
    dataset = dataset_of(settings[0].data)
    judge = judge_of(dataset, "selection", extra=settings[0].wanted_metrics)
    broken: Any = "no setting"
    pace = measure_pace([settings[0], broken], dataset, judge, threads=1, device="cpu")
    assert pace is not None
    assert 0 < pace.step < 1
    assert 0 < pace.evaluation < 60
    assert measure_pace([broken], dataset, judge, threads=1, device="cpu") is None


# ---------------------------------------------------------------- the gain


def test_a_first_setting_that_was_stopped_is_compared_where_it_was_stopped(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", space())
    for setting, values in enumerate(({20: 9.0, 40: 8.0}, {20: 5.0, 40: 4.0, 60: 1.0}, {60: 0.5})):
        study.ask()
        for step, value in values.items():
            study.report(setting, step, value)
    assert at_equal_steps(study.optuna_study, 1, steps=100) == AtEqualSteps(40, 4.0, 8.0)
    assert at_equal_steps(study.optuna_study, 1, steps=20) == AtEqualSteps(20, 5.0, 9.0)
    assert at_equal_steps(study.optuna_study, 2, steps=100) is None
    assert at_equal_steps(study.optuna_study, 0, steps=100) is None


def result(test: dict[str, float], at_equal_steps: dict[str, float] | None) -> SearchResult:
    champion = {"trial": "0003-confirm-1", "setting": 3, "mean": 2.0, "spread": 0.1, "seeds": 2}
    champion |= {"confirmed": True, "config": {}, "lineage": ()}
    told = {
        "name": "toy", "finished": True, "metric": "m", "mode": "min", "trials": None,
        "minutes": 10, "outcomes": {}, "rows": [], "champion": champion, "first_mean": None,
        "test": {f"test.{key}": value for key, value in test.items()}, "model": None,
        "model_version": None, "promoted": False, "model_note": "", "grid": None,
        "tracking_uri": "", "experiment": "toy", "run_id": None, "seconds": 600,
        "space_digest": "", "at_equal_steps": at_equal_steps,
    }  # fmt: skip
    return SearchResult.from_json(told)


@pytest.mark.parametrize(
    ("test", "known", "lines"),
    [
        (
            {"m": 4.1, "mean.m": 4.0, "first.m": 16.0},
            None,
            ["test split: m 4; the first setting has 16 (ratio 0.25, less is better)"],
        ),
        (
            {"m": 4.1, "mean.m": 4.0, "first.m": 16.0, "beside_first.m": 8.0},
            None,
            [
                "test split: m 4",
                "over as many seeds as the first setting: 8 against 16 (ratio 0.5, less is better)",
            ],
        ),
        (
            {"m": 4.1, "mean.m": 4.0},
            {"step": 1400, "champion": 3.0, "first": 12.0},
            [
                "test split: m 4.1",
                "gain over the first setting, at equal steps (1,400, one seed each, selection "
                "split): 3 against 12 (ratio 0.25, less is better)",
            ],
        ),
        (
            {"m": 4.1, "mean.m": 4.0},
            None,
            ["test split: m 4.1", "gain over the first setting: not measured"],
        ),
    ],
)
def test_the_gain_is_told_at_equal_seeds_and_steps_or_as_not_measured(
    test: dict[str, float], known: dict[str, float] | None, lines: list[str]
) -> None:
    assert list(verdict(result(test, known))) == lines


@pytest.mark.ci
def test_a_search_without_trials_and_steps_runs_from_end_to_end(tmp_path: Path) -> None:
    tree = space(**OPEN | {"confirm": {"top": 1, "seeds": 1, "share": 0.25}}).tree
    tree = {**tree, "budget": {"minutes": 0.4, "evaluations": 5}}
    tree["trial"] = {**tree["trial"], "collapse": "none"}  # so that there is a champion
    watcher = Notes()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    made = gan_tune.search(tree, storage=tmp_path / "runs", tracking_uri=uri, watcher=watcher)
    assert made.finished
    assert made.most_trials is None
    assert made.champion is not None
    assert any("settings can be judged in 0.4 min" in note for note in watcher.notes)
    kept = json.loads((tmp_path / "runs/toy/plan.json").read_text())
    assert made.champion.config["steps"] == kept["steps"]
    assert gan_tune.search(tree, storage=tmp_path / "runs", tracking_uri=uri) == made
