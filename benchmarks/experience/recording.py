"""Recorded runs of a task: a file of JSON lines, appended to after each run, read back at any time.

The first line says what was recorded: the space, the data's digest, the floor, the machine. Each
further line is one run: how its setting came about, the setting, its seed and its curve.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

from benchmarks.experience.tasks import TASKS
from gan_tune.parts.all_parts import catalogue
from gan_tune.space import Scalar, SearchSpace

RECORDINGS = Path(__file__).parents[1] / "recordings"
Setting = Mapping[str, Scalar]


@dataclass(frozen=True)
class Run:
    """One training run of a recorded setting.

    Attributes:
        how: `search` (a search that begins with the source's setting alone), `sobol`, or `carried`
            (a good setting of another task).
        number: its place in that order.
        seed: of the training.
        setting: dimension → value.
        outcome: `completed` or `diverged`.
        values: the objective at each report; None where it is not finite.
        seconds: of processor time.
        source: the task from which a carried setting comes.
    """

    how: str
    number: int
    seed: int
    setting: Setting
    outcome: str
    values: Sequence[float | None]
    seconds: float
    source: str = ""

    @property
    def best(self) -> float:
        """Its best value, infinite where there is none. Less is better."""
        return min((value for value in self.values if value is not None), default=inf)


@dataclass(frozen=True)
class Recording:
    """All runs of one task."""

    task: str
    head: Mapping[str, Any]
    runs: Sequence[Run]

    @property
    def space(self) -> SearchSpace:
        """The space as it was recorded."""
        return SearchSpace.load(dict(self.head["space"]), catalogue(), check_data=False)

    @property
    def floor(self) -> float:
        """The objective of real samples against real ones."""
        return float(self.head["floor"])

    def above_floor(self, value: float) -> float:
        """How far a value lies above the floor; at least a tenth of the floor, which is noise."""
        return max(value - self.floor, 0.1 * abs(self.floor))

    def by(self, how: str) -> list[Run]:
        """The runs of one kind, in their order."""
        return sorted((run for run in self.runs if run.how == how), key=lambda run: run.number)

    def search_best(self, trials: int) -> float | None:
        """The best value of the search after so many trials; None if it is shorter."""
        runs = self.by("search")
        return min(run.best for run in runs[:trials]) if len(runs) >= trials else None


def file_of(task: str, folder: Path = RECORDINGS) -> Path:
    """Where a task is recorded."""
    return folder / f"{task}.jsonl"


def read(task: str, folder: Path = RECORDINGS) -> Recording | None:
    """What is recorded of a task, None if nothing is. A last line torn by a kill is left out."""
    path = file_of(task, folder)
    if not path.exists():
        return None
    whole, _, _ = path.read_text().rpartition("\n")
    head, *lines = (json.loads(line) for line in whole.split("\n"))
    return Recording(task, head, [Run(**line) for line in lines])


def read_all(folder: Path = RECORDINGS) -> dict[str, Recording]:
    """All recordings, in the order of the tasks."""
    found = {task: read(task, folder) for task in TASKS}
    return {task: recording for task, recording in found.items() if recording is not None}


def begin(task: str, head: Mapping[str, Any], folder: Path = RECORDINGS) -> None:
    """Make a task's file, or mend it.

    Raises:
        SystemExit: it is of another space or of other data.
    """
    path = file_of(task, folder)
    if not path.exists():
        folder.mkdir(exist_ok=True)
        path.write_text(json.dumps(head) + "\n")
    known = json.loads(path.read_text().split("\n", 1)[0])
    for key in ("space", "data"):
        if known[key] != head[key]:
            raise SystemExit(f"{path}: must be of the {key} as it is, but is of another; remove it")
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def append(task: str, run: Run, folder: Path = RECORDINGS) -> None:
    """Add a run at the end of a task's file."""
    line = {key: value for key, value in asdict(run).items() if value != ""}
    with file_of(task, folder).open("a") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")
