"""Adversarial objectives: every entry of LOSSES, against plain formulas and by their properties."""

from __future__ import annotations

import math

import pytest
import torch

from gan_tune.config import signature_arguments
from gan_tune.gan.losses import LOSSES, Loss

REAL = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64)
FAKE = torch.tensor([[-0.7], [0.4], [1.5]], dtype=torch.float64)

SMOOTHED = [n for n, part in LOSSES.items() if "label_smoothing" in signature_arguments(part)]
VARIANTS = {name: (name, 0.0) for name in LOSSES} | {f"{n} smoothed": (n, 0.2) for n in SMOOTHED}


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> tuple[str, float]:
    return VARIANTS[request.param]


@pytest.fixture
def loss(variant: tuple[str, float]) -> Loss:
    name, smoothing = variant
    return LOSSES[name](label_smoothing=smoothing) if smoothing else LOSSES[name]()


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


R, F = REAL.flatten().tolist(), FAKE.flatten().tolist()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def cross_entropy(s: float) -> float:
    real = [-(1 - s) * math.log(sigmoid(r)) - s * math.log(1 - sigmoid(r)) for r in R]
    return mean(real) + mean([-math.log(1 - sigmoid(f)) for f in F])


EXPECTED = {
    "non_saturating": lambda s: (cross_entropy(s), mean([-math.log(sigmoid(f)) for f in F])),
    "minimax": lambda s: (cross_entropy(s), mean([math.log(1 - sigmoid(f)) for f in F])),
    "least_squares": lambda s: (
        0.5 * mean([(r - 1 + s) ** 2 for r in R]) + 0.5 * mean([f**2 for f in F]),
        0.5 * mean([(f - 1) ** 2 for f in F]),
    ),
    "wasserstein": lambda s: (mean(F) - mean(R), -mean(F)),
    "hinge": lambda s: (
        mean([max(0.0, 1 - r) for r in R]) + mean([max(0.0, 1 + f) for f in F]),
        -mean(F),
    ),
    "relativistic": lambda s: (
        mean([-math.log(sigmoid(r - f)) for r, f in zip(R, F, strict=True)]),
        mean([-math.log(sigmoid(f - r)) for r, f in zip(R, F, strict=True)]),
    ),
}


def test_agrees_with_the_plain_formula(loss: Loss, variant: tuple[str, float]) -> None:
    name, smoothing = variant
    discriminator, generator = EXPECTED[name](smoothing)
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-12)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(generator, rel=1e-12)


def test_gradients_agree_with_finite_differences(loss: Loss) -> None:
    logits = (REAL.clone().requires_grad_(), FAKE.clone().requires_grad_())
    assert torch.autograd.gradcheck(loss.discriminator, logits)
    assert torch.autograd.gradcheck(loss.generator, logits)


def test_the_players_pull_apart(loss: Loss) -> None:
    """D wants real logits up and fake ones down; G wants fake ones up."""
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    d_real, d_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    (g_fake,) = torch.autograd.grad(loss.generator(real, fake), fake)
    assert d_real.sum() < 0 < d_fake.sum()
    assert g_fake.sum() < 0


def test_is_a_pure_function_of_any_batch(loss: Loss) -> None:
    for objective in (loss.discriminator, loss.generator):
        assert objective(REAL, FAKE).shape == ()
        assert torch.equal(objective(REAL, FAKE), objective(REAL, FAKE))
        assert torch.isclose(objective(REAL, FAKE), objective(REAL.flip(0), FAKE.flip(0)))


def test_an_undecided_discriminator_is_pulled_both_ways_alike(loss: Loss) -> None:
    """At the boundary; where only differences count, at equal logits of any size."""
    undecided = 0.7 if loss.boundary is None else loss.boundary
    real, fake = (
        torch.full((3, 1), undecided, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    d_real, d_fake = torch.autograd.grad(loss.discriminator(real, fake), (real, fake))
    assert torch.allclose(d_real, -d_fake)


def test_there_is_no_boundary_just_where_only_differences_count(loss: Loss) -> None:
    shifted = loss.discriminator(REAL + 5, FAKE + 5)
    assert torch.isclose(shifted, loss.discriminator(REAL, FAKE)) == (loss.boundary is None)


def test_the_generator_reads_real_logits_just_where_it_says_so(loss: Loss) -> None:
    value = loss.generator(REAL.clone().requires_grad_(), FAKE)
    assert value.requires_grad == loss.generator_needs_real


def test_pairs_matter_just_where_a_loss_says_that_it_is_relativistic(loss: Loss) -> None:
    for objective in (loss.discriminator, loss.generator):
        paired_otherwise = objective(REAL, FAKE.flip(0))
        assert torch.isclose(objective(REAL, FAKE), paired_otherwise) != loss.relativistic


@pytest.mark.parametrize("name", SMOOTHED)
def test_the_smoothing_may_be_a_tensor(name: str) -> None:
    plain = LOSSES[name](label_smoothing=0.2)
    stacked = LOSSES[name](label_smoothing=torch.tensor(0.2, dtype=torch.float64))
    assert torch.isclose(plain.discriminator(REAL, FAKE), stacked.discriminator(REAL, FAKE))
    assert float(stacked.boundary) == pytest.approx(float(plain.boundary))


@pytest.mark.parametrize("name", LOSSES)
def test_stays_finite_for_extreme_logits(name: str) -> None:
    """Also in the gradient: neither a sigmoid nor a logarithm is taken alone."""
    loss = LOSSES[name]()
    real, fake = (torch.tensor([[s], [-s]], requires_grad=True) for s in (3e4, -3e4))
    for objective in (loss.discriminator, loss.generator):
        value = objective(real, fake)
        gradients = torch.autograd.grad(value, (real, fake), allow_unused=True)
        assert all(bool(t.isfinite().all()) for t in (value, *gradients) if t is not None)
