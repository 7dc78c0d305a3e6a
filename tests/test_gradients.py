"""Gradient rules: every entry of GRADIENT_CLIPS."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_tune.gan.gradients import GRADIENT_CLIPS, clip_by_norm, total_norm, was_clipped

ARGUMENTS = {
    "none": {},
    "norm": {"max_norm": 0.5},
    "value": {"max_value": 0.1},
    "adaptive": {"clipping": 0.3, "eps": 0.2},
    "normalise": {"scale": 2.0},
}
CLIPS = [name for name in GRADIENT_CLIPS if name not in ("none", "normalise")]
SHAPES = [(4, 3), (3,), (2, 3, 5, 5), ()]


def gradients() -> list[Tensor]:
    random = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in SHAPES]


def parameters() -> list[Tensor]:
    """Of any size: the first row of the first is zero, as of a layer just initialised."""
    random = torch.Generator().manual_seed(4)
    drawn = [torch.randn(shape, generator=random, dtype=torch.float64) for shape in SHAPES]
    drawn[0][0] = 0
    return [nn.Parameter(p) for p in drawn]


def ruled(name: str, given: list[Tensor]) -> list[Tensor]:
    return GRADIENT_CLIPS[name](given, parameters(), **ARGUMENTS[name])


def scaled(factor: float) -> list[Tensor]:
    return [factor * g for g in gradients()]


@pytest.mark.parametrize("name", GRADIENT_CLIPS)
def test_a_rule_keeps_shapes_and_signs_and_its_input(name: str) -> None:
    given = gradients()
    result = ruled(name, given)
    assert [r.shape for r in result] == [g.shape for g in given]
    assert all(torch.equal(g, b) for g, b in zip(given, gradients(), strict=True))
    assert all(bool((r * g >= 0).all()) for r, g in zip(result, given, strict=True))
    assert not any(r.requires_grad for r in result)


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_shortens_long_gradients_and_leaves_short_ones(name: str) -> None:
    for factor, clipped in ((1e-3, 0.0), (1e3, 1.0)):
        given = scaled(factor)
        result = ruled(name, given)
        assert all(bool((r.abs() <= g.abs()).all()) for r, g in zip(result, given, strict=True))
        assert was_clipped(given, result) == clipped


@pytest.mark.parametrize("name", GRADIENT_CLIPS)
def test_a_rule_applied_twice_changes_no_more(name: str) -> None:
    once = ruled(name, gradients())
    for twice, first in zip(ruled(name, once), once, strict=True):
        assert torch.allclose(twice, first, rtol=1e-9)


@pytest.mark.parametrize("name", GRADIENT_CLIPS)
def test_no_gradient_stays_none(name: str) -> None:
    zeros = scaled(0.0)
    assert all(bool((r == 0).all()) for r in ruled(name, zeros))
    assert was_clipped(zeros, ruled(name, zeros)) == 0


@pytest.mark.parametrize("name", [name for name, given in ARGUMENTS.items() if given])
def test_the_knobs_may_be_tensors(name: str) -> None:
    knobs = {k: torch.tensor(v, dtype=torch.float64) for k, v in ARGUMENTS[name].items()}
    stacked = GRADIENT_CLIPS[name](gradients(), parameters(), **knobs)
    for mine, plain in zip(stacked, ruled(name, gradients()), strict=True):
        assert torch.allclose(mine, plain, rtol=1e-9)


def test_every_rule_is_tested() -> None:
    assert ARGUMENTS.keys() == GRADIENT_CLIPS.keys()


def test_clipping_by_norm_agrees_with_torch() -> None:
    owners = parameters()
    for parameter, gradient in zip(owners, gradients(), strict=True):
        parameter.grad = gradient
    norm = nn.utils.clip_grad_norm_(owners, 0.5)
    assert torch.allclose(total_norm(gradients()), norm)
    for mine, parameter in zip(
        clip_by_norm(gradients(), owners, max_norm=0.5), owners, strict=True
    ):
        assert torch.allclose(mine, parameter.grad, rtol=1e-5)


def test_clipping_by_value_limits_each_component() -> None:
    largest = [float(g.abs().max()) for g in ruled("value", gradients())]
    assert max(largest) == pytest.approx(ARGUMENTS["value"]["max_value"])


def test_adaptive_clipping_agrees_with_a_loop_over_units() -> None:
    clipping, eps = ARGUMENTS["adaptive"]["clipping"], ARGUMENTS["adaptive"]["eps"]

    def unit(g: Tensor, w: Tensor) -> Tensor:
        limit = clipping * max(float(w.detach().norm()), eps)
        return g * limit / g.norm() if float(g.norm()) > limit else g

    for mine, g, w in zip(ruled("adaptive", gradients()), gradients(), parameters(), strict=True):
        units = zip(g, w, strict=True) if g.ndim > 1 else [(g, w)]
        expected = torch.stack([unit(*pair) for pair in units]).reshape(g.shape)
        assert torch.allclose(mine, expected, rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_normalised_gradients_have_the_length_asked_for(factor: float) -> None:
    result = ruled("normalise", scaled(factor))
    assert total_norm(result).item() == pytest.approx(ARGUMENTS["normalise"]["scale"])
    for mine, g in zip(result, gradients(), strict=True):
        assert torch.allclose(mine, 2.0 * g / total_norm(gradients()))


def test_one_component_clipped_among_many_is_seen() -> None:
    """Also where the norm over all of them, in float32, does not tell."""
    before = [torch.ones(1000, 1000), torch.ones(3)]
    after = [before[0].clone(), before[1].clone()]
    after[1][2] -= 1e-6
    assert was_clipped(before, before) == 0
    assert was_clipped(before, after) == 1
