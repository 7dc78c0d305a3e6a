"""A look inside a generator: latent traversals, interpolations, and copies of training data.

A generator is any module that maps noise z [B, latent] to samples in data space: pictures
[B, C, H, W] in [0, 1], or points [B, D]. Everything is computed on the CPU, and is the same for the
same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from gan_tune.data.scaling import in_data_space

__all__ = [
    "CopiedShares",
    "Neighbours",
    "Traversals",
    "copied_shares",
    "copying_ratio",
    "interpolations",
    "nearest_neighbours",
    "slerp",
    "total_effects",
    "traversals",
]

BATCH = 256
NEAR = 0.05
"""A sample counts as a copy if it is as near to the training data as this share of fresh ones."""
CHUNK_VALUES = 2**25
"""Training samples are compared in chunks of this many values, to bound the memory."""

Features = Callable[[Tensor], NDArray[Any]]
"""Samples [N, ...] in data space → the vectors [N, D] by which they are compared."""


# ------------------------------------------------------------------ along the coordinates


@dataclass(frozen=True, eq=False)
class Traversals:
    """Samples along some latent coordinates.

    In row r of ``samples`` [R, K, ...], coordinate ``dimensions[r]`` takes the ``values`` [K]. All
    others stay as in ``base`` [latent], which is 0 in every coordinate shown. ``shares[r]`` is the
    total effect of that coordinate, divided by the sum of all :func:`total_effects`.
    """

    base: Tensor
    dimensions: list[int]
    shares: list[float]
    values: Tensor
    samples: Tensor


def traversals(
    generator: nn.Module,
    latent: int,
    *,
    rows: int = 8,
    columns: int = 9,
    reach: float = 3.0,
    seed: int = 0,
) -> Traversals:
    """Move the ``rows`` latent coordinates that matter most from -``reach`` to ``reach``.

    ``columns`` is odd, so that the middle one is the base sample, the same in each row.

    Raises:
        ValueError: ``columns`` is even.
    """
    if columns % 2 == 0:
        raise ValueError(f"columns must be odd: {columns}")
    effects = total_effects(generator, latent, seed=seed)
    dimensions = effects.argsort(descending=True, stable=True)[:rows]
    shares = effects[dimensions] / effects.sum().clamp_min(torch.finfo(effects.dtype).tiny)
    base = _noise(1, latent, seed)[0]
    base[dimensions] = 0
    values = torch.linspace(-reach, reach, columns)
    z = base.repeat(len(dimensions), columns, 1)  # [R, K, latent]
    z[torch.arange(len(dimensions))[:, None], torch.arange(columns), dimensions[:, None]] = values
    return Traversals(base, dimensions.tolist(), shares.tolist(), values, _apply(generator, z))


def total_effects(generator: nn.Module, latent: int, *, draws: int = 32, seed: int = 0) -> Tensor:
    """T_i = ½ E‖G(z) − G(z with z_i drawn again)‖², float64 [latent].

    It is the part of the samples' total variance that depends on z_i, alone or with others. The
    coordinates of points may have different units: each is divided by its standard deviation.

    Source: Jansen, Analysis of variance designs for model output, 1999; Saltelli et al., Variance
    based sensitivity analysis of model output, 2010, table 2 (f).
    """
    noise = _noise(2 * draws, latent, seed)
    z, anew = noise.chunk(2)
    drawn = _apply(generator, noise).double()
    samples, unit = drawn[:draws], _units(drawn)
    effects = []
    for i in range(latent):
        moved = z.clone()
        moved[:, i] = anew[:, i]
        change = (_apply(generator, moved).double() - samples) / unit
        effects.append(change.square().flatten(1).sum(1).mean() / 2)
    return torch.stack(effects)


def _units(samples: Tensor) -> Tensor:
    """The unit of each coordinate of points [N, D], as [D]: its standard deviation, or 1 for 0.

    For pictures [N, C, H, W] it is 1, since all pixels have the same unit.
    """
    if samples.ndim > 2:
        return samples.new_ones(())
    deviation = samples.std(0)
    return torch.where(deviation > 0, deviation, 1)


# ------------------------------------------------------------------ between samples


def interpolations(
    generator: nn.Module, latent: int, *, rows: int = 8, columns: int = 9, seed: int = 0
) -> Tensor:
    """Samples [rows, columns, ...] on the way from one z to another, by :func:`slerp`.

    The ends of row r are the samples of z_r and z_(rows + r), drawn from N(0, I).
    """
    a, b = _noise(2 * rows, latent, seed).chunk(2)
    t = torch.linspace(0, 1, columns)[:, None]
    return _apply(generator, slerp(a[:, None], b[:, None], t))


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """sin((1 − t)ω)/sin ω · a + sin(tω)/sin ω · b, with ω the angle between a and b.

    A straight line would pass near 0, where N(0, I) in many dimensions has hardly any mass. It is
    taken only where a and b lie on one line. ``a`` and ``b`` [..., latent], ``t`` [..., 1] in
    [0, 1], broadcast.

    Source: White, Sampling generative networks, 2016, section 2.1.
    """
    omega = cosine_similarity(a, b, dim=-1).clamp(-1, 1).acos()[..., None]
    sine = omega.sin()
    on_one_line = sine < 1e-4
    sine = sine.masked_fill(on_one_line, 1)
    from_a = torch.where(on_one_line, 1 - t, ((1 - t) * omega).sin() / sine)
    from_b = torch.where(on_one_line, t, (t * omega).sin() / sine)
    return from_a * a + from_b * b


# ------------------------------------------------------------------ beside the training data


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest training samples of each of N samples, nearest first.

    ``indices`` int64 [N, k] into the train split; ``distances`` float64 [N, k], Euclidean.
    """

    indices: Tensor
    distances: Tensor


