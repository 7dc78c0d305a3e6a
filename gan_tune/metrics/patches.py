"""Features of pictures that need no labels: what single pixels show, and what small patches do.

The pixels' principal components see where something is and how bright. They are blind to texture:
blur, speckles and checkerboards hardly move them. Beside them stand small patches, whitened and
compared with typical ones of the train split, in each quarter of the picture. Both see only what
real pictures have. What they never have, such as the checkerboard that transposed convolutions
leave, the energies see: how strongly a picture's patches vary in each direction in which patches
can, beside how strongly real ones do.

Source: Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning,
2011 (k-means on whitened patches); Odena, Dumoulin and Olah, Deconvolution and Checkerboard
Artifacts, 2016. How they compare with others is in docs/results.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import in_data_space
from gan_tune.metrics.inputs import choose
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.words.wording import in_one_line

__all__ = ["PatchFeatures", "fit_patches", "fitted_shape"]

LARGEST_SIDE = 64
"""Larger pictures are averaged to it, so that a report costs no more than its share."""
PATCH, SMALL_PATCH = 5, 4
SMALL_SIDE = 8
"""Up to this side, patches are the smaller ones, and lie at every pixel, not every second one."""
FILTERS = 64
QUARTERS = 2
CONTRAST = 0.01
"""Added to a patch's variance, so that flat patches stay flat."""
EVEN = 0.1
"""Added to the variances that whitening divides by: the faintest directions are mostly noise."""
FAINT = 0.5
"""Answers below it count as none."""
COMPONENTS = 64
WEIGHT = 0.2
"""Of the answers beside the pixels: chosen by `python benchmarks/judges.py`."""
ENERGY_WEIGHT = 0.1
"""Of the energies, likewise."""
FAINT_ENERGY = 1e-3
"""Added to an energy: contrasts below 3 % of the range are hardly seen."""
NARROW = 0.1
"""The least deviation of an energy's logarithm by which it is divided."""
KNOWN = 5_000
"""Training pictures to which all is fitted."""
CHUNK = 100


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Pictures → float64 [N, K]: components of pixels and of the answers of patches, and energies.

    Over the train split the total variance of the first is 1, of the second :data:`WEIGHT`, of the
    third at most :data:`ENERGY_WEIGHT`.

    Attributes:
        identity: names it.
        shape: (C, h, w) of the pictures that it compares; larger ones are averaged to it.
        arrays: float32 by name: `filters` [F, C, p, p], for `pixels` and `answers` a `.mean` [D]
            and `.components` [K, D]; `directions` [E, C, p, p], `energies.mean` [E] and
            `energies.deviation` [E], which searches of earlier versions lack.
    """

    identity: str
    shape: tuple[int, ...]
    arrays: Mapping[str, NDArray[np.float32]] = field(repr=False)

    def check(self) -> None:
        """Check that the arrays fit each other and the shape, as only their use shows.

        Raises:
            ValueError: they do not.
        """
        try:
            for name, array in self.arrays.items():
                if not np.isfinite(array).all():
                    raise ValueError(f"{name}: must hold finite numbers")
            self(torch.zeros(1, *self.shape))
        except (ArithmeticError, LookupError, RuntimeError, TypeError) as error:
            raise ValueError(in_one_line(error)) from None

    def __call__(self, samples: Tensor) -> FloatMatrix:
        chunks = samples.detach().float().split(CHUNK)
        return np.concatenate([self._of(_averaged(chunk, self.shape)) for chunk in chunks])

    def _of(self, small: Tensor) -> FloatMatrix:
        filters = torch.tensor(self.arrays["filters"], device=small.device)
        found = [
            self._projected("pixels", small.flatten(1)),
            self._projected("answers", _answers(small, filters)),
        ]
        if "directions" in self.arrays:
            directions = torch.tensor(self.arrays["directions"], device=small.device)
            found.append(self._compared(_log_energies(small, directions)))
        return np.concatenate(found, 1)

    def _projected(self, name: str, values: Tensor) -> FloatMatrix:
        centred = values.cpu().double().numpy() - self.arrays[f"{name}.mean"]
        components = self.arrays[f"{name}.components"].astype(np.float64)
        projected: FloatMatrix = centred @ components.T
        return projected

    def _compared(self, logarithms: Tensor) -> FloatMatrix:
        """Energies beside real ones. Far beyond them more counts little, or it would be all."""
        mean, deviation = self.arrays["energies.mean"], self.arrays["energies.deviation"]
        apart: FloatMatrix = np.arcsinh((logarithms.cpu().double().numpy() - mean) / deviation)
        apart *= np.sqrt(ENERGY_WEIGHT / len(mean))
        return apart


def fitted_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, h, w) of the pictures that are compared, for pictures (C, H, W)."""
    channels, *sides = shape
    return (channels, *(min(side, LARGEST_SIDE) for side in sides))


