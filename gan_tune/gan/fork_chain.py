"""Trains a schedule of settings from the start, as a chain of forks did.

A population finds a schedule of settings instead of a single one (Jaderberg et al. 2017, figure
4c). To judge it with a new seed, all its settings must be trained in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.gan.training import Keeper, Report, Scorer, Training, build_training

__all__ = ["Phase", "replay"]


@dataclass(frozen=True)
class Phase:
    """A config, and the step until which it is trained. A report is due at that step."""

    until: int
    config: TrialConfig


def replay(
    phases: Sequence[Phase],
    dataset: Dataset,
    judge: Scorer,
    *,
    resume_from: bytes | Path | None = None,
    device: str = "cpu",
    keeper: Keeper | None = None,
) -> Iterator[Report]:
    """Train phases one after another with one seed; each continues the last as a fork does.

    A ``keeper`` keeps the state between reports, as in :func:`gan_tune.gan.training.train`.

    Only the last phase has a ``best``, since its setting is the one that is judged; the other
    phases' reports have none. Divergence or collapse in any phase ends the training.

    Raises:
        CheckpointError: ``resume_from`` is incomplete or belongs to none of the phases.
    """
    saved = None if resume_from is None else checkpoint.read(resume_from)
    place = 0 if saved is None else _phase_of(saved, phases)
    training = build_training(phases[place].config, dataset, judge, device=device)
    training.keeper = keeper
    if saved is not None:
        training.load(saved)
    return _reports(training, phases[place:], dataset, judge, device)


def _phase_of(saved: checkpoint.Checkpoint, phases: Sequence[Phase]) -> int:
    for place, phase in enumerate(phases):
        own = saved.config_digest == phase.config.digest()
        if own and saved.scalars["step"] <= phase.until:
            return place
    raise CheckpointError(
        f"checkpoint: must belong to a phase of the trial, but has digest {saved.config_digest}"
    )


def _reports(
    training: Training, phases: Sequence[Phase], dataset: Dataset, judge: Scorer, device: str
) -> Iterator[Report]:
    for phase, following in pairwise(phases):
        while training.outcome is None and training.step < phase.until:
            yield replace(training.next_report(), best=None, improved=False)
        if training.outcome is not None:
            return
        state = checkpoint.read(training.state())
        keeper = training.keeper
        training = build_training(following.config, dataset, judge, device=device)
        training.keeper = keeper
        training.inherit(state)
    yield from training.reports()
