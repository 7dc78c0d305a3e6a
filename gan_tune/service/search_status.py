"""The status of a search and of each of its trials."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gan_tune.config import Objective
from gan_tune.storage.trial_name import TrialName
from gan_tune.words.outcomes import MISSING, is_healthy

RUNNING = "running"
"""Shown as the outcome of a trial that has none yet, and as the state of a running search."""
WAITING = "waiting"
"""Shown as the outcome of a trial of a running search that waits for a worker."""


@dataclass(frozen=True)
class TrialStatus:
    """The status of a trial.

    ``outcome`` is `running`, `waiting` or `interrupted` if it has none; ``step`` is the last
    report's step, None if only MLflow knows the trial; ``steps`` is its full length.
    """

    name: str
    kind: str
    outcome: str
    value: float | None
    step: int | None
    steps: int | None


@dataclass(frozen=True)
class SearchStatus:
    """The status of a search.

    Attributes:
        name: of the search.
        state: `running`, `interrupted` or `finished`.
        holder: the process that works on it; empty if there is none.
        metric, mode: the objective.
        trials: number of settings in the budget; None if it is not known.
        minutes: the time budget; None without one.
        seconds: wall time spent by all commands; None if it is not known.
        rows: its trials, best first.
        where: the folder or MLflow experiment from which this was read.
        aside: the nodes that the last command put aside, with the reason.
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
    aside: Sequence[str] = ()

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of settings by outcome."""
        trials = [(TrialName.parse(r.name), r.outcome) for r in self.rows if r.kind == "search"]
        # A setting's last replicate says how it stands, unless it was stopped after full ones.
        trials.sort(key=lambda trial: (trial[0].replicate, trial[0].setting))
        found: dict[int, str] = {}
        for name, outcome in trials:
            kept = found.get(name.setting) == "completed" and outcome in MISSING
            found[name.setting] = "completed" if kept else outcome
        return dict(Counter(found.values()))

    @property
    def confirmations(self) -> int:
        """Number of confirming trials that have ended."""
        ended = (row for row in self.rows if row.kind == "confirmation")
        return sum(row.outcome not in (RUNNING, WAITING, "interrupted") for row in ended)

    @property
    def best(self) -> float | None:
        """The best value so far in search and confirmation."""
        return self.rows[0].value if self.rows else None


def best_first(rows: Iterable[TrialStatus], objective: Objective) -> list[TrialStatus]:
    """Trials by value; those whose values do not count come last."""

    def place(row: TrialStatus) -> tuple[bool, float]:
        cost = math.inf if row.value is None else objective.cost(row.value)
        return not is_healthy(row.outcome), cost

    return sorted(rows, key=place)
