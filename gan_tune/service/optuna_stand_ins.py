"""Stand-ins for an Optuna trial, to sample a space without a study."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class LowEnds:
    """Replaces an Optuna trial: takes the first option and the low end of every range."""

    def suggest_float(self, name: str, low: float, high: float, **rest: Any) -> float:
        return low

    def suggest_int(self, name: str, low: int, high: int, **rest: Any) -> int:
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[0]


class Draws:
    """Replaces an Optuna trial: draws each value independently."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is not None:
            return low + step * self._random.randint(0, int((high - low) / step + 1e-6))
        if log:
            return math.exp(self._random.uniform(math.log(low), math.log(high)))
        return self._random.uniform(low, high)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        if log:
            return round(self.suggest_float(name, low, high, log=True))
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)


class Decided:
    """Replaces an Optuna trial: takes given values, and the others from another stand-in."""

    def __init__(self, given: Mapping[str, Any], rest: LowEnds | Draws) -> None:
        self._given, self._rest = given, rest
        self.used: set[str] = set()

    def suggest_float(self, name: str, low: float, high: float, **rest: Any) -> float:
        return float(self._pick(name, lambda: self._rest.suggest_float(name, low, high, **rest)))

    def suggest_int(self, name: str, low: int, high: int, **rest: Any) -> int:
        return int(self._pick(name, lambda: self._rest.suggest_int(name, low, high, **rest)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._pick(name, lambda: self._rest.suggest_categorical(name, choices))

    def _pick(self, name: str, otherwise: Callable[[], Any]) -> Any:
        self.used.add(name)
        return self._given[name] if name in self._given else otherwise()
