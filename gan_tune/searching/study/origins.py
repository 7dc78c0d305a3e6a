"""Where a search's settings come from: its starts, experience, earlier searches, the sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from gan_tune.searching.study.forks import is_fork
from gan_tune.searching.study.optuna_internals import enqueued_params
from gan_tune.space import Scalar

__all__ = ["ORIGIN", "SAMPLED", "START", "Start", "origin_of"]

ORIGIN = "origin"
"""User attribute of a trial that was not sampled: where its setting comes from."""

START, SAMPLED, FORK = "start", "sampled", "fork"


@dataclass(frozen=True)
class Start:
    """A setting to try before anything is sampled.

    Attributes:
        origin: where it comes from, such as `experience 3`.
        assignment: dimension → value; the sampler decides the others.
    """

    origin: str
    assignment: Mapping[str, Scalar]


def origin_of(trial: FrozenTrial) -> str:
    """Where a setting comes from, such as `start 1`, `experience 3`, `sampled` or `fork`.

    A search of an older version did not note it: its starts are called `start`.
    """
    if is_fork(trial):
        return FORK
    noted = trial.user_attrs.get(ORIGIN)
    if noted is not None:
        return str(noted)
    return START if enqueued_params(trial) else SAMPLED
