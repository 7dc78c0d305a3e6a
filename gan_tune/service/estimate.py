"""`gan-tune search --dry-run`: how long a search would take."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from gan_tune.service.space_and_setting import first_setting
from gan_tune.service.train import train
from gan_tune.space import SearchSpace

MEASURED_STEPS = 50
"""Number of steps of the first setting that are timed, after the same number to warm up."""


@dataclass(frozen=True)
class Estimate:
    """The estimated time of a search, measured on its first setting.

    Attributes:
        trials, steps, evaluations: the budget; each seed of a setting counts as a trial. For a
            population only its members count, since forks continue trained weights.
        confirmations: largest number of confirming trials.
        slots: assumed number of trials at a time.
        step_seconds, evaluation_seconds: measured for one trial alone on this machine.
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
        """The time of one full trial."""
        return self.steps * self.step_seconds + self.evaluations * self.evaluation_seconds

    @property
    def seconds(self) -> float:
        """The time of all trials at full length, ``slots`` at a time. Pruning reduces it."""
        rounds = -(-self.trials // self.slots) + -(-self.confirmations // self.slots)
        return rounds * self.trial_seconds


def estimate(space: SearchSpace, *, max_concurrent: int | None = None) -> Estimate:
    """Time a few steps of the first setting here, and multiply. Starts and writes nothing.

    The assumed number of trials at a time is what this machine's cores (and GPUs) allow, at most
    ``max_concurrent``.
    """
    import torch
    from threadpoolctl import threadpool_limits

    gpu = space.resources.gpu > 0 and torch.cuda.is_available()
    config = first_setting(space).model_copy(
        update={"steps": 2 * MEASURED_STEPS, "evaluations": 2, "patience": 0}
    )
    before, threads = torch.get_num_threads(), max(1, int(space.resources.cpu))
    torch.set_num_threads(threads)  # as in a worker
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
