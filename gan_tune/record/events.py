"""The events of a search that are recorded: small frozen records, independent of MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gan_tune.words.outcomes import Outcome

__all__ = [
    "DatasetInfo",
    "Event",
    "Kind",
    "Picture",
    "Reported",
    "SearchFinished",
    "TrialEnded",
    "TrialStarted",
]

Kind = Literal["search", "confirmation"]
"""A trial that the sampler proposed, or a replicate with a fresh seed."""

Picture = Path | bytes
"""An image or another file of the record: its path or its content."""


@dataclass(frozen=True)
class DatasetInfo:
    """The data of a search. ``source`` is a path, URL or word; ``profile`` has e.g. counts."""

    name: str
    digest: str
    source: str
    profile: Mapping[str, object] = field(default_factory=dict)
    context: str = "training"


@dataclass(frozen=True)
class TrialStarted:
    """A trial starts, or continues in a later command. Times are ms since 1970, as in MLflow."""

    trial: str
    setting: int
    replicate: int
    kind: Kind
    params: Mapping[str, object]
    tags: Mapping[str, str]
    time_ms: int


@dataclass(frozen=True)
class Reported:
    """A trial was evaluated after ``step`` generator steps; the time is the worker's."""

    trial: str
    step: int
    scalars: Mapping[str, float]
    time_ms: int
    grid: Picture | None


@dataclass(frozen=True)
class TrialEnded:
    """A trial ended."""

    trial: str
    outcome: Outcome
    best: Mapping[str, float]
    error: str | None
    symptoms: Sequence[str]
    time_ms: int


@dataclass(frozen=True)
class SearchFinished:
    """The search's command ends."""

    outcome: Outcome
    leaderboard: Sequence[Mapping[str, object]]
    figures: Mapping[str, Picture]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    time_ms: int


Event = TrialStarted | Reported | TrialEnded | SearchFinished
