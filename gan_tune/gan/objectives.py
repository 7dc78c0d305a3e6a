"""The players' objectives: pure functions of networks, a batch and its random numbers.

They record no figures and draw no random numbers. Networks are passed as functions, and arguments
that are not tensors can be bound beforehand. So several trials of the same shape can run as one
batch under :func:`torch.func.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_tune.gan.input_gradients import Discriminator, Network, by_autograd
from gan_tune.gan.losses import Loss
from gan_tune.gan.penalties import BoundPenalty, Draws
from gan_tune.gan.sparsity import Sparsity

__all__ = [
    "Autoencoder",
    "DiscriminatorObjective",
    "GeneratorObjective",
    "Reconstruction",
    "discriminator_objective",
    "generator_objective",
    "reconstruction",
]

Differentiable = Callable[[Network], Discriminator]


class DiscriminatorObjective(NamedTuple):
    """The discriminator's objective, ``total`` = adversarial ``loss`` + penalties, and its logits
    [batch, 1] of the real and of the fake samples."""

    total: Tensor
    loss: Tensor
    real_logits: Tensor
    fake_logits: Tensor


class GeneratorObjective(NamedTuple):
    """The generator's objective, ``total`` = adversarial ``loss`` + penalties + the autoencoder's
    objective, if there is one."""

    total: Tensor
    loss: Tensor
    activations: Sequence[Tensor]
    reconstruction: Reconstruction | None


class Reconstruction(NamedTuple):
    """An autoencoder's objective: ``total`` = weight · ``error`` + the code's ``penalty``."""

    total: Tensor
    error: Tensor
    penalty: Tensor


class Autoencoder(NamedTuple):
    """The encoder E, G as its decoder, the sparsity of codes, and the weight w of the error."""

    encoder: Network
    decoder: Network
    sparsity: Sparsity
    weight: float | Tensor = 1.0


def discriminator_objective(
    discriminator: Network,
    real: Tensor,
    fake: Tensor,
    *,
    loss: Loss,
    together: bool,
    parameters: Sequence[Tensor] = (),
    penalties: Sequence[BoundPenalty] = (),
    draws: Sequence[Draws] = (),
    differentiable: Differentiable = by_autograd,
) -> DiscriminatorObjective:
    """loss(D(x), D(G(z))) + Σ penalties, for views of real and fake samples [batch, *shape].

    ``draws`` are the random numbers of each penalty. ``parameters`` are what weight penalties take.
    ``differentiable(D)`` returns D with its gradient with respect to the samples, which gradient
    penalties take. For ``together`` see :func:`logits`.
    """
    real_logits, fake_logits = logits(discriminator, real, fake, together=together)
    adversarial = loss.discriminator(real_logits, fake_logits)
    inputs = {
        "discriminator": (differentiable(discriminator), real, fake),
        "weights": (parameters,),
    }
    total = adversarial + _sum_of_penalties(penalties, draws, inputs)
    return DiscriminatorObjective(total, adversarial, real_logits, fake_logits)


def generator_objective(
    discriminator: Network,
    real: Tensor | None,
    fake: Tensor,
    *,
    loss: Loss,
    together: bool,
    parameters: Sequence[Tensor] = (),
    activations: Sequence[Tensor] = (),
    penalties: Sequence[BoundPenalty] = (),
    autoencoder: Autoencoder | None = None,
    data: Tensor | None = None,
) -> GeneratorObjective:
    """loss(D(x), D(G(z))) + Σ penalties + reconstruction, for views of samples [batch, *shape].

    ``real`` is used only if the loss needs it. ``activations`` are the generator's hidden
    activations for ``fake``. ``data`` are the real samples without augmentation, from which the
    autoencoder learns.
    """
    if loss.generator_needs_real:
        assert real is not None
        real_logits, fake_logits = logits(discriminator, real, fake, together=together)
    else:
        real_logits = fake_logits = discriminator(fake)  # the loss ignores its first argument
    adversarial = loss.generator(real_logits, fake_logits)
    inputs = {"activations": (activations,), "weights": (parameters,)}
    added = _sum_of_penalties(penalties, [()] * len(penalties), inputs)
    reconstructed = None
    if autoencoder is not None:
        assert data is not None
        reconstructed = reconstruction(autoencoder, data)
        added = added + reconstructed.total
    return GeneratorObjective(adversarial + added, adversarial, activations, reconstructed)


def reconstruction(autoencoder: Autoencoder, real: Tensor) -> Reconstruction:
    """w · mean (x − G(T(E(x))))² + Ω(E(x)), with the encoder E, and the sparsity's T and Ω."""
    code = autoencoder.encoder(real)
    decoded = autoencoder.decoder(autoencoder.sparsity.transform(code))
    error = (decoded - real).square().mean()
    penalty = autoencoder.sparsity.penalty(code)
    return Reconstruction(autoencoder.weight * error + penalty, error, penalty)


def logits(
    discriminator: Network, real: Tensor, fake: Tensor, *, together: bool
) -> tuple[Tensor, Tensor]:
    """D of real and of fake samples, each [batch, 1].

    If ``together``, both are computed in one pass, which is cheaper. This is allowed if a sample's
    logit does not depend on the other samples of its batch.
    """
    if not together:
        return discriminator(real), discriminator(fake)
    both = discriminator(torch.cat((real, fake)))
    return both[: len(real)], both[len(real) :]


def _sum_of_penalties(
    penalties: Sequence[BoundPenalty], draws: Sequence[Draws], inputs: Mapping[str, tuple[Any, ...]]
) -> Any:
    """Σ penalties, each computed on its own input; 0 if there is none."""
    total: Any = 0.0
    for penalty, drawn in zip(penalties, draws, strict=True):
        total = total + penalty(*inputs[penalty.takes], *drawn)
    return total
