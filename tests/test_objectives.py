"""Several objectives: the space file, the study, the front, the champion, the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import trial_tree
from optuna.trial import TrialState
from test_conductor import STEPS, Worker, result

from gan_tune.cli.printing.tables import pareto_table
from gan_tune.config import TrialConfig
from gan_tune.errors import SpaceError
from gan_tune.gan.training import train
from gan_tune.metrics import METRICS, build_judge
from gan_tune.parts.all_parts import catalogue, dataset_of
from gan_tune.searching.jobs import Job
from gan_tune.searching.rules.stopping import Asha, NoStopping, stopping_rule
from gan_tune.searching.study.insight import Insight
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.searching.study.plots import figures
from gan_tune.searching.study.samplers import SAMPLERS
from gan_tune.service.report_page import Heading, report_page
from gan_tune.space import SearchSpace
from gan_tune.storage.trial_records import Result

FIRST, SECOND = "energy_distance", "generator_parameters"
SEVERAL: dict[str, Any] = {
    "objective": [{"metric": FIRST, "mode": "min"}, {"metric": SECOND, "mode": "min"}],
    "confirm": {"top": 0},
}


def tree(**changes: Any) -> dict[str, Any]:
    left_out = ("steps", "evaluations", "seed", "objective")
    trial = {key: value for key, value in trial_tree().items() if key not in left_out}
    trial["data"] = {"name": "ring", "batch_size": 16}
    trial["generator"] = {"name": "mlp", "latent": 4, "hidden": [8], "output": "linear"}
    trial["generator_optimizer"] = {"name": "adam", "lr": {"log_uniform": [1e-4, 1e-2]}}
    return {
        "name": "toy",
        "budget": {"trials": 6, "steps": 100, "evaluations": 5},
        "trial": trial,
    } | changes


def space(**changes: Any) -> SearchSpace:
    return SearchSpace.load(tree(**changes), catalogue())


# ---------------------------------------------------------------- the space file


def test_one_objective_or_a_list_of_them() -> None:
    one = space(objective={"metric": FIRST, "mode": "min"})
    assert [o.metric for o in one.objectives] == [FIRST]
    several = space(objective=SEVERAL["objective"])
    assert [o.metric for o in several.objectives] == [FIRST, SECOND]
    assert several.objective.metric == FIRST
    config = several.config({"generator_optimizer.lr": 1e-3}, seed=0)
    assert config.objective.metric == FIRST
    assert config.measure == (SECOND,)
    assert several.digest != one.digest


@pytest.mark.parametrize(
    ("changes", "place", "rule"),
    [
        ({"objective": []}, "objective", "at least 1"),
        ({"objective": [*SEVERAL["objective"], {"metric": FIRST}]}, "objective.2.metric", "once"),
        (
            {"objective": [{"metric": FIRST}, {"metric": "energy"}]},
            "objective.1.metric",
            "must be one of",
        ),
        (
            {"objective": [{"metric": FIRST}, {"metric": "coverage", "mode": "min"}]},
            "objective.1.mode",
            "mode must be max",
        ),
        ({"objective": {"metric": FIRST, "mode": "low"}}, "objective.mode", "min"),
        ({"search": {"prune_on": "coverage"}}, "search.prune_on", "one of the objectives"),
        (SEVERAL | {"search": {"sampler": "cmaes"}}, "search.sampler", "one objective"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(changes: dict[str, Any], place: str, rule: str) -> None:
    with pytest.raises(SpaceError) as caught:
        space(**changes)
    told = {fault.path: fault.rule for fault in caught.value.faults}
    assert place in told
    assert rule in told[place]
    assert len(told) == 1


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize(
    ("changes", "place", "rule"),
    [
        ({"measure": {"choice": [["recall"], []]}}, "measure", "the same for every trial"),
        (
            {"choice": [{"label": "a", "measure": ["recall"]}, {"label": "b", "ema": 0.9}]},
            "choice.a.measure",
            "the same for every trial",
        ),
        ({"measure": 5}, "measure", "must be a list"),
        ({"measure": True}, "measure", "must be a list"),
        ({"measure": "recall"}, "measure", "must be a list"),
        ({"measure": ["no_such"]}, "measure.0", "must be one of"),
    ],
)
def test_what_is_measured_is_one_list(
    changes: dict[str, Any], place: str, rule: str, objectives: int
) -> None:
    plain = tree(objective=SEVERAL["objective"][:objectives])
    with pytest.raises(SpaceError) as caught:
        SearchSpace.load(plain | {"trial": plain["trial"] | changes}, catalogue())
    (fault,) = caught.value.faults
    assert fault.path == place
    assert rule in fault.rule


@pytest.mark.parametrize("metric", ["modes_covered", "reverse_kl"])
def test_what_one_mode_cannot_change_is_no_objective(metric: str) -> None:
    trial = tree()["trial"] | {"data": "gaussian"}
    with pytest.raises(SpaceError, match=f"{metric} needs several modes, and gaussian has one"):
        space(trial=trial, objective={"metric": metric, "mode": METRICS[metric].mode})


def test_nothing_is_stopped_but_by_the_objective_that_is_named() -> None:
    assert isinstance(stopping_rule(space(**SEVERAL)), NoStopping)
    assert isinstance(stopping_rule(space(**SEVERAL, search={"prune_on": FIRST})), Asha)


# ---------------------------------------------------------------- the search


def trade(job: Job, step: int) -> Result:
    """Good settings are big; the best report is the third, and its size is what counts."""
    good = step == STEPS[2]
    value = (10.0 - job.setting) if good else 20.0
    size = (100.0 + 10 * job.setting) if good else 1.0
    if job.setting == 4:
        size += 1000.0  # beaten by 5 in both
    best = value if step <= STEPS[2] else 10.0 - job.setting
    ended = "completed" if step == STEPS[-1] else None
    return replace(result(step, value, best, ended), scalars={FIRST: value, SECOND: size})


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "cmaes"])
def test_the_study_hears_all_values_of_the_best_report(tmp_path: Path, sampler: str) -> None:
    worker = Worker(tmp_path, **SEVERAL, search={"sampler": sampler}, trial=tree()["trial"])
    worker.run(trade)
    study = worker.study.optuna_study
    trials = study.get_trials()
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 6
    assert trials[2].values == [8.0, 120.0]
    rows = leaderboard(study, [])
    assert {row.setting for row in rows if row.on_front} == {0, 1, 2, 3, 5}
    assert rows[0].setting == 5, "the first objective decides"
    assert rows[0].further == {SECOND: 150.0}
    ending = worker.log.ended["0002"]
    assert (ending.value, ending.further) == (8.0, {SECOND: 120.0})


def test_settings_that_diverge_are_infeasible_and_off_the_front(tmp_path: Path) -> None:
    def curve(job: Job, step: int) -> Result:
        if job.setting in (1, 3):
            return result(step, None, None, "diverged")
        return trade(job, step)

    for sampler, trials in (("tpe", 30), ("gp", 15)):  # it begins after 10
        many = tree(budget={"trials": trials, "steps": 100, "evaluations": 5})
        folder = tmp_path / sampler
        worker = Worker(folder, **SEVERAL, search={"sampler": sampler}, **many)
        worker.run(curve)
        rows = leaderboard(worker.study.optuna_study, [])
        assert not any(row.on_front for row in rows if row.setting in (1, 3))
        assert sum(row.outcome == "completed" for row in rows) == trials - 2


@pytest.mark.parametrize("metric", [FIRST, SECOND])
def test_pruning_by_one_objective_goes_on_after_a_kill(tmp_path: Path, metric: str) -> None:
    def curve(job: Job, step: int) -> Result:
        value, size = 10.0 + job.setting, 100.0 - job.setting
        ended = "completed" if step == STEPS[-1] else None
        return replace(result(step, value, value, ended), scalars={FIRST: value, SECOND: size})

    def worker(folder: Path) -> Worker:
        changes = SEVERAL | {"search": {"prune_on": metric}, "trial": tree()["trial"]}
        rule = Asha(100, "min", reduction=2, grace=0.2)
        return Worker(folder, slots=1, rule=rule, **changes)

    through = worker(tmp_path / "through")
    through.run(curve)
    pruned = {s.number for s in through.study.settings() if s.outcome == "pruned"}
    # The first objective gets worse from setting to setting, the second better.
    # With the second, who waits at a rung (20, 40) is overtaken by the one that comes next.
    assert pruned == (set(range(1, 6)) if metric == FIRST else {0, 1})
    killed = worker(tmp_path / "killed")
    killed.run(curve, reports=6)
    again = worker(tmp_path / "killed")
    again.run(curve)
    assert again.study.settings() == through.study.settings()


def test_replicates_mean_every_objective(tmp_path: Path) -> None:
    def curve(job: Job, step: int) -> Result:
        heard = trade(job, step)
        more = {SECOND: heard.scalars[SECOND] + job.replicate}
        return replace(heard, scalars=dict(heard.scalars) | more)

    worker = Worker(tmp_path, **SEVERAL, search={"seeds": 3}, trial=tree()["trial"])
    worker.run(curve)
    assert worker.study.optuna_study.get_trials()[2].values == [8.0, 121.0]


def test_replicates_of_a_trade_off_all_run_without_prune_on(tmp_path: Path) -> None:
    def worse_but_smaller(job: Job, step: int) -> Result:
        value, size = 10.0 + job.setting, 100.0 - job.setting
        ended = "completed" if step == STEPS[-1] else None
        return replace(result(step, value, value, ended), scalars={FIRST: value, SECOND: size})

    worker = Worker(tmp_path, slots=1, **SEVERAL, search={"seeds": 3}, trial=tree()["trial"])
    worker.run(worse_but_smaller)
    assert {s.outcome for s in worker.study.settings()} == {"completed"}


def test_the_plots_and_what_mattered_follow_the_first_objective(tmp_path: Path) -> None:
    many = tree(budget={"trials": 24, "steps": 100, "evaluations": 5})
    worker = Worker(tmp_path, **SEVERAL, **many)
    worker.run(trade)
    study = worker.study.optuna_study
    drawn = figures(study, metric=FIRST)
    assert [axis.title.text for axis in (drawn["pareto_front"].layout.xaxis,)] == [FIRST]  # type: ignore[union-attr]
    assert not any(isinstance(figure, str) for name, figure in drawn.items() if name == "history")
    assert Insight(study).step == STEPS[-1]
    assert Insight(study).importances.settings == 24


@pytest.mark.parametrize("norm", ["none", "batch", "spectral"])
def test_what_the_generator_takes_is_counted(norm: str) -> None:
    """Layers 4-8-2: weights and biases, and one multiply-add for each weight."""
    changes = {"name": "mlp", "latent": 4, "hidden": [8], "output": "linear", "norm": norm}
    rate = {"name": "adam", "lr": 1e-3}
    trial = tree()["trial"] | {"generator": changes, "generator_optimizer": rate}
    metrics = (SECOND, "generator_multiply_adds")
    config = TrialConfig.from_tree(
        trial | {"steps": 4, "evaluations": 2, "measure": list(metrics)}, catalogue()
    )
    dataset = dataset_of(config.data)
    judge = build_judge(dataset, "selection", extra=metrics)
    scalars = [report.scalars for report in train(config, dataset, judge)]
    of_norm = 2 * 8 if norm == "batch" else 0
    assert [s[SECOND] for s in scalars] == [4 * 8 + 8 + 8 * 2 + 2 + of_norm] * 2
    assert [s["generator_multiply_adds"] for s in scalars] == [4 * 8 + 8 * 2] * 2
    without = TrialConfig.from_tree(trial | {"steps": 4, "evaluations": 2}, catalogue())
    plain = [report.scalars for report in train(without, dataset, judge)]
    assert [s["frechet_distance"] for s in plain] == [s["frechet_distance"] for s in scalars]


def test_a_page_shows_the_front(tmp_path: Path) -> None:
    worker = Worker(tmp_path, **SEVERAL, **tree(), slots=1)
    worker.run(trade)
    study = worker.study.optuna_study
    rows = leaderboard(study, [])
    page = report_page(worker.storage, study, rows, Heading("toy", "finished", FIRST, 1.0)).decode()
    assert "Pareto front" in page
    assert f'<th class="figure">{SECOND}</th>' in page
    table = pareto_table(rows, FIRST)
    assert table is not None
    assert table.row_count == 5
    assert pareto_table([replace(row, on_front=False) for row in rows], FIRST) is None
