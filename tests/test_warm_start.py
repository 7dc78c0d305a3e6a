"""Warm starts: which earlier trials fit a space, what Optuna hears of them, who does not."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import trial_config, trial_tree
from optuna.trial import TrialState

from gan_tune.config import Objective, Part, TrialConfig
from gan_tune.errors import ConfigError, GanTuneError, SpaceError
from gan_tune.parts.all_parts import catalogue
from gan_tune.record.ended_trials import EndedTrial, RecordedSearch
from gan_tune.record.requests import param_text
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import NoStopping
from gan_tune.searching.study.insight import Insight
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.searching.study.opening import open_study, study_as_it_stands
from gan_tune.searching.study.warm_start import EarlierTrial, outcome_within
from gan_tune.service.optuna_stand_ins import Draws
from gan_tune.service.running.earlier_searches import (
    WarmStart,
    at_their_length,
    read_searches,
    warm_start,
)
from gan_tune.service.running.names import choose_name
from gan_tune.service.running.study_place import study_of_search
from gan_tune.space import SearchSpace, shipped_spaces
from gan_tune.space.fitting import what_learns
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders

RATE = {"log_uniform": [1e-4, 1e-2]}
LEFT_OUT = ("steps", "evaluations", "seed")
RANGES: dict[str, Any] = {
    "data": {"name": "digits", "batch_size": {"int": [16, 64], "step": 16}},
    "generator": {
        "name": "mlp",
        "latent": {"int": [4, 16], "step": 4},
        "hidden": {"choice": [[16], [16, 16]]},
    },
    "loss": {
        "choice": [
            "non_saturating",
            {"name": "least_squares", "label_smoothing": {"uniform": [0, 0.2]}},
        ]
    },
    "generator_optimizer": {
        "choice": [
            {"name": "adam", "lr": RATE, "beta1": {"uniform": [0.0, 0.9], "step": 0.1}},
            {"name": "sgd", "lr": RATE},
        ]
    },
    "gradient_clip": {"choice": ["none", {"name": "norm", "max_norm": {"uniform": [0.1, 10]}}]},
    "penalties": [
        {"choice": ["none", {"name": "r1", "weight": {"uniform": [0.0, 10.0]}}]},
        {"choice": ["none", {"name": "l2", "weight": {"uniform": [0.0, 1.0]}}]},
    ],
}


def space(trial: dict[str, Any] | None = None, **changes: Any) -> SearchSpace:
    fixed = {key: value for key, value in trial_tree().items() if key not in LEFT_OUT}
    tree = {
        "name": "toy",
        "budget": {"trials": 6, "steps": 100, "evaluations": 5},
        "trial": fixed | (RANGES if trial is None else trial),
    }
    return SearchSpace.load(tree | changes, catalogue())


@pytest.fixture(scope="module")
def wide() -> SearchSpace:
    return space()


# ---------------------------------------------------------------- which trials fit

ADAM = {"name": "adam", "lr": 1e-3, "beta1": 0.5}
R1, L2 = {"name": "r1", "weight": 2.0}, {"name": "l2", "weight": 0.5}
CLIP = {"name": "norm", "max_norm": 1.0}
MLP = {"name": "mlp", "latent": 8, "hidden": [16]}

FITS: dict[str, tuple[dict[str, Any], dict[str, Any] | None, tuple[str, ...]]] = {
    "as it is": ({}, {"generator.latent": 8, "generator.hidden": "#0", "penalties.0": "none"}, ()),
    "another option": (
        {"generator_optimizer": {"name": "sgd", "lr": 1e-4}},
        {"generator_optimizer": "sgd", "generator_optimizer.sgd.lr": 1e-4},
        (),
    ),
    "an option without a name": (
        {"generator": {**MLP, "hidden": [16, 16]}},
        {"generator.hidden": "#1"},
        (),
    ),
    "an end of a range": (
        {"generator_optimizer": {**ADAM, "lr": 1e-2}},
        {"generator_optimizer.adam.lr": 1e-2},
        (),
    ),
    "both clipped alike": (
        {"gradient_clip": CLIP},
        {"gradient_clip": "norm", "gradient_clip.norm.max_norm": 1.0},
        (),
    ),
    "the first penalty": ({"penalties": [R1]}, {"penalties.0": "r1", "penalties.1": "none"}, ()),
    "the second penalty": (
        {"penalties": [L2]},
        {"penalties.0": "none", "penalties.1": "l2", "penalties.1.l2.weight": 0.5},
        (),
    ),
    "both penalties": ({"penalties": [R1, L2]}, {"penalties.0": "r1", "penalties.1": "l2"}, ()),
    "what does not touch learning": (
        {
            "seed": 77,
            "steps": 999,
            "evaluations": 1,
            "patience": 3,
            "collapse": {"variety": 0.0},
            "measure": ["sliced_wasserstein"],
        },
        {"generator.latent": 8},
        (),
    ),
    "off the steps": (
        {"generator": {**MLP, "latent": 7}, "generator_optimizer": {**ADAM, "beta1": 0.33}},
        {"generator.latent": 8, "generator_optimizer.adam.beta1": pytest.approx(0.3)},
        ("generator.latent", "generator_optimizer.adam.beta1"),
    ),
    "a batch off the steps": (
        {"data": {"name": "digits", "batch_size": 50}},
        {"data.batch_size": 48},
        ("data.batch_size",),
    ),
    "below a range": ({"generator_optimizer": {**ADAM, "lr": 9e-5}}, None, ()),
    "above a range": ({"generator": {**MLP, "latent": 17}}, None, ()),
    "no such option": ({"loss": "wasserstein"}, None, ()),
    "no such list": ({"generator": {**MLP, "hidden": [16, 16, 16]}}, None, ()),
    "fixed otherwise": ({"discriminator_optimizer": {**ADAM, "lr": 2e-3}}, None, ()),
    "an argument that is not mentioned": (
        {"generator_optimizer": {**ADAM, "beta2": 0.9}},
        None,
        (),
    ),
    "a field that is not mentioned": ({"ema": 0.9}, None, ()),
    "one network clipped": ({"generator_gradient_clip": CLIP}, None, ()),
    "a penalty too many": ({"penalties": [R1, L2, {"name": "l1", "weight": 0.1}]}, None, ()),
    "penalties in another order": ({"penalties": [L2, R1]}, None, ()),
}


@pytest.mark.parametrize("case", FITS)
def test_a_trial_fits_where_it_would_learn_the_same(case: str, wide: SearchSpace) -> None:
    changes, expected, shifted = FITS[case]
    fit = wide.fit(trial_config(**changes))
    if expected is None:
        assert fit is None
        return
    assert fit is not None
    assert {name: fit.assignment[name] for name in expected} == expected
    assert fit.shifted == shifted


def test_data_may_lie_elsewhere_but_must_be_read_alike() -> None:
    linear = {"generator": {**MLP, "output": "linear"}}
    into, config = space(linear), trial_config(**linear)
    elsewhere = Part(name="npz", args={"path": "/elsewhere.npz", **config.data.args})
    assert into.fit(config.model_copy(update={"data": elsewhere})) == into.fit(config) is not None
    scaled = {"data": {"name": "digits", "batch_size": 16, "scale": "standard"}}
    assert into.fit(trial_config(**linear, **scaled)) is None


@pytest.mark.parametrize("name", shipped_spaces())
def test_what_a_space_proposes_is_read_back_from_its_record_and_fits(name: str) -> None:
    """Whatever a search may try: the texts in MLflow are enough to find the very setting again."""
    shipped = SearchSpace.load(name, catalogue(), check_data=False)
    for seed in range(12):
        config = shipped.sample(Draws(seed), seed=seed)
        recorded = config.params() | {"generator_optimizer": "adam", "choice": "#1"}  # choosers
        texts = {key: param_text(value) for key, value in recorded.items()}
        assert TrialConfig.from_params(texts, catalogue()) == config
        fit = shipped.fit(config)
        assert fit is not None
        assert not fit.shifted
        assert what_learns(shipped.config(fit.assignment, seed=0)) == what_learns(config)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_used_is_a_setting_of_the_space(seed: int, wide: SearchSpace) -> None:
    """Numbers lie where they were, or half a step beside; all else is as it was."""
    finer = {
        "data": {"name": "digits", "batch_size": {"int": [8, 80]}},
        "generator": {**RANGES["generator"], "latent": {"int": [2, 18]}},
        "generator_optimizer": {**ADAM, "beta1": {"uniform": [0.0, 0.95]}},
    }
    config = space(RANGES | finer).sample(Draws(seed), seed=seed)
    sizes = config.data.args["batch_size"], config.generator.args["latent"]
    beta1 = config.generator_optimizer.args["beta1"]
    fit = wide.fit(config)
    assert (fit is not None) == (16 <= sizes[0] <= 64 and 4 <= sizes[1] <= 16 and beta1 <= 0.9)
    if fit is None:
        return
    made = wide.config(fit.assignment, seed=0)
    assert abs(made.data.args["batch_size"] - sizes[0]) <= 8
    assert abs(made.generator.args["latent"] - sizes[1]) <= 2
    assert abs(made.generator_optimizer.args["beta1"] - beta1) <= 0.05 + 1e-9
    for field in ("loss", "penalties", "generator_gradient_clip", "discriminator"):
        assert getattr(made, field) == getattr(config, field)


def test_params_that_are_no_trial_s_are_refused() -> None:
    texts = {key: param_text(value) for key, value in trial_config().params().items()}
    for broken in ({"generator.name": "gone"}, {"generator_optimizer.lr": "…"}):
        with pytest.raises(ConfigError):
            TrialConfig.from_params(texts | broken, catalogue())


# ---------------------------------------------------------------- lengths


@pytest.mark.parametrize(
    ("outcome", "reached", "by_patience", "expected"),
    [
        ("completed", 100, False, "completed"),
        ("completed", 60, False, "pruned"),
        ("completed", 60, True, "completed"),
        ("completed", 300, False, "completed"),
        ("pruned", 40, False, "pruned"),
        ("pruned", 140, False, "completed"),
        ("diverged", 40, False, "diverged"),
        ("diverged", 140, False, "completed"),
        ("collapsed", 100, False, "collapsed"),
    ],
)
def test_an_outcome_is_that_within_the_new_length(
    outcome: Any, reached: int, by_patience: bool, expected: str
) -> None:
    assert outcome_within(100, outcome, reached=reached, by_patience=by_patience) == expected


CURVE = {50: 9.0, 100: 7.0, 150: 5.0}


def recorded(
    *trials: dict[str, Any], outcome: Any = "completed", reached: int = 150, **changes: Any
) -> RecordedSearch:
    """A search's record with a trial of each config; 150 steps long unless they say otherwise."""
    ended = [
        EndedTrial(
            f"{i:04d}",
            outcome,
            {k: param_text(v) for k, v in trial_config(**{"steps": 150} | t).params().items()},
            CURVE,
            reached,
        )
        for i, t in enumerate(trials)
    ]
    objective = Objective(metric="frechet_distance", mode="min")
    given = {"metric_version": "v1", "data": frozenset({"d1"})} | changes
    return RecordedSearch("old", objective, trials=ended, **given)


