"""Replicates: several seeds of a setting in the search, by themselves and in the conductor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from scipy import stats
from test_conductor import STEPS, Worker, result, space, steady

from gan_tune.searching.jobs import Job, Setting
from gan_tune.searching.leading.crowning import crown_champion
from gan_tune.searching.rules.confirmation import candidates
from gan_tune.searching.rules.replicates import Replicates, surely_worse
from gan_tune.searching.rules.stopping import Asha
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.storage.trial_records import Ending, Result

SEEDS = {"search": {"seeds": 3}, "confirm": {"top": 0}}


def known(curves: dict[int, list[list[float]]], *, seeds: int = 3, mode: Any = "min") -> Replicates:
    """Settings' replicates with one value a step, all at their end."""
    replicates = Replicates(seeds=seeds, steps=len(curves[0][0]), mode=mode)
    for setting, rows in curves.items():
        for seed, row in enumerate(rows):
            for step, value in enumerate(row, start=1):
                replicates.reported(setting, seed, step, value)
            replicates.ended(setting, seed, row[-1])
    return replicates


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_agrees_with_the_paired_t_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mine, theirs = rng.normal(0.7, 1.0, 6), rng.normal(0.0, 1.0, 6)
    p = stats.ttest_rel(mine, theirs, alternative="greater").pvalue
    assert surely_worse([*(mine - theirs)]) == (p < 0.05)


def test_one_pair_says_nothing_and_equal_ones_are_not_worse() -> None:
    assert not surely_worse([100.0])
    assert not surely_worse([0.0, 0.0])
    assert not surely_worse([1.0, float("inf")])
    assert surely_worse([1.0, 1.0])


@pytest.mark.parametrize("mode", ["min", "max"])
def test_who_is_behind_is_compared_seed_by_seed_at_the_same_step(mode: str) -> None:
    """Setting 1 is worse by 5 with every seed, though the seeds themselves differ by 100."""
    sign = 1.0 if mode == "min" else -1.0
    best = [[sign * (100.0 * seed + 10 - step) for step in range(3)] for seed in range(3)]
    worse = [[value + sign * 5 for value in row] for row in best]
    replicates = known({0: best, 1: worse[:2]}, mode=mode)
    replicates.reported(1, 2, 1, worse[2][0])
    assert not replicates.behind(1, 0, 3), "one pair"
    assert replicates.behind(1, 1, 1)
    assert replicates.behind(1, 2, 1)
    assert not replicates.behind(0, 2, 3), "the best itself"


def test_with_no_setting_that_has_all_its_replicates_nobody_is_behind() -> None:
    replicates = known({0: [[1.0], [1.0]], 1: [[9.0], [9.0]]})
    assert not replicates.behind(1, 1, 1)


def test_the_mean_is_over_the_replicates_that_ran_to_their_end() -> None:
    replicates = known({0: [[9.0, 4.0]]})
    assert replicates.mean(0) == 4.0
    replicates.reported(0, 1, 1, 8.0)
    assert replicates.mean(0) == 4.0, "one that was cut off would count"
    replicates.ended(0, 1, 6.0)
    assert replicates.mean(0) == 5.0
    replicates.ended(0, 2, None)
    assert replicates.mean(0) is None, "one never had a finite value"
    assert known({0: [[1.0]]}).next(0) == 1


# ---------------------------------------------------------------- in the conductor


def noisy(job: Job, step: int) -> Result:
    """Odd settings are lucky with their first seed and bad with all others."""
    luck = (-2.0, 2.0, 4.0)[job.replicate] if job.setting % 2 else 0.0
    value = 10.0 + luck - 0.001 * step
    return result(step, value, value, "completed" if step == STEPS[-1] else None)


def test_the_sampler_hears_the_mean_of_all_replicates(tmp_path: Path) -> None:
    worker = Worker(tmp_path, **SEEDS)
    worker.run(noisy)
    trials = worker.study.optuna_study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    for trial in trials:
        ends = [noisy(Job("", trial.number, r, None), 100).best for r in range(3)]  # type: ignore[arg-type]
        assert trial.value == pytest.approx(np.mean(ends))  # type: ignore[arg-type]
        assert trial.user_attrs["replicates"] == ends
        assert max(trial.intermediate_values) == 300
    row = leaderboard(worker.study.optuna_study, [])[0]
    assert row.setting % 2 == 0, "not the luckiest seed"
    assert (row.value_seeds, row.value_spread) == (3, 0.0)


def test_replicates_run_one_after_the_other_with_seeds_of_their_own(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=1, **SEEDS)
    worker.run(steady)
    assert worker.log.started[:4] == ["0000", "0000-seed-1", "0000-seed-2", "0001"]
    assert len(worker.log.started) == 18
    jobs = [worker.study.job(0, replicate) for replicate in range(5)]
    assert len({job.config.seed for job in jobs}) == 5
    assert [job.kind for job in jobs] == ["search"] * 3 + ["confirmation"] * 2


