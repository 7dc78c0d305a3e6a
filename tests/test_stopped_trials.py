"""`gan-tune stop NAME TRIAL`: one trial of a running search ends, the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_conductor import Worker, steady

from gan_tune import service
from gan_tune.errors import GanTuneError
from gan_tune.searching.on_ray.conductor_proxy import ConductorProxy
from gan_tune.service.stop import forget_wishes
from gan_tune.storage.lease import hold
from gan_tune.storage.places import SEARCH_NOTE, STOP
from gan_tune.storage.trial_records import Result


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A search named toy, on which a command works."""
    ran = Worker(tmp_path / "toy", slots=2)
    ran.storage.write_json(SEARCH_NOTE, {})
    with hold(ran.storage.patient(1), "toy"):
        yield ran


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


def test_a_wish_goes_with_the_trial_that_ends_before_it_hears_of_it(
    worker: Worker, tmp_path: Path
) -> None:
    """Else a trial that is put back by `retry` would be pruned at once."""
    worker.run(steady, reports=2)
    service.stop("toy", tmp_path, trials=["0001"])
    proxy = ConductorProxy(worker.conductor)
    last = Result(step=100, scalars={}, value=1.0, best=1.0, outcome="completed", timestamp_ms=0)
    proxy.reported("0001", last)
    assert worker.log.ended["0001"].outcome == "completed"
    assert worker.storage.below("stop").names() == []


def test_the_next_command_forgets_what_an_earlier_one_did_not_hear(
    worker: Worker, tmp_path: Path
) -> None:
    worker.run(steady, reports=2)
    service.stop("toy", tmp_path, trials=["0000", "0001"])
    service.stop("toy", tmp_path)
    forget_wishes(worker.storage)
    assert worker.storage.below("stop").names() == []
    assert worker.storage.read(STOP) is None


def test_a_search_on_which_no_command_works_has_no_trial_to_stop(tmp_path: Path) -> None:
    ran = Worker(tmp_path / "toy", slots=2)
    ran.storage.write_json(SEARCH_NOTE, {})
    ran.run(steady, reports=2)
    with pytest.raises(GanTuneError, match=r"^toy: no command works on it"):
        service.stop("toy", tmp_path, trials=["0001"])