def started(found: RecordedSearch, into: SearchSpace) -> Any:
    return warm_start([found], into, metric_version="v1", data="d1")


def test_a_search_that_chooses_its_length_takes_that_of_the_trials_it_starts_from() -> None:
    open_length = space(budget={"minutes": 5})
    assert at_their_length([recorded({}, {"steps": 90})], open_length).steps == 150
    assert at_their_length([], open_length).planned_steps is None
    assert at_their_length([recorded({})], open_length.with_length(70)).steps == 70
    assert at_their_length([recorded({})], space()).steps == 100


def test_used_shifted_and_dropped_are_counted(wide: SearchSpace) -> None:
    odd, far = {"generator": {**MLP, "latent": 7}}, {"generator": {**MLP, "latent": 99}}
    found = started(recorded({}, odd, far, {}), wide)
    assert list(found.notes()) == ["warm start: 4 trials of old: 2 used, 1 shifted, 1 dropped"]
    assert [trial.source for trial in found.trials] == ["old/0000", "old/0001", "old/0003"]


def test_no_part_is_imported_because_a_record_names_it(
    wide: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may write into a shared record; a part that the space names itself is used."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil_of_a_record.py").write_text("Net = 1")
    own = {"name": "user_networks:Generator", "latent": 8}
    for name in ("evil_of_a_record:Net", "user_networks:Generator"):
        found = recorded({})
        params = {**found.trials[0].params, "generator.name": name}
        evil = replace(found, trials=[replace(found.trials[0], params=params)])
        assert started(evil, wide).dropped == 1
    assert "evil_of_a_record" not in sys.modules
    assert len(started(recorded({"generator": own}), space({**RANGES, "generator": own})).trials)


