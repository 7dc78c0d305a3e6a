"""The step of each shipped space's settings beside the bare floor of its arithmetic.

    python benchmarks/floors.py [SPACE ...] [--quick]

    step    as a trial trains: draws, figures, averages, looks for divergence; without evaluation
    floor   the same networks, loss, penalties, precision and optimizers on one batch that never
            changes: forward passes, backward passes and updates, and nothing else

Of each space the source's setting and those found by hand are taken. One thread, both sides
in turns; the ratio is that of their times, turn by turn: median and quartiles.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.by_hand import space_by_hand
from benchmarks.interleaved import Spread, Turn, in_turns, ratios, seconds_of
from benchmarks.machine import machine
from benchmarks.table import Asked, table
from benchmarks.unjudged import turns_of
from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.gan.building import build_game
from gan_tune.gan.determinism import kernels
from gan_tune.gan.input_gradients import Network, by_autograd
from gan_tune.gan.objectives import reconstruction
from gan_tune.gan.players import Player
from gan_tune.gan.precision import resolved
from gan_tune.parts.all_parts import dataset_of

SPACES = ("digits", "mlp", "conv", "points", "sparse_autoencoder", "zeroth_order")
QUICK_SPACES = ("digits", "zeroth_order")
AT_MOST = 1.3
TURNS, QUICK_TURNS = 8, 1
SECONDS = 0.5
"""About as long is a turn."""

HEAD = ("space", "setting", "precision", "floor, ms", "step, ms", "ratio", "asked", "")


class Bare:
    """The arithmetic of a trial's steps, on one batch.

    Networks, optimizers and penalties are those that a trial builds; the order of the passes is
    written here once more. A penalty is computed where it is due; D's step is left out where only
    the generator is due. Noise on samples, averages and gradient clipping are left out.
    """

    def __init__(self, config: TrialConfig, dataset: Dataset) -> None:
        game = build_game(config, dataset, torch.device("cpu"))
        assert config.update.name == "alternating"
        self._game, self._networks = game, game.networks
        self._discriminator = game.players["discriminator"]
        self._generator = game.players["generator"]
        self._real = game.batches.real(game.random["data"])
        self._z = game.batches.noise(game.random["latent"])
        self._random = game.random["gradient"]
        self._steps = self._d_steps = 0

    def step(self) -> None:
        """D's steps that are due, and G's on the same samples."""
        rounded = self._game.rounded
        fake = rounded(self._networks.generator)(self._z)
        for _ in range(self._game.pace.d_steps_at(self._steps)):
            self._discriminator_step(fake.detach())
        generator = self._generator

        def objective(network: Network) -> Tensor:
            return self._generator_loss(network(self._z))

        _descend(generator, lambda: self._generator_loss(fake), objective, self._random)
        self._steps += 1

    def weights(self) -> list[Tensor]:
        """All trained parameters; the generator's come first."""
        return self._game.weights()

    def _discriminator_step(self, fake: Tensor) -> None:
        player = self._discriminator
        due = [penalty for penalty in player.penalties if penalty.is_due(self._d_steps)]

        def objective(network: Network) -> Tensor:
            total = self._game.loss.discriminator(*self._logits(network, fake))
            for penalty in due:
                assert penalty.takes == "discriminator"
                total = total + penalty(by_autograd(network), self._real, fake)
            return total

        _descend(player, lambda: objective(player.network), objective, self._random)
        self._d_steps += 1

    def _logits(self, network: Network, fake: Tensor) -> tuple[Tensor, Tensor]:
        rounded = self._game.rounded(network)
        if self._networks.mixes_samples:
            return rounded(self._real), rounded(fake)
        real, generated = rounded(torch.cat([self._real, fake])).split(len(fake))
        return real, generated

    def _generator_loss(self, fake: Tensor) -> Tensor:
        loss, discriminator = self._game.loss, self._networks.discriminator
        if loss.generator_needs_real:
            total = loss.generator(*self._logits(discriminator, fake))
        else:
            logits = self._game.rounded(discriminator)(fake)
            total = loss.generator(logits, logits)
        if self._game.autoencoder is not None:
            total = total + reconstruction(self._game.autoencoder, self._real).total
        return total


def _descend(
    player: Player,
    present: Callable[[], Tensor],
    objective: Callable[[Network], Tensor],
    random: torch.Generator,
) -> None:
    gradients = player.estimate(present, objective, player.network, random)
    for parameter, gradient in zip(player.parameters, gradients, strict=True):
        parameter.grad = gradient
    player.optimizer.step()


def bare(config: TrialConfig, dataset: Dataset) -> Turn:
    """A turn of the floor, as long as one of the trial's: seconds a step."""
    floor, steps = Bare(config, dataset), config.report_steps[0]
    timed = seconds_of(floor.step, steps)

    def turn() -> float:
        with kernels(deterministic=False, matmul_precision=config.matmul_precision):
            return timed()

    return turn


def _length(config: TrialConfig, dataset: Dataset) -> int:
    """Steps of a turn: whole cycles where the players take turns in blocks."""
    cycle = config.block.both + config.block.generator
    floor = Bare(config, dataset)
    floor.step()
    started = time.perf_counter()
    floor.step()
    steps = math.ceil(SECONDS / (time.perf_counter() - started))
    return cycle * math.ceil(steps / cycle)


def _row(space: str, setting: int, config: TrialConfig, *, quick: bool) -> list[str]:
    """That of one setting."""
    dataset = dataset_of(config.data)
    config = resolved(config, dataset.kind, "cpu")
    turns = QUICK_TURNS if quick else TURNS
    steps = 2 if quick else _length(config, dataset)
    length = {"steps": steps * (turns + 1), "evaluations": turns + 1}
    config = config.model_copy(update=length)
    sides = {"floor": bare(config, dataset), "step": turns_of(config, dataset)}
    taken = in_turns(sides, turns)
    ratio = ratios(taken["step"], taken["floor"])
    milliseconds = (f"{1e3 * Spread.of(taken[side]).median:.3g}" for side in sides)
    asked = Asked.at_most(AT_MOST, ratio.median)
    return [
        f"`{space}`",
        f"{setting + 1}",
        _precision(config),
        *milliseconds,
        f"{ratio:.2f}",
        *asked,
    ]


def _precision(config: TrialConfig) -> str:
    rounded = config.matmul_precision != "highest"
    return (
        f"{config.precision}, products {config.matmul_precision}" if rounded else config.precision
    )


def measure(spaces: Sequence[str] = (), *, quick: bool = False) -> str:
    """The table, of all spaces unless some are named."""
    torch.set_num_threads(1)
    rows = []
    for name in spaces or (QUICK_SPACES if quick else SPACES):
        space = space_by_hand(name)
        for setting, start in enumerate(space.start_assignments()):
            rows.append(_row(name, setting, space.config(start, seed=0), quick=quick))
    return table(HEAD, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("spaces", nargs="*", help=", ".join(SPACES))
    parser.add_argument("--quick", action="store_true", help="a few steps: whether it runs")
    options = parser.parse_args()
    print(f"{machine()}, one thread\n", flush=True)
    print(measure(options.spaces, quick=options.quick))


if __name__ == "__main__":
    main()
