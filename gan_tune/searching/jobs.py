"""The records that a search works with: settings, forks, and jobs (a setting with one seed)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_tune.config import TrialConfig
from gan_tune.space import Scalar
from gan_tune.storage.trial_name import Kind
from gan_tune.storage.trial_records import EarlierSetting, TrialDescription
from gan_tune.words.outcomes import Outcome

__all__ = [
    "FIRST_SETTING",
    "Ancestor",
    "Fork",
    "Job",
    "Setting",
    "description",
    "earlier_settings",
]

FIRST_SETTING = 0
"""Number of the setting against which the gain of a search is measured."""


@dataclass(frozen=True)
class Setting:
    """A setting that was tried.

    Attributes:
        number: counted from 0, in the order in which settings were decided.
        outcome: how it ended; None if it has not ended.
        value: the best so far of its trial, or the mean of ``values``. None if it never had a
            finite value.
        steps: the number of steps trained. With several replicates, ``steps`` and ``value`` do not
            count a replicate that was cut off.
        values: the best values of the replicates that ran to their end, if there are several.
    """

    number: int
    outcome: Outcome | None
    value: float | None
    steps: int
    values: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Fork:
    """A new setting that starts from another one's weights.

    Attributes:
        parent: number of the setting whose weights it starts from.
        step: the step at which that setting had these weights.
        assignment: dimension → value.
    """

    parent: int
    step: int
    assignment: Mapping[str, Scalar]


@dataclass(frozen=True)
class Ancestor:
    """A setting from whose weights a fork continues.

    Attributes:
        trial: its trial's name.
        until: the step at which the fork takes its weights.
        config: the config that it trained with.
    """

    trial: str
    until: int
    config: TrialConfig


@dataclass(frozen=True)
class Job:
    """One trial to run: a setting with one seed.

    Attributes:
        name: name of the trial.
        setting: number of the setting.
        replicate: number of the seed within the setting. The seeds of the search come first, then
            those of the confirmation.
        config: what to train.
        params: the values that MLflow shows: those of the config and of the choosers.
        origin: where the setting comes from (:func:`gan_tune.searching.study.origins.origin_of`).
        kind: whether it belongs to the search or to the confirmation.
        lineage: for a fork, the settings before it, oldest first. A trial of the search continues
            from the weights of the last one. A confirming trial trains all of them in order, with
            its own seed.
        ready_steps: reports at which the weights are kept for forks.
        pause_steps: reports at which the trial may have to wait for others, so its state is stored.
        always_store_after: time in seconds since 1970. From then on the weights are stored at every
            report, because the search time may end after any report.
    """

    name: str
    setting: int
    replicate: int
    config: TrialConfig = field(repr=False)  # Tune prints jobs and results again and again
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origin: str = ""
    kind: Kind = "search"
    lineage: Sequence[Ancestor] = field(default=(), repr=False)
    ready_steps: Sequence[int] = ()
    pause_steps: Sequence[int] = ()
    always_store_after: float = math.inf

    @property
    def first_step(self) -> int:
        """The step at which its own training begins; above 0 for a fork's trial of the search."""
        return self.lineage[-1].until if self.lineage and self.kind == "search" else 0


def description(job: Job) -> TrialDescription:
    """A job as its trial's folder keeps it."""
    return TrialDescription(
        trial=job.name,
        setting=job.setting,
        replicate=job.replicate,
        config=job.config.tree(),
        params=dict(job.params),
        lineage=earlier_settings(job),
        origin=job.origin,
    )


def earlier_settings(job: Job) -> list[EarlierSetting]:
    """A job's lineage as it is stored."""
    return [EarlierSetting(one.trial, one.until, one.config.tree()) for one in job.lineage]
