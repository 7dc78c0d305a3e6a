"""What `result.json` holds of a champion beside its figures, by its types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["FINDINGS", "AtEqualSteps", "Examination", "Mattered"]


@dataclass(frozen=True)
class Examination:
    """What was found of a champion on the selection split.

    Attributes:
        metric: the distance by which ``farness`` is told.
        farness: 0: as near as real samples; 1: as far as the mean of the data. None where the mean
            of the data is no farther than real samples.
        distinct_share, variety: the metrics of that name; None where the data have none.
        copies: share of samples that lie at least as near to a training sample as the nearest
            twentieth of the selection split does; None where it is not known.
        copies_of_selection: the same share of the selection split itself.
        faults: why it should not be registered, a sentence each.
    """

    metric: str
    farness: float | None
    distinct_share: float | None
    variety: float | None
    copies: float | None
    copies_of_selection: float | None
    faults: Sequence[str]


@dataclass(frozen=True)
class Mattered:
    """Which parameters mattered: :class:`gan_tune.searching.study.insight.Importances`."""

    step: int
    settings: int
    left_out: int
    shares: Mapping[str, float]


@dataclass(frozen=True)
class AtEqualSteps:
    """Values of the champion and of the first setting up to a step, of one trial each."""

    step: int
    champion: float
    first: float


FINDINGS: Mapping[str, type] = MappingProxyType(
    {"examination": Examination, "mattered": Mattered, "at_equal_steps": AtEqualSteps}
)
"""Field of a result → what it holds, unless it is empty."""
