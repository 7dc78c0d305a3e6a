"""Comparisons of generated samples with real ones: the work that metrics share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from gan_tune.data.dataset import Mixture
from gan_tune.data.scaling import in_data_space
from gan_tune.metrics.code_sparsity import code_figures
from gan_tune.metrics.distinct import (
    THUMBNAIL,
    DistinctReference,
    distinct_reference,
    distinct_share,
    thumbnails,
)
from gan_tune.metrics.energy import energy_distance_to, energy_reference
from gan_tune.metrics.frechet import gaussian_distance, gaussian_reference, gaussian_statistics
from gan_tune.metrics.inception import fid_to, inception_reference
from gan_tune.metrics.inputs import MAX_PROBED, Generated, Real, labelled_samples, probe_accuracy
from gan_tune.metrics.kernel import kernel_distance_to, kernel_reference
from gan_tune.metrics.models import Cost, ModelName, Models
from gan_tune.metrics.neighbours import neighbour_figures, neighbour_reference
from gan_tune.metrics.probe import PROBE
from gan_tune.metrics.variety import total_variance, variety_beside

__all__ = ["COMPARISONS", "Comparison"]

MAX_PAIRED = 2_000
"""Largest number of real and of generated samples if the work grows with its square."""
MAX_DISTINCT = 1_000
"""Largest number of samples among which distinct ones are counted."""
MAX_REAL = 2_000
"""Largest number of real samples that the judge keeps as input of a trial's networks."""


@dataclass(frozen=True)
class Comparison:
    """Work that several metrics share.

    ``prepare(real)`` reduces the real samples once to a small reference that can be pickled.
    ``compare(reference, generated)`` runs at each evaluation, if the trial has the ``model`` that
    it needs. Both get at most ``limit`` samples. ``features(reference)`` names the compared
    features for the metrics' versions, if they are not those of the judge's extractor.
    """

    prepare: Callable[[Real], Any]
    compare: Callable[[Any, Generated], Any]
    limit: int | None = None
    model: ModelName | None = None
    features: Callable[[Any], str] | None = None

    def used(self, count: int) -> int:
        """How many of ``count`` samples it sees."""
        return count if self.limit is None else min(count, self.limit)


def _model_comparison(
    model: ModelName,
    prepare: Callable[[Real], Any],
    compare: Callable[[Any, Generated], Any],
    *,
    limit: int = MAX_REAL,
    version: str | None = None,
) -> Comparison:
    named = model if version is None else f"{model}-{version}"
    return Comparison(prepare, compare, limit, model, features=lambda reference: named)


def _mixture(real: Real) -> Mixture:
    assert real.dataset.mixture is not None
    return real.dataset.mixture


def _reconstruction_error(real: np.ndarray[Any, Any], generated: Generated) -> float:
    """Mean over samples and coordinates (pixels) of (x - reconstruction)^2, in data space."""
    reconstructed = generated.outputs("reconstruct", real)
    truth = in_data_space(torch.tensor(real, device=reconstructed.device))
    return float((truth.double() - reconstructed.double()).square().mean())


def _distinct_real(real: Real) -> DistinctReference:
    if real.dataset.kind == "points":
        return distinct_reference(real.features, space="coordinates")
    small = thumbnails(in_data_space(torch.tensor(real.samples)))
    return distinct_reference(small, space=f"thumbnails{THUMBNAIL}")


def _distinct_share(reference: DistinctReference, fake: Generated) -> float:
    points = fake.samples.ndim == 2
    return distinct_share(reference, fake.features if points else thumbnails(fake.samples))


def _cost(models: Models) -> Cost:
    assert models.generator_cost is not None
    return models.generator_cost()


COMPARISONS: dict[str, Comparison] = {
    "gaussians": Comparison(
        prepare=lambda real: gaussian_reference(real.features),
        compare=lambda real, fake: gaussian_distance(real, gaussian_statistics(fake.features)),
    ),
    "kernels": Comparison(
        prepare=lambda real: kernel_reference(real.features),
        compare=lambda real, fake: kernel_distance_to(real, fake.features),
        limit=MAX_PAIRED,
    ),
    "neighbours": Comparison(
        prepare=lambda real: neighbour_reference(real.features),
        compare=lambda real, fake: neighbour_figures(real, fake.features),
        limit=MAX_PAIRED,
    ),
    "features": Comparison(
        prepare=lambda real: real.features,
        compare=lambda real, fake: (real, fake.features),
        limit=MAX_PAIRED,
    ),
    "rows": Comparison(
        prepare=lambda real: real.features,
        compare=lambda real, fake: (real, fake.features),
    ),
    "distances": Comparison(
        prepare=lambda real: energy_reference(real.features),
        compare=lambda real, fake: energy_distance_to(real, fake.features),
    ),
    "modes": Comparison(prepare=_mixture, compare=lambda mixture, fake: (mixture, fake.features)),
    "variances": Comparison(
        prepare=lambda real: total_variance(real.features),
        compare=lambda real, fake: variety_beside(real, fake.features),
    ),
    "distinct": Comparison(
        prepare=_distinct_real,
        compare=_distinct_share,
        limit=MAX_DISTINCT,
        features=attrgetter("space"),
    ),
    "inception": Comparison(
        prepare=lambda real: inception_reference(
            in_data_space(torch.tensor(real.samples)), real.fastest
        ),
        compare=lambda real, fake: fid_to(real, fake.samples, fake.models.fastest),
        features=attrgetter("identity"),
    ),
    "discriminator_probe": _model_comparison(
        "discriminator_features",
        prepare=labelled_samples,
        compare=lambda given, fake: probe_accuracy(given, fake, "discriminator_features"),
        limit=MAX_PROBED,
        version=PROBE,
    ),
    "code_probe": _model_comparison(
        "encode",
        prepare=labelled_samples,
        compare=lambda given, fake: probe_accuracy(given, fake, "encode"),
        limit=MAX_PROBED,
        version=PROBE,
    ),
    "codes": _model_comparison(
        "encode",
        prepare=attrgetter("samples"),
        compare=lambda real, fake: code_figures(fake.outputs("encode", real)),
    ),
    "reconstructions": _model_comparison(
        "reconstruct", prepare=attrgetter("samples"), compare=_reconstruction_error
    ),
    "costs": _model_comparison(
        "generator_cost", prepare=lambda real: None, compare=lambda _, fake: _cost(fake.models)
    ),
}
