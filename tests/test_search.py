"""A real search: Ray, Optuna, MLflow and the registry, on the digits, in the smallest form."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import ray
import torch
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tiny_search import TRIALS, runs_of, space_tree
from torch import nn

from gan_tune import service
from gan_tune.errors import DataError, GanTuneError, OutageError, SpaceError
from gan_tune.gan import checkpoint
from gan_tune.gan.checkpoint import FILE_NAME as CHECKPOINT
from gan_tune.metrics import build_judge
from gan_tune.parts.all_parts import catalogue, dataset_of
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.confirming import stored_standings
from gan_tune.searching.on_ray.trainable import GanTrainable
from gan_tune.searching.study.insight import Insight
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.searching.study.opening import open_study, study_as_it_stands
from gan_tune.service.damage import Damage
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result
from gan_tune.watching.watcher import Watcher


class FailingGenerator(nn.Module):
    """A user's generator that raises once it is trained with too wide a latent space."""

    def __init__(self, shape: tuple[int, ...], latent: int = 8) -> None:
        super().__init__()
        self.latent, self.shape = latent, shape
        self.net = nn.Linear(latent, 64)
        self.calls = 0

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if self.latent > 8 and self.training:
            self.calls += 1
        if self.calls > 9:  # a first look finds it sound
            raise ValueError("this generator\ncannot be trained")
        return torch.sigmoid(self.net(z)).unflatten(1, self.shape)


class MortalGenerator(FailingGenerator):
    """A user's generator that takes its worker along, once, in the middle of a training."""

    def __init__(self, shape: tuple[int, ...], grave: str, latent: int = 8) -> None:
        super().__init__(shape, latent)
        self.grave, self.batches = Path(grave), 0

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.batches += 1
        worker = ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None
        if worker and self.batches > 25 and not self.grave.exists():
            self.grave.touch()
            os._exit(1)
        return super().forward(z)


@dataclass(frozen=True)
class Finished:
    folder: Path
    uri: str
    result: service.SearchResult

    def runs(self) -> list[Run]:
        return runs_of(self.uri)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Finished:
    folder = tmp_path_factory.mktemp("search")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    result = service.search(space_tree(), storage=folder / "runs", tracking_uri=uri)
    return Finished(folder, uri, result)


def children(finished: Finished) -> dict[str, Run]:
    runs = [run for run in finished.runs() if "mlflow.parentRunId" in run.data.tags]
    assert len(runs) == len({run.data.tags["gan_tune.trial"] for run in runs})
    return {run.data.tags["gan_tune.trial"]: run for run in runs}


@pytest.mark.ci
def test_every_trial_is_recorded_once_and_none_is_left_running(finished: Finished) -> None:
    runs = children(finished)
    assert {f"{number:04d}" for number in range(TRIALS)} <= runs.keys()
    assert len([name for name in runs if "confirm" in name]) >= 2
    assert all(run.info.status != "RUNNING" for run in finished.runs())
    parents = [run for run in finished.runs() if "mlflow.parentRunId" not in run.data.tags]
    assert [parent.info.status for parent in parents] == ["FINISHED"]
    outcomes = Counter(run.data.tags["gan_tune.outcome"] for n, run in runs.items() if len(n) == 4)
    assert outcomes == finished.result.outcomes


@pytest.mark.ci
def test_the_record_agrees_with_what_was_stored(finished: Finished) -> None:
    client = MlflowClient(finished.uri)
    home = open_storage(finished.folder / "runs" / "tiny")
    for name, run in children(finished).items():
        reports = TrialFolders(home)[name].reports()
        history = client.get_metric_history(run.info.run_id, "frechet_distance")
        recorded = sorted((metric.step, metric.value) for metric in history)
        assert recorded == [(r.step, r.scalars["frechet_distance"]) for r in reports]
        pictures = [f.path for f in client.list_artifacts(run.info.run_id, "images")]
        assert len([p for p in pictures if p.endswith(".png")]) == len(reports)
        described = home.read_json(f"trials/{name}/trial.json")
        lr = described["params"]["generator_optimizer.lr"]
        assert float(run.data.params["generator_optimizer.lr"]) == pytest.approx(lr, rel=1e-12)