def nearest_neighbours(
    train: NDArray[Any], samples: Tensor, *, k: int = 1, features: Features | None = None
) -> Neighbours:
    """The ``k`` nearest of the training samples, by pixels or coordinates, or by ``features``.

    ``train`` [M, ...] is as a data set holds it (uint8 pictures, float points); ``samples``
    [N, ...] are in data space. Fewer than ``k`` where the train split is smaller.

    In pixels, a blurred picture is closer to everything than a sharp one. Features depend less on
    sharpness.
    """
    from sklearn.neighbors import NearestNeighbors

    queries = _vectors(samples, features)
    indices: NDArray[Any] = np.empty((len(queries), 0), np.int64)
    distances: NDArray[Any] = np.empty((len(queries), 0))
    for start, chunk in _chunks(train):
        search = NearestNeighbors(n_neighbors=min(k, len(chunk))).fit(_vectors(chunk, features))
        near = search.kneighbors(queries)
        distances = np.concatenate([distances, near[0]], axis=1)
        indices = np.concatenate([indices, near[1] + start], axis=1)
        order = distances.argsort(axis=1, kind="stable")[:, :k]
        distances, indices = (np.take_along_axis(a, order, 1) for a in (distances, indices))
    return Neighbours(torch.from_numpy(indices), torch.from_numpy(distances))


def copying_ratio(held_out: Tensor, samples: Tensor) -> float | None:
    """Median distance of samples to the nearest training sample, relative to held-out real data.

    ``held_out`` [M] and ``samples`` [N] are the distances. The ratio is about 1 for new real data.
    Below 1, samples are closer to the training data than held-out real data are; near 0 they are
    copies. Well above 1, they differ from the data. A generator of only the most typical samples
    also has a ratio below 1; the pictures of the neighbours show which case applies. None if half
    of the held-out data are also in the training data.

    Source: the comparison of generated, training and held-out samples by nearest distances is that
    of Meehan, Chaudhuri and Dasgupta, A non-parametric test to detect data-copying in generative
    models, 2020, section 2. They compare the ranks of the distances, this ratio their medians.
    """
    held_out_median = float(held_out.quantile(0.5))
    return float(samples.quantile(0.5)) / held_out_median if held_out_median > 0 else None


@dataclass(frozen=True)
class CopiedShares:
    """Shares, in 0..1, of generated samples and of held-out real ones that count as copies."""

    samples: float
    held_out: float


def copied_shares(held_out: Tensor, samples: Tensor) -> CopiedShares:
    """The shares that lie nearer to the training data than 95 % of held-out data do.

    ``held_out`` [M] and ``samples`` [N] are the distances to the nearest training sample. That of
    the held-out data is 5 %, or more where many of them also stand in the training data.
    """
    near = held_out.quantile(NEAR)
    shares = ((distances <= near).double().mean().item() for distances in (samples, held_out))
    return CopiedShares(*shares)


def _chunks(train: NDArray[Any]) -> Iterator[tuple[int, Tensor]]:
    """Where each chunk of the training samples starts, and the chunk in data space."""
    length = max(1, CHUNK_VALUES // train[0].size)
    for start in range(0, len(train), length):
        chunk = torch.tensor(train[start : start + length])
        yield start, in_data_space(chunk)


def _vectors(samples: Tensor, features: Features | None) -> NDArray[np.float64]:
    vectors = samples.flatten(1).numpy() if features is None else features(samples)
    # In float32 the rounding of scikit-learn's products of matrices would hide close neighbours.
    return np.asarray(vectors, dtype=np.float64)


def _noise(count: int, latent: int, seed: int) -> Tensor:
    return torch.randn(count, latent, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def _apply(generator: nn.Module, z: Tensor) -> Tensor:
    """Samples [..., *shape] of z [..., latent]."""
    parts = z.flatten(0, -2).split(BATCH)
    samples = torch.cat([generator(part) for part in parts])
    return samples.view(*z.shape[:-1], *samples.shape[1:])
