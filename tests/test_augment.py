"""Augmentations and instance noise: pure, differentiable, and what their papers say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_tune.gan.augment import (
    AUGMENTS,
    FAINT,
    Augment,
    View,
    diffaugment,
    draw_noise,
    draw_uniforms,
    instance_noise,
    noise_level,
)

POLICIES = ("color", "translation", "cutout")


def seen(augment: Augment, x: Tensor, random: torch.Generator, **knobs: Any) -> Tensor:
    return augment.function(x, augment.draw(x, random, **knobs), **knobs)


def augmented(x: Tensor, random: torch.Generator, **knobs: Any) -> Tensor:
    return diffaugment(x, draw_uniforms(x, random, **knobs), **knobs)


def noisy(x: Tensor, random: torch.Generator, *, std: float) -> Tensor:
    return instance_noise(x, draw_noise(x, random), std=std)


VARIANTS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    **{name: partial(seen, augment) for name, augment in AUGMENTS.items()},
    **{
        policy: lambda x, random, policy=policy: augmented(x, random, policy=(policy,))
        for policy in POLICIES
    },
    "instance noise": lambda x, random: noisy(x, random, std=0.1),
}


def pictures(batch: int = 6, channels: int = 1, height: int = 8, width: int = 12) -> Tensor:
    random = torch.Generator().manual_seed(0)
    shape = (batch, channels, height, width)
    return torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", VARIANTS)
def test_keeps_shape_and_type_and_draws_from_the_given_generator_only(
    name: str, channels: int
) -> None:
    outer = torch.get_rng_state()
    for x in (pictures(channels=channels), pictures(channels=channels).float()):
        given = x.clone()
        result = VARIANTS[name](x, generator())
        assert result.shape == x.shape
        assert result.dtype == x.dtype
        assert torch.equal(result, VARIANTS[name](x, generator()))
        assert torch.equal(x, given)
        if name != "none":
            assert not torch.equal(result, x)
            assert not torch.equal(result, VARIANTS[name](x, generator(2)))
    assert torch.equal(outer, torch.get_rng_state())


@pytest.mark.parametrize("name", VARIANTS)
def test_the_gradient_flows_through(name: str) -> None:
    x = pictures(batch=2, channels=3, height=4, width=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: VARIANTS[name](x, generator()), x)
    (gradient,) = torch.autograd.grad(VARIANTS[name](x, generator()).square().sum(), x)
    assert bool((gradient != 0).any())


@pytest.mark.parametrize("channels", [1, 3])
def test_colors_are_kept_on_average(channels: int) -> None:
    """Each change is centred, so the mean over many draws is the picture itself."""
    x = pictures(batch=1, channels=channels)
    drawn = augmented(x.expand(20_000, -1, -1, -1), generator(), policy=("color",))
    assert torch.allclose(drawn.mean(0), x[0], atol=0.03)


def test_colors_change_brightness_and_contrast_within_bounds() -> None:
    """Contrast is about the picture's own mean, so only brightness moves that."""
    x = pictures(batch=1) + 3
    drawn = augmented(x.expand(1000, -1, -1, -1), generator(), policy=("color",)).flatten(1)
    brightness, contrast = drawn.mean(1) - x.mean(), drawn.std(1) / x.std()
    for found, low, high in ((brightness, -0.5, 0.5), (contrast, 0.5, 1.5)):
        assert low <= found.min() < low + 0.02
        assert high - 0.02 < found.max() <= high


def test_colors_keep_a_grey_picture_grey() -> None:
    x = pictures(channels=1).expand(-1, 3, -1, -1)
    red, green, blue = augmented(x, generator(), policy=("color",)).unbind(1)
    assert torch.allclose(red, green)
    assert torch.allclose(green, blue)


def shifted(x: Tensor, down: int, right: int) -> Tensor:
    """One picture [channels, H, W] moved over a ground of zeros, pixel by pixel."""
    result = torch.zeros_like(x)
    _, height, width = x.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = x[:, row - down, column - right]
    return result


