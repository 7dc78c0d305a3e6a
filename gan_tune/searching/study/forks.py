"""Keeps the forks of a population in a study, as user attributes of their trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from gan_tune.searching.jobs import Fork
from gan_tune.searching.study.optuna_internals import enqueued_params

__all__ = ["Replacement", "ancestry", "fork_attributes", "is_fork", "replacement_of"]

PARENT, PARENT_STEP, REPLACES = "parent", "parent_step", "replaces"
"""User attributes of a fork: the setting whose weights it starts from, the step at which that
setting had them, and the setting that it replaces."""


class Replacement(NamedTuple):
    """A fork, and the setting that it replaces."""

    fork: Fork
    replaced: int


def fork_attributes(fork: Fork, *, replaces: int) -> dict[str, Any]:
    """The user attributes of a fork's trial."""
    return {PARENT: fork.parent, PARENT_STEP: fork.step, REPLACES: replaces}


def is_fork(trial: FrozenTrial) -> bool:
    """Whether a trial starts from another one's weights."""
    return PARENT in trial.user_attrs


def replacement_of(trial: FrozenTrial) -> Replacement:
    """The fork that a trial describes.

    Raises:
        KeyError: the trial is no fork.
    """
    stored = trial.user_attrs
    # A waiting trial has no parameters yet, only those with which it was enqueued.
    fork = Fork(stored[PARENT], stored[PARENT_STEP], trial.params or enqueued_params(trial))
    return Replacement(fork, stored[REPLACES])


def ancestry(settings: Sequence[FrozenTrial], setting: int) -> Iterator[tuple[int, int]]:
    """The settings from whose weights a setting continues, latest first, with their last steps."""
    while is_fork(settings[setting]):
        stored = settings[setting].user_attrs
        setting = stored[PARENT]
        yield setting, stored[PARENT_STEP]
