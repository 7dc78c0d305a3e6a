"""Proposals near what a user believes to be good: the `prior` of a range."""

from __future__ import annotations

import random
from collections.abc import Iterable
from math import exp, log
from statistics import NormalDist

from gan_tune.searching.study.seeds import sampler_seeds
from gan_tune.space import Dimension, NumberRange, Scalar

__all__ = ["AROUND_PRIOR", "around_priors", "share_of_priors"]

AROUND_PRIOR = "prior"
"""Origin of a setting that was drawn around the priors."""

WIDTH = 0.25
"""Deviation of a draw around a prior, as a share of its range; NePS' medium confidence."""

HALF_LIFE = 10
"""After so many proposals, half as many are drawn around the priors."""


def share_of_priors(proposal: int) -> float:
    """The probability with which a proposal is drawn around the priors: from 1 down to 0.

    As in PriorBand (Mallik et al. 2023), belief leads at first and fades while values come in, so
    that a wrong prior costs little.
    """
    return float(0.5 ** (proposal / HALF_LIFE))


def around_priors(
    dimensions: Iterable[Dimension], *, search_seed: int, proposal: int
) -> dict[str, Scalar]:
    """Values for all ranges with a prior, or none where the proposal is not drawn around them.

    Each is from a normal distribution around its prior, cut off at the ends of the range, in the
    range's own scale.

    Args:
        dimensions: of the space; those without a prior are left to the sampler.
        search_seed: seed of the search.
        proposal: number of the proposal, counted from 0.
    """
    believed = [d for d in dimensions if isinstance(d, NumberRange) and d.prior is not None]
    drawn = random.Random(sampler_seeds(search_seed, proposal).proposal)
    if not believed or drawn.random() >= share_of_priors(proposal):
        return {}
    return {dimension.name: _near(dimension, drawn.random()) for dimension in believed}


def _near(dimension: NumberRange, quantile: float) -> Scalar:
    """The value at a quantile of the cut-off normal distribution around a range's prior."""
    assert dimension.prior is not None
    low, high, prior = float(dimension.low), float(dimension.high), float(dimension.prior)
    if dimension.log:
        low, high, prior = log(low), log(high), log(prior)
    if low == high:
        return dimension.low
    normal = NormalDist(prior, WIDTH * (high - low))
    first, last = normal.cdf(low), normal.cdf(high)
    x = normal.inv_cdf(first + quantile * (last - first))
    value = exp(x) if dimension.log else x
    inside = min(max(value, dimension.low), dimension.high)
    return dimension.nearest(dimension.typed(round(inside) if dimension.whole else inside))
