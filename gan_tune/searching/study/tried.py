"""The settings that a search has tried, so that none is trained twice as if it were another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import optuna

from gan_tune.searching.study.seeds import derived_seed
from gan_tune.space import SearchSpace
from gan_tune.space.counting import count_settings, every_setting

__all__ = ["Tried"]

DRAWS = 50
"""Random draws for a setting that has not been tried, before all settings are gone through."""


class Tried:
    """The distinct settings tried so far.

    Args:
        space: of the search.
        assignments: of the settings handed out so far: dimension → value.
    """

    def __init__(self, space: SearchSpace, assignments: Iterable[Mapping[str, Any]]) -> None:
        self._space = space
        self._may_repeat = count_settings(space.trial, continuous=0) > 0
        # A setting with a continuous range never comes again.
        self._keys = {_key(assignment) for assignment in assignments} if self._may_repeat else set()

    def note(self, assignment: Mapping[str, Any]) -> bool:
        """Note a setting that was proposed; False if it had been tried before."""
        if not self._may_repeat:
            return True
        before = len(self._keys)
        self._keys.add(_key(assignment))
        return len(self._keys) > before

    @property
    def is_every(self) -> bool:
        """Whether every distinct setting of the space has been tried."""
        return len(self._keys) >= self._space.distinct_settings

    def another(self, number: int) -> dict[str, Any] | None:
        """A setting that has not been tried, drawn at random for a proposal of that number.

        None if none was found: there is none, or it is one of a few among infinitely many draws.
        """
        if self.is_every:
            return None
        seed = derived_seed(self._space.search.seed, number, "another")
        draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        for _ in range(DRAWS):
            trial = draws.ask()
            self._space.sample(trial, seed=0)
            if _key(trial.params) not in self._keys:
                return dict(trial.params)
        if self._space.distinct_settings == float("inf"):
            return None
        every = every_setting(self._space.trial)
        return next((one for one in every if _key(one) not in self._keys), None)


def _key(assignment: Mapping[str, Any]) -> str:
    return json.dumps(assignment, sort_keys=True)
