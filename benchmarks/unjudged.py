"""gan-tune's training with no judgement, so that only its steps are timed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.interleaved import Turn
from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.gan.training import Report, train
from gan_tune.metrics.models import Models
from gan_tune.parts.all_parts import catalogue

__all__ = ["Unjudged", "checked", "turns_of"]


WATCHED = (
    "variety",
    "distinct_share",
    "density",
    "coverage",
    "modes_covered",
    "high_quality_share",
)
"""What training looks at for collapse and symptoms, beside the objective."""


@dataclass(frozen=True)
class Unjudged:
    """A judge of one sample, to which all are alike; see :class:`gan_tune.gan.training.Scorer`."""

    metric: str
    count: int = 1

    @property
    def noise(self) -> Mapping[str, float]:
        return {self.metric: 0.0}

    def __call__(self, samples: Tensor, *, models: Models) -> Mapping[str, float]:
        return dict.fromkeys((self.metric, *WATCHED), 1.0)


def checked(tree: Mapping[str, Any], *, turns: int, steps: int) -> TrialConfig:
    """The config of a trial with a report after each turn of so many steps."""
    length = {"steps": turns * steps, "evaluations": turns}
    return TrialConfig.from_tree(dict(tree) | length, catalogue())


def turns_of(config: TrialConfig, dataset: Dataset) -> Turn:
    """A turn trains to the next report, as a trial does: seconds a step, without evaluation.

    So all that belongs to training counts: draws, figures, and the looks for divergence.
    """
    reports: Iterator[Report] = train(config, dataset, Unjudged(config.objective.metric))
    length = config.report_steps[0]

    def turn() -> float:
        report = next(reports)
        assert report.step % length == 0, f"it ended: {report.outcome}"
        return report.training_seconds / length

    return turn
