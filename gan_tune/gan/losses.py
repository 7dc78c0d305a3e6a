"""Adversarial objectives: pure functions of the discriminator's logits.

Symbols: ``real_logits`` = D(x) and ``fake_logits`` = D(G(z)), each of shape [batch, 1] or [batch].
Every function returns a scalar that the player in its name minimises. In arguments, real comes
before fake and discriminator before generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = ["LOSSES", "Loss"]

Smoothing = Annotated[float, Field(ge=0, lt=0.5)]
Objective = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """The two players' objectives, each of (real_logits, fake_logits).

    Attributes:
        discriminator, generator: what each player minimises, a scalar.
        generator_needs_real: the generator's objective uses the real logits. If not, its step does
            not compute them and passes the fake ones twice.
        boundary: the logit at which the discriminator is undecided: real and fake samples push it
            with equal force. Above it, D classifies a sample as real. None if only differences of
            logits have a meaning: D is then right about a pair if D(x) > D(G(z)).
        relativistic: the objectives compare real and fake logits pair by pair, so both batches
            must have the same size.
    """

    discriminator: Objective
    generator: Objective
    generator_needs_real: bool = False
    boundary: float | Tensor | None = 0.0
    relativistic: bool = False


def cross_entropy_discriminator(
    real_logits: Tensor, fake_logits: Tensor, *, smoothing: float | Tensor = 0.0
) -> Tensor:
    """softplus(−D(x)) + s D(x) + softplus(D(G(z))): cross-entropy on logits.

    (Goodfellow et al. 2014, where s = 0.) Real samples have the target 1 − s instead of 1, fake
    ones stay at 0: one-sided label smoothing (Salimans et al. 2016, section 3.4).
    """
    real = softplus(-real_logits)
    if isinstance(smoothing, Tensor) or smoothing:  # off by default, and then it costs no time
        # (1 − s) softplus(−d) + s softplus(d) = softplus(−d) + s d
        real = real + smoothing * real_logits
    return real.mean() + softplus(fake_logits).mean()


def non_saturating_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """softplus(−D(G(z))) (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake_logits).mean()


def minimax_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−softplus(D(G(z))): the saturating game (Goodfellow et al. 2014, equation 1)."""
    return -softplus(fake_logits).mean()


def least_squares_discriminator(
    real_logits: Tensor, fake_logits: Tensor, *, smoothing: float | Tensor = 0.0
) -> Tensor:
    """½ (D(x) − (1 − s))² + ½ D(G(z))² (Mao et al. 2017, equation 9, where s = 0)."""
    return 0.5 * ((real_logits - (1 - smoothing)).square().mean() + fake_logits.square().mean())


def least_squares_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """½ (D(G(z)) − 1)² (Mao et al. 2017, equation 9)."""
    return 0.5 * (fake_logits - 1).square().mean()


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """max(0, 1 − D(x)) + max(0, 1 + D(G(z))) (Lim and Ye 2017)."""
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−D(x) + D(G(z)): minus the estimate of the distance (Arjovsky et al. 2017, equation 3)."""
    return fake_logits.mean() - real_logits.mean()


def critic_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−D(G(z)) (Lim and Ye 2017; Arjovsky et al. 2017)."""
    return -torch.mean(fake_logits)


def relativistic_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """softplus(−(D(x) − D(G(z)))), pair by pair (Jolicoeur-Martineau 2018, RSGAN)."""
    return softplus(fake_logits - real_logits).mean()


def relativistic_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """softplus(−(D(G(z)) − D(x))), pair by pair (Jolicoeur-Martineau 2018, RSGAN)."""
    return softplus(real_logits - fake_logits).mean()


def _undecided_logit(smoothing: float | Tensor) -> float | Tensor:
    """log((1 − s) / (1 + s)), where σ(d) = (1 − s)/2: halfway between the targets."""
    if isinstance(smoothing, Tensor):
        return -2 * smoothing.atanh()
    return -2 * math.atanh(smoothing)


def non_saturating(*, label_smoothing: Smoothing = 0.0) -> Loss:
    """D: cross-entropy. G: −log σ(D(G(z))) (Goodfellow et al. 2014, section 3).

    ``label_smoothing`` s is one-sided: real samples get the target 1 − s (Salimans et al. 2016).
    """
    return Loss(
        partial(cross_entropy_discriminator, smoothing=label_smoothing),
        non_saturating_generator,
        boundary=_undecided_logit(label_smoothing),
    )


def minimax(*, label_smoothing: Smoothing = 0.0) -> Loss:
    """D: cross-entropy. G: −softplus(D(G(z))) (Goodfellow et al. 2014, equation 1).

    The gradient of G vanishes where D wins. ``label_smoothing`` is that of :func:`non_saturating`.
    """
    return Loss(
        partial(cross_entropy_discriminator, smoothing=label_smoothing),
        minimax_generator,
        boundary=_undecided_logit(label_smoothing),
    )


def least_squares(*, label_smoothing: Smoothing = 0.0) -> Loss:
    """LSGAN: squared errors from the targets 0 and 1 (Mao et al. 2017, equation 9).

    ``label_smoothing`` lowers D's target for real samples only.
    """
    return Loss(
        partial(least_squares_discriminator, smoothing=label_smoothing),
        least_squares_generator,
        boundary=0.5 * (1 - label_smoothing),
    )


def wasserstein() -> Loss:
    """WGAN. D: −D(x) + D(G(z)). G: −D(G(z)) (Arjovsky et al. 2017).

    D must be kept Lipschitz: by `weight_clip`, `gradient_penalty` or spectral norm.

    Note:
        A constant added to D changes neither objective, so no logit is a boundary.
    """
    return Loss(wasserstein_discriminator, critic_generator, boundary=None)


def hinge() -> Loss:
    """D: max(0, 1 − D(x)) + max(0, 1 + D(G(z))). G: −D(G(z)) (Lim and Ye 2017).

    Logits beyond ±1 have no effect on D.
    """
    return Loss(hinge_discriminator, critic_generator)


def relativistic() -> Loss:
    """RpGAN. D: softplus(−(D(x) − D(G(z)))), pair by pair (Jolicoeur-Martineau 2018).

    G: the same with real and generated samples exchanged. With the penalties `r1` and `r2` it is
    the objective of R3GAN (Huang et al. 2024).
    """
    return Loss(
        relativistic_discriminator,
        relativistic_generator,
        generator_needs_real=True,
        boundary=None,
        relativistic=True,
    )


LOSSES: dict[str, Callable[..., Loss]] = {
    "non_saturating": non_saturating,
    "minimax": minimax,
    "least_squares": least_squares,
    "wasserstein": wasserstein,
    "hinge": hinge,
    "relativistic": relativistic,
}
