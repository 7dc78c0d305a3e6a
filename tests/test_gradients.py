"""Gradient rules: every entry of GRADIENT_CLIPS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import trial_config
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_tune.gan.building import build_game
from gan_tune.gan.gradients import (
    GRADIENT_CLIPS,
    clip_by_norm,
    output_dimensions,
    total_norm,
    was_clipped,
)
from gan_tune.parts.all_parts import dataset_of

ARGUMENTS = {
    "none": {},
    "norm": {"max_norm": 0.5},
    "value": {"max_value": 0.1},
    "adaptive": {"clipping": 0.3, "eps": 0.2},
    "normalise": {"scale": 2.0},
}
CLIPS = [name for name in GRADIENT_CLIPS if name not in ("none", "normalise")]
SHAPES = [(4, 3), (3,), (2, 3, 5, 5), (), (3, 2, 4, 4)]
OUTPUTS = [0, 0, 0, 0, 1]


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
    return GRADIENT_CLIPS[name](given, parameters(), OUTPUTS, **ARGUMENTS[name])


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
    stacked = GRADIENT_CLIPS[name](gradients(), parameters(), OUTPUTS, **knobs)
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
        clip_by_norm(gradients(), owners, OUTPUTS, max_norm=0.5), owners, strict=True
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

    mine, given = ruled("adaptive", gradients()), gradients()
    for found, g, w, out in zip(mine, given, parameters(), OUTPUTS, strict=True):
        if g.ndim > 1:
            units = zip(g.unbind(out), w.unbind(out), strict=True)
            expected = torch.stack([unit(*pair) for pair in units], dim=out)
        else:
            expected = unit(g, w)
        assert torch.allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("layer", [nn.Linear, nn.Conv2d, nn.ConvTranspose2d])
def test_an_output_depends_on_one_unit_of_each_parameter(layer: Callable[..., nn.Module]) -> None:
    linear = layer is nn.Linear
    network = layer(3, 4) if linear else layer(3, 4, 2)
    output = network(torch.randn(2, 3) if linear else torch.randn(2, 3, 5, 5))
    dimensions = {}
    for p, out in zip(network.parameters(), output_dimensions(network), strict=True):
        (slopes,) = torch.autograd.grad(output[:, 1].sum(), p, retain_graph=True)
        assert [bool(unit.any()) for unit in slopes.unbind(out)] == [False, True, False, False]
        dimensions[p.ndim] = out
    normed = spectral_norm(network)  # its weight goes by another name, after the bias
    for p, out in zip(normed.parameters(), output_dimensions(normed), strict=True):
        assert out == dimensions[p.ndim]


def map_norms(kernels: Tensor) -> Tensor:
    """Of the kernels [inputs, outputs, height, width] of each output map."""
    return torch.stack([kernels[:, i].square().sum().sqrt() for i in range(kernels.shape[1])])


@pytest.mark.parametrize("rule", ["none", {"name": "adaptive", "clipping": 1e-3}])
def test_a_player_clips_each_output_map_of_a_transposed_convolution(rule: Any) -> None:
    config = trial_config(
        generator={"name": "dcgan", "latent": 8, "width": 4}, generator_gradient_clip=rule
    )
    game = build_game(config, dataset_of(config.data), torch.device("cpu"))
    layers = [m for m in game.networks.generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    limits = [1e-3 * map_norms(m.weight.detach()).clamp(min=1e-3) for m in layers]
    game.descend("generator", game.gradients("generator", game.draw()))
    norms = [map_norms(m.weight.grad) for m in layers]
    within = [bool((n <= 1.001 * most).all()) for n, most in zip(norms, limits, strict=True)]
    assert within == [rule != "none"] * len(layers)
    if rule != "none":  # all of them were too long
        torch.testing.assert_close(norms, limits)


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
