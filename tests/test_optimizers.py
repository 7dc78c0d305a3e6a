"""Optimizers: every entry of OPTIMIZERS, and the subgradient method's theory."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from gan_tune.gan.gradients import total_norm
from gan_tune.gan.optimizers import OPTIMIZERS, adamw, sgd, subgradient
from gan_tune.gan.schedules import inverse_sqrt


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(torch.tensor([2.0, -3.0])), nn.Parameter(torch.tensor([[0.5]]))]


def give_gradients(parameters: list[nn.Parameter], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=random, dtype=p.dtype)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_goes_downhill(name: str) -> None:
    parameters = weights()
    optimizer = OPTIMIZERS[name](parameters, lr=1e-3)
    before = [p.detach().clone() for p in parameters]
    give_gradients(parameters, seed=0)
    optimizer.step()
    slope = sum(
        float(((p.detach() - b) * p.grad).sum()) for p, b in zip(parameters, before, strict=True)
    )
    assert slope < 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_restored_from_its_state_goes_on_alike(name: str) -> None:
    straight, interrupted = weights(), weights()
    optimizer = OPTIMIZERS[name](straight, lr=0.1)
    other = OPTIMIZERS[name](interrupted, lr=0.1)
    for seed in range(6):
        if seed == 3:
            state = other.state_dict()
            other = OPTIMIZERS[name](interrupted, lr=0.1)
            other.load_state_dict(state)
        for parameters, steps in ((straight, optimizer), (interrupted, other)):
            give_gradients(parameters, seed)
            steps.step()
    assert all(torch.equal(a, b) for a, b in zip(straight, interrupted, strict=True))


@pytest.mark.parametrize(
    ("name", "torchs"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("rmsprop", torch.optim.RMSprop),
        ("sgd", torch.optim.SGD),
    ],
)
def test_steps_are_bit_for_bit_those_of_torch(name: str, torchs: Any) -> None:
    mine, theirs = weights(), weights()
    for parameters, optimizer in (
        (mine, OPTIMIZERS[name](mine, lr=0.1, weight_decay=0.1)),
        (theirs, torchs(theirs, lr=0.1, weight_decay=0.1)),
    ):
        for seed in range(4):
            give_gradients(parameters, seed)
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    assert all(p.requires_grad for p in mine)


@pytest.mark.ci
def test_what_a_worker_does_not_need_it_does_not_import() -> None:
    """PyTorch's compiler, torchvision and the like cost seconds of each worker's start."""
    script = f"""
