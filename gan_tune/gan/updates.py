"""How the two players move in one step: functions of a game by name.

Each is called with the game and how many discriminator steps are due, which may be none (see
``block`` in a trial).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_tune.gan.game import Game

__all__ = ["UPDATES", "alternating", "extragradient", "simultaneous"]


def alternating(game: Game, d_steps: int) -> None:
    """The discriminator steps, then the generator answers the new one (Goodfellow et al. 2014).

    The generator's last batch serves both players.
    """
    batch = game.draw()
    for i in range(d_steps):
        if i:
            batch = game.draw()
        game.descend("discriminator", game.gradients("discriminator", batch))
    game.descend("generator", game.gradients("generator", batch))


def simultaneous(game: Game, d_steps: int) -> None:
    """Both gradients are taken at the same weights (Mescheder et al. 2017, section 2)."""
    for _ in range(d_steps - 1):
        game.descend("discriminator", game.gradients("discriminator", game.draw()))
    batch = game.draw()
    if d_steps:
        gradients = game.gradients("discriminator", batch)
    answer = game.gradients("generator", batch)
    if d_steps:
        game.descend("discriminator", gradients)
    game.descend("generator", answer)


def extragradient(game: Game, d_steps: int) -> None:
    """Step ahead with both players, and step for good by the gradients found there.

    Gidel et al. 2019, algorithm 4: the optimizers' moments learn from both steps. The second
    gradients come from a batch of their own.
    """
    with game.extrapolated():
        simultaneous(game, d_steps)
        batch = game.draw()
        gradients = game.gradients("discriminator", batch) if d_steps else None
        answer = game.gradients("generator", batch)
    if gradients is not None:
        game.descend("discriminator", gradients)
    game.descend("generator", answer)


UPDATES: dict[str, Callable[[Game, int], None]] = {
    "alternating": alternating,
    "simultaneous": simultaneous,
    "extragradient": extragradient,
}
