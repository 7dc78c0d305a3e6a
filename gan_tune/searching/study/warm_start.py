"""Trials of earlier searches, as a search with another budget would have seen them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gan_tune.space import Scalar
from gan_tune.words.outcomes import Outcome

__all__ = ["EarlierTrial", "outcome_within"]


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier search as a setting of this one.

    ``source`` names it (`SEARCH/TRIAL`), ``assignment`` are the decisions, ``curve`` its best value
    so far by step.
    """

    source: str
    assignment: Mapping[str, Scalar]
    outcome: Outcome
    curve: Mapping[int, float]

    @property
    def value(self) -> float | None:
        """Its best value; None if it never had one."""
        return self.curve[max(self.curve)] if self.curve else None


def outcome_within(steps: int, outcome: Outcome, *, reached: int, by_patience: bool) -> Outcome:
    """How a trial that ended with ``outcome`` after ``reached`` steps stands in a search of others.

    What went beyond this search's ``steps`` had come through them. What completed before has never
    run their length, so it can only be told as pruned; but for one that its patience stopped, where
    that holds in this search too (``by_patience``).
    """
    if reached > steps:
        return "completed"
    if outcome == "completed" and reached < steps and not by_patience:
        return "pruned"
    return outcome
