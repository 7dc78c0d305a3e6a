"""Search the width of a generator of your own.

    python examples/own_network.py

It takes about half a minute on two cores. A space names a network by its import path: the generator
of this file is `own_network:Generator`, since Python looks in the folder of the script.
"""

import math

from torch import Tensor, nn

import gan_tune
from gan_tune.testing import check_generator


class Generator(nn.Module):
    """Latents [batch, latent] → samples [batch, *shape] in [0, 1]."""

    def __init__(self, shape: tuple[int, ...], latent: int = 32, width: int = 64) -> None:
        super().__init__()
        self.shape = shape
        layers = [nn.Linear(latent, width), nn.SiLU(), nn.Linear(width, math.prod(shape))]
        self.net = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.net(z)
        return samples.view(-1, *self.shape)


WIDTH = {"name": "own_network:Generator", "latent": 32, "width": {"int": [32, 128], "step": 32}}
CHANGES = [f"trial.generator={WIDTH}", "budget.trials=4", "budget.steps=300", "confirm.top=1"]
CHANGES += ["confirm.seeds=1", "search.scheduler=none"]  # so few are all trained to the end
ADAM = {"name": "adam", "lr": 2e-3, "beta1": 0.0}
START = {"loss": "hinge", "generator_optimizer": ADAM, "discriminator_optimizer": ADAM}
START |= {"penalties": [{"name": "r1", "weight": 0.1}], "ema": 0.99}
CHANGES += [f"start_from=[{START}]"]


def main() -> None:
    check_generator(Generator, shape=(1, 8, 8), latent=32)
    space = gan_tune.load_space("digits", CHANGES)
    result = gan_tune.search(space, name="own_network")
    if result.champion is None:  # all have diverged or collapsed, say
        raise SystemExit(f"no setting has trained well: {result.outcomes}")
    distance = result.test["test.frechet_distance"]
    print(f"{len(result.rows)} settings; Fréchet distance of the best, test split: {distance:.4g}")


if __name__ == "__main__":  # Ray's workers import this file
    main()
