"""A search's folder, written as its workers and its conductor write it, without any training."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from mlflow import MlflowClient
from mlflow.entities import Run

from gan_tune.record.delivery import Delivery, Waiting
from gan_tune.record.projection import Projection
from gan_tune.record.spool import DatasetInfo, SearchEnding, SearchEntry, Spool
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolder, TrialFolders
from gan_tune.storage.trial_name import TrialName
from gan_tune.storage.trial_records import Ending, Result, TrialDescription

PARAMS = {"generator_optimizer.lr": 1e-4, "generator.hidden": [128, 256], "ema": None}


def png(seed: int = 0, size: int = 32) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class WrittenSearch:
    """A search of the digits in ``folder/NAME``. ``changes`` replace fields of its entry."""

    def __init__(self, folder: Path, name: str = "digits", **changes: Any) -> None:
        self.name = name
        self.home: Storage = open_storage(folder).below(name)
        self.spool = Spool(self.home)
        self.entry = self.spool.entry() or SearchEntry(
            **{
                "search": name,
                "experiment": name,
                "metric": "frechet_distance",
                "mode": "min",
                "code_version": "1",
                "space_text": "name: digits\n",
                "params": {"budget.trials": 4},
                "tags": {"team": "gans"},
                "dataset": DatasetInfo("digits", "abc123", "scikit-learn", {"train": 1197}),
                **changes,
            }
        )
        self.spool.write_entry(self.entry)

    @classmethod
    def of(cls, folder: Path, name: str) -> WrittenSearch:
        """A search that a real command has written, as it is."""
        search = cls.__new__(cls)
        search.name, search.home = name, open_storage(folder).below(name)
        search.spool = Spool(search.home)
        entry = search.spool.entry()
        assert entry is not None
        search.entry = entry
        return search

    def folder(self, trial: str) -> TrialFolder:
        return TrialFolders(self.home)[trial]

    def start(self, trial: str, params: dict[str, Any] | None = None, lineage: Any = ()) -> None:
        name = TrialName.parse(trial)
        config = {"steps": 40}
        self.folder(trial).describe(
            TrialDescription(
                trial, name.setting, name.replicate, config, params or PARAMS, list(lineage)
            )
        )

    def report(self, trial: str, step: int, *, at: int = 0, **scalars: float) -> None:
        value = scalars.get("frechet_distance", 10.0 / step)
        figures = {"frechet_distance": value, **scalars}
        folder = self.folder(trial)
        folder.write_grid(step, png(step))
        folder.write_report(
            Result(step, figures, value, value, None, at or 1_000_000 + 1000 * step, 0.25, 0.125)
        )

    def end(self, trial: str, outcome: Any = "completed", **fields: Any) -> None:
        last = self.folder(trial).last_report()
        value, step = (last.best, last.step) if last else (None, 0)
        self.folder(trial).write_ending(Ending(outcome, value, step, **fields))

    def trial(self, trial: str, outcome: Any = "completed", **started: Any) -> None:
        """A whole trial of two reports."""
        self.start(trial, **started)
        for step in (10, 20):
            self.report(trial, step)
        self.end(trial, outcome)

    def finish(self, outcome: Any = "completed", **fields: Any) -> SearchEnding:
        ending = SearchEnding(outcome, 9_000_000, **fields)
        self.spool.write_ending(ending)
        return ending

    def delivery(self, uri: str, **options: Any) -> Delivery:
        projection = Projection(uri, self.home, self.entry, **options)
        return Delivery(projection, uri=uri, gather=0.05)

    def delivered(self, uri: str, timeout: float = 120, **options: Any) -> Waiting:
        """Everything is delivered by a thread that ends then; what it could not deliver."""
        delivery = self.delivery(uri, **options)
        delivery.end(self.spool.ending())
        delivery.start(TrialFolders(self.home).names())
        try:
            return delivery.wait(timeout)
        finally:
            delivery.close()

    # ---------------------------------------------------------------- what MLflow has

    def runs(self, uri: str) -> dict[str, Run]:
        """Runs by trial; the search's own under ''. Two runs of one trial are a failure."""
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(self.entry.experiment)
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id])
        named = {run.data.tags.get("gan_tune.trial", ""): run for run in found}
        assert len(named) == len(found), sorted(run.info.run_name for run in found)
        return named

    def lacks(self, uri: str) -> list[str]:
        """What of the folder is not in MLflow, or is there otherwise; empty: nothing."""
        found, lacking = self.runs(uri), []
        client = MlflowClient(uri)
        folders = TrialFolders(self.home)
        for trial in folders.names():
            run, folder = found.pop(trial, None), folders[trial]
            if run is None:
                lacking.append(f"{trial}: run")
                continue
            ending = folder.ending()
            outcome = ending.outcome if ending else "interrupted"
            if run.data.tags.get("gan_tune.outcome") != outcome:
                lacking.append(f"{trial}: {outcome}: {run.data.tags.get('gan_tune.outcome')}")
            if run.info.status == "RUNNING":
                lacking.append(f"{trial}: ended")
            reports = folder.reports()
            keys = {key for report in reports for key in report.scalars}
            for key in keys:
                wanted = [(r.step, r.scalars[key]) for r in reports if key in r.scalars]
                history = client.get_metric_history(run.info.run_id, key)
                if sorted((metric.step, metric.value) for metric in history) != wanted:
                    lacking.append(f"{trial}: {key}")
            if grids(uri, run) != folder.grid_steps():
                lacking.append(f"{trial}: grids {grids(uri, run)}")
        parent = found.pop("", None)
        if parent is None or parent.info.status == "RUNNING":
            lacking.append("the search's run")
        return [*lacking, *(f"{trial}: must not be" for trial in found)]


def grids(uri: str, run: Run) -> list[int]:
    """The steps of the slider in MLflow's pages, each with its thumbnail."""
    files = MlflowClient(uri).list_artifacts(run.info.run_id, "images")
    names = [Path(file.path).name for file in files]
    pictures = [int(name.split("+")[2]) for name in names if name.endswith(".png")]
    small = [int(name.split("+")[2]) for name in names if name.endswith("+compressed.webp")]
    assert sorted(pictures) == sorted(small)
    return sorted(pictures)
