"""Networks and optimizers: every entry of their dicts."""

from __future__ import annotations

import pytest
import torch

from gan_tune.gan.networks import (
    ACTIVATIONS,
    DISCRIMINATORS,
    GENERATORS,
    NORMS,
    OUTPUTS,
    build_network,
    has_batch_norm,
    network_class,
)
from gan_tune.gan.optimizers import OPTIMIZERS

SHAPES = [(1, 8, 8), (3, 5, 7), (2,)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_maps_latents_to_samples(name: str, shape: tuple[int, ...]) -> None:
    network = build_network("generator", shape, name=name, args={"latent": 6})
    assert network(torch.randn(4, 6)).shape == (4, *shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_a_discriminator_maps_samples_to_logits(name: str, shape: tuple[int, ...]) -> None:
    network = build_network("discriminator", shape, name=name, args={})
    assert network(torch.randn(4, *shape)).shape == (4, 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_mlp_generator_takes_every_option(norm: str, activation: str, output: str) -> None:
    args = {"norm": norm, "activation": activation, "output": output, "hidden": (8, 8)}
    network = build_network("generator", (2,), name="mlp", args=args)
    samples = network(torch.randn(64, 100) * 10)
    low, high = {"sigmoid": (0, 1), "tanh": (-1, 1), "linear": (-1e9, 1e9)}[output]
    assert bool(((samples >= low) & (samples <= high)).all())
    assert has_batch_norm(network) == (norm == "batch")


def test_no_hidden_layer_is_a_linear_network() -> None:
    network = build_network("discriminator", (3,), name="mlp", args={"hidden": ()})
    assert sum(p.numel() for p in network.parameters()) == 4


def test_layer_sizes_are_the_sources() -> None:
    generator = build_network("generator", (1, 28, 28), name="mlp", args={})
    discriminator = build_network("discriminator", (1, 28, 28), name="mlp", args={})
    shapes = [tuple(p.shape) for p in generator.parameters() if p.ndim == 2]
    assert shapes == [(128, 100), (256, 128), (784, 256)]
    shapes = [tuple(p.shape) for p in discriminator.parameters() if p.ndim == 2]
    assert shapes == [(256, 784), (128, 256), (1, 128)]


def test_what_cannot_be_imported_says_so() -> None:
    with pytest.raises(LookupError, match="must be importable as"):
        network_class("generator", "no_such_module:Net")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_descends(name: str) -> None:
    weights = torch.nn.Parameter(torch.tensor([2.0, -3.0]))
    optimizer = OPTIMIZERS[name]([weights], lr=0.05)
    before = weights.square().sum().item()
    for _ in range(20):
        (weights.grad,) = torch.autograd.grad(weights.square().sum(), weights)
        optimizer.step()
    assert weights.square().sum().item() < 0.8 * before
