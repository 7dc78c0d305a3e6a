"""How the two players move in one step: functions of a game by name.

Each is called with the game and how many discriminator steps are due, which may be none (see
``block`` in a trial).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_tune.gan.game import Game, Gradients, Player

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
    _run_ahead(game, d_steps - 1)
    _descend_together(game, _both_gradients(game, also_discriminator=d_steps > 0))


def extragradient(game: Game, d_steps: int) -> None:
    """Step ahead with both players, and step for good by the gradients found there.

    Gidel et al. 2019, algorithm 4: the optimizers' moments learn from both steps. The second
    gradients come from a batch of their own. All but the last of several discriminator steps are
    plain ones.
    """
    _run_ahead(game, d_steps - 1)
    due = d_steps > 0
    with game.extrapolated():
        _descend_together(game, _both_gradients(game, also_discriminator=due))
        gradients = _both_gradients(game, also_discriminator=due)
    _descend_together(game, gradients)


def _run_ahead(game: Game, d_steps: int) -> None:
    for _ in range(d_steps):
        game.descend("discriminator", game.gradients("discriminator", game.draw()))


def _both_gradients(game: Game, *, also_discriminator: bool) -> dict[Player, Gradients]:
    """Gradients at the present weights on one batch, the discriminator's first if it is due."""
    batch = game.draw()
    players: tuple[Player, ...] = ("discriminator",) if also_discriminator else ()
    return {player: game.gradients(player, batch) for player in (*players, "generator")}


def _descend_together(game: Game, gradients: Mapping[Player, Gradients]) -> None:
    for player, gradient in gradients.items():
        game.descend(player, gradient)


UPDATES: dict[str, Callable[[Game, int], None]] = {
    "alternating": alternating,
    "simultaneous": simultaneous,
    "extragradient": extragradient,
}
