"""Failed trials that are put back: what the study, the folders and MLflow hold then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from test_search import FailingGenerator
from tiny_search import runs_of, space_tree
from toy_study import CONDITIONAL
from written_search import WrittenSearch

from gan_tune import service
from gan_tune.errors import GanTuneError, SearchLockedError, SearchNotFoundError
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.leading.confirming import stored_confirmations
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.rules.stopping import NoStopping
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.study import Study
from gan_tune.service.running.note import SearchNote
from gan_tune.service.running.retrying import put_back, take_up, trials_put_back
from gan_tune.space import SearchSpace
from gan_tune.storage.lease import hold
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders


class MendedGenerator(FailingGenerator):
    """A user's generator that fails as its base does, until its fault is mended."""

    def __init__(self, shape: tuple[int, ...], mended: str, latent: int = 8) -> None:
        super().__init__(shape, latent)
        self.mended = Path(mended)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if self.mended.exists():
            self.calls = 0
        return super().forward(z)


def study_in(folder: Path, **search: Any) -> Study:
    """The study of a search of at most four settings, new or as it was left."""
    tree = space_tree(budget={"trials": 4, "steps": 100, "evaluations": 5})
    tree["search"] |= search
    tree["trial"] |= CONDITIONAL
    tree["start_from"] = [{"generator": {"latent": 5}}]
    return open_study(folder / "study.journal", SearchSpace.load(tree, catalogue()))


def with_outcomes(folder: Path, *outcomes: Any) -> Study:
    """A study of which so many settings have ended, each after a report."""
    study = study_in(folder)
    for number, outcome in enumerate(outcomes):
        job = study.ask()
        study.report(job.setting, 20, 3.0 + number)
        study.tell(job.setting, outcome, 3.0 + number)
    return study


def test_a_setting_is_handed_out_again_in_its_own_place(tmp_path: Path) -> None:
    study = with_outcomes(tmp_path, "failed", "completed", "failed")
    before = [study.job(number, 0) for number in range(3)]
    for _ in range(2):  # a kill may have come before the note was removed
        study.retry(0)
        study.retry(2)
    study = study_in(tmp_path)
    assert study.finish_proposals() == [before[0], before[2]]
    assert study.proposed() == 3
    assert [each.outcome for each in study.settings()] == [None, "completed", None]
    assert [report.setting for report in study.reports()] == [1]
    study.report(0, 40, 1.5)
    study.tell(0, "completed", 1.5)
    study.tell(2, "failed", None)
    study.retry(2)  # once more
    assert [job.setting for job in study.finish_proposals()] == [2]
    study.tell(2, "pruned", None)
    settings = study_in(tmp_path).settings()
    assert [each.outcome for each in settings] == ["completed", "completed", "pruned"]
    assert [each.value for each in settings] == [1.5, 4.0, None]
    own = study.optuna_study
    assert [trial.params for trial in own.trials] == [
        study.assignment(number) for number in range(3)
    ]
    rows = leaderboard(own, [])
    assert sorted(row.setting for row in rows) == [0, 1, 2]
    assert study.ask().setting == 3


def test_the_old_trial_stays_in_optuna_as_failed(tmp_path: Path) -> None:
    study = with_outcomes(tmp_path, "failed")
    study.retry(0)
    stored = optuna.load_study(
        study_name=None, storage=study._study._storage, sampler=optuna.samplers.RandomSampler()
    )
    assert [trial.state.name for trial in stored.trials] == ["FAIL", "RUNNING"]
    assert stored.trials[1].user_attrs["retries"] == 0


def failed_search(folder: Path) -> WrittenSearch:
    search = WrittenSearch(folder)
    SearchNote("frechet_distance", "min", 4, None).write(search.home)
    for trial, outcome in {
        "0000": "completed",
        "0001": "failed",
        "0002-confirm-1": "failed",
    }.items():
        search.start(trial)
        search.report(trial, 20)
        search.end(trial, outcome)
    search.start("0003")
    return search


def test_trials_wait_for_the_next_command(tmp_path: Path) -> None:
    search = failed_search(tmp_path)
    assert service.retry("digits", ["0001"], storage=tmp_path) == ["0001"]
    assert service.retry("digits", failed=True, storage=tmp_path) == ["0001", "0002-confirm-1"]
    assert trials_put_back(search.home) == ["0001", "0002-confirm-1"]
    assert search.folder("0001").ending() is not None, "nothing else has changed"


def test_what_is_put_back_begins_anew(tmp_path: Path) -> None:
    search = failed_search(tmp_path)
    study = with_outcomes(tmp_path, "completed", "failed", "completed")
    put_back(search.home, ["0001", "0002-confirm-1"])
    assert take_up(search.home, study) == ["0001", "0002-confirm-1"]
    assert [job.name for job in study.finish_proposals()] == ["0001"]
    for trial in ("0001", "0002-confirm-1"):
        folder = search.folder(trial)
        assert folder.ending() is None
        assert folder.report_steps() == folder.grid_steps() == []
        assert folder.description() is not None
    assert search.folder("0000").report_steps() == [20]
    assert not list(stored_confirmations(TrialFolders(search.home))), "it may be handed out again"
    assert take_up(search.home, study) == []


