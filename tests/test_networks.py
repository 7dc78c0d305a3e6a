"""Networks and optimizers: every entry of their dicts."""

from __future__ import annotations

import copy
import inspect
import itertools
from typing import Any

import pytest
import torch
from conftest import trial_config
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from gan_tune.gan.input_gradients import by_autograd
from gan_tune.gan.networks import (
    DISCRIMINATORS,
    GENERATORS,
    NETWORKS,
    build_network,
    has_batch_norm,
    mixes_samples,
    network_class,
    without_parametrizations,
)
from gan_tune.gan.networks.attention import SelfAttention
from gan_tune.gan.networks.layers import ACTIVATIONS, OUTPUTS
from gan_tune.gan.networks.norms import NORMS
from gan_tune.gan.networks.resolutions import resolutions_of
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import r1
from gan_tune.gan.training import build_training
from gan_tune.metrics import build_judge
from gan_tune.model.export import best_generator
from gan_tune.parts.all_parts import dataset_of

LATENT, CODE = 6, 5
SIZES = [8, 28, 30, 32, 64, 128]
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (8, 6)},
    "dcgan": {"width": 4},
    "residual": {"width": 4},
    "conv5": {"maps": (4, 8, 8, 8, 8)},
    "fourier_mlp": {"waves": 4, "hidden": (8, 6)},
    "conv": {"maps": (4, 8)},
}
"""Narrow networks, so that the tests are quick."""

NAMES = [(role, name) for role, networks in NETWORKS.items() for name in networks]


def takes(role: str, name: str, argument: str) -> bool:
    return argument in inspect.signature(NETWORKS[role][name]).parameters


VARIANTS = [
    (role, name, {"norm": norm, **attention})
    for role, name in NAMES
    for norm in NORMS
    for attention in ([{}, {"attention": True}] if takes(role, name, "attention") else [{}])
]


def variants(*roles: str) -> pytest.MarkDecorator:
    """Every network of these roles, with each norm, with and without self-attention."""
    chosen = [variant for variant in VARIANTS if variant[0] in roles]
    return pytest.mark.parametrize(
        ("role", "name", "options"),
        chosen,
        ids=[
            f"{role}-{name}-{'-'.join(map(str, options.values()))}"
            for role, name, options in chosen
        ],
    )


def build(role: str, name: str, shape: tuple[int, ...], **options: Any) -> nn.Module:
    args = SMALL.get(name, {}) | options
    if role == "generator":
        args["latent"] = LATENT
    return build_network(
        role, shape, name=name, args=args, code=CODE if role == "encoder" else None
    )


def trained(network: nn.Module, *given: Tensor) -> nn.Module:
    """The network after some forward passes in training, its attention switched on."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, SelfAttention):
                module.gain.fill_(0.5)
        for _ in range(5):
            network(*given)
    return network


def given_and_made(role: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of what a network reads and makes, for a batch of 3."""
    return {
        "generator": ((3, LATENT), (3, *shape)),
        "discriminator": ((3, *shape), (3, 1)),
        "encoder": ((3, *shape), (3, CODE)),
    }[role]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("role", "name"), NAMES)
def test_pictures_of_every_size(role: str, name: str, size: int, channels: int) -> None:
    shape = (channels, size, size)
    given, made = given_and_made(role, shape)
    samples = build(role, name, shape)(torch.randn(given))
    assert samples.shape == made
    assert bool(samples.isfinite().all())


@pytest.mark.parametrize("role", NETWORKS)
@pytest.mark.parametrize("shape", [(2,), (3, 5, 7)], ids=str)
def test_an_mlp_takes_samples_of_any_shape(role: str, shape: tuple[int, ...]) -> None:
    given, made = given_and_made(role, shape)
    assert build(role, "mlp", shape)(torch.randn(given)).shape == made


@variants(*NETWORKS)
@pytest.mark.parametrize("size", [8, 28, 128])
def test_a_space_is_checked_on_no_real_memory(
    role: str, name: str, options: dict[str, Any], size: int
) -> None:
    given, made = given_and_made(role, (1, size, size))
    with torch.device("meta"):
        samples = build(role, name, (1, size, size), **options)(torch.empty(given))
    assert samples.shape == made
    assert samples.is_meta


