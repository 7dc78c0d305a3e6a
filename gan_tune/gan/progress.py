"""Summarises a trial's reports: the best so far, and whether and how the trial ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gan_tune.config import CollapseRule, DivergenceRule, Objective
from gan_tune.gan.figures import Figures, read
from gan_tune.gan.players import PLAYERS
from gan_tune.gan.symptoms import Vitals

__all__ = ["Outcome", "Progress", "is_sound"]

Outcome = Literal["completed", "diverged", "collapsed"]


@dataclass
class Progress:
    """Summary of the reports so far.

    Attributes:
        steps: number of steps after which the trial is complete.
        patience: number of reports without a better value that also completes it; 0: off.
        outcome: how the trial ended; None while it continues.
        best, best_step: the best value so far and its step; None and 0 before there is one.
        history: the vitals of each report.
    """

    objective: Objective
    collapse: CollapseRule
    steps: int
    patience: int = 0
    outcome: Outcome | None = None
    best: float | None = None
    best_step: int = 0
    reports_since_best: int = 0
    reports_without_variety: int = 0
    history: list[Vitals] = field(default_factory=list)

    def note(self, step: int, value: float, *, vitals: Vitals, variety: float, sound: bool) -> bool:
        """Note a report; returns whether its value is the new best.

        The trial has diverged if training was not ``sound`` or the value is not finite.
        """
        self.history.append(vitals)
        if not (sound and math.isfinite(value)):
            self.outcome = "diverged"
            return False
        improved = self.best is None or self.objective.better(value, self.best)
        if improved:
            self.best, self.best_step, self.reports_since_best = value, step, 0
        else:
            self.reports_since_best += 1
        self.outcome = self._verdict(step, poor=self.collapse.shows(variety, vitals.distinct))
        return improved

    def _verdict(self, step: int, *, poor: bool) -> Outcome | None:
        late = step >= self.collapse.after * self.steps
        self.reports_without_variety = self.reports_without_variety + 1 if poor and late else 0
        if self.reports_without_variety >= self.collapse.reports:
            return "collapsed"
        if step >= self.steps:
            return "completed"
        if self.patience and self.reports_since_best >= self.patience:
            return "completed"
        return None

    def scalars(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        return {
            "outcome": self.outcome,
            "best": self.best,
            "best_step": self.best_step,
            "reports_since_best": self.reports_since_best,
            "reports_without_variety": self.reports_without_variety,
            "history": self.history,
        }

    def load(self, scalars: Mapping[str, Any]) -> None:
        """Load the state that :meth:`scalars` returned."""
        self.outcome = scalars["outcome"]
        self.best, self.best_step = scalars["best"], scalars["best_step"]
        self.reports_since_best = scalars["reports_since_best"]
        self.reports_without_variety = scalars["reports_without_variety"]
        self.history = [Vitals(*vitals) for vitals in scalars["history"]]


def is_sound(figures: Figures, rule: DivergenceRule) -> bool:
    """Whether the last step's figures are finite, and all since the last report within limits.

    It waits for the device once.
    """
    latest, peaks = read(figures.latest, figures.peaks)
    if not all(math.isfinite(value) for value in latest.values()):
        return False
    # Over all steps since the last report: a spike between two reports counts.
    limits = {f"{player}_gradient_norm_max": rule.max_gradient_norm for player in PLAYERS}
    limits["discriminator_logit_max"] = rule.max_logit
    return all(peak <= limits[name] for name, peak in peaks.items())
