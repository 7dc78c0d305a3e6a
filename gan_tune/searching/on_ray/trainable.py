"""The Ray Tune trainable: trains one trial after another on a warm worker."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from typing import Any

import torch
from ray import tune

from gan_tune.data.dataset import Dataset
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.gan.replay import Phase, replay
from gan_tune.gan.training import Report, train
from gan_tune.metrics import Judge
from gan_tune.samples import pictures
from gan_tune.searching.jobs import Job
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result
from gan_tune.words.wording import first_line

__all__ = ["GanTrainable"]

logger = logging.getLogger("gan_tune")

CHECKPOINT_SECONDS = 10.0
"""Shortest time between two checkpoints. A crash loses about this much of a trial."""


class GanTrainable(tune.Trainable):
    """Each Tune step trains up to the next report, stores it, and returns its figures.

    An exception in training becomes a result with the outcome `failed`. If it were raised, it would
    kill the worker, and starting another one takes seconds.
    """

    def setup(  # type: ignore[override]
        self,
        config: dict[str, Any],
        *,
        dataset: Dataset,
        judge: Judge,
        storage: Storage,
        threads: int,
        gpu: bool,
    ) -> None:
        """Keep what all trials share, and set up the first trial."""
        torch.set_num_threads(threads)
        self._dataset, self._judge, self._trials = dataset, judge, TrialFolders(storage)
        self._device = "cuda" if gpu and torch.cuda.is_available() else "cpu"
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Set up the next trial. Only the data are kept from the last one."""
        self._job: Job = new_config["job"]
        self.config = {}  # else each report sends the job to the driver, which keeps it
        self._trial = self._trials[self._job.name]
        self._reports: Iterator[Report] | None = None
        self._last_checkpoint = time.monotonic()
        self._last_step = 0
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next report."""
        try:
            if self._reports is None:
                self._reports = self._begin()
            result = self._next_result()
        except Exception as error:
            logger.error("trial %s failed:\n%s", self._job.name, traceback.format_exc())
            result = self._failure(error)
        return {"report": result, "done": result.outcome is not None}

    def _begin(self) -> Iterator[Report]:
        stored = self._trial.checkpoint()
        try:
            if stored is not None:
                self._check_reported(stored)
            return self._training(stored)
        except CheckpointError as error:
            if stored is None:
                raise
            logger.warning("trial %s begins anew: %s", self._job.name, error)
            return self._training(None)

    def _check_reported(self, stored: bytes) -> None:
        """Refuse a checkpoint whose report was not stored because of a kill.

        Training would continue after that report, so the report would be lost.
        """
        step = checkpoint.read(stored).scalars["step"]
        if self._trial.report(step) is None:
            raise CheckpointError(f"checkpoint: its report of step {step} was not stored")

    def _training(self, stored: bytes | None) -> Iterator[Report]:
        job, dataset, judge = self._job, self._dataset, self._judge
        if job.lineage and job.kind == "confirmation":
            phases = [Phase(ancestor.until, ancestor.config) for ancestor in job.lineage]
            phases.append(Phase(job.config.steps, job.config))
            return replay(phases, dataset, judge, resume_from=stored, device=self._device)
        inherited = self._trial.inherited() if job.lineage else None
        if job.lineage and inherited is None:
            raise CheckpointError(f"{self._trial.inherited_path} is missing")
        return train(
            job.config,
            dataset,
            judge,
            resume_from=stored,
            inherit_from=inherited,
            device=self._device,
        )

    def _next_result(self) -> Result:
        assert self._reports is not None
        report = next(self._reports, None)
        if report is None:
            # The loaded checkpoint was the trial's last one: repeat its last report.
            return self._trial.reports()[-1]
        result = Result(
            step=report.step,
            scalars=dict(report.scalars),
            value=report.value,
            best=report.best,
            outcome=report.outcome,
            timestamp_ms=int(time.time() * 1000),
            training_seconds=report.training_seconds,
            evaluation_seconds=report.evaluation_seconds,
            symptoms=report.symptoms,
        )
        self._last_step = report.step
        self._store(report, result)
        return result

    def _store(self, report: Report, result: Result) -> None:
        """Write picture and checkpoint before the report, so that a stored report is complete."""
        self._trial.write_grid(report.step, pictures.png(report.grid))
        overdue = time.monotonic() - self._last_checkpoint > CHECKPOINT_SECONDS
        ready = report.outcome is None and report.step in self._job.ready_steps
        may_pause = report.step in self._job.pause_steps or time.time() >= self._job.closing
        if overdue or ready or may_pause or report.outcome == "completed":
            state = report.checkpoint()
            if ready:
                self._trial.write_ready(report.step, state)
            self._trial.write_checkpoint(state)
            self._last_checkpoint = time.monotonic()
        self._trial.write_report(result)

    def _failure(self, error: Exception) -> Result:
        reason = first_line(error)
        best = self._trial.reports()[-1].best if self._last_step else None
        return Result(
            step=self._last_step,
            scalars={},
            value=None,
            best=best,
            outcome="failed",
            timestamp_ms=int(time.time() * 1000),
            error=f"{type(error).__name__}: {reason}",
        )
