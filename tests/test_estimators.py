"""Gradient estimators: every entry of their dict against backpropagation and the definitions."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from gan_tune.gan.estimators import ESTIMATORS, Objective, estimator_refuses
from gan_tune.gan.estimators.columns import linear_layer, traced
from gan_tune.gan.estimators.perturbed import coordinate_losses
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import build_network
from gan_tune.gan.networks.layers import ACTIVATIONS, OUTPUTS

DIFFERENCES = ["forward_difference", "central_difference"]
VALUES_ONLY = [name for name in ESTIMATORS if name != "backprop"]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=random(seed), dtype=torch.float64)


def mlp(role: str = "discriminator", **settings: object) -> nn.Module:
    args = {"hidden": (5, 4), "activation": "tanh"} | settings
    torch.manual_seed(1)
    return build_network(role, (2,), name="mlp", args=args).double()


def smooth(*shape: int) -> Objective:
    """A loss of one call on a batch of inputs of that shape."""
    x = noise(7, *shape, seed=2)
    return lambda net: softplus(net(x)).mean()


def estimated(
    name: str, objective: Objective, net: nn.Module, random: torch.Generator, **knobs: float
) -> list[Tensor]:
    return ESTIMATORS[name](lambda: objective(net), objective, net, random, **knobs)


def flat(gradients: list[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])


def cosine(a: list[Tensor], b: list[Tensor]) -> float:
    return float(torch.cosine_similarity(flat(a), flat(b), dim=0))


class TiedAutoencoder(nn.Module):
    """One weight used twice, the second time outside its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return linear(torch.tanh(self.encode(x)), self.encode.weight.t())


class Residual(nn.Module):
    """A column that meets other operations than elementwise ones; one layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = x + self.first(x).tanh()
        return self.head(self.twice(self.twice(h).tanh()).softmax(-1) * h)


class TwoNames(nn.Module):
    """One layer under two names, called by both."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh())


