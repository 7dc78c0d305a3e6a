"""The recorded tasks: which data are searched with which ranges, at which length.

A task takes the ranges of the shipped space of its family, so that settings can be carried from one
task to another. Its search begins with the source's own setting alone.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gan_tune.parts.all_parts import catalogue
from gan_tune.space import SearchSpace, shipped_spaces
from gan_tune.space.reading import read_space

DATASETS = "benchmarks.experience.datasets:"


@dataclass(frozen=True)
class Task:
    """Data to search on.

    Attributes:
        base: the shipped space whose ranges are taken.
        data: name of the data set.
        things: what the data show. A task's figures never come from recordings of the same things.
        steps: of a trial.
        trial: what replaces the base's fields, by dotted path.
    """

    base: str
    data: str
    things: str
    steps: int
    trial: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 2

    @property
    def seed(self) -> int:
        """Of its search. With draws of its own, no other task's portfolio names what it tries."""
        return zlib.crc32(f"{self.base} {self.data}".encode())

    def space(self) -> SearchSpace:
        """Its space, with the source's setting as the only start."""
        tree = copy.deepcopy(read_space(shipped_spaces()[self.base]).tree)
        trial = tree["trial"]
        trial["data"] = {**trial["data"], "name": self.data, "batch_size": 64}
        trial.pop("measure", None)
        start = tree["start_from"][0]
        start.get("data", {}).pop("batch_size", None)
        for path, value in self.trial.items():
            *above, last = path.split(".")
            place = trial
            for step in above:
                place = place[step]
            place[last] = value
            _drop(start, path.split("."))
        if trial.get("precision") == "auto":
            trial["precision"] = "float32"  # the same on every machine
        return SearchSpace.load(
            {
                "name": "recorded",
                "objective": tree["objective"],
                "budget": {"steps": self.steps, "evaluations": self.evaluations},
                "search": {"scheduler": "none", "seed": self.seed},
                "confirm": {"top": 0},
                "trial": trial,
                "start_from": [start],
            },
            catalogue(),
        )


def _drop(start: dict[str, Any], path: list[str]) -> None:
    """Leave a place that a task decides out of the first setting."""
    *above, last = path
    for step in above:
        start = start.get(step, {})
    start.pop(last, None)


TABLE = {"data.scale": "by_column", "generator.output": "linear"}
POINTS, MLP, CONV = 1000, 1500, 300

TASKS: Mapping[str, Task] = {
    "ring": Task("points", "ring", "ring", POINTS),
    "grid": Task("points", "grid", "grid", POINTS),
    "moons": Task("points", f"{DATASETS}moons", "moons", POINTS),
    "spirals": Task("points", f"{DATASETS}spirals", "spirals", POINTS),
    "blobs": Task("points", f"{DATASETS}blobs", "blobs", POINTS),
    "made_table": Task("points", f"{DATASETS}made_table", "made table", POINTS, TABLE),
    "sensors": Task("points", f"{DATASETS}sensors", "sensors", POINTS, TABLE),
    "diamonds": Task("points", f"{DATASETS}diamonds", "diamonds", POINTS, TABLE),
    "digits": Task("mlp", "digits", "digits", MLP),
    "letters": Task("mlp", f"{DATASETS}letters", "letters", MLP),
    "grey_patches": Task("mlp", f"{DATASETS}grey_patches", "photographs", MLP),
    "fashion": Task("mlp", "fashion_mnist", "clothes", MLP),
    "conv_letters": Task("conv", f"{DATASETS}large_letters", "letters", CONV),
    "conv_fashion": Task("conv", "fashion_mnist", "clothes", CONV),
    "conv_patches": Task("conv", f"{DATASETS}colour_patches", "photographs", CONV),
}
"""Name of a task → the task, cheap ones of a family first."""