@pytest.mark.ci
def test_optuna_agrees_with_the_record(finished: Finished) -> None:
    folder = finished.folder / "runs" / "tiny"
    space = service.load_space(space_tree())
    study = open_study(folder / "study.journal", space)
    for setting in study.settings():
        run = children(finished)[f"{setting.number:04d}"]
        assert run.data.tags["gan_tune.outcome"] == setting.outcome
        if setting.value is not None:
            assert run.data.metrics["best.frechet_distance"] == pytest.approx(setting.value)
    assert study.finish_proposals() == []


@pytest.mark.ci
def test_the_champion_is_registered_and_draws(finished: Finished) -> None:
    result = finished.result
    assert result.finished
    assert result.promoted
    assert result.champion is not None
    generator = service.load_generator("tiny", tracking_uri=finished.uri)
    samples = generator.sample(70, seed=1)
    assert samples.shape == (70, 1, 8, 8)
    assert 0 <= float(samples.min()) <= float(samples.max()) <= 1
    assert result.grid is not None
    assert Path(result.grid).read_bytes().startswith(b"\x89PNG")
    assert result.gain is not None
    assert result.test["test.frechet_distance"] > result.test["test.floor.frechet_distance"]


@pytest.mark.ci
def test_the_record_of_the_search_holds_its_report_and_a_look_inside(finished: Finished) -> None:
    (parent,) = (run for run in finished.runs() if "mlflow.parentRunId" not in run.data.tags)
    client = MlflowClient(finished.uri)
    recorded = Path(client.download_artifacts(parent.info.run_id, "report.html")).read_bytes()
    assert recorded == (finished.folder / "runs" / "tiny" / "report.html").read_bytes()
    alone = Path(client.download_artifacts(parent.info.run_id, "plots.html")).read_text()
    assert "Plotly.newPlot(" in alone
    seen = {f.path for f in client.list_artifacts(parent.info.run_id, "champion")}
    names = ("interpolations", "neighbours", "traversals")
    assert seen == {f"champion/{name}.png" for name in names}
    assert parent.data.metrics["champion.nearest_neighbour_ratio"] > 0


@pytest.mark.ci
def test_onlookers_find_the_leaderboard_of_the_result(finished: Finished) -> None:
    folder = finished.folder / "runs" / "tiny"
    study = study_as_it_stands(folder / "study.journal")
    rows = leaderboard(study, stored_standings(open_storage(folder), study, Damage()))
    assert rows == finished.result.rows
    assert asdict(Insight(study).importances) == finished.result.mattered


@pytest.mark.ci
def test_a_finished_search_is_not_run_again(finished: Finished) -> None:
    before = len(finished.runs())
    again = service.search(
        space_tree(), storage=finished.folder / "runs", tracking_uri=finished.uri
    )
    assert again == finished.result
    assert len(finished.runs()) == before
    assert service.load_result("tiny", finished.folder / "runs") == finished.result


@pytest.mark.ci
def test_a_changed_space_is_refused_with_what_has_changed(finished: Finished) -> None:
    tree = space_tree(confirm={"top": 2, "seeds": 2})
    with pytest.raises(SpaceError, match="the space has changed since this search began") as raised:
        service.search(tree, storage=finished.folder / "runs", tracking_uri=finished.uri)
    assert str(raised.value).splitlines()[1:] == ["tiny: confirm.top: was 1, is 2"]


