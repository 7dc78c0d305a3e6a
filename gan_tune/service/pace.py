"""The pace of a search's trials: the time of a step and of an evaluation, measured in this process.

A few steps are enough, since :mod:`gan_tune.searching.leading.foresight` only needs the order of
magnitude; :mod:`gan_tune.service.trial_cost` measures one trial closely, with its memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from gan_tune.config import TrialConfig
from gan_tune.service.optuna_stand_ins import Draws
from gan_tune.service.space_and_setting import first_setting
from gan_tune.space import SearchSpace

if TYPE_CHECKING:
    import torch

    from gan_tune.data.dataset import Dataset
    from gan_tune.metrics import Judge
    from gan_tune.searching.leading.foresight import Pace

__all__ = ["measure_pace", "timed_settings"]

logger = logging.getLogger("gan_tune")

SETTINGS = 4
"""Steps are timed of so many settings: some networks and optimizers take several times as long."""
WARM_UP_STEPS = 3
TIMED_SECONDS = 0.5
MOST_STEPS = 200


def timed_settings(space: SearchSpace) -> list[TrialConfig]:
    """The settings of which the pace is measured: the first one, and some drawn at random."""
    drawn = [space.sample(Draws(seed), seed=0) for seed in range(1, SETTINGS)]
    return [first_setting(space), *drawn]


def measure_pace(
    settings: Sequence[TrialConfig], dataset: Dataset, judge: Judge, *, threads: int, device: str
) -> Pace | None:
    """The mean time of a step over the ``settings``, and the time of an evaluation of the first.

    A setting that cannot be trained is left out; None if none can.
    """
    import torch

    from gan_tune.searching.leading.foresight import Pace

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    steps: list[float] = []
    evaluations: list[float] = []
    try:
        for config in settings:
            try:
                steps.append(_step_seconds(config, dataset, torch.device(device)))
                evaluations += [] if evaluations else [_evaluation(config, dataset, judge, device)]
            except Exception as error:  # it will be a failed trial of the search, with its reason
                logger.debug("a setting could not be timed: %s", error)
    finally:
        torch.set_num_threads(before)
    return Pace(fmean(steps), evaluations[0]) if steps and evaluations else None


def _step_seconds(config: TrialConfig, dataset: Dataset, device: torch.device) -> float:
    from gan_tune.gan.building import build_game
    from gan_tune.gan.device import wait_for

    game = build_game(config, dataset, device)
    for _ in range(WARM_UP_STEPS):
        game.train_step()
    wait_for(device)
    begun, count = time.perf_counter(), 0
    while count < MOST_STEPS and time.perf_counter() - begun < TIMED_SECONDS:
        game.train_step()
        wait_for(device)
        count += 1
    return (time.perf_counter() - begun) / count


def _evaluation(config: TrialConfig, dataset: Dataset, judge: Judge, device: str) -> float:
    """The time of the second evaluation: the first one also prepares what all share."""
    from gan_tune.gan.training import train

    short = config.model_copy(update={"steps": 2, "evaluations": 2, "patience": 0})
    return [report.evaluation_seconds for report in train(short, dataset, judge, device=device)][-1]
