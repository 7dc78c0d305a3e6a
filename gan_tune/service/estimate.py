"""`gan-tune search --dry-run`: how long a search would take."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from gan_tune.service.space_and_setting import first_setting
from gan_tune.service.train import train
from gan_tune.space import SearchSpace

MEASURED_STEPS = 50
"""Steps of the first setting that an estimate times, after as many to warm up."""


@dataclass(frozen=True)
class Estimate:
    """What a search would take, measured on its first setting.

    Attributes:
        trials, steps, evaluations: the budget, each seed of a setting a trial; of a population its
            members, since forks go on from what others have trained.
        confirmations: trials that confirm, at most.
        slots: trials at a time that were assumed.
        step_seconds, evaluation_seconds: measured, one trial alone on this machine.
    """

    trials: int
    steps: int
    evaluations: int
    confirmations: int
    slots: int
    step_seconds: float
    evaluation_seconds: float

    @property
    def trial_seconds(self) -> float:
        """One full trial."""
        return self.steps * self.step_seconds + self.evaluations * self.evaluation_seconds

    @property
    def seconds(self) -> float:
        """All trials at full length, so many at a time: more than pruning leaves."""
        rounds = -(-self.trials // self.slots) + -(-self.confirmations // self.slots)
        return rounds * self.trial_seconds


def estimate(space: SearchSpace, *, max_concurrent: int | None = None) -> Estimate:
    """Train a few steps of the first setting here, and multiply. Starts and writes nothing.

    As many trials at a time are assumed as this machine's cores (and GPUs) hold, and at most
    ``max_concurrent``.
    """
    import torch
    from threadpoolctl import threadpool_limits

    gpu = space.resources.gpu > 0 and torch.cuda.is_available()
    config = first_setting(space).model_copy(
        update={"steps": 2 * MEASURED_STEPS, "evaluations": 2, "patience": 0}
    )
    before, threads = torch.get_num_threads(), max(1, int(space.resources.cpu))
    torch.set_num_threads(threads)  # as a worker does
    try:
        with threadpool_limits(threads):
            *_, measured = train(config, device="cuda" if gpu else "cpu")
    finally:
        torch.set_num_threads(before)
    confirm, scheduler = space.confirm, space.search.scheduler
    bred = scheduler.name in space.catalogue.populations
    return Estimate(
        trials=scheduler.args["population"] if bred else space.budget.trials * space.search.seeds,
        steps=space.budget.steps,
        evaluations=min(space.budget.evaluations, space.budget.steps),
        confirmations=(confirm.top + 1) * confirm.seeds if confirm.top else 0,
        slots=min(_slots_here(space), max_concurrent or sys.maxsize),
        step_seconds=measured.training_seconds / MEASURED_STEPS,
        evaluation_seconds=measured.evaluation_seconds,
    )


def _slots_here(space: SearchSpace) -> int:
    import torch

    fitting = int((os.cpu_count() or 1) / space.resources.cpu)
    if space.resources.gpu:
        fitting = min(fitting, int(torch.cuda.device_count() / space.resources.gpu))
    return max(1, fitting)
