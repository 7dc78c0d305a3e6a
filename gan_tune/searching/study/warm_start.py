"""Warm start: trials of earlier searches, converted to a new search with its own budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gan_tune.space import Scalar
from gan_tune.words.outcomes import Outcome

__all__ = ["EarlierTrial", "outcome_within"]


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier search, as if it were a setting of the new one.

    Attributes:
        source: its name, `SEARCH/TRIAL`.
        assignment: dimension of the new search's space → value.
        outcome: how it would have ended in the new search (:func:`outcome_within`).
        curve: step → its best value so far.
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
    """How an earlier search's trial would have ended in a search with another length of training.

    A trial that ran beyond the new length counts as completed. A trial that completed earlier has
    not run the new search's full length, so it counts as pruned. The exception is a trial stopped
    by its patience, if the new search has the same patience. All others keep their outcome.

    Args:
        steps: length of a trial in the new search.
        outcome: how the trial ended in its own search.
        reached: the step at which it ended.
        by_patience: whether its patience stopped it, and the new search has the same.
    """
    if reached > steps:
        return "completed"
    if outcome == "completed" and reached < steps and not by_patience:
        return "pruned"
    return outcome
