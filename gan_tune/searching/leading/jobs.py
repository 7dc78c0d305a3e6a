"""What is handed to a worker: one trial to run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_tune.config import TrialConfig
from gan_tune.storage.trial_name import Kind

__all__ = ["Ancestor", "Job", "description", "lineage_tree"]


@dataclass(frozen=True)
class Ancestor:
    """A setting on whose weights another goes on: its trial, until which step, and its config."""

    trial: str
    until: int
    config: TrialConfig


@dataclass(frozen=True)
class Job:
    """One trial to run: a setting with one seed.

    ``replicate`` counts the seeds of a setting: first those of the search, then those that confirm.
    ``params`` are what the record shows: the config's and the choosers' values.
    ``lineage`` are the settings before it, oldest first, where it is a fork: the search's own run
    goes on from the weights of the last one, a confirmation trains through all, with its own seed.
    At each of the ``ready_steps`` the weights are kept for forks, at each of the ``pause_steps`` it
    may have to wait for others, so its state is stored. From ``closing`` on (seconds
    since 1970) every report is kept with its weights: the time may end with any of them.
    """

    name: str
    setting: int
    replicate: int
    config: TrialConfig = field(repr=False)  # Tune writes jobs and results out time and again
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kind: Kind = "search"
    lineage: Sequence[Ancestor] = field(default=(), repr=False)
    ready_steps: Sequence[int] = ()
    pause_steps: Sequence[int] = ()
    closing: float = math.inf

    @property
    def first_step(self) -> int:
        """The step from which it trains itself: above 0 for the search's own run of a fork."""
        return self.lineage[-1].until if self.lineage and self.kind == "search" else 0


def description(job: Job) -> dict[str, Any]:
    """A job as plain values, as `trial.json` keeps it."""
    return {
        "trial": job.name,
        "setting": job.setting,
        "replicate": job.replicate,
        "config": job.config.tree(),
        "params": dict(job.params),
        "lineage": lineage_tree(job),
    }


def lineage_tree(job: Job) -> list[dict[str, Any]]:
    """A job's lineage as plain values."""
    return [
        {"trial": ancestor.trial, "until": ancestor.until, "config": ancestor.config.tree()}
        for ancestor in job.lineage
    ]
