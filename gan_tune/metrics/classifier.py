"""A small convolutional classifier of a labelled picture set, for the features it learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gan_tune.data.dataset import Dataset, Split
from gan_tune.data.scaling import in_data_space

__all__ = [
    "Architecture",
    "Classifier",
    "architecture_for",
    "architecture_of",
    "classifier_accuracy",
    "train_classifier",
    "train_on",
]

ARCHITECTURE_NAME = "strided-cnn-1"
WIDTHS = (24, 48, 64, 96, 96, 128, 128, 128, 128)
LAST_SIDE = 4
SMALL_SIDE = 8
BATCH = 128
LABEL_SMOOTHING = 0.1
PEAK_LEARNING_RATE = 4e-3
CHUNK = 100
"""Pictures in one forward pass outside training: as many as fit a core's caches. For 28x28 it takes
three quarters of the time that 500 take, to the same bits."""


@dataclass(frozen=True)
class Architecture:
    """Shape of the pictures (C, H, W), number of classes, number of features."""

    shape: tuple[int, ...]
    classes: int
    features: int


class Classifier(nn.Module):
    """Pictures float [N, C, H, W] in [0, 1] → ``features`` [N, D] → logits [N, classes].

    It has convolutions of stride 2 down to 4x4 (the first of stride 1 for tiny pictures), a linear
    layer to the features, and a linear layer from their positive part to the classes.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        strides = _strides(architecture.shape)
        widths = (architecture.shape[0], *WIDTHS[: len(strides)])
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip(widths[:-1], widths[1:], strides, strict=True):
            convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.3)
        height, width = (_halved(side, strides) for side in architecture.shape[1:])
        self.to_features = nn.Linear(widths[-1] * height * width, architecture.features)
        self.to_logits = nn.Linear(architecture.features, architecture.classes)

    def features(self, pictures: Tensor) -> Tensor:
        """The features [N, D] of pictures [N, C, H, W] in [0, 1]."""
        hidden = self.convolutions(2 * pictures - 1).flatten(1)
        features: Tensor = self.to_features(self.dropout(hidden))
        return features

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.to_logits(F.relu(self.features(pictures)))
        return logits

    def fuse(self) -> Classifier:
        """Fold the batch norms into the convolutions, permanently: the same function, cheaper."""
        self.eval()
        layers: list[nn.Module] = []
        for layer in self.convolutions:
            if isinstance(layer, nn.BatchNorm2d):
                convolution = layers.pop()
                assert isinstance(convolution, nn.Conv2d)
                layer = fuse_conv_bn_eval(convolution, layer)
            layers.append(layer)
        self.convolutions = nn.Sequential(*layers)
        return self

    @classmethod
    def from_weights(
        cls, architecture: Architecture, weights: dict[str, NDArray[np.float32]]
    ) -> Classifier:
        """A fused classifier in eval mode with the given weights."""
        with torch.random.fork_rng(devices=[]):  # building draws weights, of no use here
            network = cls(architecture).fuse()
        network.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
        return network.requires_grad_(False)


def architecture_of(dataset: Dataset) -> Architecture:
    """The architecture for a labelled set of pictures: 32 features for tiny ones, else 64."""
    assert dataset.train_labels is not None
    return architecture_for(dataset.shape, len(np.unique(dataset.train_labels)))


def architecture_for(shape: tuple[int, ...], classes: int) -> Architecture:
    """The architecture for pictures of a shape (C, H, W)."""
    tiny = max(shape[1:]) <= SMALL_SIDE
    return Architecture(shape, classes, 32 if tiny else 64)


def train_classifier(
    dataset: Dataset, *, epochs: int = 20, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """:func:`train_on` the labelled train split."""
    assert dataset.train_labels is not None
    architecture = architecture_of(dataset)
    return train_on(dataset.train, dataset.train_labels, architecture, epochs=epochs, seed=seed)


def train_on(
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    architecture: Architecture,
    *,
    epochs: int,
    seed: int = 0,
) -> dict[str, NDArray[np.float32]]:
    """Train on pictures [N, C, H, W] with labels [N]; returns the fused classifier's weights.

    Uses Adam with a one-cycle schedule and smoothed labels; each batch is shifted by a few pixels.
    The same seed, machine and number of threads give the same weights.
    """
    # A user's labels may be any whole numbers; the classes are their ranks.
    ranks = torch.from_numpy(np.unique(np.asarray(labels), return_inverse=True)[1])
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # initial weights and dropout use the global generator
        torch.manual_seed(seed)
        network = Classifier(architecture).train()
        count = len(pictures)
        steps = epochs * max(1, count // BATCH)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, steps)
        for batch in _batches(count, steps, order):
            # Row by row from the array: it may be mapped, and larger than memory.
            drawn = torch.from_numpy(pictures[batch.numpy()])
            shifted = _shift(in_data_space(drawn), order)
            logits = network(shifted)
            loss = F.cross_entropy(logits, ranks[batch], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return {name: tensor.numpy() for name, tensor in network.fuse().state_dict().items()}


def classifier_accuracy(
    weights: dict[str, NDArray[np.float32]], dataset: Dataset, split: Split
) -> float:
    """Share of a split's pictures that the classifier classifies correctly, in 0..1."""
    network = Classifier.from_weights(architecture_of(dataset), weights)
    labels = dataset.labels(split)
    assert labels is not None
    pictures = torch.tensor(dataset.split(split))
    with torch.inference_mode():
        guesses = [
            network(in_data_space(chunk)).argmax(1) for chunk in torch.split(pictures, CHUNK)
        ]
    return float((torch.cat(guesses).numpy() == labels).mean())


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    side = max(shape[1:])
    strides = [1] if side <= SMALL_SIDE else []
    while side > LAST_SIDE:
        side = (side + 1) // 2
        strides.append(2)
    return tuple(strides)


def _halved(side: int, strides: tuple[int, ...]) -> int:
    for stride in strides:
        side = (side + stride - 1) // stride
    return side


def _batches(count: int, steps: int, order: torch.Generator) -> Iterator[Tensor]:
    """``steps`` batches of indices, a fresh permutation for each pass through the data."""
    size = min(BATCH, count)
    while True:
        for batch in torch.split(torch.randperm(count, generator=order), size):
            if steps == 0:
                return
            if len(batch) == size:
                steps -= 1
                yield batch


def _shift(pictures: Tensor, order: torch.Generator) -> Tensor:
    """The whole batch moved by up to 1/14 of its sides (at least a pixel), edges repeated."""
    height, width = pictures.shape[2:]
    reach = max(1, min(height, width) // 14)
    down, right = torch.randint(2 * reach + 1, (2,), generator=order).tolist()
    padded = F.pad(pictures, [reach] * 4, mode="replicate")
    return padded[:, :, down : down + height, right : right + width]