@variants(*NETWORKS)
@pytest.mark.parametrize("size", [8, 28])
def test_gradients_reach_every_parameter(
    role: str, name: str, options: dict[str, Any], size: int
) -> None:
    torch.manual_seed(0)
    given, _ = given_and_made(role, (1, size, size))
    network = trained(build(role, name, (1, size, size), **options), torch.randn(given))
    network(torch.randn(given)).square().sum().backward()
    for key, parameter in network.named_parameters():
        # Batch norm cancels the biases before it.
        if parameter.ndim > 1 or options["norm"] != "batch":
            assert parameter.grad is not None, key
            assert bool((parameter.grad != 0).any()), key


@variants("discriminator")
def test_features_are_what_the_last_layer_reads(
    role: str, name: str, options: dict[str, Any]
) -> None:
    network = build(role, name, (3, 28, 28), **options).eval()
    x = torch.randn(3, 3, 28, 28)
    features = network.features(x)  # type: ignore[operator]
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert features.shape == (3, last.in_features)
    torch.testing.assert_close(last(features), network(x))


@variants("discriminator")
def test_r1_is_differentiated_twice(role: str, name: str, options: dict[str, Any]) -> None:
    """Along a random direction u in parameter space, ∇R1 · u is the central difference."""
    torch.manual_seed(1)
    network = build(role, name, (1, 8, 8), **options, activation="tanh").double()
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    trained(network, x).eval()  # in training, each pass moves the estimates of singular values
    parameters = list(network.parameters())
    u = [torch.randn_like(parameter) for parameter in parameters]
    gradients = torch.autograd.grad(
        r1(by_autograd(network), x, x, weight=1.0),
        parameters,
        materialize_grads=True,
        allow_unused=True,
    )
    slope = sum((g * d).sum() for g, d in zip(gradients, u, strict=True))
    values, ε = [], 1e-6
    for sign in (1, -1):
        moved = copy.deepcopy(network)
        with torch.no_grad():
            for parameter, direction in zip(moved.parameters(), u, strict=True):
                parameter += sign * ε * direction
        values.append(r1(by_autograd(moved), x, x, weight=1.0))
    difference = (values[0] - values[1]) / (2 * ε)
    torch.testing.assert_close(slope, difference, rtol=1e-4, atol=1e-7)
    assert float(slope.detach().abs()) > 0


@variants(*NETWORKS)
def test_without_parametrizations_the_outputs_are_the_same(
    role: str, name: str, options: dict[str, Any]
) -> None:
    given, _ = given_and_made(role, (1, 28, 28))
    network = trained(build(role, name, (1, 28, 28), **options), torch.randn(given))
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    plain = without_parametrizations(network)
    assert not any(parametrize.is_parametrized(module) for module in plain.modules())
    assert not plain.training
    # The original goes on as it was.
    assert network.training
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    x = torch.randn(given)
    torch.testing.assert_close(plain(x), network.eval()(x), rtol=0, atol=0)


@variants(*NETWORKS)
def test_a_state_brings_back_the_network(role: str, name: str, options: dict[str, Any]) -> None:
    given, _ = given_and_made(role, (1, 28, 28))
    network = trained(build(role, name, (1, 28, 28), **options), torch.randn(given)).eval()
    with torch.device("meta"):
        again = build(role, name, (1, 28, 28), **options)
    again = again.to_empty(device="cpu").eval()
    again.load_state_dict(network.state_dict())
    x = torch.randn(given)
    assert torch.equal(again(x), network(x))


