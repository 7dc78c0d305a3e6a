"""Normalisation of a hidden layer's outputs (batch norm) or of its weights (spectral norm).

Spectral norm (Miyato et al. 2018, equation 8) divides a weight W by an estimate of its largest
singular value σ(W). Each forward pass in training makes one step of power iteration. A
convolution's weight is treated as the matrix [outputs, everything else]. Every layer of a
discriminator has spectral norm, so that the logit is Lipschitz. Generators and encoders do not
normalise the last layer, since the data or the code determine its scale.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

__all__ = [
    "NORMS",
    "Norm",
    "Normalisation",
    "has_batch_norm",
    "has_spectral_norm",
    "mixes_samples",
    "without_parametrizations",
]

MIXED_BATCH = 4
"""Number of samples in the test for dependence; statistics are often over groups of four."""

Norm = Literal["none", "batch", "spectral"]


@dataclass(frozen=True)
class Normalisation:
    """How a norm changes a network.

    Attributes:
        units: width → layer over hidden units [batch, width].
        maps: width → layer over feature maps [batch, width, height, width].
        weights: normalises the weights of all layers in a module, after their initialisation.
        bias: whether the convolution before it has a bias; batch norm has its own.
    """

    units: Callable[[int], nn.Module]
    maps: Callable[[int], nn.Module]
    weights: Callable[[nn.Module], object]
    bias: bool


def _nothing(width: int) -> nn.Module:
    return nn.Identity()


def _as_they_are(module: nn.Module) -> None:
    return None


class _ExactSpectralNorm(parametrizations._SpectralNorm):
    """Spectral norm whose power iteration is in float32, also where the network is in bfloat16."""

    def forward(self, weight: Tensor) -> Tensor:
        # Without autocast there is nothing to switch off; some devices do not know it at all.
        if weight.is_meta or not torch.is_autocast_enabled(weight.device.type):
            return super().forward(weight)
        with torch.autocast(weight.device.type, enabled=False):
            return super().forward(weight)


def _spectral(module: nn.Module) -> None:
    for layer in list(module.modules()):  # a list: each norm adds modules of its own
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            # As torch's `spectral_norm`; the outputs of a transposed convolution are second.
            outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            norm = _ExactSpectralNorm(layer.weight, dim=outputs)
            parametrize.register_parametrization(layer, "weight", norm)


NORMS: dict[str, Normalisation] = {
    "none": Normalisation(_nothing, _nothing, _as_they_are, bias=True),
    "batch": Normalisation(nn.BatchNorm1d, nn.BatchNorm2d, _as_they_are, bias=False),
    "spectral": Normalisation(_nothing, _nothing, _spectral, bias=True),
}


def has_batch_norm(network: nn.Module) -> bool:
    """Whether a layer of a network is batch norm."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())


def mixes_samples(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the output for one sample of ``shape`` depends on the other samples in its batch.

    Batch norm is recognised by its type, since it mixes samples in training mode only. Other
    layers, such as the minibatch standard deviation (Karras et al. 2018, section 3), are recognised
    in eval mode: the derivative of the first output with respect to another sample is not exactly 0
    at the present weights.
    """
    if has_batch_norm(network):
        return True
    device = next(network.parameters()).device
    x = torch.randn(MIXED_BATCH, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    x.requires_grad_()
    was_training = network.training
    first = network.eval()(x)[0].sum()
    network.train(was_training)
    if not first.requires_grad:  # trained by estimates only; separate batches are always right
        return True
    (slopes,) = torch.autograd.grad(first, x, materialize_grads=True)
    return bool(slopes[1:].any())


def has_spectral_norm(network: nn.Module) -> bool:
    """Whether a layer of a network has spectral norm, by either of torch's two APIs."""
    return any(
        isinstance(m, parametrizations._SpectralNorm)
        or any(isinstance(h, SpectralNorm) for h in m._forward_pre_hooks.values())
        for m in network.modules()
    )


@torch.no_grad()
def without_parametrizations(network: nn.Module) -> nn.Module:
    """A copy in eval mode whose parametrised weights are replaced by plain ones of equal value.

    It computes the same as ``network`` in eval mode. ``network`` itself is not changed.
    """
    plain = copy.deepcopy(network).eval()
    for module in list(plain.modules()):
        if not parametrize.is_parametrized(module):
            continue
        # Not by `remove_parametrizations`: it removes the weight from the module's class, which a
        # deep copy shares with the original.
        weights = {name: getattr(module, name).clone() for name in module.parametrizations}  # type: ignore[union-attr]
        module.__class__ = parametrize.type_before_parametrizations(module)
        del module.parametrizations
        for name, weight in weights.items():
            module.register_parameter(name, nn.Parameter(weight))
    return plain
