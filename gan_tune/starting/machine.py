"""What this machine can do: how many trials at a time, and how long one training step takes."""

from __future__ import annotations

import os
import time

import torch
from threadpoolctl import threadpool_limits

from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.gan.building import build_game
from gan_tune.gan.device import accelerator, accelerators, trial_device, wait_for

__all__ = ["gpu_share", "has_gpu", "slots_here", "step_seconds"]

SHARED_GPU = 0.25
"""Share of a GPU for one trial: small GANs leave most of one idle."""
WARM_UP_STEPS = 3
TIMED_STEPS = 8
TIMED_SECONDS = 1.0
"""Steps are timed until there are enough, or until this long."""


def has_gpu() -> bool:
    """Whether torch sees a GPU on this machine."""
    return accelerator() is not None


def gpu_share() -> float:
    """What a trial gets of a GPU on this machine: a quarter, or 0 where there is none."""
    return SHARED_GPU if has_gpu() else 0.0


def slots_here(cpu: float, gpu: float) -> int:
    """How many trials this machine's cores and GPUs take at a time, at least 1."""
    fitting = int((os.cpu_count() or 1) / cpu)
    if gpu:
        fitting = min(fitting, int(accelerators() / gpu))
    return max(1, fitting)


def step_seconds(config: TrialConfig, dataset: Dataset, *, gpu: bool) -> float:
    """The time of one training step of a trial, on one core or on a GPU, in seconds.

    It is that of the fastest of some steps: the others were disturbed by other processes.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker of one core
    try:
        with threadpool_limits(1):
            return _timed(config, dataset, torch.device(trial_device(gpu=gpu)))
    finally:
        torch.set_num_threads(before)


def _timed(config: TrialConfig, dataset: Dataset, device: torch.device) -> float:
    game = build_game(config, dataset, device)
    for _ in range(WARM_UP_STEPS):
        game.train_step()
    taken: list[float] = []
    while len(taken) < TIMED_STEPS and sum(taken) < TIMED_SECONDS:
        wait_for(device)
        begun = time.perf_counter()
        game.train_step()
        wait_for(device)
        taken.append(time.perf_counter() - begun)
    return min(taken)
