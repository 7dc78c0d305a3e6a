"""What a trial costs: measured in a process of its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from conftest import trial_config

from gan_tune import service
from gan_tune.errors import GanTuneError, SpaceError
from gan_tune.service import trial_cost
from gan_tune.service.trial_cost import TrialCost, answer, measure
from gan_tune.space import SearchSpace

GIB = 2**30
estimating = import_module("gan_tune.service.estimate")  # not the function of that name


def test_the_peak_of_memory_is_kept_and_is_the_process_own() -> None:
    """It counts what was freed again, and nothing of the process that started it."""
    code = (
        "from gan_tune.service.trial_cost import _peak_memory as peak\n"
        "before = peak(); block = bytearray(300 << 20); del block; print(before, peak())"
    )
    mine = bytearray(600 << 20)  # held here while the other runs
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert before < len(mine)
    assert 290 << 20 < after - before < 320 << 20


def test_an_error_in_the_process_is_raised_here(tmp_path: Path) -> None:
    given = (trial_config(), None, None, 1, False)  # no data set
    (tmp_path / "given").write_bytes(pickle.dumps(given))
    answer(str(tmp_path))
    error = pickle.loads((tmp_path / "measured").read_bytes())
    assert isinstance(error, AttributeError)
    assert "train(" in error.__notes__[0], "it says where"


def test_a_process_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_cost.sys, "executable", "false")
    with pytest.raises(GanTuneError, match=r"^100 steps .* ended with 1 \(-9: killed[^\n]*$"):
        measure(trial_config(), threads=1, device="cpu")


def sharing(gpu: float) -> SearchSpace:
    return service.load_space("digits", [f"resources.gpu={gpu}"])


@pytest.mark.parametrize(
    ("gpu", "needed"), [(0.1, 7.5), (0.5, 39.5), (1, 79.5), (2, 79.5), (0.3, 26)]
)  # CUDA takes half a GiB more for each
def test_a_share_of_a_gpu_that_fits_is_taken(
    gpu: float, needed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimating, "total_memory", lambda: 80 * GIB)
    estimating.check_gpu_share(sharing(gpu), int(needed * GIB))


@pytest.mark.parametrize(
    ("gpu", "needed", "says"),
    [
        (
            0.1,
            9,
            "10 trials would share a GPU of 80 GiB, and the first setting takes 9 GiB: must "
            "be at least 0.125: 0.1",
        ),
        (0.5, 41, "must be at least 1: 0.5"),
        (1, 81, "the first setting takes 81 GiB of a GPU of 80 GiB: it must be smaller: 1"),
    ],
)
def test_a_share_of_a_gpu_that_cannot_fit_is_refused(
    gpu: float, needed: float, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimating, "total_memory", lambda: 80 * GIB)
    with pytest.raises(SpaceError) as refused:
        estimating.check_gpu_share(sharing(gpu), int(needed * GIB))
    assert str(refused.value).startswith("digits: resources.gpu: ")
    assert str(refused.value).endswith(says)
    assert "\n" not in str(refused.value)


def test_an_estimate_refuses_what_was_measured_not_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = TrialCost(0.01, 0.5, GIB, 30 * GIB)
    monkeypatch.setattr(estimating, "trial_device", lambda **_: "cuda")
    monkeypatch.setattr(estimating, "measure", lambda config, **how: cost)
    monkeypatch.setattr(estimating, "total_memory", lambda: 80 * GIB)
    with pytest.raises(SpaceError, match=r"must be at least 0\.5: 0\.25$"):
        service.estimate(sharing(0.25))
