"""Adversarial objectives: pure functions of the discriminator's logits.

Symbols: ``real_logits`` = D(x) and ``fake_logits`` = D(G(z)), each of shape [batch, 1] or [batch].
Every function returns a scalar to be minimised by the player it is named for. Real comes before
fake, discriminator before generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = ["LOSSES", "Loss"]

Objective = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """The two players' objectives, each of (real_logits, fake_logits).

    ``generator_needs_real`` is set where the generator's objective reads the real logits
    (relativistic losses); elsewhere the generator's step does not compute them and passes the
    fake ones twice. ``boundary`` is the logit at which the discriminator is undecided: above it,
    it takes a sample for real.
    """

    discriminator: Objective
    generator: Objective
    generator_needs_real: bool = False
    boundary: float = 0.0


def cross_entropy_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """softplus(−D(x)) + softplus(D(G(z))): cross-entropy on logits (Goodfellow et al. 2014)."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def non_saturating_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """softplus(−D(G(z))) (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake_logits).mean()


def minimax_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−softplus(D(G(z))): the saturating game (Goodfellow et al. 2014, equation 1)."""
    return -softplus(fake_logits).mean()


def least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """½ (D(x) − 1)² + ½ D(G(z))² (Mao et al. 2017, equation 9)."""
    return 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())


def least_squares_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """½ (D(G(z)) − 1)² (Mao et al. 2017, equation 9)."""
    return 0.5 * (fake_logits - 1).square().mean()


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """max(0, 1 − D(x)) + max(0, 1 + D(G(z))) (Lim and Ye 2017)."""
    return relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()


def hinge_generator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """−D(G(z)) (Lim and Ye 2017)."""
    return -torch.mean(fake_logits)


LOSSES: dict[str, Loss] = {
    "non_saturating": Loss(cross_entropy_discriminator, non_saturating_generator),
    "minimax": Loss(cross_entropy_discriminator, minimax_generator),
    "least_squares": Loss(least_squares_discriminator, least_squares_generator, boundary=0.5),
    "hinge": Loss(hinge_discriminator, hinge_generator),
}