@variants("generator")
@pytest.mark.parametrize("size", [28, 30])
def test_a_generator_is_exported_for_any_batch(
    role: str, name: str, options: dict[str, Any], size: int
) -> None:
    network = trained(build(role, name, (1, size, size), **options), torch.randn(4, LATENT)).eval()
    exported = torch.export.export(
        without_parametrizations(network),
        (torch.zeros(2, LATENT),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    ).module()
    for batch in (1, 5):
        z = torch.randn(batch, LATENT)
        torch.testing.assert_close(exported(z), network(z), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("norm", ["spectral", "batch"])
def test_the_best_generator_is_the_one_that_was_judged(norm: str, ema: float) -> None:
    network = {"name": "dcgan", "latent": LATENT, "width": 4, "norm": norm, "attention": True}
    config = trial_config(generator=network, steps=3, evaluations=1, ema=ema)
    dataset = dataset_of(config.data)
    training = build_training(config, dataset, build_judge(dataset, "selection"))
    generator = best_generator(config, dataset, training.next_report().checkpoint())
    z = torch.randn(5, LATENT)
    with torch.no_grad():
        judged = training.game.networks.by_name()["average" if ema else "generator"].eval()
        torch.testing.assert_close(generator(z), judged(z))


@pytest.mark.parametrize(("role", "name"), NAMES)
def test_spectral_norm_makes_the_largest_singular_value_one(role: str, name: str) -> None:
    torch.manual_seed(2)
    given, _ = given_and_made(role, (1, 28, 28))
    network = build(role, name, (1, 28, 28), norm="spectral")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn_like(parameter)  # what the power iteration has to follow
        for _ in range(200):
            network(torch.randn(given))
    network.eval()
    layers = [
        m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
    ]
    plain = [layer for layer in layers if not parametrize.is_parametrized(layer)]
    assert plain == ([] if role == "discriminator" else [network.head])
    for layer in (layer for layer in layers if layer not in plain):
        weight = layer.weight.detach()
        outputs_first = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
        assert float(torch.linalg.matrix_norm(outputs_first.flatten(1), 2)) == pytest.approx(
            1, abs=0.05
        )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("role", "name"), NAMES)
def test_batch_norm_is_seen(role: str, name: str, norm: str) -> None:
    assert has_batch_norm(build(role, name, (1, 28, 28), norm=norm)) == (norm == "batch")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_only_batch_norm_mixes_the_samples_that_our_discriminators_see(
    name: str, norm: str
) -> None:
    network = build("discriminator", name, (1, 16, 16), norm=norm)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    assert mixes_samples(network, (1, 16, 16)) == (norm == "batch")
    assert all(torch.equal(t, before[key]) for key, t in network.state_dict().items())
    assert network.training


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_takes_every_activation_and_output(
    name: str, activation: str, output: str
) -> None:
    network = build("generator", name, (1, 8, 8), activation=activation, output=output)
    samples = network(torch.randn(64, LATENT) * 10)
    low, high = {"sigmoid": (0, 1), "tanh": (-1, 1), "linear": (-1e9, 1e9)}[output]
    assert bool(((samples >= low) & (samples <= high)).all())
    assert type(network.output) is type(OUTPUTS[output]())
    kind = type(ACTIVATIONS[activation]())
    assert any(isinstance(m, kind) for key, m in network.named_modules() if key != "output")


@pytest.mark.parametrize("shape", [(1, 7, 7), (1, 8, 16), (2,)], ids=str)
@pytest.mark.parametrize(
    ("role", "name"),
    list(itertools.product(["generator", "discriminator"], ["dcgan", "residual"])),
)
def test_a_shape_that_cannot_be_made_is_named(role: str, name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"square pictures .* size >= 8") as error:
        build(role, name, shape)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize(("role", "name"), [("discriminator", "conv5"), ("encoder", "conv")])
def test_strided_convolutions_take_pictures_of_any_shape_but_no_points(
    role: str, name: str
) -> None:
    given, made = given_and_made(role, (3, 5, 70))
    assert build(role, name, (3, 5, 70))(torch.randn(given)).shape == made
    with pytest.raises(ValueError, match=r"must be pictures .* but got shape \(2,\)"):
        build(role, name, (2,))


def test_a_size_is_reached_by_doublings_from_four_to_eight() -> None:
    for size in range(8, 257):
        r = resolutions_of((1, size, size))
        factor = 2**r.doublings
        assert 4 <= r.last <= 7, size
        assert r.last * factor <= size <= r.first * factor < size + factor, size


def test_self_attention_is_dot_product_attention_behind_a_gain() -> None:
    layer, x = SelfAttention(16), torch.randn(2, 16, 5, 5)
    assert torch.equal(layer(x), x), "the gain starts at zero"
    trained(layer, x)
    q, k, v = (m(x).flatten(2).mT for m in (layer.query, layer.key, layer.value))
    attended = F.scaled_dot_product_attention(q, k, v, scale=1.0).mT.unflatten(2, (5, 5))
    torch.testing.assert_close(layer(x), x + 0.5 * layer.out(attended))


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_dcgan_starts_from_its_papers_weights(role: str) -> None:
    network = build(role, "dcgan", (1, 32, 32), width=32)
    large = [p.detach() for p in network.parameters() if p.numel() > 2_000]
    assert large
    for weight in large:
        assert float(weight.mean()) == pytest.approx(0, abs=0.002)
        assert float(weight.std()) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("role", ["generator", "discriminator"])
@pytest.mark.parametrize("name", ["dcgan", "residual"])
def test_self_attention_stands_at_the_middle_resolution(role: str, name: str) -> None:
    for size, middle in ((28, 14), (64, 16), (128, 16)):
        network = build(role, name, (1, size, size), attention=True)
        (layer,) = (m for m in network.modules() if isinstance(m, SelfAttention))
        seen: list[int] = []
        layer.register_forward_hook(lambda m, args, out, seen=seen: seen.append(out.shape[-1]))
        network(torch.randn(given_and_made(role, (1, size, size))[0]))
        assert seen == [middle]


def test_no_hidden_layer_is_a_linear_network() -> None:
    network = build_network("discriminator", (3,), name="mlp", args={"hidden": ()})
    assert sum(p.numel() for p in network.parameters()) == 4


def test_layer_sizes_are_the_sources() -> None:
    shape = (1, 28, 28)
    assert weights(build_network("generator", shape, name="mlp", args={})) == [
        (128, 100),
        (256, 128),
        (784, 256),
    ]
    assert weights(build_network("discriminator", shape, name="mlp", args={})) == [
        (256, 784),
        (128, 256),
        (1, 128),
    ]
    assert weights(build_network("encoder", shape, name="mlp", args={}, code=32)) == [
        (128, 784),
        (64, 128),
        (32, 64),
    ]
    assert weights(build_network("discriminator", shape, name="conv5", args={})) == [
        (64, 1, 5, 5),
        (128, 64, 5, 5),
        (256, 128, 5, 5),
        (512, 256, 5, 5),
        (1024, 512, 5, 5),
        (1, 1024),
    ]


def weights(network: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in network.parameters() if p.ndim > 1]


class OwnEncoder(nn.Module):
    def __init__(self, shape: tuple[int, ...], code: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.code, self.gain = code, gain

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x.flatten(1)[:, : self.code]


def test_a_users_own_encoder_is_given_the_code_size() -> None:
    network = build_network(
        "encoder", (1, 8, 8), name="test_networks:OwnEncoder", args={"gain": 2.0}, code=3
    )
    assert torch.equal(network(torch.ones(2, 1, 8, 8)), torch.full((2, 3), 2.0))


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


def test_waves_have_the_frequencies_they_say() -> None:
    torch.manual_seed(0)
    network = build("discriminator", "fourier_mlp", (2,), waves=4096, scale=3.0, hidden=())
    f = network.frequencies
    assert float(f.std()) == pytest.approx(3.0, rel=0.02)
    x = torch.randn(5, 2)
    features = network.features(x)
    period = x + f[:, :1].T / f[:, 0].square().sum()  # one period of the first wave further
    again = network.features(period)
    torch.testing.assert_close(features[:, :2], x)
    for wave in (2, 2 + 4096):  # its sine and its cosine
        torch.testing.assert_close(again[:, wave], features[:, wave], atol=1e-4, rtol=0)
    assert bool(((again - features)[:, 2:].abs() > 0.1).any())
    torch.testing.assert_close(
        features[:, 2:4098].square() + features[:, 4098:].square(), torch.ones(5, 4096)
    )


def layers_of(network: nn.Module, *types: type[nn.Module]) -> list[Any]:
    return [layer for layer in network.modules() if isinstance(layer, types)]


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("role", [role for role, name in NAMES if name == "dcgan"])
def test_dcgan_begins_with_its_papers_weights(role: str, norm: str) -> None:
    """N(0, 0.02²) for weights, N(1, 0.02²) for gains of batch norm, 0 for biases."""
    torch.manual_seed(0)
    size = {"latent": 12} if role == "generator" else {}
    network = build_network(
        role, (3, 32, 32), name="dcgan", args={"width": 16, "norm": norm} | size
    )
    products = layers_of(network, nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    assert products
    for layer in products:
        spread = 4 / (2 * layer.weight.numel()) ** 0.5  # four deviations of the estimate
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=spread)
        assert abs(float(layer.weight.detach().mean())) < 4 * 0.02 / layer.weight.numel() ** 0.5
    norms = layers_of(network, nn.BatchNorm2d)
    assert bool(norms) == (norm == "batch")
    if norms:
        gains = torch.cat([layer.weight.detach() for layer in norms])
        assert float(gains.mean()) == pytest.approx(1, abs=4 * 0.02 / len(gains) ** 0.5)
        assert float(gains.std()) == pytest.approx(0.02, rel=0.5)
    biases = [x.bias for x in [*products, *norms] if x.bias is not None]
    assert biases
    assert all(not bool(bias.any()) for bias in biases)


@pytest.mark.parametrize("role", [role for role, name in NAMES if name == "residual"])
def test_residual_networks_begin_uniform_after_glorot_with_biases_of_0(role: str) -> None:
    """Within √6 · gain / √(fan in + fan out), √2 the gain of what follows an activation."""
    torch.manual_seed(0)
    size = {"latent": 12} if role == "generator" else {}
    network = build_network(role, (3, 32, 32), name="residual", args={"width": 8} | size)
    layers = layers_of(network, nn.Linear, nn.Conv2d)
    for layer in layers:
        weight = layer.weight.detach()
        fans = (weight.shape[0] + weight.shape[1]) * weight[0, 0].numel()
        reach = float(weight.abs().max()) * (fans / 6) ** 0.5
        inner = weight.shape[-2:] == (3, 3) and layer is not getattr(network, "head", None)
        gain = 2**0.5 if inner else 1.0
        assert gain * (1 - 20 / weight.numel()) <= reach <= gain * (1 + 1e-6)
        assert layer.bias is None or not bool(layer.bias.any())


class GroupsOf(nn.Module):
    """A user's discriminator that reads the deviation within groups of so many samples."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.layer = size, nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        groups = x.unflatten(0, (-1, self.size))
        spread = (groups - groups.mean(1, keepdim=True)).square().mean((1, 2), keepdim=True)
        return self.layer(x) + spread.expand(-1, self.size, 1).flatten(0, 1)


@pytest.mark.parametrize(("size", "mixes"), [(1, False), (2, True), (4, True)])
def test_statistics_over_groups_of_up_to_four_are_seen(size: int, mixes: bool) -> None:
    """Such groups are usual, and a batch that they do not divide is none that they can read."""
    assert mixes_samples(GroupsOf(size), (3,)) == mixes


STRIDED = [(r, n) for r, n in NAMES if r != "generator" and n in ("dcgan", "conv5", "conv")]
"""Networks that begin with plain convolutions of the pixels."""


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize(("role", "name"), STRIDED)
def test_a_convolution_that_reads_pixels_has_a_bias_and_no_batch_norm(
    role: str, name: str, norm: str
) -> None:
    """Batch norm there would take its brightness from a sample (Radford et al. 2016)."""
    network = build(role, name, (3, 32, 32), norm=norm)
    convolutions = layers_of(network, nn.Conv2d)
    if name == "dcgan":
        convolutions.pop()  # the head
    behind = [
        next(later for later in order[place + 1 :] if not isinstance(later, nn.Identity))
        for order in [[m for m in network.modules() if not list(m.children())]]
        for place, layer in enumerate(order)
        if layer in convolutions
    ]
    normed = [isinstance(layer, nn.BatchNorm2d) for layer in behind]
    assert normed == [False, *[norm == "batch"] * (len(convolutions) - 1)]
    biased = [layer.bias is not None for layer in convolutions]
    assert biased == [True, *[norm != "batch"] * (len(convolutions) - 1)]