def test_a_translation_shifts_by_up_to_its_share() -> None:
    """8 × 12 pixels and a share of 1/4: by −2..2 and −3..3, all of them drawn."""
    x = pictures(batch=1, channels=3)
    moved = augmented(
        x.expand(1000, -1, -1, -1), generator(), policy=("translation",), translation=0.25
    )
    candidates = torch.stack([shifted(x[0], d, r) for d in range(-2, 3) for r in range(-3, 4)])
    same = (moved[:, None] == candidates[None]).flatten(2).all(2)
    assert bool((same.sum(1) == 1).all())
    assert bool(same.any(0).all())


@pytest.mark.parametrize("size", [8, 9])
def test_a_cutout_blanks_a_box(size: int) -> None:
    """Its rows and columns are contiguous; the whole box fits in just where it is not cut off."""
    x = pictures(batch=1, channels=2, height=size, width=size).abs() + 1
    results = augmented(x.expand(400, -1, -1, -1), generator(), policy=("cutout",), cutout=0.5)
    blank = (results == 0).all(1)
    assert torch.equal(results, torch.where(blank[:, None], 0.0, x))
    rows, columns = blank.any(2), blank.any(1)
    assert torch.equal(blank, rows[:, :, None] & columns[:, None, :])
    length = int(0.5 * size + 0.5)
    for side in (rows, columns):
        ends = side.int().diff(dim=1).abs().sum(1) + side[:, 0].int() + side[:, -1].int()
        assert bool((ends == 2).all())
        assert int(side.sum(1).max()) == length
        assert bool(side.any(0).all())


def test_shares_of_nothing_change_nothing() -> None:
    x = pictures()
    assert torch.equal(
        augmented(x, generator(), policy=POLICIES[1:], translation=0.0, cutout=0.0), x
    )


def test_policies_are_applied_in_the_order_given() -> None:
    x, random, other = pictures(), generator(), generator()
    by_hand = augmented(x, random, policy=("cutout",))
    by_hand = augmented(by_hand, random, policy=("color",))
    assert torch.equal(augmented(x, other, policy=("cutout", "color")), by_hand)


def test_the_shares_may_be_tensors() -> None:
    x = pictures()
    knobs = {"translation": 0.25, "cutout": 0.3}
    stacked = {name: torch.tensor(value) for name, value in knobs.items()}
    assert torch.equal(augmented(x, generator(), **knobs), augmented(x, generator(), **stacked))


@pytest.mark.parametrize("shape", [(4000, 2), (50, 3, 8, 8)])
def test_instance_noise_adds_its_deviation_to_samples_of_any_shape(shape: tuple[int, ...]) -> None:
    x = torch.full(shape, 3.0)
    noise = noisy(x, generator(), std=0.2) - x
    assert noise.std().item() == pytest.approx(0.2, rel=0.05)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)
    assert torch.equal(noisy(x, generator(), std=0.0), x)


def test_a_view_is_augmented_and_then_noisy() -> None:
    """Both by what was drawn before; where there is no noise, none is drawn."""
    x, random = pictures(), generator()
    policy = {"policy": ("cutout", "color")}
    by_hand = noisy(augmented(x, random, **policy), random, std=0.3)
    view = View(AUGMENTS["diffaugment"], policy, noise=lambda step: 0.3 * (step < 5))
    draws = view.draw(x, generator(), 4)
    assert torch.equal(view(x, draws), by_hand)
    assert torch.equal(view(x, draws), by_hand)
    random = generator()
    assert torch.equal(view(x, view.draw(x, random, 5)), augmented(x, generator(), **policy))
    assert torch.equal(random.get_state(), after_uniforms(x, **policy))


def after_uniforms(x: Tensor, **knobs: Any) -> Tensor:
    random = generator()
    draw_uniforms(x, random, **knobs)
    return random.get_state()


