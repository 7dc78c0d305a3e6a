"""What the benchmarks keep and print, without what they train."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import modes
import pytest
import systems
from conftest import trial_tree

from gan_tune.config import TrialConfig


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
    assert row == "| `digits` | 3 | 1.0 | coverage | nan (0) | nan (0) | none | nan | nan |"
    result.finished = False
    with pytest.raises(SystemExit, match="digits: interrupted"):
        systems.line("digits", tmp_path)
