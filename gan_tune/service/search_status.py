"""How a search stands, and each of its trials."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gan_tune.config import Objective
from gan_tune.storage.trial_name import TrialName
from gan_tune.words.outcomes import is_healthy

RUNNING = "running"
"""Stands for the outcome of a trial that has none yet, and for the state of such a search."""


@dataclass(frozen=True)
class TrialStatus:
    """How a trial stands; ``outcome`` is `running` where it has none, ``steps`` its full length.

    ``step`` is the last report's, None where only MLflow knows the trial.
    """

    name: str
    kind: str
    outcome: str
    value: float | None
    step: int | None
    steps: int | None


@dataclass(frozen=True)
class SearchStatus:
    """How a search stands.

    Attributes:
        name: of the search.
        state: `running`, `interrupted` or `finished`.
        holder: which process works on it, empty for none.
        metric, mode: the objective.
        trials: settings to try by the budget, None where that is not known.
        minutes: the time budget, None without one.
        seconds: wall time spent by all commands, None where that is not known.
        rows: its trials, best first.
        where: the folder or MLflow experiment this was read from.
    """

    name: str
    state: str
    holder: str
    metric: str
    mode: str
    trials: int | None
    minutes: float | None
    seconds: float | None
    rows: Sequence[TrialStatus]
    where: str

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of settings by outcome."""
        trials = [(TrialName.parse(r.name), r.outcome) for r in self.rows if r.kind == "search"]
        # A setting's last replicate says how it stands.
        trials.sort(key=lambda trial: (trial[0].replicate, trial[0].setting))
        return dict(Counter({name.setting: outcome for name, outcome in trials}.values()))

    @property
    def confirmations(self) -> int:
        """Number of confirming trials that have ended."""
        ended = (row for row in self.rows if row.kind == "confirmation")
        return sum(row.outcome not in (RUNNING, "interrupted") for row in ended)

    @property
    def best(self) -> float | None:
        """The best value so far, of search and confirmation alike."""
        return self.rows[0].value if self.rows else None


def best_first(rows: Iterable[TrialStatus], objective: Objective) -> list[TrialStatus]:
    """Trials by value; those whose values do not count come last."""

    def place(row: TrialStatus) -> tuple[bool, float]:
        cost = math.inf if row.value is None else objective.cost(row.value)
        return not is_healthy(row.outcome), cost

    return sorted(rows, key=place)