def test_a_longer_curve_is_cut(wide: SearchSpace) -> None:
    (trial,) = started(recorded({}), wide).trials
    assert trial.outcome == "completed"
    assert trial.curve == {50: 9.0, 100: 7.0}
    assert trial.value == 7.0


@pytest.mark.parametrize(
    "paced",
    [
        {"schedule": {"name": "cosine"}},
        {"discriminator_schedule": {"name": "linear"}},
        {"instance_noise": {"std": 0.1}},
    ],
)
def test_of_another_length_is_another_training_where_that_goes_by_it(paced: dict[str, Any]) -> None:
    into = space(paced)
    assert not started(recorded(paced), into).trials
    assert started(recorded(paced | {"steps": 100}, reached=100), into).trials


def test_a_cosine_that_ends_where_it_begins_goes_by_no_length() -> None:
    level = {"discriminator_schedule": {"name": "cosine", "end": 1.0}}
    assert started(recorded(level), space(level)).trials


def test_stopped_by_a_patience_that_holds_no_more_is_pruned() -> None:
    patient = {"patience": 2}
    for into, expected in ((space(patient), "completed"), (space({}), "pruned")):
        (trial,) = started(recorded(patient, reached=50), into).trials
        assert trial.outcome == expected


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"metric_version": "v2"},
            "old: the version of the metric must be that of the new search, v1: v2",
        ),
        ({"metric_version": ""}, "v1: none is recorded"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    changes: dict[str, Any], rule: str, wide: SearchSpace
) -> None:
    with pytest.raises(GanTuneError) as raised:
        started(recorded({}, **changes), wide)
    assert str(raised.value).startswith("warm start: old: ")
    assert str(raised.value).endswith(rule)


