"""Experience: the file, the choice of its settings, how they fit a space, what a search does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import trial_config
from test_warm_start import RANGES, recorded, space, started
from tiny_search import runs_of, space_tree

from gan_tune import service
from gan_tune.config import Objective
from gan_tune.errors import ExperienceError, OutputError, SpaceError
from gan_tune.experience import experience as experience_file
from gan_tune.experience.experience import (
    SHIPPED,
    Entry,
    Experience,
    Standing,
    Task,
    read_experience,
    shipped,
)
from gan_tune.experience.fitting import fit_setting, fit_settings
from gan_tune.experience.portfolio import MOST, by_rank, by_ratio, portfolio
from gan_tune.experience.settings import family_of_space, setting_of, tree_of
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.study.leaderboard_row import Row, best_by_origin
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.origins import Start
from gan_tune.service.learn import _experience_of
from gan_tune.service.optuna_stand_ins import Draws
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.earlier_searches import WarmStart
from gan_tune.service.running.first_settings import first_settings, most_starts
from gan_tune.service.running.names import Names
from gan_tune.service.running.study_place import study_of_search
from gan_tune.space import SearchSpace, shipped_spaces
from gan_tune.space.fitting import what_learns
from gan_tune.storage.places import STUDY_NOTE
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.watching.watcher import Watcher

# ---------------------------------------------------------------- the portfolio


def losses_of(seed: int, tasks: int = 5, settings: int = 30) -> np.ndarray:
    """Losses as of recordings: 0 for each task's best, some settings not tried."""
    random = np.random.default_rng(seed)
    losses = random.exponential(1.0, size=(tasks, settings))
    losses -= losses.min(axis=1, keepdims=True)
    losses[(random.random(losses.shape) < 0.1) & (losses > 0)] = np.inf
    losses[(random.random(losses.shape) < 0.3) & (losses > 0)] = np.nan
    return losses


@pytest.mark.parametrize("seed", range(20))
def test_each_next_setting_helps_the_tasks_most(seed: int) -> None:
    losses = losses_of(seed)
    tried = np.where(np.isinf(losses), np.nan, losses)
    finite, usual = np.nanmax(tried, axis=1), np.nanmedian(tried, axis=1)
    filled = np.where(np.isnan(losses), usual[:, None], np.minimum(losses, finite[:, None]))
    chosen = portfolio(losses)
    so_far = finite
    for setting in chosen:
        means = np.minimum(so_far[:, None], filled).mean(axis=0)
        if so_far.mean() == 0:
            break  # each task has its best; what follows is the same rule begun again
        assert means[setting] == pytest.approx(means.min())
        so_far = np.minimum(so_far, filled[:, setting])
    assert so_far.mean() == 0
    assert len(chosen) == len(set(chosen)) == MOST


def test_after_the_best_of_each_task_the_next_best_follow() -> None:
    losses = by_ratio([1.0, 2.0, 4.0, 8.0])[None]
    assert portfolio(losses) == [0, 1, 2, 3]
    assert portfolio(losses, most=2) == [0, 1]


def test_what_diverged_everywhere_is_never_chosen() -> None:
    losses = np.array([by_ratio([np.inf, 1.0, 2.0]), by_ratio([np.nan, 3.0, 1.0])])
    assert sorted(portfolio(losses)) == [1, 2]


def test_ranks_count_alike_whatever_the_scale() -> None:
    costs = [3.0, 1.0, np.inf, 1.0, -5.0, np.nan]
    scaled = by_rank([cost * 1000 for cost in costs])
    assert np.array_equal(by_rank(costs), scaled, equal_nan=True)
    assert np.exp(by_rank(costs)).tolist() == pytest.approx(
        [4, 2, np.inf, 2, 1, np.nan], nan_ok=True
    )


# ---------------------------------------------------------------- settings on spaces


@cache
def shipped_space(name: str) -> SearchSpace:
    return SearchSpace.load(name, catalogue(), check_data=False)


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_setting_of_a_space_fits_it_as_it_is(name: str) -> None:
    own = shipped_space(name)
    for seed in range(6):
        config = own.sample(Draws(seed), seed=seed)
        setting = json.loads(json.dumps(setting_of(config)))
        fitted = fit_setting(own.trial, setting)
        assert not fitted.moved
        assert set(fitted.left) <= {"patience"}
        made = own.config({"patience": 0, **fitted.values} if fitted.left else fitted.values, 0)
        assert what_learns(made) == what_learns(config)