def test_who_is_stopped_at_its_first_replicate_gets_no_others(tmp_path: Path) -> None:
    def worse_and_worse(job: Job, step: int) -> Result:
        value = 10.0 + job.setting - 0.01 * step
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    worker = Worker(tmp_path, slots=1, rule=Asha(100, "min", reduction=2, grace=0.2), **SEEDS)
    worker.run(worse_and_worse)
    pruned = [name for name, end in worker.log.ended.items() if end.outcome == "pruned"]
    assert pruned
    assert all("-seed-" not in name for name in pruned)
    assert not {f"{name}-seed-1" for name in pruned} & set(worker.log.started)


def test_a_later_replicate_stops_once_its_setting_is_surely_worse(tmp_path: Path) -> None:
    def first_is_best(job: Job, step: int) -> Result:
        value = 10.0 + 5.0 * job.setting + 0.1 * job.replicate - 0.001 * step
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    worker = Worker(tmp_path, slots=1, **SEEDS)
    worker.run(first_is_best)
    assert worker.log.ended["0000-seed-2"].outcome == "completed"
    assert worker.log.ended["0003"].outcome == "completed"
    assert worker.log.ended["0003-seed-1"].outcome == "pruned"
    assert worker.log.ended["0003-seed-1"].step == STEPS[0]
    settings = worker.study.settings()
    assert [s.outcome for s in settings] == ["completed"] * 6, "what is known in full counts"
    assert settings[3].value == pytest.approx(24.9), "of its whole replicate alone"
    assert settings[3].steps == STEPS[-1]
    row = next(row for row in leaderboard(worker.study.optuna_study, []) if row.setting == 3)
    assert (row.value, row.value_seeds) == (pytest.approx(24.9), 1)


def test_a_replicate_that_was_behind_when_its_driver_was_killed_does_not_go_on(
    tmp_path: Path,
) -> None:
    def first_is_best(job: Job, step: int) -> Result:
        value = 10.0 + 5.0 * job.setting + 0.1 * job.replicate - 0.001 * step
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    killed = Worker(tmp_path, slots=1, **SEEDS)
    killed.run(first_is_best, reports=4 * len(STEPS))
    job = killed.conductor.next_job()
    assert isinstance(job, Job)
    stored = first_is_best(job, STEPS[0])
    killed.trials[job.name].write_report(stored)
    again = Worker(tmp_path, slots=1, **SEEDS)
    following = again.conductor.next_job()
    assert isinstance(following, Job)
    assert following.name == "0002"
    ending = again.log.ended["0001-seed-1"]
    assert (ending.outcome, ending.step) == ("pruned", STEPS[0])


@pytest.mark.parametrize("outcome", ["diverged", "collapsed"])
def test_a_replicate_that_goes_wrong_settles_its_setting(tmp_path: Path, outcome: Any) -> None:
    def curve(job: Job, step: int) -> Result:
        wrong = job.setting == 1 and job.replicate == 1 and step == 40
        return replace(steady(job, step), outcome=outcome) if wrong else steady(job, step)

    worker = Worker(tmp_path, **SEEDS)
    worker.run(curve)
    assert worker.study.settings()[1].outcome == outcome
    assert "0001-seed-2" not in worker.log.started


def test_an_early_report_outweighs_no_replicate_that_is_known_in_full(tmp_path: Path) -> None:
    """Setting 2 is slow at first and by far the best in the end, with every seed."""

    def late(job: Job, step: int) -> Result:
        value = 6.0 + 0.1 * job.setting + 0.2 * job.replicate - 0.001 * step
        if job.setting == 2:
            value = 300.0 - 3.0 * step + 0.2 * job.replicate
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    worker = Worker(tmp_path, slots=1, search={"seeds": 3}, confirm={"top": 1, "seeds": 1})
    worker.run(late)
    assert worker.log.ended["0002-seed-2"].outcome == "completed"
    assert worker.conductor.standings()[0].setting == 2


LOST = Result(40, {}, None, None, "failed", 0, error="OSError: the worker is gone")


@pytest.mark.parametrize("seed", range(40))
def test_a_setting_never_loses_by_a_further_replicate_that_is_stopped(
    seed: int, tmp_path: Path
) -> None:
    """In what Optuna hears, in its place and in the confirmation, against not having begun it."""
    rng = np.random.default_rng(seed)
    replicates, mode = int(rng.integers(2, 5)), ("min", "max")[seed % 2]
    settings = []
    for number in rng.permutation(6):
        full = int(rng.integers(1, replicates + 1))
        values = tuple(rng.normal(rng.normal(5, 3), 1, full))
        outcome = "completed" if full == replicates else None
        settings.append(Setting(int(number), outcome, float(np.mean(values)), 100, values))
    told = Replicates(seeds=replicates, steps=100, mode=mode)
    for one in settings:
        for replicate in rng.permutation(len(one.values)):
            told.ended(one.number, int(replicate), one.values[replicate])
    for place, one in enumerate(settings):
        for last in ("pruned", "failed"):
            after = replace(one, outcome=told.outcome(one.number, last))
            assert after.outcome == "completed"
            assert told.mean(one.number) == pytest.approx(one.value)
            others = [*settings[:place], after, *settings[place + 1 :]]
            for top in range(1, 7):
                was = candidates(settings, top=top, mode=mode, replicated=True)
                now = candidates(others, top=top, mode=mode, replicated=True)
                assert now == was


