"""Feature extractors: from samples in data space to the space in which they are compared.

Points are compared by their coordinates. Labelled pictures pass through a small classifier of their
own data set, which was trained on the train split only. It is shipped for `digits` and
`fashion_mnist`; for other sets it is trained once and cached. Unlabelled pictures are projected on
the principal components of the training pixels, and of what small patches say; searches that began
before these could be chosen have the pixels alone. Numbers from different extractors are not
comparable, so each extractor has an identity, which is part of a metric's version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_tune.atomic_file import write_whole
from gan_tune.data.dataset import Dataset
from gan_tune.data.locations import cache_folder
from gan_tune.data.scaling import standard
from gan_tune.errors import DataError
from gan_tune.metrics.classifier import (
    ARCHITECTURE_NAME,
    CHUNK,
    Architecture,
    Classifier,
    architecture_of,
    train_classifier,
)
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.patches import PatchFeatures, fit_patches, fitted_shape

__all__ = [
    "SHIPPED_WEIGHTS",
    "ClassifierFeatures",
    "CoordinateFeatures",
    "FeatureExtractor",
    "PrincipalFeatures",
    "StandardisedFeatures",
    "Unlabelled",
    "as_safetensors",
    "build_extractor",
    "has_classes",
    "save_weights",
    "shipped_record",
]

Weights = dict[str, NDArray[np.float32]]
Unlabelled = Literal["patches", "components"]
"""By which features pictures without labels are compared."""
SHIPPED_WEIGHTS = Path(__file__).parent / "weights"
MAX_PRINCIPAL_COMPONENTS = 64
MAX_PRINCIPAL_PICTURES = 10_000
MAX_PRINCIPAL_PIXELS = 2**27
"""In float64, which the decomposition copies: 1 GiB, or 2,700 pictures of 3x128x128."""
PATCHES_NAME = "patches-2"
MAX_TRAINING_STEPS = 8_000
PROJECTED = 500
"""Pictures that are projected on principal components at a time."""


class FeatureExtractor(Protocol):
    """Samples [N, ...] in data space → features float64 [N, D]. Picklable, holds no handles."""

    @property
    def identity(self) -> str:
        """Names the extractor: equal identities give comparable features."""

    def __call__(self, samples: Tensor) -> FloatMatrix:
        """Features of points [N, D], or of pictures [N, C, H, W] in [0, 1], on any device."""


@dataclass(frozen=True)
class CoordinateFeatures:
    """The coordinates of points, unchanged."""

    identity: str = "coordinates"

    def __call__(self, samples: Tensor) -> FloatMatrix:
        return samples.detach().cpu().numpy().astype(np.float64)


@dataclass(frozen=True, eq=False)
class StandardisedFeatures:
    """(points [N, D] − mean) / deviation, both of the training split, float64 [D].

    Otherwise the column with the largest values would dominate.
    """

    identity: str
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def __call__(self, samples: Tensor) -> FloatMatrix:
        features: FloatMatrix = samples.detach().cpu().double().numpy()
        return (features - self.mean) / self.deviation


@dataclass(frozen=True, eq=False)
class PrincipalFeatures:
    """Pictures on the principal components float64 [K, C*H*W] of the training pixels."""

    identity: str
    mean: NDArray[np.float64]
    components: NDArray[np.float64]

    def __call__(self, samples: Tensor) -> FloatMatrix:
        # In chunks: all samples in float64 would take twice their size once more.
        chunks = samples.detach().cpu().flatten(1).split(PROJECTED)
        return np.concatenate(
            [(c.double().numpy() - self.mean) @ self.components.T for c in chunks]
        )


@dataclass(frozen=True, eq=False)
class ClassifierFeatures:
    """The last hidden layer of a classifier of the pictures.
    It is pickled as plain arrays; each process builds the network once for each device.
    """

    identity: str
    architecture: Architecture
    weights: Weights = field(repr=False)
    _networks: dict[torch.device, Classifier] = field(default_factory=dict, repr=False)

    def __call__(self, samples: Tensor) -> FloatMatrix:
        network = self._network(samples.device)
        with torch.inference_mode():
            chunks = [network.features(chunk.float()) for chunk in torch.split(samples, CHUNK)]
            return torch.cat(chunks).cpu().numpy().astype(np.float64)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_networks": {}}

    def _network(self, device: torch.device) -> Classifier:
        if device not in self._networks:
            network = Classifier.from_weights(self.architecture, self.weights)
            self._networks[device] = network.to(device)
        return self._networks[device]


def build_extractor(dataset: Dataset, *, unlabelled: Unlabelled = "components") -> FeatureExtractor:
    """The extractor that fits a data set.

    A labelled set of pictures for which no weights are shipped trains a classifier the first time,
    which can take minutes. ``unlabelled`` says by what pictures without labels are compared.

    Raises:
        DataError: the cache folder cannot be written.
    """
    if dataset.kind == "points":
        return CoordinateFeatures() if dataset.mixture else _standardised_features(dataset)
    if not has_classes(dataset):
        patches = unlabelled == "patches"
        return _patch_features(dataset) if patches else _principal_features(dataset)
    record = shipped_record(dataset.name)
    # The same name may be used for other data, such as a user's folder: then the digest differs.
    if record is not None and record["data_digest"] == dataset.digest:
        weights = _load_weights(SHIPPED_WEIGHTS / f"{dataset.name}.safetensors")
        return ClassifierFeatures(record["identity"], architecture_of(dataset), weights)
    return _cached_features(dataset)


def has_classes(dataset: Dataset) -> bool:
    """Whether its labels are of two classes or more: with one there is nothing to classify."""
    labels = dataset.train_labels
    return labels is not None and len(np.unique(labels)) > 1


def shipped_record(name: str) -> dict[str, Any] | None:
    """How the shipped weights of a data set were made (accuracies, seed, command), if any."""
    path = SHIPPED_WEIGHTS / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.is_file() else None


def _standardised_features(dataset: Dataset) -> StandardisedFeatures:
    scaling = standard(dataset)
    deviation = np.array(scaling.factor)
    constant = dataset.train.min(0) == dataset.train.max(0)
    identity = f"standardised-{dataset.digest[:8]}"
    return StandardisedFeatures(identity, np.array(scaling.shift), np.where(constant, 1, deviation))


def _principal_features(dataset: Dataset) -> PrincipalFeatures:
    from sklearn.decomposition import PCA

    size = int(np.prod(dataset.shape))
    pictures = min(MAX_PRINCIPAL_PICTURES, MAX_PRINCIPAL_PIXELS // size)
    # In float64, unlike data.scaling: the components, and so the metrics, depend on every bit.
    pixels = dataset.train[:pictures].reshape(-1, size) / 255
    count = min(MAX_PRINCIPAL_COMPONENTS, *pixels.shape)
    fitted = PCA(count, svd_solver="randomized", random_state=0).fit(pixels)
    identity = f"pca{count}-{dataset.digest[:8]}"
    return PrincipalFeatures(identity, fitted.mean_, fitted.components_)


def _cached_features(dataset: Dataset) -> ClassifierFeatures:
    epochs = max(1, min(20, MAX_TRAINING_STEPS * 128 // len(dataset.train)))
    train = partial(train_classifier, dataset, epochs=epochs)
    identity, weights = _made_once(ARCHITECTURE_NAME, "classifiers", dataset, train)
    return ClassifierFeatures(identity, architecture_of(dataset), weights)


def _patch_features(dataset: Dataset) -> PatchFeatures:
    identity, arrays = _made_once(PATCHES_NAME, "patches", dataset, partial(fit_patches, dataset))
    features = PatchFeatures(identity, fitted_shape(dataset.shape), arrays)
    try:
        features.check()
    except ValueError as error:
        rule = "must hold what was fitted to these pictures; delete it, and it is made again"
        raise DataError(f"{_place_of(PATCHES_NAME, 'patches', dataset)}: {rule}: {error}") from None
    return features


def _made_once(
    name: str, folder: str, dataset: Dataset, make: Callable[[], Weights]
) -> tuple[str, Weights]:
    """Identity and weights of an extractor, which is made unless it is in the cache's folder."""
    path = _place_of(name, folder, dataset)
    if not path.is_file():
        save_weights(path, make())
    weights = _load_weights(path)
    # Another machine may come to slightly other weights, and its numbers then differ.
    content = hashlib.sha256(b"".join(weights[key].tobytes() for key in sorted(weights)))
    return f"{name}-{dataset.digest[:8]}-{content.hexdigest()[:8]}", weights


def _place_of(name: str, folder: str, dataset: Dataset) -> Path:
    return cache_folder() / folder / f"{name}-{dataset.digest}.safetensors"


def _load_weights(path: Path) -> Weights:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: must be a complete safetensors file: {error}") from None


def as_safetensors(weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Weights as a file of safetensors, which writes the memory as it lies: an array whose axes lie
    in another order must be copied first."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in weights.items()})


def save_weights(path: Path, weights: Weights) -> None:
    """Write weights as safetensors, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, as_safetensors(weights))
    except OSError as error:
        raise DataError(f"{path.parent}: must be writable (see $GAN_TUNE_CACHE): {error}") from None