def test_a_replicate_begins_anew_and_the_ended_ones_stay(tmp_path: Path) -> None:
    search, study = WrittenSearch(tmp_path), study_in(tmp_path, seeds=2)
    study.ask()
    for trial, outcome in {"0000": "completed", "0000-seed-1": "failed"}.items():
        search.start(trial)
        search.report(trial, 100)
        search.end(trial, outcome)
    study.report(0, 100, 0.1)
    study.note_replicates(0, [0.1])
    study.tell(0, "completed", 0.1)
    put_back(search.home, ["0000-seed-1"])
    take_up(search.home, study)
    resumed = resume_search(study, TrialFolders(search.home), NoStopping())
    assert [job.name for job in resumed.waiting] == ["0000-seed-1"]
    search.report("0000-seed-1", 100, frechet_distance=0.3)
    search.end("0000-seed-1", "completed")
    (report,) = search.folder("0000-seed-1").reports()
    ending = search.folder("0000-seed-1").ending()
    assert ending is not None
    resumed.books.report(resumed.waiting[0], report)
    assert resumed.books.end(resumed.waiting[0], ending) is None
    (setting,) = study.settings()
    assert setting.values == (0.1, 0.3)
    assert setting.value == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("trials", "rule"),
    [
        ([], "must get either names of trials or --failed"),
        (["0010"], "no trial '0010'; near it there are: 000"),
        (["0001", "0000"], "must have failed to be retried, but 0000 is completed"),
        (["0003"], r"0003 is interrupted \(the same `gan-tune search` command continues it\)"),
    ],
)
def test_what_cannot_be_retried_is_refused(tmp_path: Path, trials: list[str], rule: str) -> None:
    search = failed_search(tmp_path)
    with pytest.raises(GanTuneError, match=rule) as raised:
        service.retry("digits", trials, storage=tmp_path)
    assert "\n" not in str(raised.value)
    assert trials_put_back(search.home) == []


def test_a_search_that_runs_or_is_none_or_keeps_a_population_is_refused(tmp_path: Path) -> None:
    search = failed_search(tmp_path)
    with pytest.raises(SearchNotFoundError, match="there are: digits"):
        service.retry("digit", failed=True, storage=tmp_path)
    held = hold(search.home.patient(0), "digits")
    with held, pytest.raises(SearchLockedError, match="gan-tune stop digits"):
        service.retry("digits", failed=True, storage=tmp_path)
    search.start("0004", lineage=[{"trial": "0000", "until": 20, "config": {}}])
    with pytest.raises(GanTuneError, match="a population replaces a failed trial by a fork"):
        service.retry("digits", ["0001"], storage=tmp_path)


def test_a_trial_that_begins_anew_has_a_new_run_alone(tmp_path: Path, uri: str) -> None:
    search = failed_search(tmp_path / "runs")
    search.finish()
    search.delivered(uri)
    old = search.runs(uri)["0001"]
    search.folder("0001").clear()
    search.report("0001", 20, frechet_distance=1.0)
    search.end("0001", "completed")
    search.finish()
    search.delivered(uri)
    assert search.lacks(uri) == []
    new = search.runs(uri)["0001"]
    assert new.info.run_id != old.info.run_id
    assert new.data.metrics["frechet_distance"] == 1.0
    assert new.data.tags["gan_tune.outcome"] == "completed"


@pytest.mark.ci
def test_what_has_failed_is_trained_again_once_its_fault_is_mended(
    tmp_path: Path, local_ray: None
) -> None:
    mended, runs = tmp_path / "mended", tmp_path / "runs"
    tree = space_tree(
        name="mended",
        confirm={"top": 1, "seeds": 1},
        budget={"trials": 3, "steps": 40, "evaluations": 4},
    )
    tree["trial"]["generator"] = {
        "name": "test_retry:MendedGenerator",
        "mended": str(mended),
        "latent": {"choice": [8, 9]},
    }
    tree["start_from"] = [{"generator": {"latent": latent}} for latent in (8, 9, 8)]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = service.search(tree, storage=runs, tracking_uri=uri, max_concurrent=1)
    assert result.finished
    assert result.outcomes["failed"] == 1
    mended.touch()
    assert service.retry("mended", failed=True, storage=runs) == ["0001"]
    result = service.search(tree, storage=runs, tracking_uri=uri, max_concurrent=1)
    assert result.finished
    assert set(result.outcomes) <= {"completed", "pruned"}, result.outcomes
    assert sum(result.outcomes.values()) == 3
    ending = TrialFolders(open_storage(runs / "mended"))["0001"].ending()
    assert ending is not None
    assert ending.outcome in ("completed", "pruned")
    (run,) = [r for r in runs_of(uri) if r.data.tags.get("gan_tune.trial") == "0001"]
    assert run.data.tags["gan_tune.outcome"] == ending.outcome
    again = service.search(tree, storage=runs, tracking_uri=uri, max_concurrent=1)
    assert again.champion == result.champion, "a finished search has nothing left to retry"