@pytest.mark.parametrize("name", shipped_spaces())
@pytest.mark.parametrize("other", shipped_spaces())
def test_a_setting_of_any_space_becomes_a_setting_of_any_other(name: str, other: str) -> None:
    into, source = shipped_space(name), shipped_space(other)
    known = {dimension.name: dimension for dimension in into.dimensions()}
    for seed in range(2):
        fitted = fit_setting(into.trial, setting_of(source.sample(Draws(seed), seed=seed)))
        for dimension, value in fitted.values.items():
            assert known[dimension].broken_rule(value) is None
        assert not set(fitted.left) & set(fitted.values)


FITTED: dict[str, tuple[dict[str, Any], dict[str, Any], list[str], list[str]]] = {
    "above a range": (
        {"generator": {"name": "mlp", "latent": 99, "hidden": [16]}},
        {"generator.latent": 16},
        ["generator.latent"],
        [],
    ),
    "off the grid": (
        {"data": {"name": "digits", "batch_size": 50}},
        {"data.batch_size": 48},
        ["data.batch_size"],
        [],
    ),
    "no such option": ({"loss": "wasserstein"}, {}, [], ["loss"]),
    "no such list": (
        {"generator": {"name": "mlp", "latent": 8, "hidden": [32, 32, 32]}},
        {},
        [],
        ["generator.hidden"],
    ),
    "a penalty in another place": (
        {"penalties": [{"name": "l2", "weight": 0.5}, {"name": "r1", "weight": 2.0}]},
        {"penalties.0.r1.weight": 2.0, "penalties.1.l2.weight": 0.5},
        [],
        [],
    ),
}


@pytest.mark.parametrize("case", FITTED)
def test_what_a_space_offers_otherwise_is_moved_or_left_open(case: str) -> None:
    changes, values, moved, left = FITTED[case]
    fitted = fit_setting(space().trial, setting_of(trial_config(**changes)))
    assert values.items() <= fitted.values.items()
    assert (fitted.moved, fitted.left) == (moved, left)
    assert fitted.fits


def test_settings_that_become_the_same_are_taken_once() -> None:
    rates = (2e-2, 5e-2, 1e-3)  # the first two lie above the range
    optimizers = [{"name": "adam", "lr": rate, "beta1": 0.5} for rate in rates]
    settings = [setting_of(trial_config(generator_optimizer=one)) for one in optimizers]
    assert [place for place, _ in fit_settings(space(), settings)] == [0, 2]


def test_a_setting_that_decides_nothing_does_not_fit() -> None:
    networks = {"generator": {"name": "mlp", "latent": 8, "hidden": {"choice": [[7], [7, 7]]}}}
    assert fit_settings(space(networks), [setting_of(trial_config())]) == []


def test_a_number_among_options_goes_to_the_nearest() -> None:
    averaged = space({**RANGES, "ema": {"choice": [0.0, 0.99, 0.999]}})
    fitted = fit_setting(averaged.trial, setting_of(trial_config(ema=0.98)))
    assert fitted.values["ema"] == 0.99
    assert "ema" in fitted.moved


def test_leaves_are_a_tree_again() -> None:
    config = trial_config(penalties=[{"name": "r1", "weight": 2.0}])
    tree = tree_of(setting_of(config))
    assert tree["penalties"] == [{"name": "r1", "weight": 2.0, "every": 1}]
    assert tree["generator"] == {**config.generator.tree(), "hidden": [16]}
    assert tree["data"] == {"batch_size": 16}


def test_families_tell_networks_and_ways_of_training_apart() -> None:
    kinds = {"points": "points", "zeroth_order": "points"}
    found = {
        name: family_of_space(shipped_space(name), kinds.get(name, "pictures"))
        for name in shipped_spaces()
    }
    assert found == {
        "conv": "convolutional",
        "digits": "mlp",
        "mlp": "mlp",
        "points": "points",
        "sparse_autoencoder": "mlp",
        "zeroth_order": "points without backpropagation",
    }


# ---------------------------------------------------------------- the file


def experience_with(*rates: float, family: str = "mlp") -> Experience:
    """Experience of settings with these learning rates, best first."""
    task = Task(objective="frechet_distance", mode="min", settings=len(rates), steps=100)
    entries = [
        Entry(
            setting=setting_of(trial_config(generator_optimizer={"name": "adam", "lr": rate})),
            tasks={"0123456789abcdef": Standing(rank=place)},
        )
        for place, rate in enumerate(rates, start=1)
    ]
    tasks = {"0123456789abcdef": task}
    return Experience(source="a test", tasks=tasks, portfolios={family: tuple(entries)})


