"""How the players move: against the formulas on min_x max_y xy, and in a game of networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from conftest import trial_config

from gan_tune.gan.building import build_game
from gan_tune.gan.penalties import PENALTIES, Penalty
from gan_tune.gan.updates import UPDATES
from gan_tune.parts.all_parts import dataset_of

RATE = 0.1


class Bilinear:
    """The generator x minimises xy, the discriminator y maximises it."""

    def __init__(self, x: float, y: float) -> None:
        self.at = {"generator": x, "discriminator": y}

    def draw(self) -> None: ...

    def gradients(self, player: str, batch: None) -> float:
        x, y = self.at["generator"], self.at["discriminator"]
        return y if player == "generator" else -x

    def descend(self, player: str, gradient: float) -> None:
        self.at[player] -= RATE * gradient

    @contextmanager
    def extrapolated(self) -> Iterator[None]:
        before = dict(self.at)
        yield
        self.at = before


def moved(update: str, x: float, y: float) -> tuple[float, float]:
    """Where one step leads, by hand."""
    x_ahead, y_ahead = x - RATE * y, y + RATE * x
    return {
        "alternating": (x - RATE * y_ahead, y_ahead),
        "simultaneous": (x_ahead, y_ahead),
        "extragradient": (x - RATE * y_ahead, y + RATE * x_ahead),
    }[update]


@pytest.mark.parametrize("d_steps", [0, 1, 3])
@pytest.mark.parametrize("update", UPDATES)
def test_each_update_is_its_formula(update: str, d_steps: int) -> None:
    game: Any = Bilinear(2.0, 3.0)
    UPDATES[update](game, d_steps)
    if d_steps == 0:  # the generator is alone, so a step ahead of its own changes nothing
        expected = (2.0 - RATE * 3.0, 3.0)
    else:  # all but the last step of the discriminator are plain ones
        expected = moved(update, 2.0, 3.0 + (d_steps - 1) * RATE * 2.0)
    assert (game.at["generator"], game.at["discriminator"]) == pytest.approx(expected)


@pytest.mark.parametrize("block", [{"both": 1, "generator": 0}, {"both": 2, "generator": 1}])
@pytest.mark.parametrize("every", [2, 3])
@pytest.mark.parametrize("d_steps", [1, 2, 3])
@pytest.mark.parametrize("update", UPDATES)
def test_a_lazy_penalty_is_due_at_each_kth_step_kept(
    update: str, d_steps: int, every: int, block: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[float] = []

    def counted(*batch: Any, weight: float) -> torch.Tensor:
        weights.append(weight)
        return torch.zeros(())

    config = trial_config(
        update=update,
        d_steps=d_steps,
        block=block,
        penalties=[{"name": "r1", "weight": 0.5, "every": every}],
    )
    monkeypatch.setitem(PENALTIES, "r1", Penalty(counted, takes="discriminator"))
    game = build_game(config, dataset_of(config.data), torch.device("cpu"))
    kept = 0
    for step in range(7):
        weights.clear()
        game.train_step()
        due = d_steps if step % sum(block.values()) < block["both"] else 0
        penalised = [i for i in range(kept, kept + due) if i % every == 0]
        kept += due
        # The last step of an extragradient has two gradients, one of them ahead.
        again = update == "extragradient" and kept - 1 in penalised
        assert weights == [0.5 * every] * (len(penalised) + again)
