"""Several trials as one batch: under vmap each lane has the gradients of its trial alone.

The trials alone are computed as training does, by autograd and with plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.functional import leaky_relu

from gan_tune.config import signature_arguments
from gan_tune.gan.augment import AUGMENTS, View
from gan_tune.gan.averages import Lookahead, decay, follow
from gan_tune.gan.gradients import GRADIENT_CLIPS, total_norm, was_clipped
from gan_tune.gan.input_gradients import Discriminator, by_autograd, by_transform
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.objectives import (
    Autoencoder,
    discriminator_objective,
    generator_objective,
    reconstruction,
)
from gan_tune.gan.penalties import PENALTIES, applies_to, bound_penalty
from gan_tune.gan.sparsity import SPARSITIES
from gan_tune.gan.tensor_lists import blended

LANES, BATCH, LATENT, POINT = 3, 5, 3, 2
Weights = dict[str, Tensor]


class Parts(NamedTuple):
    """The names of what is tried."""

    loss: str = "non_saturating"
    penalty: str = "r1"
    clip: str = "none"


class Lane(NamedTuple):
    """A trial's weights, batch, draws and knobs; of several lanes, all of them stacked."""

    discriminator: Weights
    generator: Weights
    real: Tensor
    z: Tensor
    draws: tuple[Tensor, ...]
    knobs: dict[str, dict[str, Any]]


def mlp(weights: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output of two layers, and the hidden activations."""
    hidden = leaky_relu(x @ weights["hidden"] + weights["bias"], 0.2)
    return hidden @ weights["out"], hidden


def drawn_mlp(inputs: int, outputs: int, random: torch.Generator) -> Weights:
    shapes = {"hidden": (inputs, 6), "bias": (6,), "out": (6, outputs)}
    return {
        name: torch.randn(shape, generator=random, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def knobs_of(part: Callable[..., Any], lane: int) -> dict[str, float]:
    """Another value for each lane: 0.1, 0.2, 0.3 are within the bounds of every number."""
    given = signature_arguments(part)
    return {name: 0.1 * (1 + lane) for name in given if name != "network"}


def lane_of(index: int, parts: Parts) -> Lane:
    random = torch.Generator().manual_seed(10 + index)
    discriminator, generator = drawn_mlp(POINT, 1, random), drawn_mlp(LATENT, POINT, random)
    real = torch.randn(BATCH, POINT, generator=random, dtype=torch.float64)
    z = torch.randn(BATCH, LATENT, generator=random, dtype=torch.float64)
    penalty = PENALTIES[parts.penalty]
    draws = penalty.draw(real, mlp(generator, z)[0], random)
    knobs = {
        "loss": knobs_of(LOSSES[parts.loss], index),
        "penalty": knobs_of(penalty.function, index),
        "clip": knobs_of(GRADIENT_CLIPS[parts.clip], index),
    }
    return Lane(discriminator, generator, real, z, draws, knobs)


def stacked(values: list[Any]) -> Any:
    """A tree of tensors and numbers, one of each lane, as one tree of stacked tensors."""
    first = values[0]
    if isinstance(first, dict):
        return {key: stacked([v[key] for v in values]) for key in first}
    if isinstance(first, Lane):
        return Lane(*(stacked([v[i] for v in values]) for i in range(len(first))))
    if isinstance(first, tuple):
        return tuple(stacked([v[i] for v in values]) for i in range(len(first)))
    if isinstance(first, Tensor):
        return torch.stack(values)
    return torch.tensor(values, dtype=torch.float64)


def totals(
    lane: Lane, parts: Parts, differentiable: Callable[..., Discriminator]
) -> tuple[Callable[[Weights], Tensor], Callable[[Weights], Tensor]]:
    """What each player minimises, as a function of its weights."""
    loss = LOSSES[parts.loss](**lane.knobs["loss"])
    chosen = PENALTIES[parts.penalty]
    bound = [bound_penalty(chosen, **lane.knobs["penalty"])]
    own = {
        player: bound if applies_to(chosen, {}, player) else []
        for player in ("discriminator", "generator")
    }

    def discriminators(weights: Weights) -> Tensor:
        return discriminator_objective(
            lambda x: mlp(weights, x)[0],
            lane.real,
            mlp(lane.generator, lane.z)[0].detach(),
            loss=loss,
            together=True,
            parameters=list(weights.values()),
            penalties=own["discriminator"],
            draws=[lane.draws] * len(own["discriminator"]),
            differentiable=differentiable,
        ).total

    def generators(weights: Weights) -> Tensor:
        fake, hidden = mlp(weights, lane.z)
        return generator_objective(
            lambda x: mlp(lane.discriminator, x)[0],
            lane.real,
            fake,
            loss=loss,
            together=True,
            parameters=list(weights.values()),
            activations=[hidden],
            penalties=own["generator"],
        ).total

    return discriminators, generators


def ruled(gradients: list[Tensor], weights: Weights, lane: Lane, parts: Parts) -> list[Tensor]:
    clip = partial(GRADIENT_CLIPS[parts.clip], **lane.knobs["clip"])
    return clip(gradients, list(weights.values()), [1, 0, 1])


def alone(lane: Lane, parts: Parts) -> list[Tensor]:
    """Both players' gradients, as training takes them."""
    found = []
    both = totals(lane, parts, by_autograd)
    for total, weights in zip(both, (lane.discriminator, lane.generator), strict=True):
        leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
        gradients = torch.autograd.grad(
            total(leaves), list(leaves.values()), materialize_grads=True
        )
        found += ruled(list(gradients), weights, lane, parts)
    return found


def in_lanes(lane: Lane, parts: Parts) -> list[Tensor]:
    """The same as a transform of functions."""
    found = []
    both = totals(lane, parts, by_transform)
    for total, weights in zip(both, (lane.discriminator, lane.generator), strict=True):
        found += ruled(list(grad(total)(weights).values()), weights, lane, parts)
    return found


CASES = [
    *(Parts(loss=name) for name in LOSSES),
    *(Parts(penalty=name) for name in PENALTIES),
    *(Parts(clip=name) for name in GRADIENT_CLIPS),
]


@pytest.mark.parametrize("parts", CASES, ids="-".join)
def test_lanes_have_the_gradients_of_their_trials_alone(parts: Parts) -> None:
    lanes = [lane_of(i, parts) for i in range(LANES)]
    together = vmap(partial(in_lanes, parts=parts))(stacked(lanes))
    for i, lane in enumerate(lanes):
        expected = alone(lane, parts)
        assert all(float(g.norm()) > 1e-6 for g in expected)
        mine = [g[i] for g in together]
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in GRADIENT_CLIPS if name != "none"])
def test_the_lanes_above_are_clipped(name: str) -> None:
    """Else their thresholds would say nothing."""
    lanes = [lane_of(i, Parts(clip=name)) for i in range(LANES)]
    for lane in lanes:
        free = alone(lane._replace(knobs=lane.knobs | {"clip": {}}), Parts(clip="none"))
        assert was_clipped(free, alone(lane, Parts(clip=name)))


