"""Penalties: every entry of PENALTIES, by kind."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gan_tune.gan.input_gradients import Discriminator, by_autograd, by_transform
from gan_tune.gan.penalties import (
    PENALTIES,
    Penalty,
    activation_kl,
    activation_l1,
    applies_to,
    bound_penalty,
    l1,
    l2,
    r1,
    r2,
)


def of_kind(kind: str) -> list[str]:
    return [name for name, penalty in PENALTIES.items() if penalty.takes == kind]


DISCRIMINATOR = of_kind("discriminator")
SLOPE_ERRORS = [PENALTIES["gradient_penalty"], PENALTIES["dragan"]]


def normal(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


REAL, FAKE = normal(5, 3, seed=1), normal(5, 3, seed=2) + 2
HIDDEN, OUT = normal(3, 4, seed=3), normal(4, 1, seed=4)


def small_discriminator(hidden: Tensor, out: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.tanh(x.flatten(1) @ hidden) @ out


def drawn(
    penalty: Penalty,
    network: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    differentiable: Callable[..., Discriminator] = by_autograd,
    **knobs: float | Tensor,
) -> Tensor:
    """A discriminator penalty, with its draws."""
    draws = penalty.draw(real, fake, generator())
    return penalty.function(differentiable(network), real, fake, *draws, **knobs)


def value_of(name: str, hidden: Tensor, out: Tensor, weight: float | Tensor = 1.0) -> Tensor:
    """The penalty of that name on a small network, whatever its kind."""
    penalty = PENALTIES[name]
    if penalty.takes == "weights":
        return penalty.function([hidden, out], weight=weight)
    if penalty.takes == "activations":
        first = REAL @ hidden
        return penalty.function([first, first @ out], weight=weight)
    network = small_discriminator(hidden, out)
    return drawn(penalty, network, REAL, FAKE, weight=weight)


@pytest.mark.parametrize("name", PENALTIES)
def test_its_gradient_agrees_with_finite_differences(name: str) -> None:
    weights = (HIDDEN.clone().requires_grad_(), OUT.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda h, o: value_of(name, h, o), weights)


@pytest.mark.parametrize("name", PENALTIES)
def test_it_is_positive_and_in_proportion_to_its_weight(name: str) -> None:
    value = value_of(name, HIDDEN, OUT)
    assert value.shape == ()
    assert value > 0
    assert value_of(name, HIDDEN, OUT, weight=0.0) == 0
    for three in (3.0, torch.tensor(3.0)):
        assert torch.isclose(value_of(name, HIDDEN, OUT, weight=three), 3 * value)


@pytest.mark.parametrize("name", DISCRIMINATOR)
def test_it_draws_from_the_generator_it_is_given_only(name: str) -> None:
    outer = torch.get_rng_state()
    assert torch.equal(value_of(name, HIDDEN, OUT), value_of(name, HIDDEN, OUT))
    assert torch.equal(outer, torch.get_rng_state())


@pytest.mark.parametrize("name", DISCRIMINATOR)
def test_a_flat_discriminator_has_finite_gradients(name: str) -> None:
    """There ‖∇D‖ = 0, where a root has an infinite slope."""
    hidden, out = HIDDEN.clone().requires_grad_(), torch.zeros_like(OUT, requires_grad=True)
    for gradient in torch.autograd.grad(value_of(name, hidden, out), (hidden, out)):
        assert bool(gradient.isfinite().all())


# For D(x) = w·x the gradient in x is w, whatever the batch.

W = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def linear(x: Tensor) -> Tensor:
    return x @ W.unsqueeze(1)


def half_square(x: Tensor) -> Tensor:
    """∇D(x) = x."""
    return 0.5 * x.flatten(1).square().sum(1, keepdim=True)


@pytest.mark.parametrize("penalty", [PENALTIES["r1"], PENALTIES["r2"]])
def test_squared_gradients_of_a_linear_discriminator(penalty: Penalty) -> None:
    value = drawn(penalty, linear, REAL, FAKE, weight=3.0)
    assert torch.isclose(value, 1.5 * W.square().sum())


@pytest.mark.parametrize("target", [0.0, 1.0, float(W.norm())])
@pytest.mark.parametrize("penalty", SLOPE_ERRORS)
def test_slope_errors_of_a_linear_discriminator(penalty: Penalty, target: float) -> None:
    """Zero where the slope is the target."""
    value = drawn(penalty, linear, REAL, FAKE, weight=3.0, target=target)
    assert torch.isclose(value, 3 * (W.norm() - target) ** 2, atol=1e-20)


def test_r1_reads_the_real_side_and_r2_the_fake_one() -> None:
    real, fake = REAL.square().sum(1).mean(), FAKE.square().sum(1).mean()
    assert torch.isclose(r1(by_autograd(half_square), REAL, FAKE, weight=2.0), real)
    assert torch.isclose(r2(by_autograd(half_square), REAL, FAKE, weight=2.0), fake)


def places(penalty: Penalty, real: Tensor, fake: Tensor, **knobs: float) -> Tensor:
    """Where a penalty looks at the discriminator's slope."""
    seen: list[Tensor] = []

    def discriminator(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return half_square(x)

    drawn(penalty, discriminator, real, fake, weight=1.0, **knobs)
    return torch.cat(seen)


def test_the_gradient_penalty_looks_between_real_and_fake() -> None:
    real, fake = normal(500, 1, 4, 4, seed=1), normal(500, 1, 4, 4, seed=2)
    share = ((places(PENALTIES["gradient_penalty"], real, fake) - fake) / (real - fake)).flatten(1)
    assert torch.allclose(share, share[:, :1].expand_as(share), atol=1e-6)
    assert 0 <= share.min() < 0.05
    assert 0.95 < share.max() <= 1
    assert share.mean().item() == pytest.approx(0.5, abs=0.05)


def test_dragan_looks_around_the_real_data() -> None:
    real, fake = 3 * normal(500, 1, 4, 4, seed=1) + 7, normal(500, 1, 4, 4, seed=2)
    moved = places(PENALTIES["dragan"], real, fake, noise=0.2) - real
    assert moved.std().item() == pytest.approx(0.2 * float(real.std()), rel=0.05)
    assert moved.mean().item() == pytest.approx(0, abs=0.05)
    assert torch.equal(places(PENALTIES["dragan"], real, fake, noise=0.0), real)


def test_weight_penalties() -> None:
    parameters = [torch.tensor([1.0, -2.0]), torch.tensor([[3.0]])]
    assert l1(parameters, weight=0.1).item() == pytest.approx(0.6)
    assert l2(parameters, weight=0.1).item() == pytest.approx(0.7)


def test_activation_penalties_add_up_over_layers() -> None:
    layers = [normal(6, 4, seed=1), normal(6, 3, 2, 2, seed=2)]
    expected = sum(float(h.abs().mean()) for h in layers)
    assert activation_l1(layers, weight=0.1).item() == pytest.approx(0.1 * expected)
    parts = [float(activation_kl([h], weight=1.0, target=0.2)) for h in layers]
    assert float(activation_kl(layers, weight=1.0, target=0.2)) == pytest.approx(sum(parts))


@pytest.mark.parametrize(
    ("name", "args", "players"),
    [
        *((name, {}, {"discriminator"}) for name in DISCRIMINATOR),
        *((name, {}, {"generator"}) for name in of_kind("activations")),
        *(
            (name, {"network": "both"}, {"generator", "discriminator"})
            for name in of_kind("weights")
        ),
        *((name, {"network": "generator"}, {"generator"}) for name in of_kind("weights")),
    ],
)
def test_who_is_penalised(name: str, args: dict[str, str], players: set[str]) -> None:
    found = {p for p in ("generator", "discriminator") if applies_to(PENALTIES[name], args, p)}
    assert found == players


@pytest.mark.parametrize("name", DISCRIMINATOR)
def test_either_gradient_in_the_samples_gives_the_same_penalty(name: str) -> None:
    found = []
    for differentiable in (by_autograd, by_transform):
        weights = (HIDDEN.clone().requires_grad_(), OUT.clone().requires_grad_())
        network = small_discriminator(*weights)
        value = drawn(PENALTIES[name], network, REAL, FAKE, differentiable, weight=2.0)
        found.append((value, *torch.autograd.grad(value, weights)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("every", [1, 3])
def test_a_lazy_penalty_is_as_many_times_as_heavy(every: int) -> None:
    penalty = bound_penalty(PENALTIES["gradient_penalty"], weight=0.5, target=0.3, every=every)
    draws = penalty.draw(REAL, FAKE, generator())
    found = penalty(by_autograd(half_square), REAL, FAKE, *draws)
    once = drawn(PENALTIES["gradient_penalty"], half_square, REAL, FAKE, weight=0.5, target=0.3)
    torch.testing.assert_close(found, every * once)
    assert [step for step in range(7) if penalty.is_due(step)] == list(range(0, 7, every))


# Lopsided data: a coordinate has a scale of its own, and so does a sample.


def lopsided(shape: tuple[int, ...], seed: int) -> Tensor:
    """A batch whose coordinates differ in scale and offset."""
    width = math.prod(shape[1:])
    scales = torch.linspace(0.05, 1.5, width, dtype=torch.float64)
    flat = normal(shape[0], width, seed=seed) * scales + scales.flip(0) * (seed - 1.5)
    return flat.view(shape)


def slope(x: Tensor) -> Tensor:
    """∇D at one flat sample, for D(x) = tanh(x H) w: H ((1 − tanh²) w), by hand."""
    hidden, out = wide_weights(len(x))
    return hidden @ ((1 - torch.tanh(x @ hidden) ** 2) * out[:, 0])


def wide_weights(width: int) -> tuple[Tensor, Tensor]:
    return normal(width, 4, seed=3) * torch.linspace(0.2, 1.0, 4), normal(4, 1, seed=4)


def overall_deviation(real: Tensor) -> float:
    """Over all values together, about the one mean of them all."""
    values = real.flatten().tolist()
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))


def looked_at(name: str, real: Tensor, fake: Tensor, noise: float) -> list[Tensor]:
    """The samples, flat, at which a penalty takes the slope; draws as the penalty makes them."""
    random, count = generator(), len(real)
    if name == "gradient_penalty":
        share = torch.rand(count, generator=random, dtype=real.dtype)
        return [(s * r + (1 - s) * f).flatten() for s, r, f in zip(share, real, fake, strict=True)]
    if name == "dragan":
        delta = torch.randn(real.shape, generator=random, dtype=real.dtype)
        s = overall_deviation(real)
        return [(r + noise * s * d).flatten() for r, d in zip(real, delta, strict=True)]
    return [x.flatten() for x in (real if name == "r1" else fake)]


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 2)])
@pytest.mark.parametrize("noise", [0.2, 0.5])
@pytest.mark.parametrize("target", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("name", DISCRIMINATOR)
def test_a_discriminator_penalty_is_its_plain_formula_on_lopsided_data(
    name: str, target: float, noise: float, shape: tuple[int, ...]
) -> None:
    real, fake = lopsided(shape, 1), lopsided(shape, 2)
    offered = {"target": target, "noise": noise}
    penalty = PENALTIES[name]
    parameters = inspect.signature(penalty.function).parameters
    knobs = {k: v for k, v in offered.items() if k in parameters}
    hidden, out = wide_weights(math.prod(shape[1:]))
    network = small_discriminator(hidden, out)
    found = drawn(penalty, network, real, fake, weight=3.0, **knobs)
    norms = [float(slope(x).norm()) for x in looked_at(name, real, fake, noise)]
    each = [(n - target) ** 2 if "target" in knobs else 0.5 * n**2 for n in norms]
    assert float(found.detach()) == pytest.approx(3 * sum(each) / len(each), rel=1e-9)


@pytest.mark.parametrize("target", [0.05, 0.3, 0.8])
def test_an_activation_penalty_is_its_plain_formula_on_lopsided_data(target: float) -> None:
    layers = [lopsided((6, 4), 1), lopsided((5, 3, 2, 3), 2)]
    by_unit = [h.transpose(0, 1).flatten(1).tolist() for h in layers]
    magnitude = sum(
        sum(abs(v) for unit in units for v in unit) / sum(map(len, units)) for units in by_unit
    )
    divergence = 0.0
    for unit in (unit for units in by_unit for unit in units):
        active = sum(1 / (1 + math.exp(-v)) for v in unit) / len(unit)
        divergence += target * math.log(target / active)
        divergence += (1 - target) * math.log((1 - target) / (1 - active))
    assert float(activation_l1(layers, weight=0.7)) == pytest.approx(0.7 * magnitude)
    found = activation_kl(layers, weight=0.7, target=target)
    assert float(found) == pytest.approx(0.7 * divergence)
