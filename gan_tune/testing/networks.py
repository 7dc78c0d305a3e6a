"""Checks of networks: shapes, types, gradients, determinism, devices, export, training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gan_tune.model.export import exported
from gan_tune.parts.network_traits import features_fault
from gan_tune.testing.trial import check_training, path_of
from gan_tune.words.wording import in_one_line

__all__ = ["check_discriminator", "check_encoder", "check_generator"]

Shape = tuple[int, ...]
Network = Callable[..., nn.Module]

BATCHES = (2, 3, 8)
CLOSE = 1e-4
"""Batches of another size take other kernels, which round in another way."""


def check_generator(cls: Network, *, shape: Shape, latent: int, **settings: Any) -> None:
    """Check a generator: latents [batch, latent] → samples [batch, *shape].

    Args:
        cls: a class at the top level of a module, called as ``cls(shape, latent=..., **settings)``.
        shape: that of one sample, (C, H, W) for pictures or (D,) for points.
        latent: the size of its input.
        settings: its other arguments: plain values, as in a space file.

    Raises:
        AssertionError: a rule is broken; the text names the rule and the value.
    """
    what = _name(cls)
    part = {"name": path_of(cls), "latent": latent, **settings}
    check_training(what, {"data": _data(shape), "generator": part})

    def build() -> nn.Module:
        return cls(shape, latent=latent, **settings)

    _check_network(what, build, (latent,), shape)
    network, z = _seeded(build).eval(), _given(8, (latent,))
    program = exported(network, latent=latent).module()
    with torch.no_grad():
        samples = network(z)
        if bool((samples == samples[:1]).all()):
            raise AssertionError(f"{what}: must depend on its noise, but all samples are equal")
        for batch in BATCHES:
            _must_equal(what, "exported it must draw the same", program(z[:batch]), samples)


def check_discriminator(cls: Network, *, shape: Shape, **settings: Any) -> None:
    """Check a discriminator: samples [batch, *shape] → logits [batch, 1].

    A method ``features`` must map samples to [batch, features].

    Args:
        cls: a class at the top level of a module, called as ``cls(shape, **settings)``.
        shape: that of one sample, (C, H, W) for pictures or (D,) for points.
        settings: its other arguments: plain values, as in a space file.

    Raises:
        AssertionError: a rule is broken; the text names the rule and the value.
    """
    what = _name(cls)
    generator = {"name": "mlp", "latent": 4, "hidden": [8], "output": "linear"}
    part = {"name": path_of(cls), **settings}
    check_training(what, {"data": _data(shape), "generator": generator, "discriminator": part})

    def build() -> nn.Module:
        return cls(shape, **settings)

    _check_network(what, build, shape, (1,))
    features = getattr(_seeded(build).eval(), "features", None)
    if features is None:
        return
    fault = features_fault(features, _given(3, shape))
    if fault is not None:
        raise AssertionError(f"{what}: {fault}")


def check_encoder(cls: Network, *, shape: Shape, code: int, **settings: Any) -> None:
    """Check an encoder: samples [batch, *shape] → codes [batch, code].

    Args:
        cls: a class at the top level of a module, called as ``cls(shape, code, **settings)``.
        shape: that of one sample, (C, H, W) for pictures or (D,) for points.
        code: the size of a code.
        settings: its other arguments: plain values, as in a space file.

    Raises:
        AssertionError: a rule is broken; the text names the rule and the value.
    """
    what = _name(cls)
    generator = {"name": "mlp", "latent": code, "hidden": [8], "output": "linear"}
    part = {"name": path_of(cls), **settings}
    check_training(what, {"data": _data(shape), "generator": generator, "encoder": part})

    def build() -> nn.Module:
        return cls(shape, code, **settings)

    _check_network(what, build, shape, (code,))


# ---------------------------------------------------------------- what all networks must do


def _check_network(what: str, build: Callable[[], nn.Module], given: Shape, made: Shape) -> None:
    for rule, value in _broken_rules(build, given, made):
        raise AssertionError(f"{what}: {rule}, but {value}")


def _broken_rules(
    build: Callable[[], nn.Module], given: Shape, made: Shape
) -> Iterator[tuple[str, str]]:
    """Rules that a network breaks, in the order in which one should look at them."""
    network = _seeded(build)
    for batch in BATCHES:
        output = network(_given(batch, given))
        if tuple(output.shape) != (batch, *made):
            rule = f"must map {(batch, *given)} to {(batch, *made)}"
            yield rule, f"it made {tuple(output.shape)}"
    unreached = _without_gradient(network, _given(4, given))
    if unreached:
        yield "a gradient must reach each parameter", f"none reaches {', '.join(unreached)}"
    yield from _unequal(build, given)
    yield from _tied_to_a_device(build, given)


def _without_gradient(network: nn.Module, x: Tensor) -> list[str]:
    """Trained parameters that a backward pass leaves without a finite gradient."""
    network.train().zero_grad()
    network(x).square().sum().backward()
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
        and (parameter.grad is None or not bool(parameter.grad.isfinite().all()))
    ]


def _unequal(build: Callable[[], nn.Module], given: Shape) -> Iterator[tuple[str, str]]:
    first, second = _seeded(build).eval(), _seeded(build).eval()
    x = _given(8, given)
    with torch.no_grad():
        output = first(x)
        if not torch.equal(output, first(x)):
            yield "must be a fixed function in eval mode", "two passes differ"
        elif not torch.equal(output, second(x)):
            yield "equal seeds must give equal networks", "two built with one seed differ"


def _tied_to_a_device(build: Callable[[], nn.Module], given: Shape) -> Iterator[tuple[str, str]]:
    """On the meta device, which takes no memory and is there on every machine."""
    network = _seeded(build).to("meta")
    try:
        output = network(_given(3, given).to("meta"))
        found = str(output.device)
    except Exception as error:  # whatever torch raises where devices are mixed
        found = f"it raised {in_one_line(error)}"
    if found != "meta":
        rule = "must run on the device it is moved to (register tensors as buffers or parameters)"
        yield rule, found


# ---------------------------------------------------------------- tools


def _name(cls: Network) -> str:
    return getattr(cls, "__name__", repr(cls))


def _data(shape: Shape) -> dict[str, Any]:
    samples = "gan_tune.testing.trial:random_samples"
    return {"name": samples, "shape": list(shape), "batch_size": 8}


def _given(batch: int, shape: Shape) -> Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


def _seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """A network whose weights are drawn from a fixed seed; the caller's generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def _must_equal(what: str, rule: str, found: Tensor, wanted: Tensor) -> None:
    farthest = float((found - wanted[: len(found)]).abs().max())
    if not torch.allclose(found, wanted[: len(found)], rtol=CLOSE, atol=CLOSE):
        raise AssertionError(f"{what}: {rule}, but a batch of {len(found)} is {farthest:.3g} off")
