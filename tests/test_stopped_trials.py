"""`gan-tune stop NAME TRIAL`: one trial of a running search ends, the others go on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from test_conductor import Worker, steady

from gan_tune import service
from gan_tune.errors import GanTuneError
from gan_tune.searching.on_ray.conductor_proxy import ConductorProxy
from gan_tune.storage.places import SEARCH_NOTE


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """A search named toy."""
    ran = Worker(tmp_path / "toy", slots=2)
    ran.storage.write_json(SEARCH_NOTE, {})
    return ran


def test_a_named_trial_is_pruned_at_its_next_report_and_no_other(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.run(steady, reports=2)
    service.stop("toy", tmp_path, trials=["0001"])
    conductor = worker.conductor
    with monkeypatch.context() as through:  # as Tune's callbacks report
        proxy = ConductorProxy(conductor)
        through.setattr(
            worker,
            "conductor",
            SimpleNamespace(next_job=conductor.next_job, reported=proxy.reported),
        )
        worker.run(steady)
    outcomes = {name: ending.outcome for name, ending in worker.log.ended.items()}
    assert outcomes.pop("0001") == "pruned"
    assert set(outcomes.values()) == {"completed"}
    assert worker.log.ended["0001"].step == 40
    assert worker.study.proposed() == 6
    assert worker.storage.below("stop").names() == []


def test_trials_that_cannot_be_stopped_are_refused(worker: Worker, tmp_path: Path) -> None:
    worker.run(steady)
    for trial, rule in {
        "0099": "no trial '0099'; near it there are: ",
        "0000": "0000 has ended already: completed",
        "0005-confirm-1": "confirms a setting",
    }.items():
        with pytest.raises(GanTuneError) as caught:
            service.stop("toy", tmp_path, trials=[trial])
        assert "\n" not in str(caught.value)
        assert rule in str(caught.value)
    assert worker.storage.below("stop").names() == []