def test_a_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = experience_with(1e-3, 2e-3)
    written.write(tmp_path / "team.json")
    assert read_experience(tmp_path / "team.json") == written


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "must be a file of experience: No such file or directory"),
        ("[]", "kind must be 'gan-tune experience': None"),
        ("{", "must be JSON, as `gan-tune learn` writes it"),
        ("[" * 100_000, "must be JSON, as `gan-tune learn` writes it"),
        ('{"kind": "another"}', "kind must be 'gan-tune experience': 'another'"),
        (
            '{"kind": "gan-tune experience", "version": 2}',
            "version must be 1; make it again with this version's `gan-tune learn`: 2",
        ),
        (
            '{"kind": "gan-tune experience", "version": 1, "source": "", "tasks": {}}',
            "portfolios: is required",
        ),
        ('{"kind": "gan-tune experience"}' + " " * 1_000_000, "must have at most 1,000,000 bytes"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(content: str | None, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "team.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ExperienceError) as raised:
        read_experience(path)
    assert str(raised.value).startswith(f"{path}: {rule}")
    assert "\n" not in str(raised.value)


def test_a_pipe_is_not_waited_for_and_a_huge_file_is_not_read(tmp_path: Path) -> None:
    pipe, huge = tmp_path / "pipe.json", tmp_path / "huge.json"
    os.mkfifo(pipe)
    with pytest.raises(ExperienceError, match="must be a regular file, not a pipe"):
        read_experience(pipe)
    huge.touch()
    os.truncate(huge, 10**13)
    with pytest.raises(ExperienceError, match="must have at most 1,000,000 bytes"):
        read_experience(huge)


def test_a_whole_number_that_is_no_real_one_is_refused(tmp_path: Path) -> None:
    tree = json.loads(SHIPPED.read_text())
    setting = next(iter(tree["portfolios"].values()))[0]["setting"]
    key = next(key for key, value in setting.items() if isinstance(value, float))
    setting[key] = 10**400
    path = tmp_path / "team.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(ExperienceError, match=re.escape(f"setting.{key}")):
        read_experience(path)


def test_what_is_shipped_fits_the_spaces_of_its_families() -> None:
    assert SHIPPED.stat().st_size < 1_000_000
    for name, kind in {"points": "points", "mlp": "pictures", "digits": "pictures"}.items():
        own = shipped_space(name)
        entries = shipped().portfolio(family_of_space(own, kind))
        assert 8 <= len(entries) <= MOST
        fitting = fit_settings(own, [entry.setting for entry in entries])
        assert len(fitting) >= 8
        assert all(entry.tasks.keys() <= shipped().tasks.keys() for entry in entries)
        assert all(entry.tasks for entry in entries)


# ---------------------------------------------------------------- learning from searches


def test_what_is_learnt_names_no_data_and_serves_all_tasks() -> None:
    adam = [{"generator_optimizer": {"name": "adam", "lr": rate}} for rate in (1e-3, 2e-3, 3e-3)]
    one, other = recorded(*adam), recorded(*adam, data=frozenset({"d2"}))

    def ranked(found: Any, order: list[int]) -> Any:
        trials = [
            replace(trial, curve={100: float(place)})
            for trial, place in zip(found.trials, order, strict=True)
        ]
        return replace(found, trials=trials)

    learnt, kept = _experience_of([ranked(one, [1, 2, 3]), ranked(other, [3, 2, 1])])
    assert kept == 6
    (entries,) = learnt.portfolios.values()
    rates = [entry.setting["generator_optimizer.lr"] for entry in entries]
    assert rates[0] == 2e-3 or set(rates[:2]) == {1e-3, 3e-3}
    assert {standing.rank for entry in entries for standing in entry.tasks.values()} == {1, 2, 3}
    text = learnt.model_dump_json()
    assert not any(word in text for word in ("digits", "d1", "old", "/"))


def test_parts_of_ones_own_and_unsound_trials_are_left_out() -> None:
    found = recorded({}, {})
    own = {**found.trials[0].params, "generator.name": "somebodys_module:Net"}
    told = replace(found, trials=[replace(found.trials[0], params=own), found.trials[1]])
    assert _experience_of([told])[1] == 1
    assert _experience_of([recorded({}, outcome="diverged")])[1] == 0


# ---------------------------------------------------------------- the key of a space file


@pytest.mark.parametrize(
    ("given", "file", "first"),
    [
        (8, None, 8),
        (3, None, 3),
        ("none", None, 0),
        (None, None, 0),
        ("team.json", "team.json", 8),
        ({"file": "team.json", "first": 2}, "team.json", 2),
    ],
)
def test_the_key_takes_a_number_none_or_a_file(given: Any, file: str | None, first: int) -> None:
    uses = space({}, search={"experience": given}).search.experience
    assert (uses.file, uses.first) == (file, first)


@pytest.mark.parametrize("given", [True, 2.5, -1, ["team.json"], {"first": "many"}, {"fil": "x"}])
def test_the_key_takes_nothing_else(given: Any) -> None:
    with pytest.raises(SpaceError) as raised:
        space({}, search={"experience": given})
    assert str(raised.value).startswith("search.experience")


def test_the_default_leaves_a_space_the_one_that_it_was() -> None:
    assert space({}).digest == space({}, search={"experience": 8}).digest
    assert space({}).digest != space({}, search={"experience": "none"}).digest
    assert "experience" not in json.dumps(space({}).decisive)


# ---------------------------------------------------------------- a search that begins


def context_of(own: SearchSpace, home: Storage, watcher: Watcher | None = None) -> SearchContext:
    return SearchContext(own, home, "", Names("toy", "toy", "toy"), watcher or Watcher())


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


def toy_space(**changes: Any) -> SearchSpace:
    tree: Mapping[str, Any] = space_tree(**changes)
    return SearchSpace.load(tree, catalogue())


def test_the_first_settings_are_chosen_once_and_tried_after_the_own_ones(tmp_path: Path) -> None:
    team = tmp_path / "team.json"
    experience_with(1e-3, 2e-3, 5e-1).write(team)
    own = toy_space(
        search={"experience": str(team)}, budget={"trials": 20, "steps": 40, "evaluations": 4}
    )
    home, watcher = open_storage(tmp_path / "runs").below("toy"), Notes()
    context = context_of(own, home, watcher)
    starts = first_settings(context, WarmStart())
    study = study_of_search(own, home, "toy", starts=starts)
    team.unlink()  # nothing reads it again
    assert first_settings(context, WarmStart()) == []
    study = study_of_search(own, home, "toy", starts=[Start("experience 1", {})])
    jobs = [study.ask() for _ in range(5)]
    assert [job.origin for job in jobs] == [
        "start 1",
        "experience 1",
        "experience 2",
        "experience 3",
        "sampled",
    ]
    rates = [job.config.generator_optimizer.args["lr"] for job in jobs[:4]]
    assert rates == [1e-4, 1e-3, 2e-3, 1e-2]
    assert any(
        "moved into the space's ranges: generator_optimizer.lr (1)" in t for t in watcher.told
    )


def test_a_search_begun_by_an_older_version_goes_on_without(tmp_path: Path) -> None:
    own, home = toy_space(), open_storage(tmp_path / "runs").below("toy")
    study_of_search(own, home, "toy")
    note = home.read_json(STUDY_NOTE)
    del note["starts"]
    home.write_json(STUDY_NOTE, note)
    study = study_of_search(
        own, home, "toy", starts=first_settings(context_of(own, home), WarmStart())
    )
    assert [study.ask().origin for _ in range(3)] == ["start 1", "sampled", "sampled"]


def test_experience_that_fits_nothing_is_said_and_the_search_goes_on(tmp_path: Path) -> None:
    team = tmp_path / "team.json"
    experience_with(1e-3, family="points").write(team)
    watcher = Notes()
    own = toy_space(search={"experience": str(team)})
    context = context_of(own, open_storage(tmp_path / "runs").below("toy"), watcher)
    assert first_settings(context, WarmStart()) == []
    rule = "holds no setting that fits this space; the search goes on without"
    assert watcher.told[-1] == f"experience: {team} {rule}"


def test_at_most_half_of_the_trials_are_from_elsewhere() -> None:
    for trials, most in ((1, 0), (5, 2), (40, 20)):
        own = toy_space(budget={"trials": trials, "steps": 40, "evaluations": 4})
        assert most_starts(own) == most
    own = toy_space(search={"scheduler": {"name": "pbt", "population": 4, "interval": 0.5}})
    assert most_starts(own) == 3


def test_starts_are_in_a_study_once_however_often_it_is_opened(tmp_path: Path) -> None:
    own, path = toy_space(), tmp_path / "study.journal"
    starts = [Start("experience 1", {"generator_optimizer.lr": 1e-3})]
    for _ in range(2):
        assert open_study(path, own, starts=starts).waiting() == 2


def test_without_a_start_of_its_own_the_first_setting_is_sampled_as_ever(tmp_path: Path) -> None:
    """The gain is measured against it."""
    own = toy_space(start_from=[])
    starts = [Start("experience 1", {"generator_optimizer.lr": 1e-3})]
    jobs = []
    for name, further in (("with", starts), ("without", [])):
        study = open_study(tmp_path / name, own, starts=further)
        jobs.append([study.ask(), study.ask()])
    assert jobs[0][0].config == jobs[1][0].config
    assert [job.origin for job in jobs[0]] == ["sampled", "experience 1"]


def test_the_best_of_each_origin_is_told() -> None:
    def row(setting: int, origin: str, value: float | None) -> Row:
        return Row.from_json(
            {
                **dict.fromkeys(("outcome", "mean", "spread")),
                "setting": setting,
                "origin": origin,
                "value": value,
                "seeds": 0,
                "steps": 1,
                "changes": {},
            }
        )

    rows = [
        row(0, "start 1", 5.0),
        row(3, "sampled", 2.0),
        row(1, "experience 1", 4.0),
        row(2, "experience 2", 3.0),
        row(4, "sampled", None),
        row(5, "", 1.0),
    ]
    for mode, expected in (
        ("min", {"start": 0, "experience": 2, "sampled": 3}),
        ("max", {"start": 0, "experience": 1, "sampled": 3}),
    ):
        found = best_by_origin(rows, Objective(metric="m", mode=mode))  # type: ignore[arg-type]
        assert {origin: best.setting for origin, best in found.items()} == expected


# ---------------------------------------------------------------- searches on other data


def test_the_best_of_a_search_on_other_data_are_tried_first() -> None:
    adam = [{"generator_optimizer": {"name": "adam", "lr": rate}} for rate in (1e-3, 2e-3, 1.0)]
    found = recorded(*adam, data=frozenset({"d2"}), metric_version="another")
    trials = [
        replace(trial, curve={100: value})
        for trial, value in zip(found.trials, (2.0, 1.0, 3.0), strict=True)
    ]
    warm = started(replace(found, trials=trials), space())
    assert warm.trials == []
    assert [start.origin for start in warm.starts] == [f"warm start {i}" for i in (1, 2, 3)]
    rates = [start.assignment["generator_optimizer.adam.lr"] for start in warm.starts]
    assert rates == [2e-3, 1e-3, 1e-2]
    (note,) = warm.notes()
    assert note == (
        "warm start: old: on other data, where values mean something else: 3 settings of the best "
        "to try first"
    )


# ---------------------------------------------------------------- end to end


@pytest.mark.ci
def test_a_team_s_searches_make_its_next_one_begin_better(tmp_path: Path) -> None:
    """Search, learn, search other data with it; what each setting comes from is told everywhere."""
    uri, storage = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "runs"
    where: dict[str, Any] = {"storage": storage, "tracking_uri": uri}
    plain = {"search": {"experience": "none"}}
    first = service.search(space_tree(**plain), **where)
    team = tmp_path / "team.json"
    learnt = service.learn([first.name], team, tracking_uri=uri)
    assert learnt.trials == len(first.rows)
    with pytest.raises(OutputError):
        service.learn([first.name], team, tracking_uri=uri)
    assert list(read_experience(team).portfolios) == ["mlp"]
    ring = {
        **space_tree()["trial"],
        "generator": {
            "name": "mlp",
            "latent": 8,
            "hidden": [16],
            "norm": {"choice": ["none", "batch"]},
        },
    }
    again = {
        "name": "next",
        "trial": ring,
        "search": {"experience": {"file": str(team), "first": 2}},
    }
    result = service.search(space_tree(**again), **where)
    assert sorted(row.origin for row in result.rows) == [
        "experience 1",
        "experience 2",
        "sampled",
        "sampled",
        "start 1",
    ]
    origins = {run.data.tags.get("gan_tune.origin") for run in runs_of(uri)}
    assert {"start 1", "experience 1", "sampled"} <= origins
    assert experience_file.SHIPPED.exists()
