"""What the benchmarks keep and print, without what they train."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import trial_tree

from benchmarks import busy_slots, evaluation, growth, modes, systems
from gan_tune.config import TrialConfig
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.service.trial_cost import TrialCost
from gan_tune.storage.trial_records import Result


def test_figures_of_another_champion_are_not_taken_for_this_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def measured(config: TrialConfig) -> dict[str, float]:
        trained.append((config.steps, config.seed))
        return {"steps": float(config.steps)}

    monkeypatch.setattr(modes, "measured", measured)
    for _ in range(2):
        for steps in (10, 20):
            for seed in (3, 4):
                figures = modes.trained_again(trial_tree(steps=steps), tmp_path, seed)
                assert figures == {"steps": steps}
    assert trained == [(10, 3), (10, 4), (20, 3), (20, 4)]


def test_a_search_without_a_tested_champion_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = SimpleNamespace(
        test={}, metric="coverage", outcomes={"pruned": 3}, seconds=60.0, champion=None, rows=[]
    )
    result.finished = True
    monkeypatch.setattr(systems.service, "search", lambda space, **options: result)
    row = systems.line("digits", tmp_path)
    cells = ["`digits`", "3", "1.0", "coverage", "nan (0)", "nan (0)", *["none"] * 4, "nan", "nan"]
    assert row == f"| {' | '.join(cells)} |"
    result.finished = False
    with pytest.raises(SystemExit, match="digits: interrupted"):
        systems.line("digits", tmp_path)


def test_evaluations_share_is_of_a_full_trial(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = TrialCost(0.01, 1.0, 2**30, 0)
    digits = evaluation.service.load_space("digits")  # 2,000 steps and 10 reports
    config = next(evaluation.settings(digits, 1))
    assert evaluation.share(config, cost) == pytest.approx(10 / 30)
    drawn = [config.digest() for config in evaluation.settings(digits, 3)]
    assert len(set(drawn)) == 3
    monkeypatch.setattr(evaluation, "measure", lambda config, **how: cost)
    monkeypatch.setattr("sys.argv", ["evaluation.py", "digits", "--settings", "2"])
    with pytest.raises(SystemExit) as ended:
        evaluation.main()
    assert ended.value.code == 1
    told = capsys.readouterr().out.splitlines()
    steps = evaluation.planned(digits, cost, slots=2).steps  # of a search of its minutes
    part = 10 / (10 + 0.01 * steps)
    assert f"| `digits` | {steps:,} | 10.00 | 1000 | {part:.1%} | 1024 |" in told
    assert told[-1] == "digits: must be at most 10%"


@pytest.mark.ci
def test_slots_that_wait_for_a_slow_driver_are_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = growth.space(8, "none")
    quick = busy_slots.lead(checked, tmp_path / "quick", 4, 1.0, None)
    reported = Conductor.reported

    def slow(conductor: Conductor, name: str, result: Result) -> bool:
        time.sleep(0.1)
        return reported(conductor, name, result)

    monkeypatch.setattr(Conductor, "reported", slow)
    late = busy_slots.lead(checked, tmp_path / "late", 4, 1.0, None)
    share, less = (found.busy / (4 * found.seconds) for found in (quick, late))
    assert 0.0 < less < share <= 1.0
    assert late.longest > quick.longest
