"""The Ray Tune trainable: trains one trial after another on a warm worker."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import ray
import torch
from ray import tune

from gan_tune.data.dataset import Dataset
from gan_tune.errors import CheckpointError, DeviceError
from gan_tune.gan import checkpoint
from gan_tune.gan.device import has_bfloat16, trial_device
from gan_tune.gan.fork_chain import Phase, replay
from gan_tune.gan.training import Report, train
from gan_tune.metrics import Judge
from gan_tune.samples import pictures
from gan_tune.searching.jobs import Job
from gan_tune.searching.on_ray.keeping import NodeLeaves, StopAsked, Superseded, TimedKeeper
from gan_tune.searching.on_ray.losses import CutOff
from gan_tune.searching.on_ray.proof import Expected, why_aside, why_unfit
from gan_tune.searching.rules.faults import Fault, fault_of
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Result

__all__ = ["GanTrainable"]

logger = logging.getLogger("gan_tune")

CHECKPOINT_SECONDS = 10.0
"""Shortest time between two checkpoints at reports; for those in between see `keeping`."""

PROOF_SECONDS = 5.0
"""Seconds between two proofs of a worker that cannot train."""


class GanTrainable(tune.Trainable):
    """Each Tune step trains up to the next report, stores it, and returns its figures.

    An exception in training ends the worker: it may be the worker's own fault, so the trial is
    tried again in a fresh one.
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
        emulates: bool = True,
        expected: Expected | None = None,
    ) -> None:
        """Keep what all trials share, and set up the first trial.

        ``expected``: what this worker must find before it trains; None: it proves nothing.

        Raises:
            DeviceError: it proves nothing, and has not the trials' device.
        """
        torch.set_num_threads(threads)
        self._dataset, self._judge, self._home = dataset, judge, storage
        self._trials = TrialFolders(storage)
        self._gpu, self._emulates = gpu, emulates
        self._expected = self._to_prove = expected
        self._unfit: Fault | None = None
        self._proven = -math.inf
        self._node = ray.util.get_node_ip_address()
        self._node_id = ray.get_runtime_context().get_node_id()
        self.reset_config(config)
        if expected is None:
            self._find_device()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Set up the next trial on this worker; data and judge stay loaded.

        A worker whose node has been put aside meanwhile proves itself again, in vain.
        """
        self._job: Job = new_config["job"]
        self.config = {}  # otherwise Tune sends the whole job to the driver with each report
        self._trial = self._trials[self._job.name]
        self._reports: Iterator[Report] | None = None
        word = self._to_prove.word if self._to_prove is not None else ""
        self._keeper = TimedKeeper(self._home, self._job.name, self._node_id, word)
        if self._expected is None and self._to_prove and why_aside(self._home, self._node_id):
            self._expected, self._proven = self._to_prove, -math.inf
        return True

    def step(self) -> dict[str, Any]:
        """Train to the next report.

        A worker that fails its proof occupies its place until it passes. The driver has its trial
        trained elsewhere meanwhile.
        """
        if self._expected is not None:
            was_unfit = self._unfit is not None
            if self._prove(self._expected) is not None:
                return {"report": None, "unfit": self._unfit, "done": False}
            if was_unfit:
                return {"report": None, "node_id": self._node_id, "done": True}
        try:
            if self._reports is None:
                self._reports = self._begin()
            result = self._next_result()
        except (StopAsked, Superseded):
            return {"report": None, "done": True}
        except NodeLeaves:
            raise CutOff(self._here(Fault("preempted", "its node is taken away"))) from None
        except Exception as error:
            logger.error("trial %s was cut off:\n%s", self._job.name, traceback.format_exc())
            raise CutOff(self._here(fault_of(error))) from None
        done = result.outcome is not None
        return {"report": result, "node_id": self._node_id, "done": done}

    def _here(self, fault: Fault) -> Fault:
        return replace(fault, node=self._node, node_id=self._node_id)

    def _find_device(self) -> str:
        """Find the trials' device.

        Raises:
            DeviceError: there is none, or it would emulate the trials' precision and must not.
        """
        self._device = trial_device(gpu=self._gpu)
        if self._gpu and self._device == "cpu" and self._expected is not None:
            raise DeviceError("Ray gives this node's trials a GPU, but torch finds none")
        rounded = self._job.config.precision == "bfloat16"
        if rounded and not self._emulates and not has_bfloat16(self._device):
            raise DeviceError(f"this node must have bfloat16 in hardware: its {self._device}")
        return self._device

    def _prove(self, expected: Expected) -> Fault | None:
        """Why this worker can train nothing; tried again every :data:`PROOF_SECONDS`."""
        if time.monotonic() - self._proven > PROOF_SECONDS:
            self._unfit = why_unfit(self._home, expected, self._find_device)
            self._proven = time.monotonic()
        elif self._unfit is not None:
            time.sleep(1)
        if self._unfit is None:
            self._expected = None
        return self._unfit

    def _begin(self) -> Iterator[Report]:
        stored = self._trial.checkpoint()
        try:
            if stored is not None:
                self._check_reported(stored)
            return self._training(stored)
        except CheckpointError as error:
            if stored is None:
                raise
            logger.warning("trial %s starts again from the beginning: %s", self._job.name, error)
            return self._training(None)

    def _check_reported(self, stored: bytes) -> None:
        """Refuse a checkpoint whose report was not stored because of a kill.

        Training would continue after that report, so the report would be lost. A checkpoint from
        between two reports needs the first of them.
        """
        scalars = checkpoint.read(stored).scalars
        step = scalars.get(checkpoint.BEGUN, scalars["step"])
        if step > self._job.first_step and self._trial.report(step) is None:
            raise CheckpointError(f"checkpoint: its report of step {step} was not stored")

    def _training(self, stored: bytes | None) -> Iterator[Report]:
        job, dataset, judge = self._job, self._dataset, self._judge
        if job.lineage and job.kind == "confirmation":
            phases = [Phase(ancestor.until, ancestor.config) for ancestor in job.lineage]
            phases.append(Phase(job.config.steps, job.config))
            return replay(
                phases,
                dataset,
                judge,
                resume_from=stored,
                device=self._device,
                keeper=self._keeper,
            )
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
            keeper=self._keeper,
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
        self._store(report, result)
        return result

    def _store(self, report: Report, result: Result) -> None:
        """Write picture and checkpoint before the report, so that a stored report is complete.

        Raises:
            Superseded: another command works on the search.
        """
        self._keeper.check_driver()
        self._trial.write_grid(report.step, pictures.png(report.grid))
        overdue = self._keeper.is_overdue(CHECKPOINT_SECONDS)
        ready = report.outcome is None and report.step in self._job.ready_steps
        may_end = time.time() >= self._job.always_store_after
        may_pause = report.step in self._job.pause_steps or may_end
        if overdue or ready or may_pause or report.outcome == "completed":
            state = cache(report.checkpoint)
            if ready:
                self._trial.write_ready(report.step, state())
            self._keeper.store(state)
        self._trial.write_report(result)
