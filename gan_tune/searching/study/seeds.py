"""The seeds of a search, all different: each is derived from the search's own seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Seeds", "derived_seed", "sampler_seeds", "trial_seed"]


@dataclass(frozen=True)
class Seeds:
    """The seeds of a sampler, below 2³¹.

    Attributes:
        proposal: different for each proposal, so that a resumed study repeats none.
        search: the same for all proposals, for a sampler that draws one sequence of points.
    """

    proposal: int
    search: int


def derived_seed(search_seed: int, number: int, purpose: str) -> int:
    """A seed below 2³¹ for one purpose of one setting of a search."""
    digest = hashlib.sha256(f"{search_seed}/{number}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def sampler_seeds(search_seed: int, proposal: int) -> Seeds:
    """The seeds of the sampler that makes a search's proposal of this number, counted from 0."""
    return Seeds(
        proposal=derived_seed(search_seed, proposal, "sampler"),
        search=derived_seed(search_seed, 0, "sequence"),
    )


def trial_seed(search_seed: int, setting: int, replicate: int) -> int:
    """The seed with which one replicate of a setting is trained."""
    return derived_seed(search_seed, setting, f"replicate {replicate}")
