"""What a trial leaves in its folder: what it is, its reports, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_tune.words.outcomes import OUTCOMES, Outcome

__all__ = ["EarlierSetting", "Ending", "Result", "TrialDescription"]


@dataclass(frozen=True)
class EarlierSetting:
    """A setting with which a fork's weights were trained before it.

    Attributes:
        trial: the trial that trained them.
        until: the step at which the fork takes them.
        config: the trial config, as a tree of plain values.
    """

    trial: str
    until: int
    config: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class TrialDescription:
    """What a trial of a search is; also the content of its `trial.json`.

    Attributes:
        trial: its name.
        setting, replicate: the numbers of its setting and of its seed.
        config: the trial config as a tree of plain values.
        params: what the record shows of it: the values of the config and of the choosers.
        lineage: of a fork, the settings before it, oldest first.
        origin: where its setting comes from; empty in trials of older versions.
    """

    trial: str
    setting: int
    replicate: int
    config: Mapping[str, Any] = field(repr=False)
    params: Mapping[str, Any] = field(repr=False)
    lineage: Sequence[EarlierSetting] = field(repr=False)
    origin: str = ""


@dataclass(frozen=True)
class Result:
    """One report in the form that the driver gets; also the content of `reports/STEP.json`.

    Attributes:
        step: generator steps done.
        scalars: all figures, by name.
        value, best: the objective now and the best so far; None if there is no finite one.
        outcome: how the trial ended by itself; None while it runs.
        timestamp_ms: the worker's clock, milliseconds since 1970.
        training_seconds, evaluation_seconds: spent since the last report.
        error: the exception that failed the trial, one line.
        symptoms: symptoms of training so far, names from `gan_tune.gan.symptoms`.
    """

    step: int
    scalars: Mapping[str, int | float] = field(repr=False)
    value: float | None
    best: float | None
    outcome: Outcome | None
    timestamp_ms: int
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    error: str | None = None
    symptoms: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """Seconds spent since the last report."""
        return self.training_seconds + self.evaluation_seconds


@dataclass(frozen=True)
class Ending:
    """How a trial ended; also the content of `outcome.json`.

    Attributes:
        outcome: how it ended.
        value: its best value by the first objective; None if it never had a finite one.
        step: its last step.
        error: the exception that failed it, or what its worker was lost to, one line.
        symptoms: symptoms of training at its last report.
        further: the other objectives' values at the report with the best value.
        paused: whether it was interrupted to let others run; it continues in its turn.
    """

    outcome: Outcome
    value: float | None
    step: int
    error: str | None = None
    symptoms: Sequence[str] = ()
    further: Mapping[str, float] = field(default_factory=dict)
    paused: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the trial has ended for good; an interrupted one has not."""
        return OUTCOMES[self.outcome].is_ending

    @property
    def is_lost(self) -> bool:
        """Whether its worker was lost to no fault of the setting, so that it goes on elsewhere."""
        return not self.is_final and self.error is not None
