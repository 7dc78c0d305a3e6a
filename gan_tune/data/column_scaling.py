"""Scaling column by column, as each column's distribution asks.

A column that is nearly normal is standardised. Any other is mapped by its quantiles to N(0, 1). A
value that many rows share (a spike) becomes a whole interval, in which each row takes a place of
its own; back from anywhere in the interval, it is exactly that value. So networks see neither heavy
tails nor spikes, and what they make is undone to the table's own values.

Source: the probability integral transform, with ties spread as by Rüschendorf, On the
distributional transform, Sklar's theorem, and the empirical copula process, 2009. CTGAN (Xu et al.,
Modeling Tabular Data using Conditional GAN, 2019) takes mixtures of Gaussians for the same purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_tune.data.dataset import Dataset
from gan_tune.errors import DataError

__all__ = ["ColumnScaling", "by_column"]

MAX_LEVELS = 100
"""A column of at most so many distinct values is drawn as one of these values."""
SPIKE = 0.005
"""A value that at least this share of the rows have gets an interval of its own."""
NEARLY_NORMAL = 0.03
"""A column whose Kolmogorov-Smirnov distance to a normal one is below this is standardised."""
QUANTILES = 256
AT_ONCE = 1 << 14

FloatVector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ColumnScaling:
    """One monotone map per column, piecewise linear between knots, or (x − shift) / factor.

    Column d maps ``values[d]`` [K] to ``normal[d]`` [K], both not decreasing. Where neighbouring
    values are equal, the value is spread over the interval. Columns in ``linear`` [D] use ``shift``
    and ``factor`` [D] instead. Those in ``whole`` [D] are rounded when the map is undone. Shorter
    lists of knots are filled up with their last one.
    """

    normal: NDArray[np.float32]
    values: NDArray[np.float32]
    linear: NDArray[np.bool_]
    shift: NDArray[np.float32]
    factor: NDArray[np.float32]
    whole: NDArray[np.bool_]

    kind = "by_column"
    pictures = False
    identity = False

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """What :meth:`back` needs, by name."""
        names = ("normal", "values", "linear", "shift", "factor", "whole")
        return {name: torch.from_numpy(getattr(self, name)) for name in names}

    def apply(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Data space → scaled, [N, D]. ``rows`` int64 [N] numbers the samples.

        A shared value gets a place in its interval that depends on the row's number. Without
        numbers it depends on the sample's content. Both are the same on every device.
        """
        if len(x) > AT_ONCE:  # what follows takes many times the memory of x
            numbers = [None] * -(-len(x) // AT_ONCE) if rows is None else rows.split(AT_ONCE)
            parts = zip(x.split(AT_ONCE), numbers, strict=True)
            return torch.cat([self.apply(part, its_rows) for part, its_rows in parts])
        values, normal = (t.to(x.device) for t in (self.tensors["values"], self.tensors["normal"]))
        columns = x.T.contiguous()
        first = torch.searchsorted(values, columns)  # the first knot at or above x
        beyond = torch.searchsorted(values, columns, right=True)  # the first above it
        last = values.shape[1] - 1
        low, high = first.clamp(max=last), (beyond - 1).clamp(0, last)
        spread = _spread(normal.gather(1, low), normal.gather(1, high), _places(columns, rows))
        before, after = (beyond - 1).clamp(0, last - 1), beyond.clamp(1, last)
        between = _interpolated(columns, values, normal, before, after)
        mapped = torch.where(first < beyond, spread, between).T
        standardised = (x - self._at("shift", x)) / self._at("factor", x)
        return torch.where(self._at("linear", x), standardised, mapped)

    def undo(self, x: Tensor) -> Tensor:
        """Scaled [N, D] → data space."""
        return self.back(x, {name: t.to(x.device) for name, t in self.tensors.items()})

    @staticmethod
    def back(x: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
        """:meth:`undo` with :attr:`tensors`, in operators that can be exported."""
        normal, values = tensors["normal"], tensors["values"]
        columns = x.T.contiguous()
        columns = torch.minimum(torch.maximum(columns, normal[:, :1]), normal[:, -1:])
        after = torch.searchsorted(normal, columns, right=True).clamp(1, normal.shape[1] - 1)
        mapped = _interpolated(columns, normal, values, after - 1, after).T
        plain = torch.where(tensors["linear"], x * tensors["factor"] + tensors["shift"], mapped)
        return torch.where(tensors["whole"], plain.round(), plain)

    def _at(self, name: str, like: Tensor) -> Tensor:
        return self.tensors[name].to(like.device)


def _interpolated(x: Tensor, xs: Tensor, ys: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The line through the knots ``before`` and ``after``, all [D, N] or [D, K]."""
    x0, x1, y0, y1 = (t.gather(1, i) for t in (xs, ys) for i in (before, after))
    tiny = torch.finfo(x.dtype).tiny
    share = ((x - x0) / (x1 - x0).clamp_min(tiny)).clamp(0, 1)
    return y0 + share * (y1 - y0)


def _spread(low: Tensor, high: Tensor, place: Tensor) -> Tensor:
    """The point of an interval of N(0, 1) that divides its mass as ``place`` in (0, 1) does."""
    from_, to = (torch.special.ndtr(t.double()) for t in (low, high))
    found = torch.special.ndtri(from_ + place * (to - from_)).to(low.dtype)
    return torch.minimum(torch.maximum(found, low), high)


def _places(columns: Tensor, rows: Tensor | None) -> Tensor:
    """Numbers in (0, 1), float64 [D, N], the same for the same column and row."""
    count, length = columns.shape
    if rows is None:
        bits = columns.float().view(torch.int32).long()
        rows = torch.zeros(length, dtype=torch.int64, device=columns.device)
        for column in bits:
            rows = _mixed(rows ^ column)
    numbers = torch.arange(1, count + 1, device=columns.device)[:, None]
    mixed = _mixed(_mixed(rows + 1)[None] ^ _mixed(numbers))
    return ((mixed & (2**52 - 1)).double() + 0.5) / 2**52


def _mixed(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64 (Steele et al. 2014), whose bits look random for 0, 1, 2, ..."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15), (31, 1)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return x


# ------------------------------------------------------------------ fitted to a train split


@lru_cache(maxsize=2)
def by_column(dataset: Dataset) -> ColumnScaling:
    """The scaling that the columns of a train split ask for.

    Raises:
        DataError: the data set holds pictures.
    """
    if dataset.kind == "pictures":
        rule = "scale: by_column is for points and tables"
        raise DataError(f"data set {dataset.name}: {rule}: {dataset.kind}")
    fitted = [_fitted(column.astype(np.float64)) for column in dataset.train.T]
    knots = max(2, *(len(one.normal) for one in fitted))

    def filled(lists: list[FloatVector]) -> NDArray[np.float32]:
        rows = [np.pad(one, (0, knots - len(one)), mode="edge") for one in lists]
        return np.stack(rows).astype(np.float32)

    return ColumnScaling(
        normal=filled([one.normal for one in fitted]),
        values=filled([one.values for one in fitted]),
        linear=np.array([one.linear for one in fitted]),
        shift=np.array([one.shift for one in fitted], np.float32),
        factor=np.array([one.factor for one in fitted], np.float32),
        whole=np.array([one.whole for one in fitted]),
    )


@dataclass(frozen=True, eq=False)
class _Fitted:
    """The map of one column, as in :class:`ColumnScaling`."""

    normal: FloatVector
    values: FloatVector
    linear: bool
    shift: float
    factor: float
    whole: bool


def _fitted(column: FloatVector) -> _Fitted:
    levels, counts = np.unique(column, return_counts=True)
    mean, deviation = float(column.mean()), float(column.std())
    whole = bool((levels == np.round(levels)).all())
    spikes = counts >= (1 if len(levels) <= MAX_LEVELS else SPIKE * len(column))
    linear = not spikes.any() and _distance_to_normal(column, mean, deviation) < NEARLY_NORMAL
    normal, values = _knots(levels, counts, spikes)
    return _Fitted(normal, values, linear, mean, deviation or 1.0, whole)


def _distance_to_normal(column: FloatVector, mean: float, deviation: float) -> float:
    """Kolmogorov-Smirnov distance to the normal distribution of the same mean and deviation."""
    from scipy.stats import kstest

    return float(kstest(column, "norm", args=(mean, deviation)).statistic)


def _knots(
    levels: FloatVector, counts: NDArray[np.int64], spikes: NDArray[np.bool_]
) -> tuple[FloatVector, FloatVector]:
    """Knots of a column: pairs for the ends of spikes, and quantiles between them.

    ``levels`` [L] are the distinct values, sorted, ``counts`` how many rows have each.
    """
    from scipy.special import ndtr, ndtri

    count = counts.sum()
    ends = np.concatenate([[0], np.cumsum(counts)]) / count  # of level i: ends[i] to ends[i + 1]
    edge = 0.5 / count  # N(0, 1) has no end, but a sample of this size hardly reaches further
    grid = np.linspace(ndtri(edge), -ndtri(edge), QUANTILES)
    at = np.searchsorted(ends, ndtr(grid), side="right") - 1  # the level at each quantile
    at = at.clip(0, len(levels) - 1)
    # The ends of a spike, and there its neighbours, or values would lie in the gaps between them.
    begins = spikes | np.append(False, spikes[:-1])
    stops = spikes | np.append(spikes[1:], False)
    plain = at[~spikes[at]]
    shares = np.concatenate(
        [ends[:-1][begins], ends[1:][stops], (ends[plain] + ends[plain + 1]) / 2]
    )
    knots = np.stack(
        [
            ndtri(shares.clip(edge, 1 - edge)),
            np.concatenate([levels[begins], levels[stops], levels[plain]]),
        ]
    )
    normal, values = np.unique(knots, axis=1)  # sorted by both
    return normal, values
