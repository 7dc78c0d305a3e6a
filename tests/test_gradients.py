"""Gradient rules and penalties: every entry of their dicts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gan_tune.gan.gradients import GRADIENT_CLIPS, clip_by_norm, clip_by_value, total_norm
from gan_tune.gan.penalties import PENALTIES, applies_to, l1, l2, r1, r2

ARGUMENTS = {"none": {}, "norm": {"max_norm": 0.5}, "value": {"max_value": 0.1}}


def gradients() -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    return [torch.randn(4, 3, generator=random), torch.randn(3, generator=random)]


@pytest.mark.parametrize("name", GRADIENT_CLIPS)
def test_a_rule_keeps_shapes_and_its_input(name: str) -> None:
    given = gradients()
    before = [g.clone() for g in given]
    result = GRADIENT_CLIPS[name](given, **ARGUMENTS[name])
    assert [r.shape for r in result] == [g.shape for g in given]
    assert all(torch.equal(g, b) for g, b in zip(given, before, strict=True))
    # No rule turns a gradient round.
    assert all(bool((r * g >= 0).all()) for r, g in zip(result, given, strict=True))


def test_clipping_by_norm_agrees_with_torch() -> None:
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients()]
    for parameter, gradient in zip(parameters, gradients(), strict=True):
        parameter.grad = gradient
    norm = nn.utils.clip_grad_norm_(parameters, 0.5)
    assert torch.allclose(total_norm(gradients()), norm)
    for mine, parameter in zip(clip_by_norm(gradients(), max_norm=0.5), parameters, strict=True):
        assert torch.allclose(mine, parameter.grad, rtol=1e-5)


def test_small_gradients_pass_unchanged() -> None:
    for rule, arguments in ((clip_by_norm, {"max_norm": 1e3}), (clip_by_value, {"max_value": 1e3})):
        for mine, given in zip(rule(gradients(), **arguments), gradients(), strict=True):
            assert torch.equal(mine, given)


def test_clipping_by_value_limits_each_component() -> None:
    assert (
        max(float(g.abs().max()) for g in clip_by_value(gradients(), max_value=0.1)) <= 0.1 + 1e-6
    )


# Penalties. For D(x) = w·x the gradient in x is w, so R1 = R2 = γ/2 ‖w‖² whatever the batch.

WEIGHTS = torch.tensor([1.0, -2.0, 0.5])


def linear_discriminator(x: torch.Tensor) -> torch.Tensor:
    return (x @ WEIGHTS.to(x)).unsqueeze(1)


@pytest.mark.parametrize("penalty", [r1, r2])
def test_gradient_penalties_on_a_linear_discriminator(penalty: object) -> None:
    real, fake = torch.randn(5, 3), torch.randn(5, 3)
    value = penalty(linear_discriminator, real, fake, weight=3.0)  # type: ignore[operator]
    assert value.item() == pytest.approx(1.5 * float(WEIGHTS.square().sum()), rel=1e-6)


def test_r1_reads_the_real_side_and_r2_the_fake_one() -> None:
    def square(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * x.square().sum(1, keepdim=True)

    real, fake = torch.full((2, 2), 1.0), torch.full((2, 2), 3.0)
    assert r1(square, real, fake, weight=2.0).item() == pytest.approx(2.0)
    assert r2(square, real, fake, weight=2.0).item() == pytest.approx(18.0)


def test_weight_penalties() -> None:
    parameters = [torch.tensor([1.0, -2.0]), torch.tensor([[3.0]])]
    assert l1(parameters, weight=0.1).item() == pytest.approx(0.6)
    assert l2(parameters, weight=0.1).item() == pytest.approx(0.7)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_is_differentiable_and_vanishes_with_its_weight(name: str) -> None:
    penalty = PENALTIES[name]
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    parameters = list(network.parameters())
    inputs = (
        (parameters,)
        if penalty.of == "weights"
        else (network, torch.randn(5, 3), torch.randn(5, 3))
    )
    assert penalty.function(*inputs, weight=0.0).item() == 0
    value = penalty.function(*inputs, weight=1.0)
    assert value.item() > 0
    grads = torch.autograd.grad(value, parameters, allow_unused=True)
    assert any(g is not None and bool(g.abs().sum() > 0) for g in grads)


def test_who_is_penalised() -> None:
    assert applies_to(PENALTIES["r1"], {}, "discriminator")
    assert not applies_to(PENALTIES["r1"], {}, "generator")
    assert applies_to(PENALTIES["l2"], {"network": "both"}, "generator")
    assert not applies_to(PENALTIES["l2"], {"network": "discriminator"}, "generator")
