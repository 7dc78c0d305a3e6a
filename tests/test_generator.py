"""Drawing from a generator: one seed, the same samples, whatever their number and the network."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import kstest, truncnorm
from torch import Tensor, nn

from gan_tune.model.export import draw, exported
from gan_tune.model.generator import BLOCK, Generator, truncated
from gan_tune.samples.inspection import slerp

LATENT = 8


class Plain(nn.Module):
    """z [B, 8] → points [B, 3]."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(LATENT, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.net(z)
        return samples


class Noisy(Plain):
    """Noise that is drawn in `forward`, as StyleGAN's."""

    def forward(self, z: Tensor) -> Tensor:
        samples = self.net(z)
        return samples + 0.1 * torch.randn_like(samples)


class Dropping(Plain):
    """Dropout that is never off."""

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.net(nn.functional.dropout(z, 0.5, training=True))
        return samples


NETWORKS = {
    "plain": Plain,
    "noisy": Noisy,
    "dropping": Dropping,
    # As the registry keeps users' networks: a graph of operators.
    "exported noisy": lambda: exported(Noisy(), latent=LATENT).module(),
    "exported dropping": lambda: exported(Dropping(), latent=LATENT).module(),
}


def generator(name: str = "plain") -> Generator:
    return Generator(name, 1, LATENT, NETWORKS[name]())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_seed_decides_the_samples_whatever_the_batch(name: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    many = generator(name).sample(3 * BLOCK + 5, seed=7)
    assert torch.equal(torch.get_rng_state(), before), "the process's own draws are not disturbed"
    torch.manual_seed(99)
    for n in (1, 5, BLOCK, BLOCK + 1, 3 * BLOCK + 5):
        assert torch.equal(generator(name).sample(n, seed=7), many[:n])
    joined = torch.cat(list(generator(name).batches(200, seed=7)))
    assert torch.equal(joined[: len(many)], many[:200])
    assert not torch.equal(generator(name).sample(5, seed=8), many[:5])


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_seen_whether_a_network_draws(name: str) -> None:
    assert generator(name).draws == (name != "plain")


def test_blocks_of_a_network_that_draws_have_noise_of_their_own() -> None:
    drawn = generator("noisy")
    noise = drawn.sample(2 * BLOCK, 3) - generator().sample(2 * BLOCK, 3)
    assert not torch.allclose(noise[:BLOCK], noise[BLOCK:], atol=1e-3)


@pytest.mark.parametrize("name", ["noisy", "dropping"])
def test_figures_and_pictures_of_a_network_that_draws_are_repeated(name: str) -> None:
    module = NETWORKS[name]()
    first, second = (draw(module, 100, latent=LATENT, seed=1) for _ in range(2))
    assert torch.equal(first, second)


def test_latents_in_samples_out() -> None:
    z = torch.randn(5, LATENT, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(generator()(z), NETWORKS["plain"]()(z.float()))
    assert generator().shape == (3,)
    assert str(generator()) == "plain/1"
    assert str(Generator("folder", None, LATENT, Plain())) == "folder"


@pytest.mark.parametrize("limit", [0.1, 1.0, 2.5])
def test_truncated_latents_have_the_truncated_normal_distribution(limit: float) -> None:
    z = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    found = truncated(z, limit)
    assert float(found.abs().max()) <= limit
    assert kstest(found.numpy(), truncnorm(-limit, limit).cdf).pvalue > 1e-3
    assert torch.equal(found.argsort(), z.argsort()), "each keeps its quantile"


def test_truncation_far_out_changes_nothing_and_never_breaks() -> None:
    z = torch.tensor([-30.0, -8.5, -1.0, 0.0, 2.0, 8.5, 30.0])
    assert torch.allclose(truncated(z[2:5], 30), z[2:5], atol=1e-5)
    assert bool(truncated(z, 9).isfinite().all())
    less = generator().sample(500, truncation=0.2)
    assert float(less.std(0).sum()) < float(generator().sample(500).std(0).sum()) / 2


def test_a_walk_passes_its_stops_and_closes() -> None:
    class Latents(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z

    walker = Generator("z", None, LATENT, Latents())
    n, stops = 300, 3
    way = torch.cat(list(walker.walk(n, seed=4, stops=stops)))
    anchors = walker.sample(stops, seed=4)
    assert way.shape == (n, LATENT)
    for i in range(stops):
        assert torch.allclose(way[i * n // stops], anchors[i], atol=1e-5)
    middle = slerp(anchors[:1], anchors[1:2], torch.tensor([[0.5]]))[0]
    assert torch.allclose(way[n // stops // 2], middle, atol=1e-5)
    steps = (way - way.roll(-1, 0)).norm(dim=1)
    assert float(steps.max()) < 4 * float(steps.median()), "no jump, at its end neither"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0}, "n must be at least 1: 0"),
        ({"n": 1, "truncation": 0.0}, "truncation must be above 0: 0.0"),
        ({"n": 1, "truncation": math.nan}, "truncation must be above 0: nan"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        generator().sample(**arguments)  # type: ignore[arg-type]
    for n, stops in ((5, 1), (5, 6), (20_000, 10_001)):
        with pytest.raises(ValueError, match=rf"must be from 2 to 10,000, .* the {n} .*: {stops}"):
            generator().walk(n, stops=stops)