class Noting(Watcher):
    """A watcher that remembers the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.ci
def test_a_warm_start_tells_the_sampler_and_nobody_else(
    finished: Finished, local_ray: None
) -> None:
    """A shorter search: it is named anew, told once, and on its own otherwise."""
    tree = space_tree(
        budget={"trials": 3, "steps": 20, "evaluations": 2}, confirm={"top": 1, "seeds": 1}
    )
    options: dict[str, Any] = {
        "storage": finished.folder / "runs",
        "tracking_uri": finished.uri,
        "warm_start": ["tiny"],
    }
    watcher = Noting()
    result = service.search(tree, watcher=watcher, **options)
    assert watcher.notes == [
        "tiny has another space or no such warm start; this search is tiny-2",
        f"warm start: {TRIALS} trials of tiny: {TRIALS} used, 0 shifted, 0 dropped",
    ]
    assert result.name == "tiny-2"
    assert sorted(row.setting for row in result.rows) == [0, 1, 2]
    home = open_storage(finished.folder / "runs" / "tiny-2")
    assert [name for name in home.names("trials") if len(name) == 4] == ["0000", "0001", "0002"]
    study = optuna.load_study(
        study_name=None,
        storage=JournalStorage(JournalFileBackend(f"{home.folder}/study.journal")),
    )
    warm = {t.user_attrs["warm_start"]: t for t in study.trials if "warm_start" in t.user_attrs}
    first = open_storage(finished.folder / "runs" / "tiny")
    assert warm.keys() == {f"tiny/{number:04d}" for number in range(TRIALS)}
    for source, trial in warm.items():
        reports = TrialFolders(first)[source.removeprefix("tiny/")].reports()
        assert trial.intermediate_values == {r.step: r.best for r in reports if r.step <= 20}
    (parent,) = (r for r in finished.runs() if r.data.tags.get("gan_tune.warm_start"))
    assert parent.data.tags["gan_tune.search"] == "tiny-2"
    before = len(finished.runs())
    assert service.search(tree, **options) == result
    assert len(finished.runs()) == before


@pytest.mark.ci
@pytest.mark.parametrize(
    ("changes", "names", "rule"),
    [
        ({}, ["tinny"], r"no search named 'tinny' in .*; there are: tiny"),
        (
            {"objective": {"metric": "coverage", "mode": "max"}},
            ["tiny"],
            "warm start: tiny: the objective must be that of the new search, "
            r"coverage \(max\): frechet_distance \(min\)",
        ),
    ],
)
def test_a_warm_start_that_cannot_be_is_refused_and_begins_nothing(
    finished: Finished, tmp_path: Path, changes: dict[str, Any], names: list[str], rule: str
) -> None:
    tree = space_tree(name="fresh", **changes)
    with pytest.raises(GanTuneError, match=rule) as raised:
        service.search(tree, storage=tmp_path / "runs", tracking_uri=finished.uri, warm_start=names)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.ci
def test_a_warm_start_from_other_data_gives_its_best_settings_as_starts(
    finished: Finished, tmp_path: Path
) -> None:
    trial = space_tree()["trial"] | {
        "data": {"name": "ring", "size": 1000},
        "generator": {"name": "mlp", "latent": 2, "hidden": [8], "output": "linear"},
    }
    options: dict[str, Any] = {"tracking_uri": finished.uri, "warm_start": ["tiny"]}
    tree = space_tree(name="fresh", trial=trial)
    result = service.search(tree, storage=tmp_path / "runs", **options)
    origins = {row.setting: row.origin for row in result.rows}
    assert [origins[i] for i in range(4)] == ["start 1", "warm start 1", "warm start 2", "sampled"]
    best = next(row for row in finished.result.rows if row.outcome == "completed")
    rate = "generator_optimizer.lr"
    tried = {row.changes[rate] for row in result.rows if row.origin.startswith("warm start")}
    assert best.changes[rate] in tried


@pytest.mark.ci
def test_a_search_refused_for_its_metric_leaves_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the mended space would be refused as one that has changed since its search began."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("GAN_TUNE_INCEPTION", raising=False)
    tree = space_tree(trial=space_tree()["trial"] | {"measure": ["fid"]})
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(DataError, match="fid needs"):
        service.search(tree, storage=tmp_path / "runs", tracking_uri=uri)
    left = {path.name for path in (tmp_path / "runs" / tree["name"]).iterdir()}
    assert left == {"lease", "running.json"}


@pytest.mark.ci
def test_a_trial_fails_alone_when_it_raises_again_in_another_worker(
    tmp_path: Path, local_ray: None
) -> None:
    tree = space_tree(name="failing", confirm={"top": 1, "seeds": 1})
    tree["trial"]["generator"] = {
        "name": "test_search:FailingGenerator",
        "latent": {"choice": [8, 9]},
    }
    tree["start_from"] = [{"generator": {"latent": latent}} for latent in (8, 9, 8, 9, 8)]
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri, max_concurrent=1)
    assert result.outcomes["failed"] == 2
    assert sum(result.outcomes.values()) == TRIALS
    runs = Finished(tmp_path, uri, result).runs()
    failed = [run for run in runs if run.data.tags.get("gan_tune.outcome") == "failed"]
    assert {run.info.status for run in failed} == {RunStatus.to_string(RunStatus.FAILED)}
    assert failed[0].data.tags["gan_tune.error"] == "ValueError: this generator"


@pytest.mark.ci
def test_a_trial_goes_on_where_its_worker_has_died(tmp_path: Path, local_ray: None) -> None:
    grave = tmp_path / "grave"
    tree = space_tree(name="mortal", confirm={"top": 1, "seeds": 1})
    tree["trial"]["generator"] = {"name": "test_search:MortalGenerator", "grave": str(grave)}
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri, max_concurrent=1)
    assert grave.exists()
    assert set(result.outcomes) <= {"completed", "pruned"}, result.outcomes
    assert sum(result.outcomes.values()) == TRIALS
    for run in Finished(tmp_path, uri, result).runs():
        assert run.info.status == RunStatus.to_string(RunStatus.FINISHED), run.data.tags
    home = open_storage(tmp_path / "runs" / "mortal")
    steps = TrialFolders(home)["0000"].report_steps()
    assert steps == [10, 20, 30, 40], "each report once, the first trial's, too"


@pytest.mark.ci
def test_no_worker_is_started_in_vain(tmp_path: Path, local_ray: None) -> None:
    """Where trials are shorter than the start of a worker, as many start as there are slots."""
    before = set(ray._private.state.actors())
    tree = space_tree(name="short", confirm={"top": 0}, resources={"cpu": 0.2})
    tree["budget"] = {"trials": 40, "steps": 1, "evaluations": 1}
    tree["objective"] = {"metric": "energy_distance", "mode": "min"}
    tree["trial"]["data"] = {"name": "ring", "size": 500, "scale": "symmetric"}
    tree["trial"]["generator"] = {"name": "mlp", "latent": 2, "output": "tanh"}
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri)
    assert sum(result.outcomes.values()) == 40
    # Fewer than the slots are enough for so short trials, since few workers start at a time.
    assert 1 <= len(set(ray._private.state.actors()) - before) <= 10


class Disturbed:
    """A watcher during whose last stage something goes wrong."""

    def stage(self, text: str) -> None:
        if text.startswith("exporting"):
            raise KeyboardInterrupt

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


@pytest.mark.ci
def test_a_search_disturbed_at_its_very_end_leaves_nothing_running_and_is_concluded_later(
    tmp_path: Path, local_ray: None
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tree = space_tree(name="disturbed", confirm={"top": 1, "seeds": 1})
    options: dict[str, Any] = {"storage": tmp_path / "runs", "tracking_uri": uri}
    with pytest.raises(KeyboardInterrupt):
        service.search(tree, watcher=Disturbed(), **options)
    runs = Finished(tmp_path, uri, None).runs()  # type: ignore[arg-type]
    assert "RUNNING" not in {run.info.status for run in runs}
    result = service.search(tree, **options)
    assert result.finished
    assert result.promoted
    again = Finished(tmp_path, uri, result).runs()
    assert len(again) == len(runs), "no trial was run again"


class Locking(Watcher):
    """Locks the study as soon as a trial has reported, as another process would."""

    def __init__(self, path: Path) -> None:
        self.other = sqlite3.connect(path)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        if not self.other.in_transaction:
            self.other.execute("BEGIN IMMEDIATE")


@pytest.mark.ci
def test_a_study_that_stays_locked_ends_the_search_in_one_line_and_it_goes_on_later(
    tmp_path: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_tune.searching.study.database.LOCK_PATIENCE", 0.2)
    uri, studies = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "studies.db"
    tree = space_tree(
        name="locked", search={"study": f"sqlite:///{studies}"}, confirm={"top": 1, "seeds": 1}
    )
    options: dict[str, Any] = {"storage": tmp_path / "runs", "tracking_uri": uri}
    with (
        closing((locking := Locking(studies)).other),
        pytest.raises(OutageError, match="must not stay locked by another") as raised,
    ):
        service.search(tree, watcher=locking, outage_minutes=0.02, **options)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1
    runs = Finished(tmp_path, uri, None).runs()  # type: ignore[arg-type]
    assert "RUNNING" not in {run.info.status for run in runs}
    result = service.search(tree, **options)
    assert result.finished
    assert "interrupted" not in result.outcomes
    assert sum(result.outcomes.values()) == TRIALS


@pytest.mark.ci
def test_the_time_is_kept_although_no_report_is_at_hand(tmp_path: Path, local_ray: None) -> None:
    """The trials are stored and end with the search, which is finished."""
    budget = {"minutes": 0.2, "steps": 10_000_000, "evaluations": 2}
    tree = space_tree(name="timed", budget=budget)
    result = service.search(tree, storage=tmp_path / "runs", offline=True)
    assert result.finished
    assert result.champion is None
    assert result.seconds is not None
    assert abs(result.seconds - 12) < 10  # other tests share the cores; alone it is one or two
    assert set(result.outcomes) == {"interrupted"}
    trials = TrialFolders(open_storage(tmp_path / "runs" / "timed"))
    assert all(trials[name].checkpoint() is not None for name in trials.names())


class StoppedAt(Watcher):
    """Has the search stopped from elsewhere at one of its stages."""

    def __init__(self, stage: str, storage: Path) -> None:
        self.at, self.storage = stage, storage

    def stage(self, text: str) -> None:
        if text.startswith(self.at):
            service.stop("early", self.storage)


@pytest.mark.ci
@pytest.mark.parametrize("stage", ["loading data", "timing some steps"])
def test_a_wish_to_stop_is_heard_before_the_first_trial(
    stage: str, tmp_path: Path, local_ray: None
) -> None:
    tree = space_tree(name="early", budget={"minutes": 30})
    runs = tmp_path / "runs"
    result = service.search(tree, storage=runs, offline=True, watcher=StoppedAt(stage, runs))
    assert not result.finished
    assert "completed" not in result.outcomes
    assert not (runs / "early" / "stop.json").exists()


@pytest.mark.ci
@pytest.mark.parametrize("name", ["pbt", "pb2"])
def test_a_population_is_bred_recorded_and_confirmed_by_replay(
    name: str, tmp_path: Path, local_ray: None
) -> None:
    tree = space_tree(
        name="herd",
        budget={"trials": 7, "steps": 80, "evaluations": 4},
        search={"scheduler": {"name": name, "population": 3}},
        confirm={"top": 3, "seeds": 1},
    )
    for attempt in range(3):  # a worker that starts too late finds the others at their ends
        uri = f"sqlite:///{tmp_path / f'mlflow-{attempt}.db'}"
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        result = service.search(tree, storage=tmp_path / "runs", tracking_uri=uri)
        if "pruned" in result.outcomes:
            break
    assert result.finished
    assert result.promoted
    # Who is compared with whom depends on who reports first.
    assert result.outcomes["completed"] == 3
    assert 1 <= result.outcomes["pruned"] <= 4
    assert len(result.outcomes) == 2
    found = children(Finished(tmp_path, uri, result))
    assert all(run.info.status == "FINISHED" for run in found.values())
    home, client = open_storage(tmp_path / "runs" / "herd"), MlflowClient(uri)

    def steps(trial: str) -> list[int]:
        history = client.get_metric_history(found[trial].info.run_id, "frechet_distance")
        return sorted(metric.step for metric in history)

    forks = {
        trial: run.data.tags for trial, run in found.items() if "gan_tune.parent" in run.data.tags
    }
    assert sorted(forks) == [f"{3 + i:04}" for i in range(result.outcomes["pruned"])]
    for trial, tags in forks.items():
        begun = int(tags["gan_tune.parent_step"])
        assert begun in steps(tags["gan_tune.parent"])
        own = steps(trial)
        assert own == [at for at in (20, 40, 60, 80) if begun < at <= own[-1]]
        lineage = home.read_json(f"trials/{trial}/trial.json")["lineage"]
        assert lineage[-1]["trial"] == tags["gan_tune.parent"]
    replayed = [trial for trial in found if trial[:4] in forks and "-confirm-" in trial]
    assert replayed, "a fork is among the three that completed"
    for trial in replayed:
        assert steps(trial) == [20, 40, 60, 80]
        phases = home.read_json(f"trials/{trial}/trial.json")["lineage"]
        last = int(phases[-1]["until"])
        reports = TrialFolders(home)[trial].reports()
        assert all(report.best is None for report in reports if report.step <= last)
        values = [report.value for report in reports if report.step > last]
        assert home.read_json(f"trials/{trial}/outcome.json")["value"] == min(values)
    assert result.champion is not None
    assert result.champion.confirmed
    best = service.best("herd", tmp_path / "runs", tracking_uri=uri)
    assert best.lineage == result.champion.lineage
    assert bool(best.lineage) == (result.champion.trial[:4] in forks)
    page = service.report("herd", tmp_path / "herd.html", tmp_path / "runs")
    assert page.stat().st_size > 10_000
    more = tree | {"budget": {"trials": 9, "steps": 80, "evaluations": 4}}
    with pytest.raises(SpaceError) as raised:
        service.search(more, storage=tmp_path / "runs", tracking_uri=uri)
    assert str(raised.value) == (
        "herd: budget.trials: must stay 7, since all 3 members of the population have run their "
        "full length and can no longer be replaced; use --fresh or another --name: 9"
    )


def worker_of(folder: Path, job: Job, **options: Any) -> GanTrainable:
    """A worker without Ray around it."""
    dataset = dataset_of(job.config.data)
    trainable = GanTrainable.__new__(GanTrainable)
    trainable.setup(
        {"job": job},
        dataset=dataset,
        judge=build_judge(dataset, "selection"),
        storage=open_storage(folder),
        threads=1,
        **{"gpu": False, **options},
    )
    return trainable


def reports_of(worker: GanTrainable, job: Job, *, count: int = 99) -> list[Result]:
    """The first reports of a trial, or all."""
    worker.reset_config({"job": job})
    heard: list[Result] = []
    while len(heard) < count and (not heard or heard[-1].outcome is None):
        heard.append(worker.step()["report"])
    return heard


def figures(results: list[Result]) -> list[Any]:
    return [(r.step, r.scalars, r.value, r.best, r.outcome) for r in results]


@pytest.mark.ci
def test_trial_b_after_a_equals_b_alone(tmp_path: Path, local_ray: None) -> None:
    """On one worker: nothing of a trial is left for the next."""
    study = open_study(tmp_path / "study.journal", SearchSpace.load(space_tree(), catalogue()))
    a, b = study.ask(), study.ask()
    warm, alone = worker_of(tmp_path / "warm", a), worker_of(tmp_path / "alone", a)
    reports_of(warm, a, count=2)  # stopped in the middle, as by a scheduler
    assert figures(reports_of(warm, b)) == figures(reports_of(alone, b))


@pytest.mark.ci
def test_weights_are_stored_where_a_trial_may_pause_and_once_the_time_may_end(
    tmp_path: Path, local_ray: None
) -> None:
    study = open_study(tmp_path / "study.journal", SearchSpace.load(space_tree(), catalogue()))
    job = study.ask()
    through = reports_of(worker_of(tmp_path / "through", job), job)
    steps = [report.step for report in through]
    for given, stored in (
        (job, None),
        (replace(job, pause_steps=(steps[0],)), steps[0]),
        (replace(job, always_store_after=0.0), steps[1]),
    ):
        folder = tmp_path / str(stored)
        reports_of(worker_of(folder, job), given, count=2)
        saved = open_storage(folder).read(f"trials/{job.name}/{CHECKPOINT}")
        assert (saved and checkpoint.read(saved).scalars["step"]) == stored
        rest = reports_of(worker_of(folder, job), job)
        behind = 0 if stored is None else steps.index(stored) + 1
        assert figures(rest) == figures(through[behind:])


@pytest.mark.ci
def test_a_trial_goes_on_from_between_two_reports_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local_ray: None
) -> None:
    """Where its worker died, and where the search was asked to end."""
    monkeypatch.setattr("gan_tune.gan.training.CHECK_EVERY", 3)
    study = open_study(tmp_path / "study.journal", SearchSpace.load(space_tree(), catalogue()))
    job = study.ask()
    through = figures(reports_of(worker_of(tmp_path / "through", job), job))
    monkeypatch.setattr("gan_tune.searching.on_ray.keeping.BETWEEN", 0.0)
    monkeypatch.setattr("gan_tune.searching.on_ray.keeping.MOST", 1e9)
    monkeypatch.setattr("gan_tune.searching.on_ray.keeping.LOOKS", {True: 0.0, False: 0.0})
    home = open_storage(tmp_path / "cut")
    trial, worker = TrialFolders(home)[job.name], worker_of(tmp_path / "cut", job)
    reports_of(worker, job, count=1)
    assert checkpoint.step_of(trial.checkpoint()) == 9, "its worker dies before another is stored"
    heard = reports_of(worker, job, count=1)
    home.write("stop.json", b"{}")
    assert worker.step() == {"report": None, "done": True}
    assert checkpoint.step_of(trial.checkpoint()) == 13, "the first chance after report 10"
    home.delete("stop.json")
    heard += reports_of(worker_of(tmp_path / "cut", job), job)
    assert figures(heard) == through
