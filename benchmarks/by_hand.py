"""Settings found by hand for the shipped spaces, which searches are measured against.

    python -m benchmarks.by_hand SPACE STEPS [--seed 0]

trains the last of a space's starts with its settings found by hand for so many steps, as many as
the search chose that it stands beside, and states the objective on the test split by report. The
best of five is a little too good, since a search does not choose by the test split.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

from benchmarks.machine import machine
from gan_tune.gan.training import train
from gan_tune.metrics import build_judge
from gan_tune.parts.all_parts import catalogue
from gan_tune.parts.trial_data import dataset_of
from gan_tune.space import SearchSpace, shipped_spaces
from gan_tune.space.reading import read_space

FILE = Path(__file__).with_name("by_hand.yaml")


def space_by_hand(name: str) -> SearchSpace:
    """A shipped space that starts from the source's setting and those found by hand, if any."""
    tree = copy.deepcopy(read_space(shipped_spaces()[name]).tree)
    tree["start_from"] += read_space(FILE).tree.get(name, [])
    return SearchSpace.load(tree, catalogue())


def values_of(name: str, steps: int, seed: int) -> list[float]:
    """The objective on the test split at five reports."""
    space = space_by_hand(name)
    config = space.config(space.start_assignments()[-1], seed)
    changes = {"steps": steps, "evaluations": 5, "measure": (), "patience": 0}
    config = config.model_copy(update=changes)
    dataset = dataset_of(config.data)
    reports = train(config, dataset, build_judge(dataset, "test"))
    return [report.value for report in reports if report.value is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("space", metavar="SPACE")
    parser.add_argument("steps", type=int, metavar="STEPS")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    values = values_of(options.space, options.steps, options.seed)
    print(f"{machine()}: {', '.join(f'{value:.4g}' for value in values)}; best {min(values):.4g}")


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    main()