def test_one_seed_is_not_the_length_of_several() -> None:
    for seeds, expected in ((1, "completed"), (2, "pruned")):
        (trial,) = started(recorded({}), space({}, search={"seeds": seeds})).trials
        assert trial.outcome == expected


def test_several_objectives_are_refused() -> None:
    objectives = [{"metric": "frechet_distance"}, {"metric": "coverage", "mode": "max"}]
    with pytest.raises(GanTuneError) as raised:
        read_searches(["old"], space({}, objective=objectives), "sqlite:////nowhere")
    assert str(raised.value) == (
        "warm start: the new search must have one objective: frechet_distance, coverage"
    )


# ---------------------------------------------------------------- in the study


def earlier(outcomes: Sequence[Any], *, start: int = 0) -> list[EarlierTrial]:
    """Trials whose rates grow, and with them their values."""
    return [
        EarlierTrial(
            f"old/{i:04d}",
            {"lr": 1e-4 * 1.1**i},
            outcome,
            {} if outcome == "diverged" else {20: 9.0 + i, 40: 5.0 + i},
        )
        for i, outcome in enumerate(outcomes, start)
    ]


def plain(**changes: Any) -> SearchSpace:
    tree = {"generator_optimizer": {"choice": [{"name": "adam", "lr": RATE}]}}
    return space(tree, **changes)


def of(space: SearchSpace, trials: Sequence[EarlierTrial]) -> list[EarlierTrial]:
    """The trials with the names of the space's dimensions."""
    chooser, rate = (dimension.name for dimension in space.dimensions())
    return [
        EarlierTrial(t.source, {chooser: "adam", rate: t.assignment["lr"]}, t.outcome, t.curve)
        for t in trials
    ]


