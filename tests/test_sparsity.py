"""Sparsity of codes: every entry of SPARSITIES, and what each promises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_tune.gan.sparsity import (
    SPARSITIES,
    Sparsity,
    activity_divergence,
    idle_share,
    k_sparse,
)

ARGUMENTS = {"none": {}, "l1": {"weight": 0.5}, "kl": {"weight": 0.5}, "k_sparse": {"k": 3}}
WEIGHTED = [name for name, given in ARGUMENTS.items() if "weight" in given]


def codes(batch: int = 9, units: int = 7) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(batch, units, generator=random, dtype=torch.float64)


@pytest.fixture(params=SPARSITIES)
def sparsity(request: pytest.FixtureRequest) -> Sparsity:
    return SPARSITIES[request.param](**ARGUMENTS[request.param])


def test_codes_keep_their_shape_and_the_penalty_is_a_scalar(sparsity: Sparsity) -> None:
    h = codes()
    assert sparsity.transform(h).shape == h.shape
    assert sparsity.penalty(h).shape == ()
    assert sparsity.penalty(h) >= 0
    assert torch.equal(h, codes())


def test_gradients_agree_with_finite_differences(sparsity: Sparsity) -> None:
    h = codes().requires_grad_()
    assert torch.autograd.gradcheck(sparsity.transform, h)
    assert torch.autograd.gradcheck(lambda h: sparsity.penalty(h) + 0 * h.sum(), h)


def test_a_sparsity_acts_by_its_transform_or_by_its_penalty() -> None:
    acts = {
        name: (
            not torch.equal(s.transform(codes()), codes()),
            bool(s.penalty(codes()) > 0),
        )
        for name, s in ((name, SPARSITIES[name](**ARGUMENTS[name])) for name in SPARSITIES)
    }
    assert acts == {
        "none": (False, False),
        "l1": (False, True),
        "kl": (False, True),
        "k_sparse": (True, False),
    }


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_penalty_is_in_proportion_to_its_weight(name: str) -> None:
    one = SPARSITIES[name](weight=1.0).penalty(codes())
    for three in (3.0, torch.tensor(3.0)):
        assert torch.isclose(SPARSITIES[name](weight=three).penalty(codes()), 3 * one)


def test_l1_is_the_mean_magnitude() -> None:
    h = torch.tensor([[1.0, -2.0], [0.0, 5.0]])
    assert SPARSITIES["l1"](weight=0.5).penalty(h).item() == pytest.approx(0.5 * 2.0)


@pytest.mark.parametrize("target", [0.05, 0.5, 0.9])
def test_kl_agrees_with_the_plain_formula(target: float) -> None:
    rho = torch.tensor(target, dtype=torch.float64)
    active = codes().sigmoid().mean(0)
    expected = rho * (rho / active).log() + (1 - rho) * ((1 - rho) / (1 - active)).log()
    assert torch.isclose(activity_divergence(codes(), target), expected.sum())
    assert torch.isclose(activity_divergence(codes(), rho), expected.sum())


def test_kl_vanishes_just_where_each_unit_meets_the_target() -> None:
    met = torch.full((4, 3), 0.2, dtype=torch.float64).logit()
    assert activity_divergence(met, 0.2).item() == pytest.approx(0, abs=1e-12)
    assert activity_divergence(met + 0.1, 0.2) > 1e-4
    assert activity_divergence(met - 0.1, 0.2) > 1e-4


@pytest.mark.parametrize("far", [-1e4, 1e4])
def test_kl_pulls_back_codes_that_have_gone_far(far: float) -> None:
    """Where σ(h) rounds to 0 or 1, and the plain formula is infinite or without a gradient."""
    h = torch.full((4, 3), far, requires_grad=True)
    value = activity_divergence(h, 0.1)
    (gradient,) = torch.autograd.grad(value, h)
    assert bool(value.isfinite())
    assert bool((gradient.sign() == (1 if far > 0 else -1)).all())


def test_the_units_of_maps_are_their_channels() -> None:
    maps = codes(8, 12).reshape(8, 3, 2, 2)
    by_channel = maps.movedim(1, -1).reshape(-1, 3)
    assert torch.isclose(activity_divergence(maps, 0.1), activity_divergence(by_channel, 0.1))


@pytest.mark.parametrize("k", [1, 3, 7, 100])
def test_k_sparse_keeps_the_largest(k: int) -> None:
    h = codes()
    kept = k_sparse(k=k).transform(h)
    chosen = kept != 0
    assert bool((chosen.sum(1) == min(k, h.shape[1])).all())
    assert torch.equal(kept[chosen], h[chosen])
    for row, mask in zip(h.abs(), chosen, strict=True):
        assert row[mask].min() > row[~mask].max() if (~mask).any() else True


EDGE = (223.0, 15.0, 6.0, 3.0)


def test_idle_values_are_those_under_a_hundredth_of_their_units_root_mean_square() -> None:
    """Unit by unit; a unit of zeros is idle, and a value of just a hundredth is not."""
    random = torch.Generator().manual_seed(1)
    h = torch.randn(6, 4, 3, generator=random, dtype=torch.float64)
    h *= torch.tensor([1.0, 1e-3, 100.0, 0.0]).view(1, 4, 1)
    h[0, 0], h[1, 1], h[2, 2] = 1e-3, 1e-3, 1e-3  # idle, not idle, idle
    idle = 0
    for unit in h.transpose(0, 1).flatten(1).tolist():
        rms = (sum(v * v for v in unit) / len(unit)) ** 0.5
        idle += sum(rms == 0 or abs(v) < 0.01 * rms for v in unit)
    assert float(idle_share(h)) == pytest.approx(idle / h.numel())
    assert 18 < idle < h.numel() / 2
    # Their mean square is 100² exactly, so that the first one is just a hundredth of the root.
    edge = torch.tensor([[1.0], [EDGE[0]], [EDGE[1]], [EDGE[2]], [EDGE[3]]], dtype=torch.float64)
    assert float(edge.square().mean().sqrt()) == 100
    assert float(idle_share(edge)) == 0
    edge[0] = 0.999
    assert float(idle_share(edge)) == pytest.approx(1 / 5)
