"""What a search hands out and hears of: settings, forks, and jobs (a setting with one seed)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_tune.config import TrialConfig
from gan_tune.space import Scalar
from gan_tune.storage.trial_name import Kind
from gan_tune.storage.trial_records import TrialDescription
from gan_tune.words.outcomes import Outcome

__all__ = [
    "FIRST_SETTING",
    "Ancestor",
    "Fork",
    "Job",
    "Setting",
    "description",
    "lineage_tree",
]

FIRST_SETTING = 0
"""Number of the setting against which the gain of a search is measured."""


@dataclass(frozen=True)
class Setting:
    """A setting that was tried.

    Attributes:
        number: counted from 0, in the order in which settings were decided.
        outcome: how it ended; None while it has not.
        value: the best so far of its trial, or the mean of ``values``. None: there was never a
            finite one.
        steps: how many it took. With several replicates, neither this nor ``value`` counts what was
            cut off another replicate.
        values: the bests of the replicates that ran to their end, where there are several.
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
        step: at which that setting had them.
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
        config: what it trained with.
    """

    trial: str
    until: int
    config: TrialConfig


@dataclass(frozen=True)
class Job:
    """One trial to run: a setting with one seed.

    Attributes:
        name: the trial's.
        setting: its number.
        replicate: which seed of the setting: first come those of the search, then those of the
            confirmation.
        config: what to train.
        params: what the record shows: the values of the config and of the choosers.
        kind: which part of the search it belongs to.
        lineage: of a fork, the settings before it, oldest first. A trial of the search continues
            from the weights of the last one; a confirming trial trains through all of them, with
            its own seed.
        ready_steps: reports at which the weights are kept for forks.
        pause_steps: reports at which the trial may have to wait for others, so its state is stored.
        closing: seconds since 1970 from which on the weights of every report are kept, because the
            time of the search may end with any of them.
    """

    name: str
    setting: int
    replicate: int
    config: TrialConfig = field(repr=False)  # Tune prints jobs and results again and again
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kind: Kind = "search"
    lineage: Sequence[Ancestor] = field(default=(), repr=False)
    ready_steps: Sequence[int] = ()
    pause_steps: Sequence[int] = ()
    closing: float = math.inf

    @property
    def first_step(self) -> int:
        """The step at which its own training begins: above 0 for a fork's trial of the search."""
        return self.lineage[-1].until if self.lineage and self.kind == "search" else 0


def description(job: Job) -> TrialDescription:
    """A job as its trial's folder keeps it."""
    return TrialDescription(
        trial=job.name,
        setting=job.setting,
        replicate=job.replicate,
        config=job.config.tree(),
        params=dict(job.params),
        lineage=lineage_tree(job),
    )


def lineage_tree(job: Job) -> list[dict[str, Any]]:
    """A job's lineage as plain values."""
    return [
        {"trial": ancestor.trial, "until": ancestor.until, "config": ancestor.config.tree()}
        for ancestor in job.lineage
    ]