class TwoWords(nn.Module):
    """One parameter under two names of one module, read under both."""

    def __init__(self) -> None:
        super().__init__()
        self.one = self.other = nn.Parameter(torch.randn(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return linear(torch.tanh(linear(x, self.one)), self.other)


class Branching(nn.Module):
    """A forward pass that cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.shape[-1] == 3 else torch.zeros_like(x)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.LayerNorm(18), nn.Linear(18, 1)
    )


def bias_free() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 1, bias=False))


def in_place() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.CELU(inplace=True), nn.Linear(4, 1))


def hooked() -> nn.Module:
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    network.register_forward_hook(lambda module, inputs, output: output.sin())
    network[0].register_forward_hook(lambda module, inputs, output: output.cumsum(-1))
    return network


def frozen() -> nn.Module:
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    network[0].weight.requires_grad_(False)
    return network


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (2,)),
    "generator": (lambda: mlp("generator", latent=3), (3,)),
    "bias_free": (bias_free, (3,)),
    "frozen": (frozen, (3,)),
    "in_place": (in_place, (3,)),
    "hooked": (hooked, (3,)),
    "convolutional": (convolutional, (1, 8, 8)),
    "tied": (TiedAutoencoder, (3,)),
    "residual": (Residual, (3,)),
    "two_names": (TwoNames, (3,)),
    "two_words": (TwoWords, (3,)),
    "branching": (Branching, (3,)),
    "sequence": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), (6, 3)),
}


def network_and_objective(name: str) -> tuple[nn.Module, Objective]:
    make, shape = NETWORKS[name]
    torch.manual_seed(3)
    return make().double(), smooth(*shape)


def looped(objective: Objective, network: nn.Module, step: float) -> list[Tensor]:
    """L(w + step·e_i) by the definition: one coordinate, one evaluation."""
    losses = []
    for parameter in [p for p in network.parameters() if p.requires_grad]:
        values = parameter.data.view(-1)
        found = torch.empty_like(values)
        for i in range(len(values)):
            kept = values[i].clone()
            values[i] += step
            found[i] = objective(network).detach()
            values[i] = kept
        losses.append(found.view_as(parameter))
    return losses


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_have_the_parameters_order_and_shapes(name: str, network: str) -> None:
    net, objective = network_and_objective(network)
    before = [p.clone() for p in net.parameters()]
    gradients = estimated(name, objective, net, random())
    assert [g.shape for g in gradients] == [p.shape for p in net.parameters() if p.requires_grad]
    assert not any(g.requires_grad for g in gradients)
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_coordinate_is_perturbed_as_a_loop_would(network: str) -> None:
    net, objective = network_and_objective(network)
    ours = coordinate_losses(objective, net, step=0.1)  # far from linear: 0.1 is no small step here
    assert torch.allclose(flat(ours), flat(looped(objective, net, 0.1)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_mlp_goes_the_short_way(activation: str, output: str) -> None:
    net = mlp("generator", latent=3, activation=activation, output=output)
    graph = traced(net)
    assert graph is not None
    assert all(linear_layer(graph, name) is not None for name, _ in net.named_parameters())
    objective = smooth(3)
    assert torch.allclose(
        flat(coordinate_losses(objective, net, step=0.1)),
        flat(looped(objective, net, 0.1)),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize(
    ("network", "parameter"),
    [
        ("tied", "encode.weight"),
        ("residual", "twice.weight"),
        ("convolutional", "0.weight"),
        ("convolutional", "3.weight"),
    ],
)
def test_what_is_no_column_goes_the_long_way(network: str, parameter: str) -> None:
    graph = traced(network_and_objective(network)[0])
    assert graph is not None
    assert linear_layer(graph, parameter) is None


REAL, FAKE = noise(5, 2, seed=4), noise(3, 2, seed=5)


def two_calls(net: Callable[[Tensor], Tensor]) -> Tensor:
    """D's objective, real and fake passing separately."""
    return LOSSES["non_saturating"]().discriminator(net(REAL), net(FAKE))


def one_call(net: Callable[[Tensor], Tensor]) -> Tensor:
    """The same, both passing as one batch."""
    logits = net(torch.cat((REAL, FAKE)))
    return LOSSES["non_saturating"]().discriminator(logits[:5], logits[5:])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_objective_may_call_the_network_twice(name: str) -> None:
    net = mlp()
    twice, once = (estimated(name, o, net, random()) for o in (two_calls, one_call))
    assert torch.allclose(flat(twice), flat(once), rtol=1e-7, atol=1e-9)


def test_a_network_may_be_called_on_its_own_output() -> None:
    net = mlp("generator", latent=2)
    z = noise(5, 2)

    def objective(g: Callable[[Tensor], Tensor]) -> Tensor:
        return softplus(g(g(z))).mean()

    ours = coordinate_losses(objective, net, step=0.1)
    assert torch.allclose(flat(ours), flat(looped(objective, net, 0.1)), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "order"), [("forward_difference", 1), ("central_difference", 2)])
def test_the_error_of_a_difference_is_of_its_order(name: str, order: int) -> None:
    net, objective = network_and_objective("mlp")
    exact = flat(estimated("backprop", objective, net, random()))
    errors = [
        float((flat(estimated(name, objective, net, random(), epsilon=e)) - exact).norm())
        for e in (1e-2, 1e-3)
    ]
    assert errors[0] / errors[1] == pytest.approx(10**order, rel=0.1)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_central_differences_agree_with_backpropagation(player: str) -> None:
    """Both players of the 2-D system, narrower, through the kinks of the leaky ReLU."""
    generator = mlp(
        "generator", latent=10, hidden=(12, 12), activation="leaky_relu", output="linear"
    )
    discriminator = mlp(hidden=(12, 12), activation="leaky_relu")
    z, real = noise(1000, 10, seed=6), noise(1000, 2, seed=7)
    fake = generator(z).detach()
    loss = LOSSES["non_saturating"]()

    def for_generator(g: Callable[[Tensor], Tensor]) -> Tensor:
        logits = discriminator(g(z))
        return loss.generator(logits, logits)

    def for_discriminator(d: Callable[[Tensor], Tensor]) -> Tensor:
        return loss.discriminator(d(real), d(fake))

    net, objective = {
        "generator": (generator, for_generator),
        "discriminator": (discriminator, for_discriminator),
    }[player]
    exact = estimated("backprop", objective, net, random())
    ours = estimated("central_difference", objective, net, random(), epsilon=1e-5)
    assert 1 - cosine(ours, exact) <= 1e-6


def test_random_directions_are_right_on_average() -> None:
    net, objective = network_and_objective("bias_free")
    exact = estimated("backprop", objective, net, random())
    estimate = estimated("random_directions", objective, net, random(), directions=4000)
    n = len(flat(exact))
    # Each coordinate's variance is about ‖g‖²/m: four deviations of the whole vector.
    error = float((flat(estimate) - flat(exact)).norm() / flat(exact).norm())
    assert error < 4 * (n / 4000) ** 0.5
    assert cosine(estimate, exact) > 0.99


def test_more_directions_come_nearer() -> None:
    net, objective = network_and_objective("mlp")
    exact = estimated("backprop", objective, net, random())
    n = len(flat(exact))
    for m in (16, 256):
        found = [
            cosine(
                estimated("random_directions", objective, net, random(seed), directions=m), exact
            )
            for seed in range(20)
        ]
        assert sum(found) / 20 == pytest.approx((m / (m + n)) ** 0.5, abs=0.08)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_equal_random_state_gives_equal_gradients(name: str) -> None:
    net, objective = network_and_objective("mlp")
    first, again = (estimated(name, objective, net, random(7)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("name", VALUES_ONLY)
def test_an_estimator_needs_no_derivative(name: str) -> None:
    net, objective = network_and_objective("mlp")

    def opaque(n: Callable[[Tensor], Tensor]) -> Tensor:
        return objective(n).detach()

    assert torch.equal(
        flat(estimated(name, opaque, net, random())),
        flat(estimated(name, objective, net, random())),
    )


@pytest.mark.parametrize("name", VALUES_ONLY)
def test_the_size_of_a_chunk_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, objective = network_and_objective("residual")
    whole = estimated(name, objective, net, random())
    module = sys.modules["gan_tune.gan.estimators.perturbed"]
    monkeypatch.setattr(module, "CHUNK_BYTES", {"cpu": 4096})
    small = estimated(name, objective, net, random())
    if name == "random_directions":  # other chunks are other draws
        assert cosine(small, whole) > 0
    else:
        assert torch.allclose(flat(small), flat(whole), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_arguments_are_keyword_only_and_have_defaults(name: str) -> None:
    parameters = list(inspect.signature(ESTIMATORS[name]).parameters.values())
    assert [p.name for p in parameters[:4]] == ["present_loss", "objective", "network", "random"]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[4:])


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (nn.BatchNorm1d(3), "batch"),
        (nn.Dropout(0.1), "dropout"),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)), "spectral"),
        (nn.utils.spectral_norm(nn.Linear(3, 3)), "spectral"),
        (nn.Linear(3, 3, dtype=torch.float16), "precision"),
    ],
)
def test_what_changes_between_two_calls_is_refused(layer: nn.Module, word: str) -> None:
    reason = estimator_refuses(nn.Sequential(layer))
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize("network", NETWORKS)
def test_a_fixed_function_is_not_refused(network: str) -> None:
    assert estimator_refuses(network_and_objective(network)[0]) is None