def fit_patches(dataset: Dataset, weight: float = WEIGHT) -> dict[str, NDArray[np.float32]]:
    """The arrays of :class:`PatchFeatures`, fitted to the train split alone, in a few seconds."""
    chosen = np.sort(choose(len(dataset.train), min(len(dataset.train), KNOWN)))
    known = in_data_space(torch.tensor(dataset.train[chosen]))
    small = torch.cat([_averaged(c, fitted_shape(dataset.shape)) for c in known.split(CHUNK)])
    cut = _cut_patches(small)
    side = _patch_side(small.shape[2:])
    filters, directions = (
        torch.from_numpy(found).float().view(len(found), -1, side, side)
        for found in (_typical(cut), _directions(cut))
    )
    answers = torch.cat([_answers(chunk, filters) for chunk in small.split(CHUNK)])
    energies = torch.cat([_log_energies(chunk, directions) for chunk in small.split(CHUNK)])
    arrays = {
        "filters": filters.numpy(),
        "directions": directions.numpy(),
        "energies.mean": energies.mean(0).numpy(),
        "energies.deviation": energies.std(0, correction=0).clamp(NARROW).numpy(),
    }
    for name, values, variance in (("pixels", small.flatten(1), 1.0), ("answers", answers, weight)):
        found = _principal(values, variance)
        arrays |= {f"{name}.{key}": array for key, array in found.items()}
    return arrays


def _averaged(pictures: Tensor, shape: tuple[int, ...]) -> Tensor:
    _, height, width = shape
    same = tuple(pictures.shape[2:]) == (height, width)
    return pictures if same else F.adaptive_avg_pool2d(pictures, (height, width))


def _cut_patches(pictures: Tensor) -> FloatMatrix:
    """Patches [P, C p p] at random places, four of each picture, without their means."""
    side = _patch_side(pictures.shape[2:])
    random = torch.Generator().manual_seed(0)
    cut = []
    for chunk in pictures.split(CHUNK):
        seen = F.unfold(chunk, side)
        places = torch.randint(seen.shape[2], (len(seen), 4), generator=random)
        cut.append(seen.gather(2, places[:, None].expand(-1, seen.shape[1], -1)).movedim(2, 1))
    patches: FloatMatrix = torch.cat(cut).flatten(0, 1).double().numpy()
    patches -= patches.mean(axis=1, keepdims=True)
    return patches


def _typical(patches: FloatMatrix) -> FloatMatrix:
    """Filters [F, D] whose answer to a patch [D] is its likeness to a typical one.

    Typical are the centres of k-means over whitened patches.
    """
    from sklearn.cluster import MiniBatchKMeans

    patches = patches / np.sqrt(patches.var(axis=1, keepdims=True) + CONTRAST)
    values, vectors = np.linalg.eigh(np.cov(patches.T))
    whitening = vectors @ np.diag(1 / np.sqrt(values.clip(min=0) + EVEN)) @ vectors.T
    count = min(FILTERS, len(patches))
    means = MiniBatchKMeans(count, n_init=1, random_state=0).fit(patches @ whitening)
    centres = means.cluster_centers_
    centres /= np.linalg.norm(centres, axis=1, keepdims=True) + 1e-12
    filters: FloatMatrix = centres @ whitening
    filters -= filters.mean(axis=1, keepdims=True)  # so that a patch's mean does not matter
    return filters


def _directions(patches: FloatMatrix) -> FloatMatrix:
    """The principal directions [D - 1, D] of patches [P, D], also those in which real ones vary
    little; none is that of a patch's mean."""
    _, vectors = np.linalg.eigh(np.cov(patches.T))
    directions: FloatMatrix = vectors.T[:0:-1].copy()  # without that of the mean: its variance is 0
    directions -= directions.mean(axis=1, keepdims=True)
    return directions


def _patch_side(sides: tuple[int, ...]) -> int:
    return min(*sides, SMALL_PATCH if max(sides) <= SMALL_SIDE else PATCH)


def _answers(pictures: Tensor, filters: Tensor) -> Tensor:
    """How much of what each filter likes, and of its negative, is in each quarter: [N, 8 F]."""
    step = 1 if max(pictures.shape[2:]) <= SMALL_SIDE else 2
    even = torch.full_like(filters[:1], 1 / filters[0].numel())
    mean = F.conv2d(pictures, even, stride=step)
    variance = F.conv2d(pictures.square(), even, stride=step) - mean.square()
    likeness = F.conv2d(pictures, filters, stride=step) / (variance.clamp_min(0) + CONTRAST).sqrt()
    both = torch.cat([F.relu(likeness - FAINT), F.relu(-likeness - FAINT)], dim=1)
    return F.adaptive_avg_pool2d(both, QUARTERS).flatten(1)


def _log_energies(pictures: Tensor, directions: Tensor) -> Tensor:
    """The logarithm of the mean square over all patches, in each direction: [N, E]."""
    step = 1 if max(pictures.shape[2:]) <= SMALL_SIDE else 2
    energies = F.conv2d(pictures, directions, stride=step).square().mean((2, 3))
    return (energies + FAINT_ENERGY).log()


def _principal(values: Tensor, variance: float) -> dict[str, NDArray[np.float32]]:
    """Mean and components, scaled so that the projections have that total variance."""
    from sklearn.decomposition import PCA

    samples = values.double().numpy()
    count = min(COMPONENTS, *samples.shape)
    fitted = PCA(count, svd_solver="randomized", random_state=0).fit(samples)
    scale = np.sqrt(fitted.explained_variance_.sum() / variance) or 1.0
    found = {"mean": fitted.mean_, "components": fitted.components_ / scale}
    return {name: array.astype(np.float32) for name, array in found.items()}