EVERY = ("diverged", "completed", "pruned", "collapsed", "completed")


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_optuna_hears_what_it_would_have_heard(tmp_path: Path, sampler: str) -> None:
    kept = plain(search={"sampler": sampler})
    path = tmp_path / "study.journal"
    study = open_study(path, kept, warm=of(kept, earlier(EVERY)))
    told = {t.user_attrs.get("warm_start"): t for t in study._study.trials}
    unsound = (TrialState.PRUNED, None) if sampler == "tpe" else (TrialState.COMPLETE, 9.0)
    for i, outcome in enumerate(EVERY):
        trial = told[f"old/{i:04d}"]
        expected = {
            "completed": (TrialState.COMPLETE, 5.0 + i),
            "pruned": (TrialState.PRUNED, 7.0),  # Optuna takes the last report for its value
            "diverged": unsound,
            "collapsed": unsound if sampler == "gp" else (TrialState.PRUNED, 8.0),
        }[outcome]
        assert (trial.state, trial.value) == expected
        assert trial.constraints == {"health": float(outcome in ("diverged", "collapsed"))}
        assert len(trial.intermediate_values) == (0 if outcome == "diverged" else 2)


def test_earlier_trials_are_no_settings_of_the_search(tmp_path: Path) -> None:
    kept = plain(start_from=[{"generator_optimizer": {"lr": 1e-3}}] * 2)
    path = tmp_path / "study.journal"
    study = open_study(path, kept, warm=of(kept, earlier(EVERY * 5)))
    assert (study.proposed(), study.settings(), list(study.reports())) == (0, [], [])
    jobs = [study.ask() for _ in range(4)]
    assert [job.name for job in jobs] == ["0000", "0001", "0002", "0003"]
    assert jobs[0].config.collapse.variety == 0
    assert jobs[1].config.collapse.variety > 0
    study.report(2, 20, 3.0)
    study.tell(2, "completed", 3.0)
    again = open_study(path, kept)
    assert [job.config for job in again.finish_proposals()] == [jobs[i].config for i in (0, 1, 3)]
    assert again.job(2, 0).config == jobs[2].config
    assert [(s.number, s.outcome) for s in again.settings()] == [
        (0, None),
        (1, None),
        (2, "completed"),
        (3, None),
    ]
    assert list(again.reports()) == [(2, 20, 3.0)]
    for seen in (again.optuna_study, study_as_it_stands(path)):
        assert [t.number for t in seen.trials] == [0, 1, 2, 3]
        assert [row.setting for row in leaderboard(seen, [])] == [2, 0, 1, 3]
        assert leaderboard(seen, [])[0].changes == again.assignment(2)
        assert Insight(seen).importances.settings == 1
        assert Insight(seen).importances.left_out == 0


def test_the_stopping_rule_does_not_hear_of_them(tmp_path: Path) -> None:
    class Deaf(NoStopping):
        def decide(self, trial: int, step: int, value: float | None) -> bool:
            raise AssertionError("heard of a trial")

    kept = plain()
    study = open_study(tmp_path / "study.journal", kept, warm=of(kept, earlier(EVERY)))
    home = open_storage(tmp_path / "home")
    conductor = Conductor(study, home, Deaf(), resume_search(study, TrialFolders(home), Deaf()))
    assert conductor.next_job() is not None


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "qmc"])
@pytest.mark.parametrize("start_from", [[], [{"generator_optimizer": "adam"}]], ids=len)
def test_the_first_setting_owes_nothing_to_them(
    tmp_path: Path, sampler: str, start_from: list[Any]
) -> None:
    kept = plain(search={"sampler": sampler}, start_from=start_from)
    cold = open_study(tmp_path / "cold.journal", kept)
    warm = open_study(tmp_path / "warm.journal", kept, warm=of(kept, earlier(["completed"] * 12)))
    assert warm.ask().config == cold.ask().config