def directions_by_loop(
    objective: Objective, net: nn.Module, *, directions: int, chunk: int, epsilon: float
) -> Tensor:
    """Mean of (L(w + εu) − L(w − εu)) / 2ε · u, one direction after the other, flat.

    Chunk by chunk, since the draws of a chunk are made parameter by parameter.
    """
    trained = [p for p in net.parameters() if p.requires_grad]
    draws, terms = random(7), []
    for start in range(0, directions, chunk):
        count = min(chunk, directions - start)
        drawn = [torch.randn(count, *p.shape, generator=draws, dtype=p.dtype) for p in trained]
        for u in zip(*drawn, strict=True):
            values = []
            for side in (epsilon, -epsilon):
                kept = [p.data.clone() for p in trained]
                for p, v in zip(trained, u, strict=True):
                    p.data += side * v
                values.append(objective(net).detach())
                for p, v in zip(trained, kept, strict=True):
                    p.data = v
            slope = (values[0] - values[1]) / (2 * epsilon)
            terms.append(slope * torch.cat([v.flatten() for v in u]))
    return torch.stack(terms).mean(0)


@pytest.mark.parametrize("network", ["mlp", "frozen", "tied", "two_words"])
def test_random_directions_are_averaged_over_all_their_chunks(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven directions in chunks of one, of several with a shorter last one, and in one chunk."""
    net, objective = network_and_objective(network)
    module = sys.modules["gan_tune.gan.estimators.perturbed"]
    met = set()
    for limit in (1, 900, 1500, 2**23):
        monkeypatch.setattr(module, "CHUNK_BYTES", {"cpu": limit})
        found = flat(
            estimated("random_directions", objective, net, random(7), directions=7, epsilon=0.05)
        )
        agreeing = [
            chunk
            for chunk in range(1, 8)
            if torch.allclose(
                found,
                directions_by_loop(objective, net, directions=7, chunk=chunk, epsilon=0.05),
                rtol=1e-6,
            )
        ]
        assert len(agreeing) == 1, limit
        met |= set(agreeing)
    assert {1, 7} < met, "and a size between"


@pytest.mark.parametrize("epsilon", [0.3, 0.01])
@pytest.mark.parametrize("network", ["mlp", "frozen", "convolutional"])
def test_a_difference_is_its_definition_at_any_step(network: str, epsilon: float) -> None:
    """So large a step that both sides and the middle all differ."""
    net, objective = network_and_objective(network)
    ahead, behind = (flat(looped(objective, net, side)) for side in (epsilon, -epsilon))
    base = objective(net).detach()
    expected = {
        "forward_difference": (ahead - base) / epsilon,
        "central_difference": (ahead - behind) / (2 * epsilon),
    }
    for name, plain in expected.items():
        found = flat(estimated(name, objective, net, random(), epsilon=epsilon))
        assert torch.allclose(found, plain, rtol=1e-7, atol=1e-9), name
