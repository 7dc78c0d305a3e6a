"""Settings found by hand for the shipped spaces, which searches are measured against."""

from __future__ import annotations

import copy
from pathlib import Path

from gan_tune.parts.all_parts import catalogue
from gan_tune.space import SearchSpace, shipped_spaces
from gan_tune.space.reading import read_space

FILE = Path(__file__).with_name("by_hand.yaml")


def space_by_hand(name: str) -> SearchSpace:
    """A shipped space that starts from the source's setting and those found by hand, if any."""
    tree = copy.deepcopy(read_space(shipped_spaces()[name]).tree)
    tree["start_from"] += read_space(FILE).tree.get(name, [])
    return SearchSpace.load(tree, catalogue())