@pytest.mark.parametrize("end", [LOST, "behind"])
def test_a_setting_keeps_its_full_replicates_when_the_last_one_is_lost_or_stopped(
    tmp_path: Path, end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two objectives, too: the mean of each is over the full replicates."""
    if end == "behind":
        monkeypatch.setattr(Replicates, "behind", lambda _, setting, number, __: number == 2)

    def curve(job: Job, step: int) -> Result:
        if end is LOST and job.replicate == 2 and step == 40:
            return LOST
        heard = steady(job, step)
        return replace(heard, scalars={"generator_parameters": 10.0 + job.replicate})

    both = [{"metric": "frechet_distance"}, {"metric": "generator_parameters"}]
    wide = {"generator": {"name": "mlp", "latent": 8, "hidden": {"choice": [[8], [16]]}}}
    for objective in (both[:1], both):
        changes: dict[str, Any] = {"objective": objective, "trial": space().tree["trial"] | wide}
        if len(objective) > 1:
            changes["search"] = {"seeds": 3, "prune_on": "frechet_distance", "scheduler": "asha"}
        worker = Worker(tmp_path / str(len(objective)), slots=1, **SEEDS | changes)
        worker.run(curve)
        for trial in worker.study.optuna_study.trials:
            assert trial.state == TrialState.COMPLETE
            assert len(trial.user_attrs["replicates"]) == 2
            assert trial.values[1:] == [10.5][: len(objective) - 1]


@pytest.mark.parametrize("reports", [3, 7, 12, 16, 33, 50])
def test_a_search_with_replicates_goes_on_after_a_kill(tmp_path: Path, reports: int) -> None:
    through = Worker(tmp_path / "through", slots=1, **SEEDS)
    through.run(steady)
    killed = Worker(tmp_path / "killed", slots=1, **SEEDS)
    killed.run(steady, reports=reports)
    again = Worker(tmp_path / "killed", slots=1, **SEEDS)
    again.run(steady)
    assert again.study.settings() == through.study.settings()
    finished = {name for name, end in killed.log.ended.items() if end.outcome == "completed"}
    assert not finished & set(again.log.started), "no finished trial runs again"


def test_what_time_cut_off_stays_open_and_its_whole_replicate_may_become_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is time for one trial and a half."""

    def budget(minutes: float) -> dict[str, Any]:
        return {"trials": 2, "steps": 100, "evaluations": 5, "minutes": minutes}

    monkeypatch.setattr(
        "gan_tune.searching.leading.crowning._generator", lambda _, job, __: job.name
    )
    short = Worker(tmp_path, slots=1, search={"seeds": 3}, budget=budget(0.15))
    short.run(steady)
    assert {name: end.outcome for name, end in short.log.ended.items()} == {
        "0000": "completed", "0000-seed-1": "interrupted",
    }  # fmt: skip
    champion = crown_champion(short.conductor, None)  # type: ignore[arg-type]
    assert champion is not None
    whole = steady(short.study.job(0, 0), STEPS[-1]).best
    assert (champion.job.name, champion.mean, champion.confirmed) == ("0000", whole, False)
    longer = Worker(tmp_path, slots=1, search={"seeds": 3}, budget=budget(2.0))
    longer.run(steady)
    assert longer.log.started[:2] == ["0000-seed-1", "0000-seed-2"]
    assert [s.outcome for s in longer.study.settings()] == ["completed"] * 2


def test_a_kill_between_a_replicate_s_end_and_telling_of_it_loses_nothing(tmp_path: Path) -> None:
    through = Worker(tmp_path / "through", slots=1, **SEEDS)
    through.run(steady, reports=3 * len(STEPS))
    killed = Worker(tmp_path / "killed", slots=1, **SEEDS)
    killed.run(steady, reports=3 * len(STEPS) - 1)
    last = steady(killed.study.job(0, 2), STEPS[-1])
    trial = killed.trials["0000-seed-2"]
    trial.write_report(last)
    ending = Ending("completed", last.best, last.step)
    trial.write_ending(ending)
    assert Worker(tmp_path / "killed", **SEEDS).study.settings() == through.study.settings()


def test_confirmation_takes_seeds_that_the_search_has_not_seen(tmp_path: Path) -> None:
    worker = Worker(tmp_path, search={"seeds": 2}, confirm={"top": 1, "seeds": 2})
    worker.run(steady)
    assert {"0005-confirm-2", "0005-confirm-3"} <= set(worker.log.started)
    assert "0005-confirm-1" not in worker.log.started
    assert worker.conductor.standings()[0].seeds == 2


def test_a_later_replicate_may_diverge_at_its_first_report(tmp_path: Path) -> None:
    def curve(job: Job, step: int) -> Result:
        if job.setting == 3 and job.replicate == 1:
            return result(step, None, None, "diverged")
        return steady(job, step)

    worker = Worker(tmp_path, slots=1, **SEEDS)
    worker.run(curve)
    assert worker.study.settings()[3].outcome == "diverged"
    assert len(worker.study.settings()) == 6
