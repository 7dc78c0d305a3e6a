"""Adversarial objectives: every entry of LOSSES, against plain formulas and by their properties."""

from __future__ import annotations

import math

import pytest
import torch

from gan_tune.gan.losses import LOSSES

REAL = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64)
FAKE = torch.tensor([[-0.7], [0.4], [1.5]], dtype=torch.float64)


def log1pexp(x: float) -> float:
    return math.log(1 + math.exp(x))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


R, F = REAL.flatten().tolist(), FAKE.flatten().tolist()
CROSS_ENTROPY = mean([log1pexp(-r) for r in R]) + mean([log1pexp(f) for f in F])
EXPECTED = {
    "non_saturating": (CROSS_ENTROPY, mean([log1pexp(-f) for f in F])),
    "minimax": (CROSS_ENTROPY, -mean([log1pexp(f) for f in F])),
    "least_squares": (
        0.5 * mean([(r - 1) ** 2 for r in R]) + 0.5 * mean([f**2 for f in F]),
        0.5 * mean([(f - 1) ** 2 for f in F]),
    ),
    "hinge": (
        mean([max(0.0, 1 - r) for r in R]) + mean([max(0.0, 1 + f) for f in F]),
        -mean(F),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_agrees_with_the_plain_formula(name: str) -> None:
    loss = LOSSES[name]
    discriminator, generator = EXPECTED[name]
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-12)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(generator, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_players_pull_apart(name: str) -> None:
    """D wants real logits up and fake ones down; G wants fake ones up."""
    loss = LOSSES[name]
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    d_real, d_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    (g_fake,) = torch.autograd.grad(loss.generator(real, fake), fake)
    assert d_real.sum() < 0 < d_fake.sum()
    assert g_fake.sum() < 0


@pytest.mark.parametrize("name", LOSSES)
def test_is_a_pure_function_of_any_batch(name: str) -> None:
    loss = LOSSES[name]
    for objective in (loss.discriminator, loss.generator):
        assert objective(REAL, FAKE).shape == ()
        assert torch.equal(objective(REAL, FAKE), objective(REAL, FAKE))
        assert torch.isclose(objective(REAL, FAKE), objective(REAL.flip(0), FAKE.flip(0)))


@pytest.mark.parametrize("name", LOSSES)
def test_an_undecided_discriminator_is_pulled_both_ways_alike(name: str) -> None:
    """At the boundary, real and fake logits pull with equal force."""
    loss = LOSSES[name]
    real, fake = (torch.full((3, 1), loss.boundary, requires_grad=True) for _ in range(2))
    d_real, d_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    assert torch.allclose(d_real, -d_fake)


def test_relativistic_losses_say_that_they_need_real_logits() -> None:
    for name, loss in LOSSES.items():
        real = REAL.clone().requires_grad_()
        value = loss.generator(real, FAKE)
        reads_real = value.requires_grad
        assert reads_real == loss.generator_needs_real, name