def test_the_sampler_learns_from_them(tmp_path: Path) -> None:
    """Rates from 1e-4 up, the lower the better: without any setting of its own, TPE goes there."""
    kept = plain()
    study = open_study(tmp_path / "study.journal", kept, warm=of(kept, earlier(["completed"] * 40)))
    rates = [study.ask().config.generator_optimizer.args["lr"] for _ in range(11)][1:]
    assert sum(math.log10(rate) < -3 for rate in rates) >= 8  # by chance 5 of 10


def test_they_are_taken_in_once(tmp_path: Path) -> None:
    kept, path = plain(), tmp_path / "study.journal"
    open_study(path, kept, warm=of(kept, earlier(EVERY)))
    again = open_study(path, kept, warm=of(kept, earlier(EVERY, start=10)))
    assert len(again._study.trials) == 1 + len(EVERY)
    # A command that was killed in the midst of it goes on where it was.
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-5]))
    whole = open_study(path, kept, warm=of(kept, earlier(EVERY)))
    sources = [
        t.user_attrs["warm_start"] for t in whole._study.trials if "warm_start" in t.user_attrs
    ]
    assert sorted(sources) == [f"old/{i:04d}" for i in range(len(EVERY))]
    assert len(whole._study.trials) == 1 + len(EVERY)
    assert whole.ask().name == "0000"


# ---------------------------------------------------------------- what has changed


def changed(folder: Path, one: SearchSpace, other: SearchSpace) -> list[str]:
    path = folder / "study.journal"
    open_study(path, one, name="mine")
    with pytest.raises(SpaceError) as raised:
        open_study(path, other, name="mine")
    return str(raised.value).splitlines()


def test_a_refusal_names_what_has_changed(tmp_path: Path) -> None:
    other = plain(
        budget={"trials": 6, "steps": 200, "evaluations": 5},
        start_from=[{"generator_optimizer": {"lr": 1e-3}}],
    )
    assert changed(tmp_path, plain(), other) == [
        "mine: the space has changed since this search began; use --fresh, --warm-start mine, or "
        "another --name",
        "mine: budget.steps: was 100, is 200",
        "mine: start_from.0.generator_optimizer.lr: was not given, is 0.001",
    ]


def test_many_changes_are_counted(tmp_path: Path) -> None:
    lines = changed(tmp_path, plain(), space())
    assert len(lines) == 1 + 8 + 1
    assert lines[-1].startswith("mine: and ")
    assert lines[-1].endswith(" more")


def test_a_study_that_did_not_keep_its_blocks_only_says_that_they_changed(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    open_study(path, plain())
    path.write_text(path.read_text().replace("space_blocks", "space_forgot"))
    with pytest.raises(SpaceError) as raised:
        open_study(path, plain(budget={"trials": 6, "steps": 200, "evaluations": 5}))
    assert len(str(raised.value).splitlines()) == 1


# ---------------------------------------------------------------- which search that is


def test_the_same_command_finds_the_same_search(tmp_path: Path) -> None:
    one, other = plain(), plain(budget={"trials": 6, "steps": 200, "evaluations": 5})
    root = open_storage(tmp_path)

    def begin(name: str, space: SearchSpace, *sources: str) -> None:
        study = WarmStart(searches=sources, trials=of(one, earlier(["completed"])))
        study_of_search(space, root.below(name), name, study if sources else None)

    def chosen(space: SearchSpace, *sources: str, fresh: bool = False) -> str:
        return choose_name(root, "toy", space, sources, fresh=fresh)

    assert chosen(one) == chosen(one, "old") == "toy"
    begin("toy", one)
    assert chosen(one) == chosen(other) == "toy"  # the latter is refused there
    assert chosen(one, "old") == "toy-2"
    begin("toy-2", one, "old")
    assert chosen(one, "old") == "toy-2"
    assert chosen(other, "old") == chosen(one, "toy") == "toy-3"
    assert chosen(one, "old", fresh=True) == chosen(one, fresh=True) == "toy-3"
    begin("toy-3", other, "old", "toy")
    assert chosen(other, "old", "toy") == "toy-3"
    assert chosen(one, "toy-4") == "toy-5", "a search is not warmed by itself"