def test_norms_are_those_of_each_lane() -> None:
    tensors = [torch.randn(LANES, 4, 2), torch.randn(LANES, 3)]
    found = vmap(lambda *lane: total_norm(lane))(*tensors)
    expected = [total_norm([t[i] for t in tensors]) for i in range(LANES)]
    torch.testing.assert_close(found, torch.stack(expected))


def test_averages_follow_in_each_lane_as_alone() -> None:
    random = torch.Generator().manual_seed(2)
    average, weights = (
        [torch.randn(LANES, *shape, generator=random) for shape in ((4, 2), (3,))] for _ in range(2)
    )
    shares = torch.tensor([0.1, 0.5, 0.9])
    together = vmap(lambda a, w, share: blended(a, w, share))(average, weights, shares)
    for i in range(LANES):
        mine, its = [a[i].clone() for a in average], [w[i].clone() for w in weights]
        slow = Lookahead(mine, every=1, alpha=float(shares[i]))
        follow(mine, its, share=float(shares[i]))
        slow.pull_back(its)
        for found in (mine, its):
            torch.testing.assert_close([t[i] for t in together], found)


@pytest.mark.parametrize("step", [3, 500])
def test_each_lane_has_the_decay_of_its_trial_alone(step: int) -> None:
    emas, reaches = [0.9, 0.99, 0.999], [1.0, 0.1, 0.3]
    together = vmap(lambda ema, reach: decay(step, ema=ema, reach=reach))(
        torch.tensor(emas, dtype=torch.float64), torch.tensor(reaches, dtype=torch.float64)
    )
    alone = [decay(step, ema=e, reach=r) for e, r in zip(emas, reaches, strict=True)]
    assert together.tolist() == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("name", SPARSITIES)
def test_codes_are_decoded_in_each_lane_as_alone(name: str) -> None:
    """k is a whole number, and alike in all lanes."""
    lanes = [lane_of(i, Parts()) for i in range(LANES)]
    knobs = [
        {"k": 2} if name == "k_sparse" else knobs_of(SPARSITIES[name], i) for i in range(LANES)
    ]

    def total(encoder: Weights, decoder: Weights, real: Tensor, given: dict[str, Any]) -> Tensor:
        shared = given if name != "k_sparse" else {"k": 2}
        functions = [lambda x, w=w: mlp(w, x)[0] for w in (encoder, decoder)]
        return reconstruction(Autoencoder(*functions, SPARSITIES[name](**shared), 0.7), real).total

    # An encoder has the generator's shapes the other way round.
    random = torch.Generator().manual_seed(4)
    encoders = [drawn_mlp(POINT, LATENT, random) for _ in range(LANES)]
    trees = [
        (encoder, lane.generator, lane.real, given)
        for encoder, lane, given in zip(encoders, lanes, knobs, strict=True)
    ]
    together = vmap(grad(total))(*stacked(trees))
    for i, tree in enumerate(trees):
        alone = grad(total)(*tree)
        for key, expected in alone.items():
            torch.testing.assert_close(together[key][i], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", AUGMENTS)
def test_views_are_those_of_each_lane_alone(name: str) -> None:
    view = View(AUGMENTS[name], noise=lambda step: 0.1)
    random = torch.Generator().manual_seed(1)
    pictures = torch.rand(LANES, 4, 3, 8, 8, generator=random, dtype=torch.float64)
    draws = [view.draw(x, random, 0) for x in pictures]
    uniforms = [torch.stack(u) for u in zip(*(d.augment for d in draws), strict=True)]
    noise = torch.stack([d.noise for d in draws if d.noise is not None])

    def seen(x: Tensor, augment: list[Tensor], noise: Tensor) -> Tensor:
        return view(x, draws[0]._replace(augment=tuple(augment), noise=noise))

    together = vmap(seen)(pictures, uniforms, noise)
    expected = torch.stack([view(x, d) for x, d in zip(pictures, draws, strict=True)])
    torch.testing.assert_close(together, expected, rtol=1e-9, atol=1e-9)
