"""Checks of networks: shapes, types, gradients, determinism, devices, export, training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gan_tune.model.export import exported
from gan_tune.parts.network_traits import features_fault
from gan_tune.testing.trial import check_training, name_of, path_of
from gan_tune.words.wording import in_one_line

__all__ = ["check_discriminator", "check_encoder", "check_generator"]

Shape = tuple[int, ...]
Network = Callable[..., nn.Module]

BATCHES = (2, 3, 8)
CLOSE = 1e-4
"""Tolerance: torch may use other kernels for other batch sizes, with other rounding."""


def check_generator(cls: Network, *, shape: Shape, latent: int, **settings: Any) -> None:
    """Check a generator: latents [batch, latent] → samples [batch, *shape].

    Args:
        cls: a class at the top level of a module, called as ``cls(shape, latent=..., **settings)``.
        shape: shape of one sample, (C, H, W) for pictures or (D,) for points.
        latent: size of the latent vector.
        settings: its other arguments: plain values, as in a space file.

    Raises:
        AssertionError: a rule is broken; the text names the rule and the value.
    """
    what = name_of(cls)
    part = {"name": path_of(cls), "latent": latent, **settings}
    check_training(what, {"data": _data(shape), "generator": part})

    def build() -> nn.Module:
        return cls(shape, latent=latent, **settings)

    _check_network(what, build, (latent,), shape)
    network, z = _seeded(build).eval(), _noise(8, (latent,))
    program = exported(network, latent=latent).module()
    with torch.no_grad():
        samples = network(z)
        if bool((samples == samples[:1]).all()):
            raise AssertionError(f"{what}: must depend on its noise, but all samples are equal")
        for batch in BATCHES:
            _must_equal(what, "must draw the same when exported", program(z[:batch]), samples)


def check_discriminator(cls: Network, *, shape: Shape, **settings: Any) -> None:
    """Check a discriminator: samples [batch, *shape] → logits [batch, 1].

    A method ``features`` must map samples to [batch, features].

    Args:
        cls: a class at the top level of a module, called as ``cls(shape, **settings)``.
        shape: shape of one sample, (C, H, W) for pictures or (D,) for points.
        settings: its other arguments: plain values, as in a space file.

    Raises:
        AssertionError: a rule is broken; the text names the rule and the value.
    """
    what = name_of(cls)
    generator = {"name": "mlp", "latent": 4, "hidden": [8], "output": "linear"}
    part = {"name": path_of(cls), **settings}
    check_training(what, {"data": _data(shape), "generator": generator, "discriminator": part})

    def build() -> nn.Module:
        return cls(shape, **settings)

    _check_network(what, build, shape, (1,), learns_from_input=True)
    features = getattr(_seeded(build).eval(), "features", None)
    if features is None:
        return
    fault = features_fault(features, _noise(3, shape))
    if fault is not None:
        raise AssertionError(f"{what}: {fault}")


def check_encoder(cls: Network, *, shape: Shape, code: int, **settings: Any) -> None:
    """Check an encoder: samples [batch, *shape] → codes [batch, code].

    Args:
        cls: a class at the top level of a module, called as ``cls(shape, code, **settings)``.
        shape: shape of one sample, (C, H, W) for pictures or (D,) for points.
        code: the size of a code.
        settings: its other arguments: plain values, as in a space file.

    Raises:
        AssertionError: a rule is broken; the text names the rule and the value.
    """
    what = name_of(cls)
    generator = {"name": "mlp", "latent": code, "hidden": [8], "output": "linear"}
    part = {"name": path_of(cls), **settings}
    check_training(what, {"data": _data(shape), "generator": generator, "encoder": part})

    def build() -> nn.Module:
        return cls(shape, code, **settings)

    _check_network(what, build, shape, (code,), learns_from_input=True)


# ---------------------------------------------------------------- what all networks must do


def _check_network(
    what: str,
    build: Callable[[], nn.Module],
    input_shape: Shape,
    output_shape: Shape,
    *,
    learns_from_input: bool = False,
) -> None:
    for rule, value in _broken_rules(build, input_shape, output_shape, learns_from_input):
        raise AssertionError(f"{what}: {rule}, but {value}")


def _broken_rules(
    build: Callable[[], nn.Module], input_shape: Shape, output_shape: Shape, learns_from_input: bool
) -> Iterator[tuple[str, str]]:
    """The rules that a network breaks; the first should be fixed first.

    ``learns_from_input``: a generator learns through this network, by the gradient of its input.
    """
    network = _seeded(build)
    for batch in BATCHES:
        output = network(_noise(batch, input_shape))
        if tuple(output.shape) != (batch, *output_shape):
            rule = f"must map {(batch, *input_shape)} to {(batch, *output_shape)}"
            yield rule, f"it made {tuple(output.shape)}"
    x = _noise(4, input_shape).requires_grad_()
    unreached = _without_gradient(network, x)
    if unreached:
        yield "a gradient must reach each parameter", f"none reaches {', '.join(unreached)}"
    if learns_from_input and (x.grad is None or not bool(x.grad.any())):
        yield "a gradient must reach the samples, from which a generator learns", "none does"
    yield from _nondeterminism(build, input_shape)
    yield from _fixed_device(build, input_shape)


def _without_gradient(network: nn.Module, x: Tensor) -> list[str]:
    """Trained parameters that a backward pass leaves without a finite gradient."""
    network.train().zero_grad()
    output = network(x).square().sum()
    if output.requires_grad:
        output.backward()
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
        and (parameter.grad is None or not bool(parameter.grad.isfinite().all()))
    ]


def _nondeterminism(
    build: Callable[[], nn.Module], input_shape: Shape
) -> Iterator[tuple[str, str]]:
    first, second = _seeded(build).eval(), _seeded(build).eval()
    x = _noise(8, input_shape)
    with torch.no_grad():
        output = first(x)
        if not torch.equal(output, first(x)):
            yield "must be a fixed function in eval mode", "two passes differ"
        elif not torch.equal(output, second(x)):
            yield "equal seeds must give equal networks", "two built with one seed differ"


def _fixed_device(build: Callable[[], nn.Module], input_shape: Shape) -> Iterator[tuple[str, str]]:
    """Try the meta device, which needs no memory and exists on every machine."""
    network = _seeded(build).to("meta")
    try:
        output = network(_noise(3, input_shape).to("meta"))
        found = str(output.device)
    except Exception as error:  # whatever torch raises where devices are mixed
        found = f"it raised {in_one_line(error)}"
    if found != "meta":
        rule = "must run on the device it is moved to (register tensors as buffers or parameters)"
        yield rule, found


# ---------------------------------------------------------------- tools


def _data(shape: Shape) -> dict[str, Any]:
    samples = "gan_tune.testing.trial:random_samples"
    return {"name": samples, "shape": list(shape), "batch_size": 8}


def _noise(batch: int, shape: Shape) -> Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


def _seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network from a fixed seed; torch's global random state is left unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def _must_equal(what: str, rule: str, found: Tensor, wanted: Tensor) -> None:
    farthest = float((found - wanted[: len(found)]).abs().max())
    if not torch.allclose(found, wanted[: len(found)], rtol=CLOSE, atol=CLOSE):
        raise AssertionError(f"{what}: {rule}, but a batch of {len(found)} is {farthest:.3g} off")