import sys
import torch
import gan_tune.searching.on_ray.trainable
from gan_tune.gan.optimizers import OPTIMIZERS
for name in {list(OPTIMIZERS)!r}:
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = OPTIMIZERS[name]([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
needless = ("torch._dynamo", "torchvision", "matplotlib", "sklearn", "mlflow", "optuna")
print(*[name for name in needless if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_normalised_subgradient_step_has_the_length_of_the_rate(size: float) -> None:
    parameters = [nn.Parameter(torch.zeros(s, dtype=torch.float64)) for s in ((7, 3), (3,))]
    give_gradients(parameters, seed=1)
    for p in parameters:
        p.grad *= size
    subgradient(parameters, lr=0.25).step()
    assert total_norm([p.detach() for p in parameters]).item() == pytest.approx(0.25, rel=1e-12)


def test_an_unnormalised_subgradient_step_is_plain_descent() -> None:
    mine, plain = weights(), weights()
    for parameters, optimizer in (
        (mine, subgradient(mine, lr=0.1, normalised=False)),
        (plain, sgd(plain, lr=0.1)),
    ):
        give_gradients(parameters, seed=2)
        optimizer.step()
    assert all(torch.allclose(a, b) for a, b in zip(mine, plain, strict=True))


def test_no_subgradient_no_step() -> None:
    parameters = weights()
    for p in parameters:
        p.grad = torch.zeros_like(p)
    subgradient(parameters, lr=0.1).step()
    assert all(torch.equal(p, w) for p, w in zip(parameters, weights(), strict=True))


def test_the_subgradient_method_keeps_its_textbook_bound() -> None:
    """min f − f* ≤ G (R² + Σα²) / 2Σα for f(w) = |w₁| + 3|w₂|, which has no gradient at 0."""
    w = nn.Parameter(torch.tensor([2.0, -1.0], dtype=torch.float64))
    slopes = torch.tensor([1.0, 3.0], dtype=torch.float64)
    distance, steepest = float(w.detach().norm()), float(slopes.norm())
    optimizer = subgradient([w], lr=0.5)
    (group,) = optimizer.param_groups
    rates, best = [], math.inf
    for step in range(300):
        best = min(best, float((slopes * w.detach().abs()).sum()))
        group["lr"] = 0.5 * inverse_sqrt(step, 300)
        rates.append(group["lr"])
        w.grad = slopes * w.detach().sign()
        optimizer.step()
    bound = steepest * (distance**2 + sum(r * r for r in rates)) / (2 * sum(rates))
    assert best <= bound < 1


def test_adamw_decays_weights_apart_from_the_gradient() -> None:
    parameters = weights()
    for p in parameters:
        p.grad = torch.zeros_like(p)
    adamw(parameters, lr=0.1, weight_decay=0.2).step()
    for p, w in zip(parameters, weights(), strict=True):
        assert torch.allclose(p, w * (1 - 0.1 * 0.2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_with_a_closure_is_one_with_the_closures_gradients(name: str) -> None:
    """The closure is called with gradients on, and its loss comes back."""
    plain, closed = weights(), weights()
    steps, other = (OPTIMIZERS[name](parameters, lr=0.1) for parameters in (plain, closed))

    def closure() -> float:
        other.zero_grad()
        loss = sum(((i + 1) * p.square()).sum() for i, p in enumerate(closed))
        loss.backward()
        return loss.item()

    for _ in range(3):
        expected = sum(float(((i + 1) * p.detach().square()).sum()) for i, p in enumerate(plain))
        for i, p in enumerate(plain):
            p.grad = 2 * (i + 1) * p.detach()
        steps.step()
        assert other.step(closure) == pytest.approx(expected)
        for one, same in zip(plain, closed, strict=True):
            torch.testing.assert_close(one, same)


def by_hand(name: str, given: list[float], start: float, **a: float) -> float:
    """Where one weight comes to under these gradients, by the papers' formulas."""
    w, m, v, buffer = start, 0.0, 0.0, 0.0
    for t, gradient in enumerate(given, 1):
        g = gradient
        if name == "adamw":
            w -= a["lr"] * a["weight_decay"] * w
        else:
            g += a["weight_decay"] * w
        if name in ("adam", "adamw"):
            m = a["beta1"] * m + (1 - a["beta1"]) * g
            v = a["beta2"] * v + (1 - a["beta2"]) * g * g
            root = math.sqrt(v / (1 - a["beta2"] ** t))
            w -= a["lr"] * m / (1 - a["beta1"] ** t) / (root + a["eps"])
        elif name == "rmsprop":
            v = a["alpha"] * v + (1 - a["alpha"]) * g * g
            buffer = a["momentum"] * buffer + g / (math.sqrt(v) + a["eps"])
            w -= a["lr"] * buffer
        else:
            buffer = a["momentum"] * buffer + g
            w -= a["lr"] * (g + a["momentum"] * buffer if a["nesterov"] else buffer)
    return w


KNOBS: dict[str, dict[str, tuple[Any, ...]]] = {
    "adam": {"beta1": (0.0, 0.5), "beta2": (0.9, 0.99), "eps": (1e-8, 0.3)},
    "adamw": {"beta1": (0.0, 0.5), "beta2": (0.9, 0.99), "eps": (1e-8, 0.3)},
    "rmsprop": {"alpha": (0.5, 0.9), "eps": (1e-8, 0.3), "momentum": (0.0, 0.6)},
    "sgd": {"momentum": (0.0, 0.6), "nesterov": (False, True)},
}


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
@pytest.mark.parametrize("name", KNOBS)
def test_all_knobs_together_give_the_papers_formula(name: str, weight_decay: float) -> None:
    gradients, starts = [[1.0, -0.2, 0.4, 3.0], [-0.5, 0.1, 2.0, -0.3]], [2.0, -3.0]
    for values in itertools.product(*KNOBS[name].values()):
        args = dict(zip(KNOBS[name], values, strict=True)) | {"weight_decay": weight_decay}
        p = nn.Parameter(torch.tensor(starts, dtype=torch.float64))
        optimizer = OPTIMIZERS[name]([p], lr=0.1, **args)
        for step in range(4):
            p.grad = torch.tensor([g[step] for g in gradients], dtype=torch.float64)
            optimizer.step()
        pairs = zip(gradients, starts, strict=True)
        expected = [by_hand(name, given, start, lr=0.1, **args) for given, start in pairs]
        assert p.tolist() == pytest.approx(expected, rel=1e-6), args


def test_every_optimizer_has_a_formula_here() -> None:
    assert KNOBS.keys() | {"subgradient"} == OPTIMIZERS.keys()
