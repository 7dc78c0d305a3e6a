"""From recordings to experience: which settings of all tasks serve a family best."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from typing import Any

import numpy as np

from benchmarks.experience.recording import Recording, Run, Setting
from gan_tune.experience.experience import Entry, Experience, Standing, Task, task_digest
from gan_tune.experience.fitting import fit_setting
from gan_tune.experience.portfolio import MOST, by_ratio, portfolio
from gan_tune.experience.settings import DATA_KEPT, family_of_space, setting_of
from gan_tune.service.optuna_stand_ins import Decided, Draws, LowEnds
from gan_tune.space import SearchSpace

KINDS = {"points": "points", "mlp": "pictures", "conv": "pictures"}
"""Base of a task → the kind of its data."""


def name_of(task: str, run: Run) -> str:
    """The name of a run's setting, the same on every task where it was trained."""
    if run.how == "search":
        return f"{task}/{run.number}"
    return f"sobol/{run.number}" if run.how == "sobol" else run.source


def text(setting: Setting) -> str:
    """A setting as text, the same for equal ones."""
    return json.dumps(dict(setting), sort_keys=True)


@dataclass(frozen=True)
class Family:
    """The recordings whose settings can be carried from one to the other."""

    recordings: Mapping[str, Recording]

    @cached_property
    def spaces(self) -> dict[str, SearchSpace]:
        """Task → its space."""
        return {task: recording.space for task, recording in self.recordings.items()}

    @cached_property
    def runs(self) -> dict[str, dict[str, Run]]:
        """Task → setting's name → its run.

        Searches draw their first settings from the same seed, so tasks share some of them.
        """
        named = {
            task: {name_of(task, run): run for run in recording.runs}
            for task, recording in self.recordings.items()
        }
        written = {
            task: {text(r.setting): r for r in runs.values()} for task, runs in named.items()
        }
        for task, runs in named.items():
            for other, theirs in self.recordings.items():
                for run in theirs.by("search"):
                    if text(run.setting) in written[task]:
                        runs.setdefault(name_of(other, run), written[task][text(run.setting)])
        return named

    def without(self, task: str) -> Family:
        """The recordings of other things than a task's."""
        things = self.recordings[task].head["things"]
        others = {t: r for t, r in self.recordings.items() if r.head["things"] != things}
        return Family(others)

    def best_of(self, task: str, count: int) -> list[str]:
        """The names of a task's own best settings."""
        own = [run for run in self.recordings[task].runs if run.how != "carried"]
        return [name_of(task, run) for run in sorted(own, key=lambda run: run.best)[:count]]

    def portfolio(self, most: int = MOST) -> list[str]:
        """The names of the settings that serve all tasks best."""
        found = sorted({name for runs in self.runs.values() for name in runs if self._own(name)})
        by_text = {text(self.recorded(name)[1].setting): name for name in reversed(found)}
        names = sorted(by_text.values())
        losses = np.array([by_ratio(self._above_floor(task, names)) for task in self.runs])
        return [names[i] for i in portfolio(losses, most=most)]

    def _own(self, name: str) -> bool:
        """Whether a setting was found on one of these tasks, or on none."""
        source, _ = name.split("/")
        return source == "sobol" or source in self.recordings

    def _above_floor(self, task: str, names: Sequence[str]) -> list[float]:
        recording, runs = self.recordings[task], self.runs[task]
        best = [runs[name].best if name in runs else nan for name in names]
        return [recording.above_floor(value) if value < inf else value for value in best]

    def recorded(self, name: str) -> tuple[str, Run]:
        """A task and a run that have a setting."""
        return next((t, runs[name]) for t, runs in self.runs.items() if name in runs)

    def setting(self, name: str) -> dict[str, object]:
        """A setting as a file of experience holds it; batch sizes were the same throughout."""
        source, _ = name.split("/")
        task, run = self.recorded(name)
        if source in self.runs:
            task, run = source, self.runs[source][name]
        leaves = setting_of(self.spaces[task].config(run.setting, seed=0))
        del leaves[DATA_KEPT]
        return leaves


def families(recordings: Mapping[str, Recording]) -> dict[str, Family]:
    """Base → the recordings with its ranges."""
    bases = dict.fromkeys(recording.head["base"] for recording in recordings.values())
    return {
        base: Family({t: r for t, r in recordings.items() if r.head["base"] == base})
        for base in bases
    }


def carried(
    family: Family, names: Iterable[str], space: SearchSpace
) -> Iterator[tuple[str, Setting]]:
    """Settings on another task's space; what they leave open is taken from the low ends."""
    for name in names:
        decided = Picks(fit_setting(space.trial, family.setting(name)).values, LowEnds())
        space.sample(decided, seed=0)
        yield name, decided.picked


class Picks(Decided):
    """Keeps what it has decided: name → value."""

    def __init__(self, given: Mapping[str, Any], rest: LowEnds | Draws) -> None:
        super().__init__(given, rest)
        self.picked: dict[str, Any] = {}

    def _pick(self, name: str, otherwise: Callable[[], Any]) -> Any:
        self.picked[name] = value = super()._pick(name, otherwise)
        return value


def experience_of(recordings: Mapping[str, Recording], source: str) -> Experience:
    """The experience that is learnt from recordings."""
    tasks: dict[str, Task] = {}
    portfolios: dict[str, tuple[Entry, ...]] = {}
    for base, family in families(recordings).items():
        for task, recording in family.recordings.items():
            tasks[_digest(recording)] = _task(task, recording, family.spaces[task])
        space = next(iter(family.spaces.values()))
        portfolios[family_of_space(space, KINDS[base])] = tuple(
            _entry(family, name) for name in family.portfolio()
        )
    return Experience(source=source, tasks=tasks, portfolios=portfolios)


def _digest(recording: Recording) -> str:
    return task_digest(recording.head["data"], recording.head["base"])


def _task(name: str, recording: Recording, space: SearchSpace) -> Task:
    objective = space.objective
    return Task(
        objective=objective.metric,
        mode=objective.mode,
        settings=len(recording.runs),
        steps=space.budget.steps,
        floor=recording.floor,
        about=name,
    )


def _entry(family: Family, name: str) -> Entry:
    standings = {}
    for task, recording in family.recordings.items():
        run = family.runs[task].get(name)
        if run is not None and run.best < inf:
            rank = 1 + sum(other.best < run.best for other in recording.runs)
            standings[_digest(recording)] = Standing(value=run.best, rank=rank)
    return Entry(setting=family.setting(name), tasks=standings)
