"""FID: the Fréchet distance on the features of the Inception network, as torch-fidelity has them.

The network and its resizing come from the package torch-fidelity (`pip install
"gan-tune[inception]"`). Its published weights are in a file that gan-tune does not download. The
digest of that file is part of the metric's version, so that numbers from different weights are
never compared. The published weights are shown as `inception-6726825d`, according to the file's
name. They were not available to the authors: tests use random weights in a file of the same form.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from gan_tune.data.scaling import pixels
from gan_tune.errors import DataError
from gan_tune.metrics.frechet import (
    GaussianStatistics,
    gaussian_distance,
    gaussian_reference,
    gaussian_statistics,
)
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.words.wording import first_line

__all__ = [
    "WEIGHTS_VARIABLE",
    "InceptionFeatures",
    "InceptionReference",
    "as_rgb",
    "fid_to",
    "inception_features",
    "inception_reference",
]

WEIGHTS_VARIABLE = "GAN_TUNE_INCEPTION"
WEIGHTS_NAME = "weights-inception-2015-12-05-6726825d.pth"
LAYER = "2048"
CHUNK = 50

_HOW_TO_GET_BOTH = (
    'fid needs torch-fidelity (pip install "gan-tune[inception]") and its Inception weights '
    f"({WEIGHTS_NAME}, from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0) in "
    f"torch's folder hub/checkpoints or named by ${WEIGHTS_VARIABLE}"
)


@dataclass(frozen=True, eq=False)
class InceptionFeatures:
    """The last pooling layer of the Inception network, for pictures."""

    identity: str
    network: Any

    def __call__(self, samples: Tensor, device: torch.device | None = None) -> FloatMatrix:
        """Features float64 [N, 2048] of pictures [N, C, H, W] in [0, 1], C of 1 or 3.

        They are computed on ``device``, by default the pictures' own. A core computes only a few
        per second.
        """
        device = samples.device if device is None else device
        network = self.network.to(device)
        with torch.inference_mode():
            chunks = [network(as_rgb(chunk.to(device)))[0] for chunk in samples.split(CHUNK)]
            return torch.cat(chunks).double().cpu().numpy()


@dataclass(frozen=True, eq=False)
class InceptionReference:
    """The statistics of the real pictures' features, and the identity of the features.

    The network is not included: each process that computes FIDs loads it once.
    """

    identity: str
    statistics: GaussianStatistics


def as_rgb(pictures: Tensor) -> Tensor:
    """Pictures [N, C, H, W] in [0, 1] as uint8 [N, 3, H, W]; a grey channel is repeated."""
    return pixels(pictures).expand(-1, 3, -1, -1)


def inception_reference(real: Tensor, device: torch.device | None = None) -> InceptionReference:
    """Statistics of real pictures [N, C, H, W] in [0, 1], computed on a device.

    Raises:
        DataError: torch-fidelity or the weights are missing or broken.
    """
    features = inception_features()
    return InceptionReference(features.identity, gaussian_reference(features(real, device)))


def fid_to(
    reference: InceptionReference, fake: Tensor, device: torch.device | None = None
) -> float:
    """FID of pictures [N, C, H, W] in [0, 1], 0 or more; the features are computed on a device.

    Source: Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium, 2017; the network as in Obukhov et al., torch-fidelity, 2020.

    Raises:
        DataError: torch-fidelity or the weights are missing here, or other than the reference's.
    """
    features = inception_features()
    if features.identity != reference.identity:
        raise DataError(
            f"${WEIGHTS_VARIABLE}: every worker must have the weights of the reference: "
            f"{features.identity} instead of {reference.identity}"
        )
    return gaussian_distance(reference.statistics, gaussian_statistics(features(fake, device)))


def inception_features() -> InceptionFeatures:
    """The network with the weights named by $GAN_TUNE_INCEPTION, or those in torch's hub folder.

    Raises:
        DataError: torch-fidelity or the weights are missing or broken.
    """
    named = os.environ.get(WEIGHTS_VARIABLE)
    return _load(Path(named or Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_NAME))


@cache
def _load(path: Path) -> InceptionFeatures:
    try:
        package = import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ImportError as error:
        raise DataError(f"{_HOW_TO_GET_BOTH}: {error}") from None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{_HOW_TO_GET_BOTH}: {path}: {error.strerror}") from None
    try:
        # The package unpickles its input, so it only gets files that contain nothing but tensors
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        network = package.FeatureExtractorInceptionV3(
            "inception", [LAYER], feature_extractor_weights_path=io.BytesIO(content)
        )
    except (RuntimeError, UnpicklingError, TypeError, EOFError) as error:
        reason = first_line(error)
        raise DataError(f"{path}: must hold the weights of torch-fidelity: {reason}") from None
    return InceptionFeatures(f"inception-{hashlib.sha256(content).hexdigest()[:8]}", network)