@pytest.mark.parametrize("until", [0.25, 1.0])
def test_the_noise_fades_in_a_line(until: float) -> None:
    levels = [noise_level(t, 100, std=0.4, until=until) for t in range(101)]
    end = int(100 * until)
    assert levels[0] == 0.4
    assert levels[: end + 1] == pytest.approx([0.4 * (1 - t / end) for t in range(end + 1)])
    assert all(level == 0 for level in levels[end:])
    assert float(noise_level(10, 100, std=torch.tensor(0.4), until=until)) == pytest.approx(
        levels[10]
    )


@pytest.mark.parametrize("until", [0.25, 1.0])
def test_the_noise_fades_by_the_same_factor_each_step(until: float) -> None:
    levels = [noise_level(t, 100, std=0.4, until=until, fade="geometric") for t in range(101)]
    end = int(100 * until)
    factors = [late / early for early, late in itertools.pairwise(levels[:end])]
    assert factors == pytest.approx([factors[0]] * len(factors))
    assert levels[0] == 0.4
    assert levels[end - 1] * factors[0] == pytest.approx(0.4 * FAINT)
    assert all(level == 0 for level in levels[end:])


def test_colors_are_the_plain_formula_pixel_by_pixel() -> None:
    """Brightness, then saturation about each pixel's grey, then contrast about the picture's."""
    x, draws = pictures(batch=4, channels=3, height=2, width=3), generator()
    drawn = augmented(x, generator(), policy=("color",))
    bright, saturate, contrast = (
        torch.rand(4, 1, 1, 1, generator=draws, dtype=x.dtype).flatten().tolist() for _ in range(3)
    )
    for i, sample in enumerate(x.tolist()):
        lit = [[[v + bright[i] - 0.5 for v in row] for row in plane] for plane in sample]
        pixels = [[lit[c][r][k] for c in range(3)] for r in range(2) for k in range(3)]
        vivid = []
        for pixel in pixels:
            grey = sum(pixel) / 3
            vivid.append([grey + (v - grey) * 2 * saturate[i] for v in pixel])
        mean = sum(map(sum, vivid)) / 18
        expected = [[mean + (v - mean) * (0.5 + contrast[i]) for v in pixel] for pixel in vivid]
        assert drawn[i].flatten(1).T.tolist() == [pytest.approx(pixel) for pixel in expected]


@pytest.mark.parametrize(("translation", "cutout"), [(0.125, 0.5), (0.3, 0.25), (1.0, 0.7)])
def test_shares_are_those_of_each_side_of_oblong_pictures(
    translation: float, cutout: float
) -> None:
    """So far may a picture be shifted, and so long are the sides of a box that lies within."""
    height, width = 6, 15
    x = pictures(batch=1, height=height, width=width).abs() + 1
    many = x.expand(3000, -1, -1, -1)
    moved = augmented(many, generator(), policy=("translation",), translation=translation)
    for dim, size in ((2, height), (3, width)):
        empty = (moved == 0).all(dim=5 - dim).all(1)  # rows, or columns, that came in
        farthest = int(translation * size + 0.5)
        assert int(empty.sum(1).max()) == farthest
        assert bool(empty[:, 0].any())
        assert bool(empty[:, -1].any())
    blank = (augmented(many, generator(), policy=("cutout",), cutout=cutout) == 0)[:, 0]
    for dim, size in ((1, height), (2, width)):
        longest = int(blank.any(3 - dim).sum(1).max())
        assert longest == int(cutout * size + 0.5)


@pytest.mark.parametrize("fade", ["linear", "geometric"])
@pytest.mark.parametrize("until", [0.3, 0.8])
@pytest.mark.parametrize("steps", [10, 40])
def test_the_noise_is_the_plain_formula_for_all_knobs_together(
    steps: int, until: float, fade: str
) -> None:
    for t in range(steps + 1):
        share = t / (until * steps)
        left = max(0.0, 1 - share)
        plain = left if fade == "linear" else (0.03**share if left > 0 else 0.0)
        found = noise_level(t, steps, std=0.7, until=until, fade=fade)  # type: ignore[arg-type]
        assert found == pytest.approx(0.7 * plain)
